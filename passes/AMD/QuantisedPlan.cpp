#include "passes/AMD/QuantisedPlan.h"
#include "lib/Kernels/ChipLimits.h"

using namespace mlir;
using namespace stepdown::tile;

namespace stepdown::amd {

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
  FailureOr<QuantisedText> text = quantisedText(kernel, chip.name);
  if (failed(text))
    return failure();
  QuantisedPlan plan = {};
  static_cast<QuantisedText &>(plan) = *text;
  plan.chip = chip.narrow();
  const VectorType sum = plan.first.getType().getSum();
  plan.threads = plan.role.getThreads();
  const int64_t waves = plan.threads / chip.lanes, rows = plan.chip.rows;
  if (plan.threads % chip.lanes)
    return unfit(plan.role) << "expects a multiple of " << chip.lanes << " threads on " << chip.name << ", but got "
                            << plan.threads;
  if (sum.getDimSize(0) % (waves * rows) || sum.getDimSize(1) % rows)
    return unfit(plan.first) << "expects " << rows << " rows for each of " << waves << " waves and tokens in " << rows
                             << " on " << chip.name << ", but got " << plan.first.getType();
  plan.blocksDown = sum.getDimSize(0) / waves / rows, plan.blocksAcross = sum.getDimSize(1) / rows;
  if (failed(planTile(plan.tokenTile, plan.chip, plan.threads, plan.copies, plan.first, plan.first.getB(), true)))
    return failure();
  plan.tokenTile.wholeChunks = true;
  if (int64_t(plan.tokenRing.getType().getDepth()) != 2 * plan.turnTiles)
    return unfit(plan.tokenRing) << "expects a ring of the tiles of two turns, " << 2 * plan.turnTiles << ", on "
                                 << chip.name << ", but got " << plan.tokenRing.getType();
  plan.tileBytes = plan.tokenTile.rows * plan.tokenTile.chunks * 16;
  plan.ldsBytes = 2 * plan.turnTiles * plan.tileBytes;
  if (failed(checkMemory(kernel, chip, plan.ldsBytes, {2 * plan.turnTiles, plan.tileBytes})))
    return failure();
  numberPieces(plan, plan.turnTiles * kUnpacked);
  return plan;
}

} // namespace stepdown::amd
