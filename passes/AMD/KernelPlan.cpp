// The kernel must be what can be put together: one role that fills a ring in one loop, another that waits for a slot
// before its own loop and for one in each turn of it.
#include "passes/AMD/KernelPlan.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace stepdown::tile;

namespace stepdown::amd {

/// The one operation of this kind in `root`; null where there is none or another.
template <typename Op> static Op only(Operation *root) {
  SmallVector<Op> found = operationsIn<Op>(root);
  return found.size() == 1 ? found.front() : Op();
}

static std::optional<int64_t> constant(Value value) {
  llvm::APInt number;
  if (!matchPattern(value, m_ConstantInt(&number)))
    return std::nullopt;
  return number.getSExtValue();
}

/// Whether the waits of `role` are for the turns of `copies`, in their order: one in front of a loop, one in each turn.
static bool follows(RoleOp role, scf::ForOp copies) {
  auto loop = only<scf::ForOp>(role);
  SmallVector<WaitOp> waits = operationsIn<WaitOp>(role);
  if (!loop || waits.size() != 2 || waits[0]->getBlock() != loop->getBlock() || !waits[0]->isBeforeInBlock(loop) ||
      waits[1]->getBlock() != loop.getBody())
    return false;
  auto from = constant(copies.getLowerBound()), step = constant(copies.getStep()),
       later = constant(loop.getLowerBound()), steps = constant(loop.getStep());
  return from && step && later && steps && *later == *from + *step && *steps == *step &&
         loop.getUpperBound() == copies.getUpperBound();
}

LogicalResult planTile(TilePlan &tile, const Chip &chip, int64_t threads, scf::ForOp copies, MmaOp mma, Value operand,
                       bool alongK) {
  const auto type = cast<MemRefType>(operand.getType());
  auto wait = operand.getDefiningOp<WaitOp>();
  if (!wait)
    return mma.emitOpError() << "expects tiles of a channel on " << chip.name << ", but got " << operand;
  for (CopyOp copy : operationsIn<CopyOp>(copies))
    if (copy.getTo().getDefiningOp<AcquireOp>().getChannel() == wait.getChannel() &&
        cast<OpResult>(copy.getTo()).getResultNumber() == cast<OpResult>(operand).getResultNumber())
      tile.copy = copy;
  tile.alongK = alongK;
  const int64_t k = type.getDimSize(alongK ? 1 : 0);
  tile.rows = type.getDimSize(alongK ? 0 : 1);
  tile.chunks = k / kChunk;
  const int64_t rows = mma.getA().getDefiningOp<UnpackOp>() ? 16 : 32;
  if (k % kStep != 0 || tile.rows % rows != 0)
    return mma.emitOpError() << "expects tiles of a multiple of 16 along k and " << rows << " rows on " << chip.name
                             << ", but got " << type;
  // Rows that a thread copies together lie whole eights apart, so that places differ by no more than an offset.
  tile.units = 0;
  for (int64_t deep : {8, 4, 2}) {
    const int64_t units = alongK ? tile.rows * tile.chunks : k / deep * (tile.rows / 8);
    if ((alongK && deep != 8) || units % threads != 0 || (alongK && threads / tile.chunks % 8 != 0) ||
        (!alongK && threads % (tile.rows / 8 * (kChunk / deep)) != 0))
      continue;
    tile.deep = deep;
    tile.units = units / threads;
    break;
  }
  if (!tile.units)
    return mma.emitOpError() << "expects tiles that " << threads << " threads of " << chip.name
                             << " can share out in pieces of 16 bytes, but got " << type;
  return success();
}

FailureOr<KernelPlan> planKernel(KernelOp kernel, const Chip &chip) {
  KernelPlan plan = {};
  plan.chip = &chip;
  auto refuse = [&](Operation *at, const Twine &expected) {
    return at->emitOpError() << "expects " << expected << " on " << chip.name;
  };
  plan.ring = only<ChannelOp>(kernel);
  for (RoleOp role : kernel.getBody().getOps<RoleOp>()) {
    if (auto acquire = only<AcquireOp>(role); acquire && !plan.copies)
      plan.copies = dyn_cast<scf::ForOp>(acquire->getParentOp());
    else if (!plan.role)
      plan.role = role;
    else
      return refuse(role, "one role that copies and one that multiplies");
  }
  if (!plan.ring || !plan.role || !plan.copies || operationsIn<MmaOp>(kernel).size() != 2)
    return refuse(kernel, "a product: a role that copies, one that multiplies, and one channel between them");
  if (plan.ring.getType().getDepth() != 2)
    return refuse(plan.ring, "a channel of two slots");
  if (!follows(plan.role, plan.copies))
    return refuse(plan.role, "one slot waited for before the loop over k, and one in each turn");
  auto schedule = dyn_cast<ScheduleOp>(plan.copies->getParentOp());
  if (!schedule || !only<ScheduleOp>(plan.role))
    return refuse(plan.copies, "loops over k in a schedule");
  // What the other role may say: its tile, its step along k, and what stands in front of the roles.
  auto known = [&](Value value) {
    Region *region = value.getParentRegion();
    return region == &kernel.getBody() || region == &schedule.getBody() || value == plan.copies.getInductionVar();
  };
  for (Operation &op : plan.copies.getBody()->without_terminator()) {
    auto copy = dyn_cast<CopyOp>(op);
    if (!isa<AcquireOp, CopyOp, CommitOp>(op) || (copy && (!known(copy.getRow()) || !known(copy.getColumn()))))
      return refuse(&op, "copies at a tile's place alone in the loop that fills slots");
    if (copy && (!isa<BlockArgument>(copy.getFrom()) || copy.getFrom().getParentRegion() != &kernel.getBody()))
      return refuse(copy, "copies from an argument of the kernel");
  }
  if (!llvm::hasSingleElement(schedule.getBody().front()))
    return refuse(schedule, "one loop alone in the schedule that fills slots");
  WalkResult product = plan.role.walk([&](Operation *op) {
    const bool behind = isa<MapOp, ReadOp>(op) && !op->getParentOfType<scf::ForOp>();
    if (!behind && isa<MapOp, ReadOp, ReduceOp, MaskOp, ConvertOp, EntryOp>(op))
      return (void)refuse(op, "a product without work on its registers but maps behind it"), WalkResult::interrupt();
    return WalkResult::advance();
  });
  if (product.wasInterrupted())
    return failure();
  plan.first = operationsIn<MmaOp>(plan.role).front();
  MmaOp mma = plan.first;
  const VectorType sum = mma.getType().getSum();
  const Type element = mma.getShapeOfA().getElementType();
  if (mma.takesRegisters() || (!element.isBF16() && !element.isF16()) || !sum.getElementType().isF32())
    return mma.emitOpError() << "expects tiles of bf16 or f16 in LDS and sums of f32 on " << chip.name << ", but got "
                             << mma.getShapeOfA() << " and " << mma.getType();
  plan.threads = plan.role.getThreads();
  if (failed(planTile(plan.a, chip, plan.threads, plan.copies, mma, mma.getA(), true)) ||
      failed(planTile(plan.b, chip, plan.threads, plan.copies, mma, mma.getB(), mma.getTransposeB())))
    return failure();
  auto bytes = [](const TilePlan &tile) { return tile.rows * tile.chunks * 16; };
  plan.b.offset = bytes(plan.a);
  plan.slotBytes = plan.b.offset + bytes(plan.b);
  plan.ldsBytes = 2 * plan.slotBytes;
  if (plan.ldsBytes > chip.sharedBytes)
    return kernel.emitOpError() << "expects at most " << chip.sharedBytes << " bytes of LDS on " << chip.name
                                << ", but its slots take " << plan.ldsBytes;
  plan.steps = plan.a.chunks * kChunk / kStep;
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
    return mma.emitOpError() << "expects a sum that " << waves << " waves of " << chip.name << " can share out in "
                             << chip.rows << " rows and columns, but got " << mma.getType();
  kernel.walk([&](ScheduleOp schedule) { plan.tile = {int64_t(schedule.getHeight()), int64_t(schedule.getWidth())}; });
  return plan;
}

} // namespace stepdown::amd
