// Writes a product's tile kernel as one llvm.func of AMD's intrinsics, llvm, scf and arith operations.
#pragma once
#include "passes/AMD/SumEmitter.h"
#include <deque>

namespace stepdown::amd {

class KernelEmitter final : SumEmitter {
public:
  KernelEmitter(tile::KernelOp kernel, const KernelPlan &plan, mlir::LLVM::LLVMFuncOp function);
  /// Fills the function. Errors as diagnostics at the operation that has no form here.
  mlir::LogicalResult emit();

private:
  mlir::LogicalResult emitOperation(mlir::Operation &op) override;
  mlir::SmallVector<mlir::Type> convert(mlir::Type type) override;
  /// The loop over k: sums go through it.
  mlir::LogicalResult emitProducts(mlir::scf::ForOp op);
  /// The same where sums end with each slot: what is made of them goes through it.
  mlir::LogicalResult emitTurnsOf(mlir::scf::ForOp op);
  void fetch(Value step);
  void arrive();

  // EmitMatrix.cpp: products, and the store of their sums.
  void prepareProducts();
  void beginSums();
  void compute(Value slot);
  void computeUntil(size_t left);
  void takeSums(tile::MmaWaitOp op);
  mlir::LogicalResult store(tile::StoreOp op);

  KernelPlan plan;
  mlir::SmallVector<Value> sums;       ///< [blocksDown, blocksAcross]: what a lane holds of each
  std::deque<Value> issued;            ///< of each product in flight the slot, bytes from the begin of LDS
  mlir::SmallVector<Loaded, 2> loaded; ///< on the way to `arriving`
  Value arriving;
  bool first = false; ///< what arrives is the first slot of a tile
  Value current;      ///< the slot of a turn whose sums end with it
};

} // namespace stepdown::amd
