// What the lowerings need to know of the text of a product with a quantised weight (QuantisedMatmul.mlir) where the
// role that copies goes into the role that multiplies.
#pragma once
#include "lib/Kernels/ProductText.h"
#include "lib/Target/Layout.h"

namespace stepdown {

inline constexpr int64_t kUnpacked = 64; ///< columns of a product

struct QuantisedText {
  tile::RoleOp role;              ///< that multiplies
  tile::ScheduleOp copying;       ///< of the role that copies
  mlir::scf::ForOp copies, turns; ///< the outer loops of both roles: a slot of packed blocks each turn
  mlir::scf::ForOp inner;         ///< over the tiles of tokens of a turn
  tile::CopyOp weight, tokens;
  tile::MmaOp first;
  tile::ChannelOp weightRing, tokenRing;
  PackedBlock packed;
  int64_t turnTiles;           ///< of tokens, and products, in a turn
  std::array<int64_t, 2> tile; ///< rows and columns that a turn of the schedule goes over
};

/// Whether `kernel` unpacks weights.
bool isQuantised(tile::KernelOp kernel);
/// E1018, as a diagnostic at the operation, where the kernel is not what can be put together: a role that copies packed
/// blocks of 16 rows and then, in a loop inside, the tiles of tokens that go with them; another that goes through the
/// same turns, waits for the blocks, unpacks 64 columns at a time, and multiplies each before it waits for the next
/// tile of tokens.
mlir::FailureOr<QuantisedText> quantisedText(tile::KernelOp kernel, llvm::StringRef chip);

} // namespace stepdown
