#include "lib/Kernels/AttentionText.h"
#include "lib/Kernels/ChipLimits.h"

using namespace mlir;
using namespace stepdown::tile;

namespace stepdown {

bool isAttention(KernelOp kernel) {
  return llvm::any_of(operationsIn<MmaOp>(kernel), [](MmaOp op) { return op.takesRegisters(); });
}

FailureOr<AttentionText> attentionText(KernelOp kernel, StringRef chip) {
  AttentionText text = {};
  auto refuse = [&](Operation *at, const Twine &expected) {
    return unfit(at) << "expects " << expected << " on " << chip;
  };
  for (RoleOp role : kernel.getBody().getOps<RoleOp>()) {
    const bool copies = !operationsIn<AcquireOp>(role).empty();
    if ((copies && text.copies) || (!copies && text.role))
      return refuse(role, "one role that copies and one that attends");
    if (!copies) {
      text.role = role;
      continue;
    }
    for (scf::ForOp loop : operationsIn<scf::ForOp>(role))
      text.copies = loop;
    text.copying = text.copies ? dyn_cast<ScheduleOp>(text.copies->getParentOp()) : ScheduleOp();
  }
  if (!text.role || !text.copying)
    return refuse(kernel, "an attention: a role that copies in a loop, and one that attends");
  SmallVector<scf::ForOp> loops = operationsIn<scf::ForOp>(text.role);
  SmallVector<CopyOp> copies = operationsIn<CopyOp>(text.copying);
  SmallVector<WaitOp> waits = operationsIn<WaitOp>(text.role);
  if (loops.size() != 1 || copies.size() != 3 || copies[0]->getBlock() != &text.copying.getBody().front() ||
      copies[1]->getBlock() != text.copies.getBody() || waits.size() != 5 ||
      loops[0].getStep() != text.copies.getStep())
    return refuse(kernel,
                  "an attention: copies of queries, then of keys and values in turns, and a loop that waits for them");
  for (CopyOp copy : copies)
    if (!isa<BlockArgument>(copy.getFrom()) || copy.getFrom().getParentRegion() != &kernel.getBody())
      return refuse(copy, "copies from an argument of the kernel");
  text.queries = copies[0], text.loop = loops[0];
  for (MmaOp mma : operationsIn<MmaOp>(loops[0]))
    (mma.takesRegisters() ? text.sums : text.scores) = mma;
  if (!text.scores || !text.sums || !text.scores.getTransposeB() || text.sums.getTransposeB())
    return refuse(loops[0], "a product of queries and keys and one of weights and values in each turn");
  if (failed(checkElements(text.scores, chip)) || failed(checkElements(text.sums, chip)))
    return failure();
  // Those in front of and behind the loop as well: the emitter makes one program of all products of a kind.
  const Type element = text.scores.getShapeOfA().getElementType();
  for (MmaOp mma : operationsIn<MmaOp>(kernel)) {
    if (mma.takesRegisters() == mma.getTransposeB())
      return refuse(mma, "keys with rows along the columns of a head, and values with rows across them,");
    if (mma.getShapeOfA().getElementType() != element)
      return unfit(mma) << "expects weights and values of the type of queries and keys, " << element << ", on " << chip
                        << ", but got " << mma.getShapeOfA();
  }
  text.tile = {int64_t(text.copying.getHeight()), int64_t(text.copying.getWidth())};
  return text;
}

} // namespace stepdown
