// How a product's tile kernel becomes one program for all warps of a block on chips whose warps multiply (mma.sync).
//
// Registers are a warp's once and for all, and a copy is an instruction of each thread (cp.async), so warps that only
// copy would hold registers that the products need. The role that copies therefore goes into the role that multiplies:
// where that waits for a slot, its warps issue the copies into the slot that all of them have read in the turn before,
// and wait for those that were issued so many turns ago as the ring has slots to spare. A product is computed where it
// is issued.
#pragma once
#include "lib/Kernels/ShareEmitter.h"
#include "lib/Target/Chips.h"

namespace stepdown::nvidia {

struct WarpPlan {
  const ChipFacts *chip;
  ProductText text;
  std::optional<SharedSum> sum; ///< that blocks along y share out
  int64_t threads, stages, slotBytes, sharedBytes;
  int64_t offsetB;                  ///< bytes from a slot's begin to the tile of B
  int64_t warpsDown, warpsAcross;   ///< warps along m and n
  int64_t blocksDown, blocksAcross; ///< of a warp: 16 rows, 16 columns each
  int64_t steps;                    ///< of a slot, kWarpReduction each
};

/// Errors, as diagnostics at the operation: a kernel that is not a product, or one that the chip has no form for.
mlir::FailureOr<WarpPlan> planWarps(tile::KernelOp kernel, const ChipFacts &chip);

} // namespace stepdown::nvidia
