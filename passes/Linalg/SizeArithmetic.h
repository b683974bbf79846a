// Arithmetic on sizes that are known only when a function runs, and assertions about it.
//
// A size, offset or stride that a caller gives is any number of 64 bits, so a sum or product of two of them may wrap,
// and a check of the wrapped value lets native code leave its arrays. Two rules keep that from happening:
//  - every size of an array that exists is at most kMostElements: what makes an array asserts it for each size, the
//  runtime
//    for each argument, and taking from the arena for their product (bind-arrays);
//  - checks compute in 128 bits. What they compute is no more than a number of 64 bits (an offset, stride or
//  coefficient)
//    times one size, and sums of a few of those: far below 2^127.
#pragma once
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include <map>

namespace stepdown {

/// No array has more elements, nor any of its sizes a larger value, be it empty or not.
constexpr int64_t kMostElements = int64_t(1) << 46;

/// What is known of the sizes of one function, so that nothing is asked or asserted twice: a chain of operations on
/// arrays of one shape has one assertion. Operations that it saw must not be erased while it lives.
struct SizeFacts {
  using Fact = std::tuple<int64_t, const void *, const void *>; ///< predicate, and two values or constants
  /// The array whose sizes `tensor` has because it was computed into it, in one array or a chain of them. Remembered:
  /// each operation of a chain asks for the whole way.
  mlir::Value origin(mlir::Value tensor);
  llvm::DenseMap<mlir::Value, mlir::Value> origins;
  llvm::DenseMap<std::pair<mlir::Value, int64_t>, mlir::Value> sizes;
  llvm::SmallVector<mlir::Operation *> replaced; ///< without uses; to be erased at the end
  std::map<Fact, llvm::SmallVector<mlir::Block *, 1>>
      asserted; ///< and in which blocks; what follows there relies on it
};

/// Assertions in front of one operation.
class SizeArithmetic {
public:
  using Predicate = mlir::arith::CmpIPredicate;

  /// Operations are visited in program order where they share `facts`.
  explicit SizeArithmetic(mlir::Operation *op, SizeFacts *facts = nullptr);

  /// As index; of the array that `tensor` was computed into, where that has the same sizes.
  mlir::Value size(mlir::Value tensor, int64_t dim);
  mlir::Value index(int64_t value);
  mlir::Value index(mlir::OpFoldResult of);

  mlir::Value wide(mlir::Value integer); ///< the same number, signed, in 128 bits; of any integer type, or index
  mlir::Value wide(int64_t value);
  mlir::Value wideSize(mlir::Value tensor, int64_t dim) { return wide(size(tensor, dim)); }
  mlir::Value add(mlir::Value a, mlir::Value c);
  mlir::Value sub(mlir::Value a, mlir::Value c);
  mlir::Value mul(mlir::Value a, mlir::Value c);
  mlir::Value least(mlir::Value a, mlir::Value c);    ///< signed
  mlir::Value greatest(mlir::Value a, mlir::Value c); ///< signed
  mlir::Value either(mlir::Value a, mlir::Value c);
  mlir::Value both(mlir::Value a, mlir::Value c);
  mlir::Value compare(Predicate predicate, mlir::Value a, mlir::Value c);

  /// Asserts "OPERATION: TEXT", where it is not known to hold.
  void require(mlir::Value ok, const llvm::Twine &text);
  void require(Predicate predicate, mlir::Value a, mlir::Value c, const llvm::Twine &text);
  /// 0 <= index < size of the tensor's dimension.
  void requireInside(mlir::Value index, mlir::Value tensor, int64_t dim);
  /// Asserts that a dimension about to be made has a size of 0 to kMostElements; where it is more, memory is short.
  void requireSize(mlir::Value size, int64_t dim);
  /// Asserts the one kind of failure that is not the program's: an array larger than any machine holds.
  void requireRoom(mlir::Value ok);

  mlir::OpBuilder b;
  mlir::Location loc;
  llvm::StringRef name;

private:
  template <typename Op> mlir::Value fold(mlir::Value a, mlir::Value c);
  /// Whether the fact was asserted where this operation relies on it; notes it where not.
  bool known(Predicate predicate, mlir::Value a, mlir::Value c);
  SizeFacts *facts;
};

/// The least and the largest value that an index takes, 128 bits each.
struct IndexRange {
  mlir::Value least, most;
};

/// The values of `expr`, an index of an operand, where loop d runs from 0 to `last[d]`: exact for sums of loops times
/// numbers, and never narrower than what occurs. Asserts what it takes for granted.
IndexRange rangeOf(SizeArithmetic &s, mlir::AffineExpr expr, llvm::ArrayRef<mlir::Value> last);

/// Sizes of a concatenation, a packing and an unpacking agree; to be asked before they are taken apart.
void checkConcat(mlir::Operation *op);
void checkPack(mlir::Operation *op);

/// Expanded or reshaped: sizes are sizes, and as many elements as there were.
void checkExpand(mlir::tensor::ExpandShapeOp op, SizeFacts &facts);

/// A collapse and an expansion in place of `op`, whose sizes come from the shape operand and are checked. Notes `op`
/// as replaced.
void expandReshape(mlir::tensor::ReshapeOp op, SizeFacts &facts);

} // namespace stepdown
