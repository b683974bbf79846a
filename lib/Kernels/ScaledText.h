// What the lowerings need to know of a product whose sums end with each slot (ScaledMatmul.mlir) where the role that
// copies goes into the role that multiplies.
#pragma once
#include "lib/Kernels/ProductText.h"

namespace stepdown {

struct ScaledText {
  tile::RoleOp role;              ///< that multiplies
  tile::ChannelOp ring;           ///< between the two
  tile::MmaOp product;            ///< of a turn, from nothing on
  mlir::scf::ForOp copies, turns; ///< the loops over k of both roles
  std::array<int64_t, 2> tile;    ///< rows and columns that a turn of the schedule goes over
};

/// Whether `kernel` is to be taken for one: a product without a sum before it, in a loop, and no other.
bool endsSums(tile::KernelOp kernel);
/// E1018, as a diagnostic at the operation, where the kernel is not what can be put together: a role that fills the
/// slots of one ring in one loop alone in its schedule, at places that the other role knows, and one that in the same
/// turns waits for a slot, multiplies its tiles, and takes the sums.
mlir::FailureOr<ScaledText> scaledText(tile::KernelOp kernel, llvm::StringRef chip);

} // namespace stepdown
