// Writes a product's tile kernel as one llvm.func of nvvm, llvm, scf and arith operations for chips whose warps
// multiply.
#pragma once
#include "passes/NVIDIA/ThreadEmitter.h"
#include "passes/NVIDIA/WarpPlan.h"

namespace stepdown::nvidia {

class WarpEmitter final : ThreadEmitter {
public:
  WarpEmitter(tile::KernelOp kernel, const WarpPlan &plan, mlir::LLVM::LLVMFuncOp function);
  /// Fills the function. Errors as diagnostics at the operation that has no form here.
  mlir::LogicalResult emit();

private:
  mlir::LogicalResult emitOperation(mlir::Operation &op) override;
  mlir::SmallVector<mlir::Type> convert(mlir::Type type) override;

  // The ring.
  void begin(tile::WaitOp wait);
  void arrive(Value step);
  void fetch(Value step, Value slot);
  mlir::LogicalResult emitProducts(mlir::scf::ForOp op);

  // EmitWarpMatrix.cpp: products, and what is done with their sums in registers.
  void prepareFragments();
  void multiply(tile::MmaOp op);
  using TileEmitter::multiply;
  Place placeOf(int64_t element) const;
  void mapElements(tile::MapOp op);
  mlir::Type sumType() { return plan.text.first.getType().getSum().getElementType(); }
  /// Elements of a tile of the result that a thread holds.
  int64_t held() const { return plan.blocksDown * plan.blocksAcross * 8; }

  WarpPlan plan;
  Value firstRow, firstColumn; ///< the thread's first element of the result's tile
  /// Bytes from a slot's begin to the row of a matrix that the lane names, for each place that an offset does not
  /// reach.
  mlir::SmallVector<Value> fromA, fromB;
  Value slot, spare; ///< bytes from the first slot: to the one that is multiplied next, to the one that is filled next
};

} // namespace stepdown::nvidia
