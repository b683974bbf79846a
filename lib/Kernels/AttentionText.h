// What the lowerings need to know of an attention's text (Attention.mlir) where the role that copies goes into the role
// that attends.
#pragma once
#include "lib/Kernels/ProductText.h"

namespace stepdown {

struct AttentionText {
  tile::RoleOp role;             ///< that attends
  tile::ScheduleOp copying;      ///< of the role that copies
  mlir::scf::ForOp copies, loop; ///< over blocks of keys: in that, and in the role that attends
  tile::CopyOp queries;          ///< in front of the former
  tile::CopyOp keys, values;     ///< in it
  tile::MmaOp scores, sums;      ///< of a turn: Q K^T, and P V
  std::array<int64_t, 2> tile;   ///< rows and columns that a turn of the schedule goes over
};

/// Whether `kernel` is to be taken for an attention: a product in it takes registers.
bool isAttention(tile::KernelOp kernel);
/// E1018, as a diagnostic at the operation, where the kernel is not what can be put together: a role that copies
/// queries, then in one loop keys and values, each through a channel of its own; another that waits for the first keys
/// before its own loop, and in each turn for keys and the values before them. E1016 for products of elements that
/// `chip` does not multiply, or of several.
mlir::FailureOr<AttentionText> attentionText(tile::KernelOp kernel, llvm::StringRef chip);

} // namespace stepdown
