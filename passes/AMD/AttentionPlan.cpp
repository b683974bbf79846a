// The kernel must be what can be put together: a role that copies queries, then in one loop keys and values; another
// that waits for the first keys before its own loop, and in each turn for keys and the values before them.
#include "passes/AMD/AttentionPlan.h"
#include "lib/Kernels/ChipLimits.h"

using namespace mlir;
using namespace stepdown::tile;

namespace stepdown::amd {

bool isAttention(KernelOp kernel) {
  return llvm::any_of(operationsIn<MmaOp>(kernel), [](MmaOp op) { return op.takesRegisters(); });
}

FailureOr<AttentionPlan> planAttention(KernelOp kernel, const Chip &chip) {
  AttentionPlan plan = {};
  plan.chip = &chip;
  auto refuse = [&](Operation *at, const Twine &expected) {
    return unfit(at) << "expects " << expected << " on " << chip.name;
  };
  for (RoleOp role : kernel.getBody().getOps<RoleOp>()) {
    const bool copies = !operationsIn<AcquireOp>(role).empty();
    if ((copies && plan.copies) || (!copies && plan.role))
      return refuse(role, "one role that copies and one that attends");
    if (!copies) {
      plan.role = role;
      continue;
    }
    for (scf::ForOp loop : operationsIn<scf::ForOp>(role))
      plan.copies = loop;
    plan.copying = plan.copies ? dyn_cast<ScheduleOp>(plan.copies->getParentOp()) : ScheduleOp();
  }
  if (!plan.role || !plan.copying)
    return refuse(kernel, "an attention: a role that copies in a loop, and one that attends");
  SmallVector<scf::ForOp> loops = operationsIn<scf::ForOp>(plan.role);
  SmallVector<CopyOp> copies = operationsIn<CopyOp>(plan.copying);
  SmallVector<WaitOp> waits = operationsIn<WaitOp>(plan.role);
  if (loops.size() != 1 || copies.size() != 3 || copies[0]->getBlock() != &plan.copying.getBody().front() ||
      copies[1]->getBlock() != plan.copies.getBody() || waits.size() != 5 ||
      loops[0].getStep() != plan.copies.getStep())
    return refuse(kernel,
                  "an attention: copies of queries, then of keys and values in turns, and a loop that waits for them");
  for (CopyOp copy : copies)
    if (!isa<BlockArgument>(copy.getFrom()) || copy.getFrom().getParentRegion() != &kernel.getBody())
      return refuse(copy, "copies from an argument of the kernel");
  plan.queries = copies[0];
  for (MmaOp mma : operationsIn<MmaOp>(loops[0]))
    (mma.takesRegisters() ? plan.sums : plan.scores) = mma;
  if (!plan.scores || !plan.sums || !plan.scores.getTransposeB() || plan.sums.getTransposeB())
    return refuse(loops[0], "a product of queries and keys and one of weights and values in each turn");
  const VectorType scores = plan.scores.getType().getSum(), sum = plan.sums.getType().getSum();
  if (failed(checkElements(plan.scores, chip.name)) || failed(checkElements(plan.sums, chip.name)))
    return failure();
  // Those in front of and behind the loop as well: the emitter makes one program of all products of a kind.
  const Type element = plan.scores.getShapeOfA().getElementType();
  for (MmaOp mma : operationsIn<MmaOp>(kernel)) {
    if (mma.takesRegisters() == mma.getTransposeB())
      return refuse(mma, "keys with rows along the columns of a head, and values with rows across them,");
    if (mma.getShapeOfA().getElementType() != element)
      return unfit(mma) << "expects weights and values of the type of queries and keys, " << element << ", on "
                        << chip.name << ", but got " << mma.getShapeOfA();
  }
  plan.threads = plan.role.getThreads();
  plan.width = sum.getDimSize(1), plan.block = scores.getDimSize(1);
  const int64_t waves = plan.threads / chip.lanes;
  if (scores.getDimSize(0) != waves * chip.rows || plan.width % chip.rows || plan.block % chip.rows)
    return unfit(plan.scores) << "expects " << chip.rows << " queries for each of " << waves << " waves of "
                              << chip.name << ", and blocks of a multiple of " << chip.rows << " keys, but got "
                              << plan.scores.getType();
  if (failed(planTile(plan.keys, chip, plan.threads, plan.copies, plan.scores, plan.scores.getB(), true)) ||
      failed(planTile(plan.values, chip, plan.threads, plan.copies, plan.sums, plan.sums.getB(), false)))
    return failure();
  // Two slots of keys, then two of values.
  auto bytes = [](const TilePlan &tile) { return tile.rows * tile.chunks * 16; };
  plan.keys.ordered = true;
  plan.values.offset = 2 * bytes(plan.keys);
  plan.keys.slotBytes = bytes(plan.keys), plan.values.slotBytes = bytes(plan.values);
  plan.queriesOffset = plan.ldsBytes = 2 * (plan.keys.slotBytes + plan.values.slotBytes);
  const int64_t queryRegisters = plan.width * chip.rows / chip.lanes / 2 * (chip.twice ? 2 : 1);
  plan.queriesInLds = !chip.mfma && queryRegisters > 32;
  plan.narrow = !chip.mfma && plan.width * chip.rows / chip.lanes >= 128;
  if (plan.queriesInLds)
    plan.ldsBytes += scores.getDimSize(0) * plan.width * 2;
  const SlotsOfKernel slots = {2, plan.keys.slotBytes + plan.values.slotBytes, /*anyCount=*/false, "queries"};
  if (failed(checkMemory(kernel, chip, plan.ldsBytes, slots)))
    return failure();
  plan.tile = {int64_t(plan.copying.getHeight()), int64_t(plan.copying.getWidth())};
  return plan;
}

} // namespace stepdown::amd
