// Rows of float32 as activation blocks: how the largest value sets the scale, and where codes go (ActivationType says
// what a block holds). Magnitudes are compared as integers: the bits of floats that are not negative have their order.
#include "dialects/Transformer/IR/ActivationFields.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "passes/Vector/SelectTileOps.h"

using namespace mlir;
using namespace stepdown::tile;
using namespace stepdown::transformer;

namespace stepdown {
namespace {

/// One block of one token: two vectors of 16 columns into place `token` of the block at `to`.
struct Pack {
  Emitter &e;
  const ActivationFields at;
  const int64_t tokens;
  Value to, token;
  Value from[2];
  VectorType lanes, ints;

  Pack(Emitter &e, ActivationType type, Value to, Value token, Value low, Value high)
      : e(e), at(type.getElement()), tokens(type.getTokens()), to(to), token(token), from{low, high},
        lanes(e.vec(e.f32)), ints(e.vec(e.i32)) {}

  /// A 32-bit value of this token at `offset`, the bytes that one token's fields before it take.
  void put(Value value, int64_t offset) { e.store(value, e.at(e.at(to, offset * tokens), token, 4)); }
  /// A plane of codes, of each half of the columns: 4 quads, and the sum.
  void putPlane(int64_t plane, Value codes[2], Value sums[2]) {
    for (int64_t q = 0; q < 8; ++q)
      put(vector::ExtractOp::create(e.b, e.loc, codes[q / 4], q % 4), at.codes(plane, q));
    put(e.add(sums[0], sums[1]), at.sum(plane));
    put(sums[1], at.upper(plane));
  }
  /// 16 integers as 4 quads of bytes.
  Value bytes(Value v) { return e.bitcast(arith::TruncIOp::create(e.b, e.loc, e.vec(e.i8), v), e.vec(e.i32, 4)); }
  Value round(Value v) { return math::RoundEvenOp::create(e.b, e.loc, v); }
  Value toInt(Value v) { return arith::FPToSIOp::create(e.b, e.loc, ints, v); }
  Value magnitude(Value v) { return arith::AndIOp::create(e.b, e.loc, e.bitcast(v, ints), e.splat(ints, 0x7fffffff)); }
  Value larger(Value a, Value b) { return arith::MaxSIOp::create(e.b, e.loc, a, b); }
  Value same(Value a, Value b) { return arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::eq, a, b); }
  Value spread8(Value v) { return vector::BroadcastOp::create(e.b, e.loc, e.vec(e.i32, 8), v); }
  /// Constant lanes: lane i holds value(i).
  Value constant(int64_t count, llvm::function_ref<int32_t(int32_t)> value) {
    SmallVector<int32_t> all;
    for (int32_t i = 0; i < count; ++i)
      all.push_back(value(i));
    return arith::ConstantOp::create(e.b, e.loc, DenseElementsAttr::get(e.vec(e.i32, count), ArrayRef<int32_t>(all)));
  }

