// Attention of prompts on chips whose warps multiply: one program for all warps of a block, of which each has 16
// queries.
//
// The role that copies goes into the role that attends, as a product's does (WarpPlan.h). Queries lie in shared memory
// while their tile is computed, keys and values in two slots each. A turn of the loop over keys waits for its keys and
// for the values of the turn before, meets all warps, behind which the other slots are read, and issues the copies of
// the next keys and of its own values into these; they run under its products and its softmax.
#pragma once
#include "lib/Kernels/AttentionText.h"
#include "lib/Target/Chips.h"
#include "passes/NVIDIA/RegisterEmitter.h"

namespace stepdown::nvidia {

struct AttentionPlan {
  const ChipFacts *chip;
  AttentionText text;
  int64_t threads, sharedBytes;
  int64_t slotBytes;                ///< of keys, and of values
  int64_t keysOffset, valuesOffset; ///< bytes of shared memory in front of two slots each; queries come first
};

/// Errors, as diagnostics at the operation: what the chip has no form for.
mlir::FailureOr<AttentionPlan> planAttention(tile::KernelOp kernel, const ChipFacts &chip);

class AttentionEmitter final : RegisterEmitter {
public:
  AttentionEmitter(tile::KernelOp kernel, const AttentionPlan &plan, mlir::LLVM::LLVMFuncOp function);
  /// Fills the function. Errors as diagnostics at the operation that has no form here.
  mlir::LogicalResult emit();

private:
  mlir::LogicalResult emitOperation(mlir::Operation &op) override;
  mlir::SmallVector<mlir::Type> convert(mlir::Type type) override;
  mlir::LogicalResult store(tile::StoreOp op);

  // Copies.
  mlir::LogicalResult wait(tile::WaitOp op);
  mlir::LogicalResult beginTile(tile::WaitOp op);
  /// The copies of a block of keys or values from `key` on, where that is below `end`.
  void fetch(tile::CopyOp op, Value key, Value end, Value slot, int64_t offset);
  /// What was committed has come, but for the latest `groups`, and all warps know of it.
  void arrive(int64_t groups);
  mlir::LogicalResult emitBlocks(mlir::scf::ForOp op);

  // Products.
  void prepareFragments();
  using TileEmitter::multiply;
  void multiply(tile::MmaOp op);

  AttentionPlan plan;
  /// Bytes from the begin of a tile to the row of a matrix that the lane names, for each place in 128 bytes.
  mlir::SmallVector<Value> fromQueries, fromKeys, fromValues;
  Value slot;                         ///< of the turn's keys, 0 or 1; the values of the turn before are in the other
  llvm::DenseMap<Value, Value> slots; ///< of a tile that was waited for, in bytes
};

} // namespace stepdown::nvidia
