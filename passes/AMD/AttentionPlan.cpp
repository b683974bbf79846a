#include "passes/AMD/AttentionPlan.h"
#include "lib/Kernels/ChipLimits.h"

using namespace mlir;
using namespace stepdown::tile;

namespace stepdown::amd {

FailureOr<AttentionPlan> planAttention(KernelOp kernel, const Chip &chip) {
  FailureOr<AttentionText> text = attentionText(kernel, chip.name);
  if (failed(text))
    return failure();
  AttentionPlan plan = {};
  plan.chip = &chip;
  plan.text = *text, plan.tile = text->tile;
  const VectorType scores = text->scores.getType().getSum(), sum = text->sums.getType().getSum();
  plan.threads = text->role.getThreads();
  plan.width = sum.getDimSize(1), plan.block = scores.getDimSize(1);
  const int64_t waves = plan.threads / chip.lanes;
  if (scores.getDimSize(0) != waves * chip.rows || plan.width % chip.rows || plan.block % chip.rows)
    return unfit(text->scores) << "expects " << chip.rows << " queries for each of " << waves << " waves of "
                               << chip.name << ", and blocks of a multiple of " << chip.rows << " keys, but got "
                               << text->scores.getType();
  if (failed(planTile(plan.keys, chip, plan.threads, text->copies, text->scores, text->scores.getB(), true)) ||
      failed(planTile(plan.values, chip, plan.threads, text->copies, text->sums, text->sums.getB(), false)))
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
  plan.late = plan.narrow && chip.twice;
  if (plan.queriesInLds)
    plan.ldsBytes += scores.getDimSize(0) * plan.width * 2;
  const SlotsOfKernel slots = {2, plan.keys.slotBytes + plan.values.slotBytes, /*anyCount=*/false, "queries"};
  if (failed(checkMemory(kernel, chip, plan.ldsBytes, slots)))
    return failure();
  return plan;
}

} // namespace stepdown::amd
