#include "passes/Vector/BFloatTile.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;

namespace stepdown {
using transformer::ActivationType;

namespace {
constexpr int64_t kVector = 64;  ///< bytes of 16 lanes
constexpr int64_t kUnrolled = 4; ///< pairs of columns of a round: what the loop costs is little beside them
} // namespace

BFloatTile::BFloatTile(Emitter &emitter, ActivationType type)
    : e(emitter), planes(type.getBFloats()), tokens(type.getTokens()), bytes(type.getBytes()), lanes(e.vec(e.f32)),
      numbers(e.vec(e.b.getBF16Type(), 2 * e.lanes)) {
  if (tokens == 1)
    return;
  kept = e.scratch(kGroups * kPairs * kVector);
  if (planes > 1)
    rests = e.scratch(kMostTiles * tokens * kVector);
}

bool BFloatTile::takes(const Emitter &emitter, ActivationType type) {
  return type.getBFloats() && emitter.target.instructions.bfloats && emitter.target.instructions.lanes == emitter.lanes;
}

Value BFloatTile::pairs(Value columns) {
  VectorType words = e.vec(e.i16, 2 * e.lanes);
  Value both = e.load(words, columns);
  SmallVector<int64_t> order;
  for (int64_t row = 0; row < e.lanes; ++row)
    order.append({row, e.lanes + row});
  return vector::ShuffleOp::create(e.b, e.loc, both, both, order);
}

Value BFloatTile::spread(Value a) { return e.bitcast(e.loadSpread(e.i32, a), numbers); }

Value BFloatTile::product(Value sum, Value w, Value a) {
  return e.intrinsic(e.target.instructions.bfloats, lanes, {sum, e.bitcast(w, numbers), a});
}

void BFloatTile::addToken(const BlockFormat &format, Value weights, Value n, Value activations, Value m, Value sum) {
  const PackedBlock packed = packedBlock(e.layout, format);
  Values sums = {e.load(lanes, sum)};
  if (planes > 1)
    sums.push_back(e.splat(lanes, 0.0));
  sums = e.loop(e.number(0), e.dim(weights, 1), 1, sums, [&](Value k, ValueRange carried) {
    Value w = e.pointer(weights, {n, k}), a = e.pointer(activations, {m, k});
    Values next(carried);
    for (int64_t pair = 0; pair < kPairs; ++pair) {
      Value columns = pairs(e.at(w, packed.values.at(0, 2 * pair)));
      for (int64_t plane = 0; plane < planes; ++plane)
        next[plane] = product(next[plane], columns, spread(e.at(a, kVector * plane + 4 * pair)));
    }
    return next;
  });
  e.store(planes > 1 ? e.add(sums[0], sums[1]) : sums[0], sum);
}

void BFloatTile::add(Value tile, Value groups, int64_t plane, Value sums) {
  Values total;
  for (int64_t t = 0; t < tokens; ++t)
    total.push_back(e.load(lanes, e.at(sums, kVector * t)));
  total = e.loop(e.number(0), groups, 1, total, [&](Value group, ValueRange carried) {
    Value w = e.at(kept, group, kPairs * kVector);
    Value a = e.at(e.at(tile, group, bytes), plane * kPairs * 4 * tokens);
    return e.loop(e.number(0), e.number(kPairs), kUnrolled, carried, [&](Value first, ValueRange within) {
      Values next(within);
      Value columns = e.at(w, first, kVector), values = e.at(a, first, 4 * tokens);
      for (int64_t pair = 0; pair < kUnrolled; ++pair) {
        // The next group's: in a row of many columns they come from further than the second-level cache.
        if (4 * tokens == kVector)
          e.prefetch(e.at(values, bytes + kVector * pair));
        Value rows = e.load(e.vec(e.i16, 2 * e.lanes), e.at(columns, kVector * pair));
        for (int64_t t = 0; t < tokens; ++t)
          next[t] = product(next[t], rows, spread(e.at(values, 4 * (pair * tokens + t))));
      }
      return next;
    });
  });
  for (int64_t t = 0; t < tokens; ++t)
    e.store(total[t], e.at(sums, kVector * t));
}

void BFloatTile::addRows(const BlockFormat &format, Value weights, Value n, Value activations, Value first, Value tiles,
                         Value sums) {
  const PackedBlock packed = packedBlock(e.layout, format);
  auto eachToken = [&](llvm::function_ref<void(Value offset)> body) { // of its sums in bytes
    e.loop(e.mul(tiles, e.number(tokens)), [&](Value t) { body(e.mul(t, e.number(kVector))); });
  };
  if (planes > 1)
    eachToken([&](Value offset) { e.store(e.splat(lanes, 0.0), e.at(rests, offset)); });
  Value blocks = e.dim(weights, 1);
  e.loop(e.number(0), blocks, kGroups, {}, [&](Value k, ValueRange) {
    Value left = arith::SubIOp::create(e.b, e.loc, blocks, k);
    Value groups = arith::MinUIOp::create(e.b, e.loc, left, e.number(kGroups));
    e.loop(groups, [&](Value group) {
      Value block = e.pointer(weights, {n, e.add(k, group)}), to = e.at(kept, group, kPairs * kVector);
      for (int64_t pair = 0; pair < kPairs; ++pair) {
        Value columns = e.at(block, packed.values.at(0, 2 * pair));
        e.prefetch(e.at(columns, e.target.unrolling.prefetchBytes));
        e.store(pairs(columns), e.at(to, kVector * pair));
      }
    });
    e.loop(tiles, [&](Value m) {
      Value tile = e.pointer(activations, {e.add(first, m), k});
      for (int64_t plane = 0; plane < planes; ++plane)
        add(tile, groups, plane, e.at(plane ? rests : sums, m, kVector * tokens));
    });
    return Values();
  });
  if (planes > 1)
    eachToken([&](Value offset) {
      Value sum = e.at(sums, offset);
      e.store(e.add(e.load(lanes, sum), e.load(lanes, e.at(rests, offset))), sum);
    });
}

} // namespace stepdown
