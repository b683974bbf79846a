// Products with a quantised weight on chips whose warps multiply: one program for all warps of a block, of which each
// has rows of whole packed blocks.
//
// The role that copies goes into the role that multiplies, as a product's does (WarpPlan.h). Packed blocks and tokens
// have a ring each, and all that is copied for 64 columns is one group of copies: the tokens of so many steps ahead as
// their ring has slots to spare, and with the first step of a turn the packed blocks of so many turns ahead. A step
// waits for its group, meets all warps, behind which the slots that were read before it are free, and issues the next
// copies; they run while the step's 64 columns are unpacked and multiplied.
#pragma once
#include "lib/Kernels/QuantisedText.h"
#include "lib/Target/Chips.h"
#include "passes/NVIDIA/RegisterEmitter.h"

namespace stepdown::nvidia {

struct QuantisedPlan : QuantisedText {
  const ChipFacts *chip;
  int64_t threads, sharedBytes;
  int64_t weightSlots, tokenSlots;
  int64_t weightBytes, tokenBytes; ///< of a slot
  int64_t tokensOffset;            ///< bytes of shared memory in front of the tokens' ring; that of blocks comes first
};

/// Errors, as diagnostics at the operation: a kernel that is not such a product, or one that the chip has no form for.
mlir::FailureOr<QuantisedPlan> planQuantised(tile::KernelOp kernel, const ChipFacts &chip);

class QuantisedEmitter final : RegisterEmitter {
public:
  QuantisedEmitter(tile::KernelOp kernel, const QuantisedPlan &plan, mlir::LLVM::LLVMFuncOp function);
  /// Fills the function. Errors as diagnostics at the operation that has no form here.
  mlir::LogicalResult emit();

private:
  mlir::LogicalResult emitOperation(mlir::Operation &op) override;
  mlir::SmallVector<mlir::Type> convert(mlir::Type type) override;

  // Copies; `turn` is the first column of one, behind the last of which nothing is copied.
  mlir::LogicalResult whereThere(Value turn, llvm::function_ref<mlir::LogicalResult()> copies);
  mlir::LogicalResult fetchWeight(Value turn, Value slot);
  mlir::LogicalResult fetchTokens(Value turn, int64_t step, Value slot);
  void copyBlocks(tile::CopyOp op, Value slot);
  /// All slots of a tile but one of each ring begin to be filled.
  mlir::LogicalResult begin();
  mlir::LogicalResult arrive();
  mlir::LogicalResult emitTurnsOf(mlir::scf::ForOp op);

  // Products.
  void prepareFragments();
  using TileEmitter::multiply;
  void multiply(tile::MmaOp op);

  QuantisedPlan plan;
  mlir::SmallVector<Value> fromTokens; ///< bytes from a tile's begin to the row that the lane names, in each 32 columns
  Value turn;                          ///< the first column of the turn at hand
  int64_t step = 0;                    ///< of that: the next to be waited for
  /// Bytes from the begin of a ring: to the slot that is read next, and to that which is filled next.
  struct Ring {
    Value slot, spare;
  };
  Ring weights, tokens;
  void advance(Ring &ring, int64_t bytes, int64_t slots);
};

} // namespace stepdown::nvidia
