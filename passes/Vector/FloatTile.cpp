#include "passes/Vector/FloatTile.h"

using namespace mlir;

namespace stepdown {

namespace {
constexpr int64_t kVector = 64;  ///< bytes of 16 lanes
constexpr int64_t kUnrolled = 4; ///< columns of a round: what the loop costs is little beside them
} // namespace

FloatTile::FloatTile(Emitter &emitter, int64_t tokens)
    : e(emitter), tokens(tokens), lanes(e.registerLanes()), parts(e.lanes / lanes),
      kept(e.scratch(kGroups * kCodeColumns * kVector)) {}

void FloatTile::open(WeightReader &weight, Value sub, Value group) {
  Value to = e.at(kept, group, kCodeColumns * kVector);
  weight.values(sub, [&](int column, Value rows) { e.store(rows, e.at(to, kVector * column)); });
}

void FloatTile::addTokens(Value tile, Value columns, int64_t count, Value sums) {
  const VectorType rows = e.vec(e.f32, lanes);
  auto place = [&](int64_t i) { return e.at(sums, kVector * (i / parts) + 4 * lanes * (i % parts)); };
  Emitter::Values total; // [token][part of the rows]
  for (int64_t i = 0; i < count * parts; ++i)
    total.push_back(e.load(rows, place(i)));
  total = e.loop(e.number(0), columns, kUnrolled, total, [&](Value first, ValueRange carried) {
    Emitter::Values next(carried);
    Value weights = e.at(kept, first, kVector), activations = e.at(tile, first, 4 * tokens);
    for (int64_t column = 0; column < kUnrolled; ++column) {
      Emitter::Values w;
      for (int64_t part = 0; part < parts; ++part)
        w.push_back(e.load(rows, e.at(weights, kVector * column + 4 * lanes * part)));
      for (int64_t t = 0; t < count; ++t) {
        Value a = e.spread(e.load(e.f32, e.at(activations, 4 * (column * tokens + t))), lanes);
        for (int64_t part = 0; part < parts; ++part)
          next[t * parts + part] = e.fma(w[part], a, next[t * parts + part]);
      }
    }
    return next;
  });
  for (auto [i, sum] : llvm::enumerate(total))
    e.store(sum, place(i));
}

void FloatTile::add(Value tile, Value columns, Value sums) {
  const int64_t most = e.target.unrolling.tokens, groups = (tokens + most - 1) / most;
  for (int64_t group = 0, first = 0; group < groups; ++group) {
    const int64_t count = (tokens - first + groups - group - 1) / (groups - group); // 16 of 6 at most: 6, 5 and 5
    addTokens(e.at(tile, 4 * first), columns, count, e.at(sums, kVector * first));
    first += count;
  }
}

void FloatTile::addRows(const BlockFormat &format, Value weights, Value n, Value activations, Value first, Value tiles,
                        Value sums) {
  WeightReader weight(e, format);
  const int64_t subs = weight.subBlocks();
  const int64_t together = std::min(subs, kGroups);
  assert(subs % together == 0);
  auto addGroups = [&](Value k, Value sub, Value groups) {
    Value columns = e.mul(groups, e.number(kCodeColumns));
    e.loop(tiles, [&](Value m) {
      Value tile = e.at(e.pointer(activations, {e.add(first, m), k}), sub, 4 * kCodeColumns * tokens);
      add(tile, columns, e.at(sums, m, kVector * tokens));
    });
  };
  Value blocks = e.dim(weights, 1);
  if (subs == 1)
    e.loop(e.number(0), blocks, kGroups, {}, [&](Value k, ValueRange) {
      Value rest = arith::SubIOp::create(e.b, e.loc, blocks, k);
      Value groups = arith::MinUIOp::create(e.b, e.loc, rest, e.number(kGroups));
      e.loop(groups, [&](Value group) {
        weight.open(e.pointer(weights, {n, e.add(k, group)}));
        open(weight, e.number(0), group);
      });
      addGroups(k, e.number(0), groups);
      return Emitter::Values();
    });
  else
    e.loop(blocks, [&](Value k) {
      weight.open(e.pointer(weights, {n, k}));
      e.loop(e.number(0), e.number(subs), together, {}, [&](Value sub, ValueRange) {
        e.loop(e.number(together), [&](Value group) { open(weight, e.add(sub, group), group); });
        addGroups(k, sub, e.number(together));
        return Emitter::Values();
      });
    });
}

} // namespace stepdown
