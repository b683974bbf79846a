// The kernel must be what can be put together: a role that copies packed blocks and then, in a loop inside, the tiles
// of tokens that go with them; another that goes through the same turns, unpacks 64 columns at a time and multiplies
// them.
#include "passes/AMD/QuantisedPlan.h"
#include "lib/Kernels/ChipLimits.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace stepdown::tile;

namespace stepdown::amd {

bool isQuantised(KernelOp kernel) { return !operationsIn<UnpackOp>(kernel).empty(); }

SmallVector<LaneColumns> QuantisedPlan::columns64(int64_t column) const {
  const int64_t lanes = lanesOfRow();
  SmallVector<LaneColumns> made;
  for (int64_t i = 0; i < (lanes == 4 ? 1 : 2); ++i) {
    const int64_t at = column + i * kCodeColumns, inside = at % packed.columns;
    const int64_t begin = at / packed.columns * packed.bytes, group = inside / packed.format->group;
    LaneColumns each;
    each.d = {PackedPiece::Half, begin + packed.d.at(0)};
    each.m = {PackedPiece::Half, begin + packed.m.at(0)};
    for (int64_t g = 0; g < kCodeColumns / packed.format->group; ++g) {
      if (packed.scales.exists())
        each.scales.push_back({PackedPiece::Byte, begin + packed.scales.at(0, int(group + g))});
      if (packed.minimums.exists())
        each.minimums.push_back({PackedPiece::Byte, begin + packed.minimums.at(0, int(group + g))});
    }
    const int64_t codes = begin + packed.codesOffset + inside / kCodeColumns * packed.codeBytes;
    for (int64_t quad = 0; quad < kQuads; ++quad) {
      if (lanes != 1 && quad / 2 % 2)
        continue; // the other lanes'
      LaneColumns::Quad q = {};
      q.group = quad * kQuadColumns / packed.format->group;
      for (int p = 0; p < packed.planes; ++p) {
        q.words[p] = {p ? PackedPiece::SecondPlane : PackedPiece::FirstPlane,
                      codes + packed.plane[p].vectorOf(int(quad))};
        q.shifts[p] = packed.plane[p].shiftOf(int(quad));
      }
      each.quads.push_back(q);
    }
    made.push_back(each);
  }
  return made;
}

/// Numbers what a lane reads in a turn of so many columns.
static void numberPieces(QuantisedPlan &plan, int64_t turnColumns) {
  auto number = [&](const PackedPiece &piece) { plan.pieces.emplace(piece, 0); };
  for (int64_t column = 0; column < turnColumns; column += kUnpacked)
    for (const LaneColumns &each : plan.columns64(column)) {
      number(each.d);
      if (plan.packed.m.exists())
        number(each.m);
      llvm::for_each(each.scales, number);
      llvm::for_each(each.minimums, number);
      for (const LaneColumns::Quad &quad : each.quads)
        for (int p = 0; p < plan.packed.planes; ++p)
          number(quad.words[p]);
    }
  int64_t next = 0;
  for (auto &[piece, index] : plan.pieces)
    index = next++;
}

FailureOr<QuantisedPlan> planQuantised(KernelOp kernel, const Chip &chip) {
  QuantisedPlan plan = {};
  plan.chip = chip.narrow();
  auto refuse = [&](Operation *at, const Twine &expected) {
    return unfit(at) << "expects " << expected << " on " << chip.name;
  };
  for (RoleOp role : kernel.getBody().getOps<RoleOp>()) {
    const bool copies = !operationsIn<AcquireOp>(role).empty();
    if (copies ? bool(plan.copying) : bool(plan.role))
      return refuse(role, "one role that copies and one that multiplies");
    SmallVector<ScheduleOp> schedules = operationsIn<ScheduleOp>(role);
    SmallVector<scf::ForOp> loops = operationsIn<scf::ForOp>(role);
    if (schedules.size() != 1 || loops.size() != (copies ? 2 : 1))
      return refuse(role,
                    "one schedule with a loop over columns, and one over tiles of tokens in the role that copies");
    if (copies) {
      plan.copying = schedules[0];
      plan.copies = dyn_cast<scf::ForOp>(loops[0]->getParentOp()); // walks go from inside
    } else {
      plan.role = role;
      plan.turns = loops[0];
    }
  }
  if (!plan.copies || !plan.turns || plan.copies.getLowerBound() != plan.turns.getLowerBound() ||
      plan.copies.getUpperBound() != plan.turns.getUpperBound() || plan.copies.getStep() != plan.turns.getStep())
    return refuse(kernel, "two roles that go through the same columns");
  SmallVector<CopyOp> copies = operationsIn<CopyOp>(plan.copies);
  auto inner = *plan.copies.getBody()->getOps<scf::ForOp>().begin();
  auto isMatrix = [&](CopyOp copy) {
    return isa<BlockArgument>(copy.getFrom()) && copy.getFrom().getParentRegion() == &kernel.getBody();
  };
  if (copies.size() != 2 || copies[0]->getBlock() != plan.copies.getBody() ||
      copies[1]->getBlock() != inner.getBody() || !isMatrix(copies[0]) || !isMatrix(copies[1]))
    return refuse(plan.copies, "a copy of packed blocks, and one of tokens in the loop inside, both of arguments");
  plan.weight = copies[0];
  const MemRefType slot = plan.weight.getTo().getType();
  auto block = dyn_cast<transformer::BlockType>(slot.getElementType());
  if (!block)
    return refuse(plan.weight, "packed blocks in front of the tiles of tokens");
  plan.packed = packedBlock(*block.getLayout(), block.getFormat());
  if (plan.packed.rows != plan.chip.rows || plan.packed.d.bytes != 2)
    return unfit(plan.weight) << "expects blocks of 16 rows with scales of binary16 on " << chip.name << ", but got "
                              << block;
  const std::optional<int64_t> step = constantOf(plan.copies.getStep()), tileStep = constantOf(inner.getStep());
  const int64_t columns = slot.getDimSize(1) * plan.packed.columns;
  if (step != columns || tileStep != kUnpacked || constantOf(inner.getLowerBound()) != 0 ||
      constantOf(inner.getUpperBound()) != columns || columns % std::max<int64_t>(plan.packed.columns, kUnpacked))
    return refuse(plan.copies, "turns of a slot's columns, with a tile of tokens for each 64 of them");
  plan.turnTiles = columns / kUnpacked;

  SmallVector<MmaOp> products = operationsIn<MmaOp>(plan.turns);
  SmallVector<WaitOp> waits = operationsIn<WaitOp>(plan.role);
  if (int64_t(products.size()) != plan.turnTiles || operationsIn<MmaOp>(kernel).size() != products.size() ||
      int64_t(waits.size()) != plan.turnTiles + 1)
    return refuse(plan.turns, "a product of each tile of tokens in a turn, and nothing waited for outside");
  plan.first = products.front();
  const VectorType sum = plan.first.getType().getSum();
  for (auto [i, mma] : llvm::enumerate(products)) {
    auto unpack = mma.getA().getDefiningOp<UnpackOp>();
    if (!unpack || constantOf(unpack.getColumn()) != int64_t(i) * kUnpacked ||
        unpack.getResult().getType().getDimSize(1) != kUnpacked || !mma.getTransposeB() ||
        mma.getType().getSum() != sum || !sum.getElementType().isF32() || mma->getBlock() != plan.turns.getBody())
      return refuse(mma, "sums of f32 of the next 64 columns, unpacked, and of tokens");
  }
  plan.threads = plan.role.getThreads();
  const int64_t waves = plan.threads / chip.lanes, rows = plan.chip.rows;
  if (plan.threads % chip.lanes)
    return unfit(plan.role) << "expects a multiple of " << chip.lanes << " threads on " << chip.name << ", but got "
                            << plan.threads;
  if (sum.getDimSize(0) % (waves * rows) || sum.getDimSize(1) % rows)
    return unfit(plan.first) << "expects " << rows << " rows for each of " << waves << " waves and tokens in " << rows
                             << " on " << chip.name << ", but got " << plan.first.getType();
  plan.blocksDown = sum.getDimSize(0) / waves / rows, plan.blocksAcross = sum.getDimSize(1) / rows;
  if (failed(planTile(plan.tokens, plan.chip, plan.threads, plan.copies, plan.first, plan.first.getB(), true)))
    return failure();
  plan.tokens.wholeChunks = true;
  auto ring = plan.first.getB().getDefiningOp<WaitOp>().getChannel().getDefiningOp<ChannelOp>();
  if (int64_t(ring.getType().getDepth()) != 2 * plan.turnTiles)
    return unfit(ring) << "expects a ring of the tiles of two turns, " << 2 * plan.turnTiles << ", on " << chip.name
                       << ", but got " << ring.getType();
  plan.tileBytes = plan.tokens.rows * plan.tokens.chunks * 16;
  plan.ldsBytes = 2 * plan.turnTiles * plan.tileBytes;
  if (failed(checkMemory(kernel, chip, plan.ldsBytes, {2 * plan.turnTiles, plan.tileBytes})))
    return failure();
  numberPieces(plan, columns);
  plan.tile = {int64_t(plan.copying.getHeight()), int64_t(plan.copying.getWidth())};
  return plan;
}

} // namespace stepdown::amd
