// What writing a tile kernel for AMD's chips has in common, product or attention: all waves of a block run one program,
// and tiles go through registers into LDS, from where products take them in pieces of 16 bytes.
#pragma once
#include "lib/Kernels/TileEmitter.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "passes/AMD/KernelPlan.h"
#include "passes/AMD/Passes.h"
#include <map>

namespace stepdown::amd {

class WaveEmitter : protected TileEmitter {
protected:
  /// A matrix in global memory: a pointer, the distance of its rows in elements (i64), its rows and columns (i32).
  struct Matrix {
    Value pointer, stride, rows, columns;
    static constexpr Value Matrix::*kParts[] = {&Matrix::pointer, &Matrix::stride, &Matrix::rows, &Matrix::columns};
  };
  /// What a thread has loaded of a tile, on its way to LDS: for each unit its pieces of 16 bytes.
  struct Loaded {
    const TilePlan *tile;
    mlir::SmallVector<Value> pieces;
  };

  WaveEmitter(tile::KernelOp kernel, const Chip &chip, int64_t threads, mlir::LLVM::LLVMFuncOp function);

  Value blockIndex(int axis) override;
  Value blockCount(int axis) override;

  /// The function's parameters, the thread, its wave and its lane.
  void begin();
  mlir::LogicalResult sizeOf(mlir::memref::DimOp op);
  void readEntry(tile::EntryOp op);
  /// One operation of a map's region on one element.
  Value mapped(mlir::Operation &op, mlir::IRMapping &elements);

  // EmitCopy.cpp: from global memory to registers, from there to LDS.
  void prepareCopy(const TilePlan &tile);
  Value ordered(Value row);
  /// A buffer of `rows` rows of `matrix` at most, from (row, column) on; empty behind the matrix's last row.
  Value resource(const Matrix &matrix, mlir::Type element, Value row, Value column, int64_t rows, Value columns);
  /// Where a tile goes: the matrix, which ends where the text says; the tile's first row and column; its buffer, and
  /// how far apart rows are in it (i32).
  struct Destination {
    Matrix matrix;
    Value row, column, buffer, stride;
  };
  Destination destination(tile::StoreOp op);
  Loaded load(const TilePlan &tile);
  bool convertsCodes() const;
  Value converted(Value piece);
  void put(const Loaded &loaded, Value slot);
  /// What waves have written to LDS, all of them read from here on.
  void synchronise();

  // EmitMatrix.cpp: pieces of 16 bytes of a slot, and the instructions that take them.
  /// Where the pieces are that a wave takes of `tile` from row `firstRow` on.
  void prepareFragments(const TilePlan &tile, Value firstRow);
  mlir::SmallVector<Value> fragments(const TilePlan &tile, Value slot, int64_t step, int64_t blocks, int64_t first = 0);
  Value wordsFrom(Value from, int64_t offset, int64_t apart);
  /// What instruction `instruction` of a step takes of a block's fragments.
  Value operand(mlir::ArrayRef<Value> fragments, int64_t block, int64_t instruction);
  /// The same of one that takes the two steps that there are fragments of.
  Value operandOfSteps(mlir::ArrayRef<mlir::SmallVector<Value>> steps, int64_t block);
  Value product(Value a, Value b, Value sum);

  /// Of what is multiplied: bytes, how many go in a chunk, and what sums are of.
  int64_t elementBytes() const { return element.getIntOrFloatBitWidth() / 8; }
  int64_t inChunk() const { return kChunk * 2 / elementBytes(); }
  /// As LLVM has it: fp8 is bytes.
  mlir::Type storedAs() { return elementBytes() == 1 ? mlir::Type(b.getI8Type()) : element; }
  mlir::Type sumType() { return element.isInteger() ? mlir::Type(b.getI32Type()) : b.getF32Type(); }

  Value intrinsic(mlir::StringRef name, mlir::Type result, mlir::ValueRange operands);
  Value lds(Value offset);
  Value bits(Value a, int64_t mask) { return binary("arith.andi", a, i32(mask)); }
  Value divided(Value a, int64_t by) { return binary("arith.divui", a, i32(by)); }
  Value remainder(Value a, int64_t by) { return binary("arith.remui", a, i32(by)); }

  tile::KernelOp kernel;
  const Chip &chip;
  const int64_t threads;
  const LinearLayout layout; ///< of an instruction's sum
  mlir::LLVM::LLVMFuncOp function;
  llvm::DenseMap<Value, Matrix> matrices;
  mlir::Type element;
  Value base, thread, wave, lane; ///< LDS; the thread in its block, its wave in that, its lane in that
  /// Of a tile: where a thread's first unit is in LDS, and its row and column in the tile; where the rows of its wave's
  /// fragments are, for each place that an offset does not reach.
  struct Places {
    Value row, column;                 ///< of its first unit, in the tile as it lies in memory
    mlir::SmallVector<Value> to, from; ///< bytes in the slot
  };
  std::map<const TilePlan *, Places> places;
  bool whole = false;     ///< all tiles that are fetched end with a row or before
  bool sparing = false;   ///< registers are what binds: an address is made where it is used
  bool scheduled = false; ///< and their loads stay in front of the products that hide them
};

} // namespace stepdown::amd
