#include "passes/Vector/FloatTile.h"

using namespace mlir;

namespace stepdown {

namespace {
constexpr int64_t kVector = 64;  ///< bytes of 16 lanes
constexpr int64_t kUnrolled = 4; ///< columns of a round: what the loop costs is little beside them
} // namespace

FloatTile::FloatTile(Emitter &emitter, int64_t tokens)
    : e(emitter), tokens(tokens), lanes(e.registerLanes()), parts(e.lanes / lanes),
      kept(e.scratch(kCodeColumns * kVector)) {}

void FloatTile::open(WeightReader &weight, Value sub) {
  weight.values(sub, [&](int column, Value rows) { e.store(rows, e.at(kept, kVector * column)); });
}

void FloatTile::addTokens(Value tile, int64_t count, Value sums) {
  const VectorType rows = e.vec(e.f32, lanes);
  auto place = [&](int64_t i) { return e.at(sums, kVector * (i / parts) + 4 * lanes * (i % parts)); };
  Emitter::Values total; // [token][part of the rows]
  for (int64_t i = 0; i < count * parts; ++i)
    total.push_back(e.load(rows, place(i)));
  total = e.loop(e.number(0), e.number(kCodeColumns), kUnrolled, total, [&](Value first, ValueRange carried) {
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

void FloatTile::add(Value tile, Value sums) {
  const int64_t most = e.target.unrolling.tokens, groups = (tokens + most - 1) / most;
  for (int64_t group = 0, first = 0; group < groups; ++group) {
    const int64_t count = (tokens - first + groups - group - 1) / (groups - group); // 16 of 6 at most: 6, 5 and 5
    addTokens(e.at(tile, 4 * first), count, e.at(sums, kVector * first));
    first += count;
  }
}

} // namespace stepdown
