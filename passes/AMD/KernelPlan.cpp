#include "passes/AMD/KernelPlan.h"
#include "lib/Kernels/ChipLimits.h"
#include "lib/Kernels/ScaledText.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace stepdown::tile;

namespace stepdown::amd {

LogicalResult planTile(TilePlan &tile, const Chip &chip, int64_t threads, scf::ForOp copies, MmaOp mma, Value operand,
                       bool alongK) {
  const auto type = cast<MemRefType>(operand.getType());
  if (!operand.getDefiningOp<WaitOp>())
    return unfit(mma) << "expects tiles of a channel on " << chip.name << ", but got " << operand;
  tile.copy = copyOf(copies, operand);
  tile.alongK = alongK;
  const int64_t k = type.getDimSize(alongK ? 1 : 0);
  tile.rows = type.getDimSize(alongK ? 0 : 1);
  const int64_t bytes = type.getElementTypeBitWidth() / 8, inChunk = kChunk * 2 / bytes;
  if (bytes == 1 && !alongK) // LDS has pairs of neighbours along k
    return unfit(mma) << "expects tiles of B with rows along k where elements have 8 bits on " << chip.name
                      << ", but got " << type;
  tile.chunks = k / inChunk;
  const int64_t rows = mma.getA().getDefiningOp<UnpackOp>() ? 16 : chip.rows;
  if (k % (2 * inChunk) != 0 || tile.rows % rows != 0)
    return unfit(mma) << "expects tiles of a multiple of " << 2 * inChunk << " along k and " << rows << " rows on "
                      << chip.name << ", but got " << type;
  // Of what a thread turns rows lie whole eights apart, so that places differ by no more than an offset.
  tile.units = 0;
  const int64_t words = k / 2 * (tile.rows / 8);
  if (tile.pairs && tile.rows % 64 == 0 && words % threads == 0 && threads % (tile.rows / 8) == 0) {
    tile.deep = 2, tile.units = words / threads;
    return success();
  }
  tile.pairs = false;
  for (int64_t deep : {8, 4, 2}) {
    const int64_t units = alongK ? tile.rows * tile.chunks : k / deep * (tile.rows / 8);
    if ((alongK && deep != 8) || units % threads != 0 || (alongK && threads % tile.chunks != 0) ||
        (!alongK && threads % (tile.rows / 8 * (kChunk / deep)) != 0))
      continue;
    tile.deep = deep;
    tile.units = units / threads;
    break;
  }
  if (!tile.units)
    return unfit(mma) << "expects tiles that " << threads << " threads of " << chip.name
                      << " can share out in pieces of 16 bytes, but got " << type;
  return success();
}

static LogicalResult takeText(KernelPlan &plan, KernelOp kernel, StringRef chip) {
  if (endsSums(kernel)) {
    FailureOr<ScaledText> text = scaledText(kernel, chip);
    if (failed(text))
      return failure();
    plan.role = text->role, plan.ring = text->ring, plan.first = text->product, plan.copies = text->copies;
    plan.turns = text->turns, plan.tile = text->tile;
    if (sharesOf(kernel) > 1)
      return unfit(kernel) << "expects sums from the first column to the last where blocks share them out on " << chip;
    return success();
  }
  FailureOr<ProductText> text = productText(kernel, chip);
  if (failed(text))
    return failure();
  plan.role = text->role, plan.ring = text->ring, plan.first = text->first, plan.copies = text->copies;
  plan.tile = text->tile;
  if (sharesOf(kernel) == 1)
    return success();
  FailureOr<SharedSum> shared = sharedSum(kernel, *text, chip);
  if (succeeded(shared))
    plan.sum = *shared;
  return shared;
}

FailureOr<KernelPlan> planKernel(KernelOp kernel, const Chip &chip) {
  KernelPlan plan = {};
  if (failed(takeText(plan, kernel, chip.name)))
    return failure();
  if (plan.ring.getType().getDepth() != 2)
    return unfit(plan.ring) << "expects a channel of two slots on " << chip.name;
  MmaOp mma = plan.first;
  const VectorType sum = mma.getType().getSum();
  if (failed(checkElements(mma, chip.name)))
    return failure();
  const Type element = mma.getShapeOfA().getElementType();
  plan.chip = element.getIntOrFloatBitWidth() == 8 ? chip.eights(!element.isInteger()) : chip;
  if (mma.takesRegisters())
    return unfit(mma) << "expects tiles in LDS on " << chip.name << ", but got " << mma.getShapeOfA();
  plan.threads = plan.role.getThreads();
  // An MFMA of four elements a lane takes them from two words; of eight one piece of 16 bytes costs less.
  plan.b.pairs = plan.chip.mfma && plan.chip.held == 4 && !mma.getTransposeB();
  if (failed(planTile(plan.a, chip, plan.threads, plan.copies, mma, mma.getA(), true)) ||
      failed(planTile(plan.b, chip, plan.threads, plan.copies, mma, mma.getB(), mma.getTransposeB())))
    return failure();
  auto bytes = [](const TilePlan &tile) { return tile.rows * tile.chunks * 16; };
  // A turn whose next tiles lie in front of the loop's end loads them without asking for columns.
  if (constantOf(plan.copies.getStep()) != mma.getShapeOfA().getDimSize(1))
    return unfit(plan.copies) << "expects turns of a tile's " << mma.getShapeOfA().getDimSize(1) << " columns on "
                              << chip.name;
  plan.b.offset = bytes(plan.a);
  plan.slotBytes = plan.b.offset + bytes(plan.b);
  plan.ldsBytes = 2 * plan.slotBytes;
  if (failed(checkMemory(kernel, chip, plan.ldsBytes, {2, plan.slotBytes})))
    return failure();
  plan.steps = plan.a.chunks * kChunk / kStep;
  if (plan.steps % plan.chip.steps())
    return unfit(mma) << "expects tiles of a multiple of " << plan.chip.steps() * kStep * 2 << " along k on "
                      << chip.name << ", but got " << mma.getShapeOfA();
  // Waves share the sum out so that each reads the fewest rows of A and B.
  const int64_t waves = plan.threads / chip.lanes;
  int64_t least = std::numeric_limits<int64_t>::max();
  for (int64_t down = 1; down <= waves; ++down) {
    const int64_t across = waves / down;
    if (waves % down || sum.getDimSize(0) % (down * chip.rows) || sum.getDimSize(1) % (across * chip.rows))
      continue;
    const int64_t read = sum.getDimSize(0) / down + sum.getDimSize(1) / across;
    if (read >= least)
      continue;
    least = read;
    plan.waveRows = down, plan.waveColumns = across;
    plan.blocksDown = sum.getDimSize(0) / down / chip.rows;
    plan.blocksAcross = sum.getDimSize(1) / across / chip.rows;
  }
  if (!plan.waveRows)
    return unfit(mma) << "expects a sum that " << waves << " waves of " << chip.name << " can share out in "
                      << chip.rows << " rows and columns, but got " << mma.getType();
  return plan;
}

} // namespace stepdown::amd
