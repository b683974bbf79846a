// Writes the vector code of a kernel: a vector of the layout's lanes at a time, addresses in bytes, every fused
// multiply-add explicit.
#pragma once
#include "lib/Target/Target.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Builders.h"

namespace stepdown {

class Emitter {
public:
  Emitter(mlir::OpBuilder &builder, mlir::Location loc, const Target &target);
  using Value = mlir::Value;
  using Values = llvm::SmallVector<Value>;

  mlir::OpBuilder &b;
  mlir::Location loc;
  const Target &target;
  const Layout &layout;
  const int64_t lanes; ///< of a vector: the rows of a packed block
  mlir::Type i8, i16, i32, i64, f16, f32, ptr, index;

  mlir::VectorType vec(mlir::Type element) { return vec(element, lanes); }
  mlir::VectorType vec(mlir::Type element, int64_t lanes) { return mlir::VectorType::get({lanes}, element); }
  Value number(int64_t value);                    ///< index
  Value splat(mlir::Type vector, double value);   ///< constant vector or scalar, integer or float
  Value bytes64(llvm::ArrayRef<uint8_t> sixteen); ///< vector<64xi8>: the 16 bytes four times

  Value dim(Value memref, int64_t which);
  Value pointer(Value memref, mlir::ValueRange indices);
  Value at(Value pointer, int64_t offset);                  ///< bytes
  Value at(Value pointer, Value offset, int64_t scale = 1); ///< index * scale bytes
  Value scratch(int64_t size); ///< bytes on the stack, 64-byte aligned, for the whole function
  Value load(mlir::Type type, Value pointer);
  void store(Value value, Value pointer);
  /// Fetches a line into all caches, or into all but the first level: of what is not used at once, which may be more
  /// lines than a core can wait for in the first.
  void prefetch(Value pointer, bool nearest = true);
  Value spread(Value scalar) { return spread(scalar, lanes); }
  Value spread(Value scalar, int64_t lanes);
  Value loadSpread(mlir::Type element, Value pointer) { return spread(load(element, pointer)); }

  Value add(Value a, Value c);
  Value sub(Value a, Value c);
  Value mul(Value a, Value c);
  Value fma(Value a, Value c, Value d);
  Value max(Value a, Value c);
  Value toF32(Value v); ///< of integer lanes or f16 lanes
  Value bitcast(Value v, mlir::Type type);
  Value cast(Value v, mlir::Type type); ///< index <-> integer
  Value sumLanes(Value v);              ///< scalar, in ascending order of lanes
  Value maxLanes(Value v);
  Value any(Value lanes); ///< of vector<16xi1>
  /// The same pointer, which the optimiser knows nothing of: what is read through it in a loop is read in every round.
  /// Else 16 lanes spread in a loop are spread before it, and spilled.
  Value hide(Value pointer);
  void when(Value condition, llvm::function_ref<void()> body);
  Value select(Value condition, Value a, Value c);
  Value less(Value a, Value c);   ///< signed or ordered
  Value addI(Value a, int64_t c); ///< index plus constant
  /// tanh(x) = 1 - 2 / (exp(2 x) + 1)
  Value tanh(Value x);
  /// exp(x), 0 below -87; one polynomial for every width, relative error 1e-7.
  Value exp(Value x);

  /// for i in [lower, upper) step: body(i, carried) returns what is carried on.
  Values loop(Value lower, Value upper, int64_t step, mlir::ValueRange carried,
              llvm::function_ref<Values(Value, mlir::ValueRange)> body);
  void loop(Value upper, llvm::function_ref<void(Value)> body);

  int64_t registerLanes() const { return target.instructions.lanes; } ///< of 32 bits
  Value part(Value v, int64_t lanes, int64_t which);                  ///< the which-th `lanes` lanes
  Value join(llvm::ArrayRef<Value> parts);                            ///< of equal size; a power of two of them
  /// QuadSum of all w and a.
  Value dotQuads(llvm::ArrayRef<Value> w, llvm::ArrayRef<Value> a, int maxCode, Value start = {}, Value factor = {});
  Value shiftLeft(Value lanes, int64_t bits);
  Value sign(Value a, Value codes); ///< bytes a, negated where those of `codes` are negative, 0 where they are 0: AVX2
  /// table[code] of every byte of `codes`, lanes of 32 bits; `table` from bytes64.
  Value lookUp(Value table, Value codes);

  Value intrinsic(llvm::StringRef name, mlir::Type result, mlir::ValueRange operands);
};

/// `factor` (or one) times the sum of `start` (or zero) and, over quads, of the four-way product of bytes w and signed
/// bytes a (-127 to 127): all vector<Nxi32>, N = registerLanes(). w are unsigned codes of at most maxCode or, where
/// takesLess() of that, what signed bytes hold of them: the code - 128. Sums are exact, in whatever order quads are
/// added.
class QuadSum {
public:
  using Value = mlir::Value;
  /// `quads`: how many will be added. A factor is one of factorOf()'s, of codes of which two products fit 16 bits;
  /// where pairs are summed, it multiplies those alone, and there is no start beside it.
  QuadSum(Emitter &emitter, int maxCode, size_t quads, Value start = {}, Value factor = {});
  /// Lanes of 16 bits and a sign as factors: where pairs are summed, they are multiplied by pairs.
  static Value factorOf(Emitter &emitter, Value lanes);
  static bool takesLess(const Target &target, int maxCode);
  void add(Value w, Value a);
  Value finish();

private:
  void flush();

  Emitter &e;
  const mlir::VectorType lanes;
  const bool isLess;
  size_t run;       ///< quads of one sum: of an accumulator, or of 16-bit pairs
  size_t added = 0; ///< to the present one
  Value sum;        ///< of those before
  Value factor;     ///< or none
  Value current;    ///< the present one: vector<Nxi32>, or vector<2Nxi16> of pairs
};

} // namespace stepdown
