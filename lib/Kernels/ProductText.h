// A product's tile kernel taken apart for chips on which all warps of a block do the same: its role that copies goes
// into the one that multiplies.
#pragma once
#include "dialects/Tile/IR/TileOps.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "llvm/ADT/SmallVector.h"

namespace stepdown {

/// The operations of this kind in `root`, in their order.
template <typename Op> mlir::SmallVector<Op> operationsIn(mlir::Operation *root) {
  mlir::SmallVector<Op> found;
  root->walk([&](Op op) { found.push_back(op); });
  return found;
}

/// The one operation of this kind in `root`; null where there is none or another.
template <typename Op> Op onlyOperation(mlir::Operation *root) {
  mlir::SmallVector<Op> found = operationsIn<Op>(root);
  return found.size() == 1 ? found.front() : Op();
}

/// The constant that `value` is.
std::optional<int64_t> constantOf(mlir::Value value);

/// The copy in `copies` that fills what `operand` is of a slot; null where it is no tile of one.
tile::CopyOp copyOf(mlir::scf::ForOp copies, mlir::Value operand);

/// Argument and dimension of the rows that the kernel's schedules go over, and of the columns.
mlir::SmallVector<int64_t> scheduledOver(tile::KernelOp kernel);

/// Error E1018, as a diagnostic at the operation: one in `schedule`, of a role that copies, that takes what the role
/// makes in front of it, which the other role does not know.
mlir::LogicalResult takesNothingFromItsRole(tile::ScheduleOp schedule, llvm::StringRef chip);

/// The same of a loop over k: one that is not alone in its schedule, or that does more than copy from arguments of the
/// kernel into slots, at places that the role that multiplies knows.
mlir::LogicalResult copiesAlone(mlir::scf::ForOp copies, llvm::StringRef chip);

struct ProductText {
  tile::RoleOp role;           ///< that multiplies
  tile::ChannelOp ring;        ///< between the two
  tile::MmaOp first;           ///< the product in front of the loop over k
  mlir::scf::ForOp copies;     ///< the loop that fills slots
  tile::CopyOp a, b;           ///< in that loop: what fills the operands of `first`
  std::array<int64_t, 2> tile; ///< rows and columns that a turn of the schedule goes over
};

/// Errors, as diagnostics at the operation: a kernel that is not of one role that fills the slots of one ring in one
/// loop alone in its schedule, at places that the other role knows, and of one that waits for a slot in front of its
/// own loop over k and for one in each turn of it, and does nothing with what is in registers but maps behind it.
/// `chip` is what messages call the chip.
mlir::FailureOr<ProductText> productText(tile::KernelOp kernel, llvm::StringRef chip);

} // namespace stepdown
