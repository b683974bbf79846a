#include "lib/Kernels/ScaledText.h"
#include "lib/Kernels/ChipLimits.h"

using namespace mlir;
using namespace stepdown::tile;

namespace stepdown {

bool endsSums(KernelOp kernel) {
  auto product = onlyOperation<MmaOp>(kernel);
  return product && !product.getAcc() && product->getParentOfType<scf::ForOp>();
}

FailureOr<ScaledText> scaledText(KernelOp kernel, StringRef chip) {
  ScaledText text = {};
  auto refuse = [&](Operation *at, const Twine &expected) {
    return unfit(at) << "expects " << expected << " on " << chip;
  };
  text.ring = onlyOperation<ChannelOp>(kernel);
  text.product = onlyOperation<MmaOp>(kernel);
  for (RoleOp role : kernel.getBody().getOps<RoleOp>()) {
    const bool copies = !operationsIn<AcquireOp>(role).empty();
    if (copies ? bool(text.copies) : bool(text.role))
      return refuse(role, "one role that copies and one that multiplies");
    auto loop = onlyOperation<scf::ForOp>(role);
    if (!loop || !onlyOperation<ScheduleOp>(role) || !isa<ScheduleOp>(loop->getParentOp()))
      return refuse(role, "a loop over k in a schedule");
    (copies ? text.copies : text.turns) = loop;
    if (!copies)
      text.role = role;
  }
  if (!text.ring || !text.copies || !text.turns || text.copies.getLowerBound() != text.turns.getLowerBound() ||
      text.copies.getUpperBound() != text.turns.getUpperBound() || text.copies.getStep() != text.turns.getStep())
    return refuse(kernel, "two roles that go through the same slots of one channel");
  auto schedule = cast<ScheduleOp>(text.copies->getParentOp());
  if (failed(copiesAlone(text.copies, chip)))
    return failure();
  auto wait = onlyOperation<WaitOp>(text.role);
  auto taken = onlyOperation<MmaWaitOp>(text.role);
  auto inTurn = [&](Operation *op) { return op && op->getBlock() == text.turns.getBody(); };
  if (!inTurn(wait) || !inTurn(text.product) || !inTurn(taken) || text.product.getA().getDefiningOp() != wait ||
      text.product.getB().getDefiningOp() != wait || taken.getPending() != 0 || taken.getSums().size() != 1 ||
      taken.getSums().front() != text.product.getResult())
    return refuse(text.product, "a product of the slot that a turn waits for, whose sums the turn takes,");
  text.tile = {int64_t(schedule.getHeight()), int64_t(schedule.getWidth())};
  return text;
}

} // namespace stepdown