  void values();
  void bfloats(int64_t count);
  void codes(bool residual);
  void outliers();
};

/// [32][tokens] float32.
void Pack::values() {
  for (int64_t c = 0; c < 32; ++c)
    put(vector::ExtractOp::create(e.b, e.loc, from[c / e.lanes], c % e.lanes), 4 * c);
}

/// [count][16][tokens] pairs of bfloat16: the nearest to the values, then the nearest to what these leave. What is
/// nearest to an infinite number leaves nothing.
void Pack::bfloats(int64_t count) {
  VectorType narrow = e.vec(e.b.getBF16Type());
  for (int64_t h = 0; h < 2; ++h) {
    Value rest = from[h];
    for (int64_t plane = 0; plane < count; ++plane) {
      Value nearest = arith::TruncFOp::create(e.b, e.loc, narrow, rest);
      Value pairs = e.bitcast(nearest, e.vec(e.i32, e.lanes / 2));
      for (int64_t pair = 0; pair < e.lanes / 2; ++pair)
        put(vector::ExtractOp::create(e.b, e.loc, pairs, pair), 64 * plane + 4 * (e.lanes / 2 * h + pair));
      Value given = arith::ExtFOp::create(e.b, e.loc, lanes, nearest);
      Value isFinite = e.less(magnitude(given), e.splat(ints, 0x7f800000));
      rest = e.select(isFinite, e.sub(rest, given), e.splat(lanes, 0.0));
    }
  }
}

/// A code a value, and with `residual` another for what it leaves.
void Pack::codes(bool residual) {
  Value largest = e.bitcast(e.maxLanes(larger(magnitude(from[0]), magnitude(from[1]))), e.f32);
  Value zero = e.splat(e.f32, 0.0);
  Value isZero = arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OEQ, largest, zero);
  Value inverse = arith::DivFOp::create(e.b, e.loc, e.splat(e.f32, 127.0), largest);
  Value factor = e.spread(e.select(isZero, zero, inverse));
  Value sums[2], codes[2], rests[2], restSums[2];
  for (int h = 0; h < 2; ++h) {
    Value exact = e.mul(from[h], factor), rounded = round(exact);
    auto encode = [&](Value x, Value &code, Value &sum) {
      code = toInt(x);
      sum = e.sumLanes(code);
      code = bytes(code);
    };
    encode(rounded, codes[h], sums[h]);
    if (residual) {
      Value rest = round(e.mul(e.sub(exact, rounded), e.splat(lanes, 256.0)));
      Value most = e.splat(lanes, 127.0), least = e.splat(lanes, -127.0);
      rest = e.select(e.less(most, rest), most, rest);
      encode(e.select(e.less(rest, least), least, rest), rests[h], restSums[h]);
    }
  }
  Value scale = e.mul(largest, e.splat(e.f32, 1.0 / 127.0));
  put(residual ? e.mul(scale, e.splat(e.f32, 1.0 / 256.0)) : scale, at.scale());
  Value upper = e.toF32(sums[1]), all = e.toF32(e.add(sums[0], sums[1]));
  if (residual) {
    Value unit = e.splat(e.f32, 1.0 / 256.0);
    upper = e.fma(e.toF32(restSums[1]), unit, upper);
    all = e.fma(e.toF32(e.add(restSums[0], restSums[1])), unit, all);
  }
  put(e.mul(scale, all), at.scaledSum());
  put(e.mul(scale, upper), at.scaledUpper());
  putPlane(0, codes, sums);
  if (residual)
    putPlane(1, rests, restSums);
}

/// The two quads with the largest values have 15 bits, so that the scale is that of the other six. Of equal quads the
/// first is taken.
void Pack::outliers() {
  Value magnitudes[2] = {magnitude(from[0]), magnitude(from[1])}, quads;
  for (int64_t i = 0; i < 4; ++i) { // lane q: the largest of columns 4 q ... 4 q + 3
    SmallVector<int64_t> order;
    for (int64_t q = 0; q < 8; ++q)
      order.push_back(4 * q + i);
    Value one = vector::ShuffleOp::create(e.b, e.loc, magnitudes[0], magnitudes[1], order);
    quads = quads ? larger(quads, one) : one;
  }
  Value numbers = constant(8, [](int32_t i) { return i; }), tops[2], numbersOf[2];
  for (int i = 0; i < 2; ++i) {
    tops[i] = e.maxLanes(quads);
    Value found = e.select(same(quads, spread8(tops[i])), numbers, e.splat(e.vec(e.i32, 8), 7));
    numbersOf[i] = vector::ReductionOp::create(e.b, e.loc, vector::CombiningKind::MINSI, found);
    quads = e.select(same(numbers, spread8(numbersOf[i])), e.splat(e.vec(e.i32, 8), -1), quads);
  }
  Value largest = e.bitcast(tops[0], e.f32), other = e.bitcast(e.maxLanes(quads), e.f32), zero = e.splat(e.f32, 0.0);
  auto over = [&](double c, Value v) -> Value { return arith::DivFOp::create(e.b, e.loc, e.splat(e.f32, c), v); };
  Value others = e.mul(other, e.splat(e.f32, 1.0f / 127)), least = e.mul(largest, e.splat(e.f32, 1.0f / 16319));
  Value far = e.less(others, least), none = e.less(largest, e.splat(e.f32, 1e-30f));
  Value scale = e.select(none, zero, e.select(far, least, others));
  Value factor = e.spread(e.select(none, zero, e.select(far, over(16319, largest), over(127, other))));

  Value sums[2], codes[2], highs[2];
  for (int h = 0; h < 2; ++h) {
    Value all = toInt(round(e.mul(from[h], factor)));
    Value mine = constant(e.lanes, [&](int32_t i) { return 4 * h + i / 4; });
    Value isTop =
        arith::OrIOp::create(e.b, e.loc, same(mine, e.spread(numbersOf[0])), same(mine, e.spread(numbersOf[1])));
    Value high = arith::ShRSIOp::create(e.b, e.loc, e.add(all, e.splat(ints, 64)), e.splat(ints, 7));
    high = e.select(isTop, high, e.splat(ints, 0));
    sums[h] = e.sumLanes(all);
    codes[h] = bytes(e.sub(all, e.shiftLeft(high, 7)));
    highs[h] = bytes(high);
  }
  put(scale, at.scale());
  put(e.mul(scale, e.toF32(e.add(sums[0], sums[1]))), at.scaledSum());
  put(e.mul(scale, e.toF32(sums[1])), at.scaledUpper());
  putPlane(0, codes, sums);
  Value found = e.scratch(32); // the high codes of all quads, to find two by their numbers
  e.store(highs[0], found);
  e.store(highs[1], e.at(found, 16));
  for (int i = 0; i < 2; ++i) {
    put(e.load(e.i32, e.at(found, e.cast(numbersOf[i], e.index), 4)), at.high(i));
    put(e.shiftLeft(numbersOf[i], 6), at.place(i));
  }
}

} // namespace

