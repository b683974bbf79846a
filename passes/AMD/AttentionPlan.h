// How an attention's tile kernel becomes one program for all waves of a block.
//
// Scores are computed transposed, S^T = K Q^T: the matrix instruction then leaves a lane the scores of one query, so
// that its largest and its sum are a lane's own, but for one exchange between the halves of a wave. Keys lie in LDS in
// an order in which a lane's weights are those of neighbouring keys: what it has is what the product with V, O^T = V^T
// P^T, takes of a lane as its second operand (gfx11 alone: of both halves). A lane reads its own query. Where that
// takes more than 32 of the 256 registers that a lane has on gfx11 and gfx12, it lies in LDS while its tile is
// computed.
#pragma once
#include "lib/Kernels/AttentionText.h"
#include "passes/AMD/KernelPlan.h"

namespace stepdown::amd {

struct AttentionPlan {
  const Chip *chip;
  AttentionText text;
  TilePlan keys, values; ///< of a slot each, of two
  bool queriesInLds;     ///< behind the slots: else in registers
  bool narrow;           ///< fragments come a few at a time: sums take half of a lane's registers
  bool late;             ///< the next keys are loaded behind a turn's products, too: fragments take twice as many there
  int64_t threads, ldsBytes, queriesOffset;
  int64_t width, block;        ///< columns of a head; keys of a block
  std::array<int64_t, 2> tile; ///< rows and columns that a turn of the schedule goes over
};

/// Errors, as diagnostics at the operation: what the chip has no form for.
mlir::FailureOr<AttentionPlan> planAttention(tile::KernelOp kernel, const Chip &chip);

} // namespace stepdown::amd
