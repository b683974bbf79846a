// Writes a product's tile kernel as one llvm.func of AMD's intrinsics, llvm, scf and arith operations.
#pragma once
#include "passes/AMD/WaveEmitter.h"
#include <deque>

namespace stepdown::amd {

class KernelEmitter final : WaveEmitter {
public:
  KernelEmitter(tile::KernelOp kernel, const KernelPlan &plan, mlir::LLVM::LLVMFuncOp function);
  /// Fills the function. Errors as diagnostics at the operation that has no form here.
  mlir::LogicalResult emit();

private:
  mlir::LogicalResult emitOperation(mlir::Operation &op) override;
  mlir::SmallVector<mlir::Type> convert(mlir::Type type) override;
  /// The loop over k: sums go through it.
  mlir::LogicalResult emitProducts(mlir::scf::ForOp op);
  void fetch(Value step);
  void arrive();

  // EmitMatrix.cpp: products, and the store of their sums.
  void prepareProducts();
  void beginSums();
  void compute(Value slot);
  void computeUntil(size_t left);
  mlir::LogicalResult store(tile::StoreOp op);

  // EmitRegisters.cpp: what is done with sums in registers.
  /// Where an element of a lane is in the tile, beside the lane's own place (laneRow, and a column of firstColumn's).
  struct Held {
    int64_t row, column;
  };
  /// A lane's way through a matrix: elements to the next row and column, and to the lane's own.
  struct Read {
    mlir::Type element;
    Value buffer, stride, next, first;
  };
  Held held(int64_t element) const;
  void takeSums(tile::MmaWaitOp op);
  Read prepareRead(tile::ReadOp op);
  Value readElement(const Read &read, int64_t element);
  void mapElements(tile::MapOp op);

  KernelPlan plan;
  Value firstRow, firstColumn;         ///< of the wave, in the tile of the result
  Value laneRow;                       ///< the first that the lane holds a sum of
  mlir::SmallVector<Value> sums;       ///< [blocksDown, blocksAcross]: what a lane holds of each
  std::deque<Value> issued;            ///< of each product in flight the slot, bytes from the begin of LDS
  mlir::SmallVector<Loaded, 2> loaded; ///< on the way to `arriving`
  Value arriving;
  bool first = false; ///< what arrives is the first slot of a tile
};

} // namespace stepdown::amd