/// Columns 32 b ... 32 b + 31 of row `r`, of those that the groups [n, m] of `op` read, as two vectors: a value at a
/// time, since a group may begin anywhere in a vector. Behind the last they are zeros.
static void gatherColumns(PackActivationOp op, Emitter &e, Value place, Value r, Value b, Value &low, Value &high) {
  Value x = op.getX(), row = e.pointer(x, {r, e.number(0)});
  const int64_t size = (*op.getGroups())[0], room = (*op.getGroups())[1];
  const int64_t read = cast<MemRefType>(x.getType()).getDimSize(1) * e.lanes / room * size;
  Value first = e.mul(b, e.number(32)), left = arith::SubIOp::create(e.b, e.loc, e.number(read), first);
  e.store(e.splat(e.vec(e.f32), 0.0), place);
  e.store(e.splat(e.vec(e.f32), 0.0), e.at(place, 64));
  Value count = arith::MinSIOp::create(e.b, e.loc, left, e.number(32));
  e.loop(count, [&](Value i) {
    Value column = e.add(first, i);
    Value group = arith::DivUIOp::create(e.b, e.loc, column, e.number(size));
    Value skipped = e.mul(group, e.number(room - size));
    e.store(e.load(e.f32, e.at(row, e.add(column, skipped), 4)), e.at(place, i, 4));
  });
  low = e.load(e.vec(e.f32), place), high = e.load(e.vec(e.f32), e.at(place, 64));
}

void selectPack(PackActivationOp op, Emitter &e) {
  Value x = op.getX(), out = op.getA();
  auto type = cast<ActivationType>(cast<MemRefType>(out.getType()).getElementType());
  const int64_t tokens = type.getTokens();
  VectorType lanes = e.vec(e.f32);
  Value gathered = op.getGroups() ? e.scratch(2 * 64) : Value();
  // Row r, columns 32 b ... 32 b + 31, into token r mod tokens of tile r div tokens.
  e.loop(e.dim(x, 0), [&](Value r) {
    const bool byRank = cast<MemRefType>(out.getType()).getRank() == 3;
    Value each = byRank ? e.dim(out, 1) : e.number(tokens);
    Value tile = arith::DivUIOp::create(e.b, e.loc, r, each);
    Value within = arith::RemUIOp::create(e.b, e.loc, r, each), token = byRank ? e.number(0) : within;
    e.loop(e.dim(out, byRank ? 2 : 1), [&](Value b) {
      Value column = e.mul(b, e.number(2)), low, high;
      if (op.getGroups()) {
        gatherColumns(op, e, gathered, r, b, low, high);
      } else {
        low = e.load(lanes, e.pointer(x, {r, column}));
        high = e.load(lanes, e.pointer(x, {r, e.addI(column, 1)}));
      }
      const SmallVector<Value, 3> place =
          byRank ? SmallVector<Value, 3>{tile, within, b} : SmallVector<Value, 3>{tile, b};
      Pack pack(e, type, e.pointer(out, place), token, low, high);
      if (type.getBFloats() && e.target.instructions.bfloats)
        pack.bfloats(type.getBFloats());
      else if (type.isFloat())
        pack.values();
      else if (type.getElement() == "q8o2")
        pack.outliers();
      else
        pack.codes(type.getElement() == "q8x2");
    });
  });
  op.erase();
}

} // namespace stepdown
