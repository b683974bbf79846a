// Writes a product's tile kernel as one llvm.func of AMD's intrinsics, llvm, scf and arith operations.
#pragma once
#include "lib/Kernels/TileEmitter.h"
#include "passes/AMD/KernelPlan.h"
#include "passes/AMD/Passes.h"
#include <deque>

namespace stepdown::amd {

class KernelEmitter final : TileEmitter {
public:
  KernelEmitter(tile::KernelOp kernel, const KernelPlan &plan, mlir::LLVM::LLVMFuncOp function);
  /// Fills the function. Errors as diagnostics at the operation that has no form here.
  mlir::LogicalResult emit();

private:
  /// A matrix in global memory: a pointer, the distance of its rows in elements (i64), its rows and columns (i32).
  struct Matrix {
    Value pointer, stride, rows, columns;
  };
  /// What a thread has loaded of a tile, on its way to LDS: for each unit its pieces of 16 bytes.
  struct Loaded {
    const TilePlan *tile;
    mlir::SmallVector<Value> pieces;
  };

  mlir::LogicalResult emitOperation(mlir::Operation &op) override;
  mlir::SmallVector<mlir::Type> convert(mlir::Type type) override;
  Value blockIndex() override;
  Value blockCount() override;

  void readParameters();
  void identifyThread();
  /// The loop over k: sums go through it.
  mlir::LogicalResult emitProducts(mlir::scf::ForOp op);

  // EmitCopy.cpp: from global memory to registers, from there to LDS.
  void prepareCopy(const TilePlan &tile);
  Value resource(const Matrix &matrix, mlir::Type element, Value row, Value column, int64_t rows, Value columns);
  Loaded load(const TilePlan &tile);
  void put(const Loaded &loaded, Value slot);
  void fetch(Value step);
  void arrive();
  void synchronise();

  // EmitMatrix.cpp: products, and the store of their sums.
  void prepareProducts();
  void beginSums();
  void compute(Value slot);
  mlir::SmallVector<Value> fragments(const TilePlan &tile, Value slot, int64_t step, int64_t blocks);
  void computeUntil(size_t left);
  mlir::LogicalResult store(tile::StoreOp op);

  Value intrinsic(mlir::StringRef name, mlir::Type result, mlir::ValueRange operands);
  Value lds(Value offset);
  Value bits(Value a, int64_t mask) { return binary("arith.andi", a, i32(mask)); }
  Value divided(Value a, int64_t by);
  Value remainder(Value a, int64_t by);

  tile::KernelOp kernel;
  KernelPlan plan;
  const Chip &chip;
  mlir::LLVM::LLVMFuncOp function;
  llvm::DenseMap<Value, Matrix> matrices;
  mlir::Type element;
  Value base, thread, wave, lane; ///< LDS; the thread in its block, its wave in that, its lane in that
  Value firstRow, firstColumn;    ///< of the wave, in the tile of the result
  /// Of A and B: where a thread's first unit is in LDS, and its row and column in the tile; where the rows of its
  /// wave's fragments are, for each place that an offset does not reach.
  struct Places {
    Value row, column;                 ///< of its first unit, in the tile as it lies in memory
    mlir::SmallVector<Value> to, from; ///< bytes in the slot
  };
  Places placesA, placesB;
  mlir::SmallVector<Value> sums;       ///< [blocksDown, blocksAcross]: what a lane holds of each
  std::deque<Value> issued;            ///< of each product in flight the slot, bytes from the begin of LDS
  mlir::SmallVector<Loaded, 2> loaded; ///< on the way to `arriving`
  Value arriving;
  bool first = false; ///< what arrives is the first slot of a tile
  bool whole = false; ///< all tiles that are fetched end with a row or before
};

} // namespace stepdown::amd
