#include "passes/NVIDIA/WarpPlan.h"
#include "lib/Kernels/ChipLimits.h"
#include "lib/Kernels/TileEmitter.h"
#include "passes/NVIDIA/SharedLayout.h"

using namespace mlir;
using namespace stepdown::tile;

namespace stepdown::nvidia {

FailureOr<WarpPlan> planWarps(KernelOp kernel, const ChipFacts &chip) {
  FailureOr<ProductText> text = productText(kernel, chip.name);
  if (failed(text))
    return failure();
  if (const int64_t products = productsOf(kernel); products > 1)
    return unfit(kernel) << "expects a launch of one product on " << chip.name << ", but got one of " << products;
  WarpPlan plan = {};
  plan.chip = &chip;
  plan.text = *text;
  MmaOp mma = text->first;
  const VectorType sum = mma.getType().getSum();
  if (failed(checkElements(mma, chip.name)) || failed(checkCluster(kernel, chip.name)))
    return failure();
  if (sharesOf(kernel) > 1) {
    FailureOr<SharedSum> shared = sharedSum(kernel, *text, chip.name);
    if (failed(shared))
      return failure();
    plan.sum = *shared;
  }
  plan.stages = text->ring.getType().getDepth();
  if (plan.stages < 2)
    return unfit(text->ring) << "expects a channel of two slots or more on " << chip.name << ", but got "
                             << text->ring.getType();
  plan.threads = text->role.getThreads();
  const auto a = cast<MemRefType>(mma.getA().getType()), w = mma.getB().getType();
  // A pass of all threads copies eights of rows, so that a thread's pieces stand at the same place of their patterns.
  for (MemRefType tile : {a, w})
    if (!isSwizzled(tile) || tile.getDimSize(0) * (kRowBytes / kPieceBytes) % plan.threads != 0)
      return unfit(mma) << "expects tiles of rows of whole 128 bytes, in eights that " << plan.threads << " threads of "
                        << chip.name << " can share out, but got " << tile;
  plan.offsetB = tileBytes(a);
  plan.slotBytes = plan.offsetB + tileBytes(w);
  plan.sharedBytes = plan.stages * plan.slotBytes;
  if (failed(checkMemory(kernel, chip, plan.sharedBytes, {plan.stages, plan.slotBytes, /*anyCount=*/true})))
    return failure();
  if (elementBytes(a) == 1 && !mma.getTransposeB()) // ldmatrix turns elements of 16 bits alone
    return unfit(mma) << "expects tiles of B with rows along k where elements have 8 bits on " << chip.name
                      << ", but got " << w;
  // Of an SM's 65,536 registers a thread has 255 at most (CUDA C++ Programming Guide, technical specifications); what
  // leaves some beside its sums may spill all the same.
  const int64_t registers = std::min<int64_t>(255, 65536 / plan.threads / 8 * 8);
  if (const int64_t sums = sum.getNumElements() / plan.threads; sums >= registers)
    return unfit(mma) << "expects sums that leave some of the " << registers << " registers of a thread on "
                      << chip.name << ", but got " << mma.getType() << ": " << sums << " for each of " << plan.threads
                      << " threads";
  plan.steps = a.getDimSize(1) * elementBytes(a) / kWarpReduction;
  // Warps share the sum out so that each reads the fewest rows of A and B; its columns begin at a power of two in the
  // block of columns that they are in.
  const int64_t warps = plan.threads / chip.lanes;
  int64_t least = std::numeric_limits<int64_t>::max();
  for (int64_t down = 1; down <= warps; ++down) {
    const int64_t across = warps / down, rows = sum.getDimSize(0) / down, columns = sum.getDimSize(1) / across;
    const bool inBlock =
        columns % blockColumns(w) == 0 || (columns % kWarpColumns == 0 && blockColumns(w) % columns == 0);
    if (warps % down || sum.getDimSize(0) % (down * kWarpRows) || sum.getDimSize(1) % across || !inBlock ||
        rows + columns >= least)
      continue;
    least = rows + columns;
    plan.warpsDown = down, plan.warpsAcross = across;
    plan.blocksDown = rows / kWarpRows, plan.blocksAcross = columns / kWarpColumns;
  }
  if (!plan.warpsDown)
    return unfit(mma) << "expects a sum that " << warps << " warps of " << chip.name
                      << " can share out in 16 rows and columns, but got " << mma.getType();
  return plan;
}

} // namespace stepdown::nvidia
