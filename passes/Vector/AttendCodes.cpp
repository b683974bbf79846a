// Scores and sums of a cache of 8-bit codes, in integers.
//
// Multiply-adds of floats are what attention at AVX2 is bound by, two registers of eight a cycle, each waiting for the
// one before; so codes meet codes. A query is 16-bit codes and one factor, its largest magnitude over 32767. A sum over
// a block of 32 channels is below 32 * 127 * 32767 < 2^27, exact in whatever order, and becomes a float that the scale
// of the key's block multiplies. The weights of 16 positions times the scales of their values' blocks are 16-bit codes
// too, with a factor for each row, block and 16 positions: of what the row sees there and of nothing else, so that a
// result depends on neither tiles, chunks nor cache blocks. What this rounds is 2^-16 of the largest, beside 2^-8 in
// the cache.
//
// x86 has products of 16 bits that sum neighbours in 32: two channels, or two positions, lie side by side in a lane.
// Registers are interleaved by halves of 16 bytes where they have 32, and sums put in order once at their end.
#include "passes/Vector/AttendCodes.h"
#include "dialects/Transformer/IR/CachedRows.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include <tuple>

using namespace mlir;
using stepdown::transformer::kCachedBlock;

namespace stepdown {
namespace {

constexpr int64_t kMost = 32767;
constexpr double kLeast = 1e-30; ///< of a largest magnitude, so that kMost over it is finite

/// Two rows of 16 codes: side by side where the target has products of words, else one after the other; of 16 bits.
struct CodePair {
  Value first, second;
};

/// The lane that lane i of a sum is of: halves of 16 bytes of 32 are interleaved each on its own.
SmallVector<int64_t> sumOrder(Emitter &e) {
  SmallVector<int64_t> order;
  const bool inHalves = e.target.instructions.words && e.registerLanes() == 8;
  for (int64_t i = 0; i < e.lanes; ++i)
    order.push_back(inHalves ? (i & 3) | (i & 4) << 1 | (i & 8) >> 1 : i);
  return order;
}

Value widened(Emitter &e, Value codes) {
  return arith::ExtSIOp::create(e.b, e.loc, e.vec(e.i16, cast<VectorType>(codes.getType()).getNumElements()), codes);
}

/// The same register, which the optimiser knows nothing of.
Value hidden(Emitter &e, Value words) {
  return LLVM::InlineAsmOp::create(e.b, e.loc, TypeRange{words.getType()}, ValueRange{words}, e.b.getStringAttr(""),
                                   e.b.getStringAttr("=x,0"), UnitAttr(), nullptr,
                                   LLVM::TailCallKindAttr::get(e.b.getContext(), LLVM::TailCallKind::None), nullptr,
                                   nullptr)
      .getResult(0);
}

CodePair openPair(Emitter &e, Value a, Value c) {
  if (!e.target.instructions.words)
    return {widened(e, a), widened(e, c)};
  SmallVector<int64_t> mask;
  for (int64_t lane : sumOrder(e))
    mask.append({lane, e.lanes + lane});
  if (e.registerLanes() == 8) // words are interleaved in halves; LLVM would do it to bytes, across them
    return {vector::ShuffleOp::create(e.b, e.loc, hidden(e, widened(e, a)), hidden(e, widened(e, c)), mask), Value()};
  return {widened(e, vector::ShuffleOp::create(e.b, e.loc, a, c, mask)), Value()};
}

/// sum + pair.first * factors[0] + pair.second * factors[1], lanes in the order of sumOrder(). `factors` points at 16
/// bits each.
Value addPair(Emitter &e, Value sum, const CodePair &pair, Value factors) {
  if (const char *words = e.target.instructions.words) {
    const int64_t lanes = e.registerLanes();
    Value both = e.bitcast(e.spread(e.load(e.i32, factors), lanes), e.vec(e.i16, 2 * lanes));
    Emitter::Values products;
    for (int64_t i = 0; i < e.lanes / lanes; ++i)
      products.push_back(e.intrinsic(words, e.vec(e.i32, lanes), {e.part(pair.first, 2 * lanes, i), both}));
    return e.add(sum, e.join(products));
  }
  auto wide = [&](Value v) -> Value { return arith::ExtSIOp::create(e.b, e.loc, e.vec(e.i32), v); };
  sum = e.add(sum, e.mul(wide(pair.first), wide(e.loadSpread(e.i16, factors))));
  return e.add(sum, e.mul(wide(pair.second), wide(e.loadSpread(e.i16, e.at(factors, 2)))));
}

/// The sums as floats, in order.
Value finishSum(Emitter &e, Value sum) {
  const SmallVector<int64_t> order = sumOrder(e);
  SmallVector<int64_t> mask(order.size());
  for (auto [from, to] : llvm::enumerate(order))
    mask[to] = from;
  return e.toF32(vector::ShuffleOp::create(e.b, e.loc, sum, sum, mask));
}

Value magnitude(Emitter &e, Value floats) {
  const VectorType ints = e.vec(e.i32);
  return arith::AndIOp::create(e.b, e.loc, e.bitcast(floats, ints), e.splat(ints, 0x7fffffff));
}

/// What a code of 1 stands for where that of the largest of `magnitudes` is kMost, and by what numbers are multiplied
/// for their codes. They are compared as integers: a NaN is the largest.
std::pair<Value, Value> unitAndFactor(Emitter &e, Value magnitudes) {
  Value top = e.bitcast(e.maxLanes(magnitudes), e.f32), least = e.splat(e.f32, kLeast);
  Value factor = arith::DivFOp::create(e.b, e.loc, e.splat(e.f32, kMost), e.max(top, least));
  return {e.mul(top, e.splat(e.f32, 1.0 / kMost)), e.spread(factor)};
}

/// Of 16 bits; what is not a number has one too, and a unit that is none.
Value codesOf(Emitter &e, Value numbers, Value factor) {
  Value code = math::RoundEvenOp::create(e.b, e.loc, e.mul(numbers, factor)), most = e.splat(code.getType(), kMost);
  code = e.select(e.less(code, most), code, most);
  code = arith::FPToSIOp::create(e.b, e.loc, e.vec(e.i32), code);
  return arith::TruncIOp::create(e.b, e.loc, e.vec(e.i16), code);
}

} // namespace

AttendCodes::AttendCodes(Emitter &emitter, int64_t rows, int64_t keyDim, int64_t valueDim, int64_t rowsAtOnce)
    : e(emitter), rows(rows), keyDim(keyDim), valueDim(valueDim),
      valueSize(valueDim + (valueDim + kCachedBlock - 1) / kCachedBlock * 2), atOnce(rowsAtOnce), floats(e.vec(e.f32)),
      ints(e.vec(e.i32)) {
  const int64_t blocks = (valueSize - valueDim) / 2;
  query = e.scratch(2 * keyDim * rows), queryUnits = e.scratch(4 * rows);
  codes = e.scratch(32 * blocks * rows), weightUnits = e.scratch(4 * blocks * rows);
}

void AttendCodes::open(Value from, int64_t row, Value scale) {
  Value none = e.splat(ints, 0),
        top = e.loop(e.number(0), e.number(keyDim / e.lanes), 1, none, [&](Value c, ValueRange most) {
          Value next = magnitude(e, e.load(floats, e.at(from, c, 64)));
          return Emitter::Values{arith::MaxSIOp::create(e.b, e.loc, most[0], next)};
        })[0];
  Value unit, factor;
  std::tie(unit, factor) = unitAndFactor(e, top);
  e.store(e.mul(unit, scale), e.at(queryUnits, 4 * row));
  Value place = e.scratch(2 * e.lanes);
  e.loop(e.number(keyDim / e.lanes), [&](Value c) {
    e.store(codesOf(e, e.load(floats, e.at(from, c, 64)), factor), place);
    Value to = e.at(e.at(query, 4 * row), c, 2 * e.lanes * rows);
    for (int64_t i = 0; i < e.lanes / 2; ++i)
      e.store(e.load(e.i32, e.at(place, 4 * i)), e.at(to, 4 * i * rows));
  });
}

Value AttendCodes::unit(Value row) { return e.loadSpread(e.f32, e.at(queryUnits, row, 4)); }

/// The sums over `channels` channels from `first` on, for `count` rows from r0 on.
Emitter::Values AttendCodes::dots(int64_t r0, int64_t count, Value first, int64_t channels, Value keys, Value later) {
  constexpr int64_t kUnroll = 8; // divides 16
  const VectorType bytes = e.vec(e.i8);
  Emitter::Values zero(count, e.splat(ints, 0));
  auto sums = e.loop(first, e.addI(first, channels), kUnroll, zero, [&](Value d, ValueRange carried) {
    Emitter::Values next(carried.begin(), carried.end());
    for (int64_t line = 0; r0 == 0 && line < kUnroll * e.lanes; line += 64)
      e.prefetch(e.at(e.at(later, line), d, e.lanes), false);
    for (int64_t u = 0; u < kUnroll; u += 2) {
      Value from = e.at(e.at(keys, u * e.lanes), d, e.lanes);
      CodePair pair = openPair(e, e.load(bytes, from), e.load(bytes, e.at(from, e.lanes)));
      Value row = e.at(e.at(query, 2 * u * rows + 4 * r0), d, 2 * rows);
      for (int64_t i = 0; i < count; ++i)
        next[i] = addPair(e, next[i], pair, e.at(row, 4 * i));
    }
    return next;
  });
  for (Value &sum : sums)
    sum = finishSum(e, sum);
  return sums;
}

void AttendCodes::scores(Value keys, Value later, Value weights) {
  const int64_t whole = keyDim / kCachedBlock, rest = keyDim % kCachedBlock;
  for (int64_t r0 = 0; r0 < rows; r0 += atOnce) {
    const int64_t count = std::min(atOnce, rows - r0);
    auto place = [&](int64_t i) { return e.at(weights, 64 * (r0 + i)); };
    for (int64_t i = 0; i < count; ++i)
      e.store(e.splat(floats, 0.0), place(i));
    auto addBlock = [&](Value block, int64_t channels) {
      auto sums = dots(r0, count, e.mul(block, e.number(kCachedBlock)), channels, keys, later);
      Value at = e.mul(block, e.number(2 * e.lanes));
      if (r0 == 0)
        e.prefetch(e.at(e.at(later, keyDim * e.lanes), at), false);
      auto bytes = [&](int64_t which) { // of the scales of 16 positions
        Value from = e.at(e.at(keys, (keyDim + which) * e.lanes), at);
        return arith::ExtUIOp::create(e.b, e.loc, e.vec(e.i16), e.load(e.vec(e.i8), from));
      };
      Value bits = arith::OrIOp::create(e.b, e.loc, bytes(0), e.shiftLeft(bytes(1), 8));
      Value scale = e.toF32(e.bitcast(bits, e.vec(e.f16)));
      for (int64_t i = 0; i < count; ++i)
        e.store(e.fma(sums[i], scale, e.load(floats, place(i))), place(i));
    };
    if (whole)
      e.loop(e.number(whole), [&](Value block) { addBlock(block, kCachedBlock); });
    if (rest)
      addBlock(e.number(whole), rest);
  }
}

/// The weights times the scales of 16 positions, as codes; a weight of 0 stays 0, whatever lies there.
void AttendCodes::codeWeights(Value values, Value weights) {
  e.loop(e.number((valueSize - valueDim) / 2), [&](Value block) {
    Value bits = e.splat(e.vec(e.i16), 0), from = e.at(e.at(values, valueDim), block, 2);
    for (int64_t j = 0; j < e.lanes; ++j)
      bits = vector::InsertOp::create(e.b, e.loc, e.load(e.i16, e.at(from, j * valueSize)), bits, j);
    Value scale = e.toF32(e.bitcast(bits, e.vec(e.f16))), zero = e.splat(floats, 0.0);
    Value to = e.at(codes, block, 32 * rows), units = e.at(weightUnits, block, 4 * rows);
    e.loop(e.number(rows), [&](Value r) {
      Value weight = e.load(floats, e.at(weights, r, 64));
      weight = e.select(e.less(zero, weight), e.mul(weight, scale), zero);
      auto [unit, factor] = unitAndFactor(e, magnitude(e, weight));
      e.store(unit, e.at(units, r, 4));
      e.store(codesOf(e, weight, factor), e.at(to, r, 32));
    });
  });
}

void AttendCodes::accumulate(Value values, Value later, Value weights, Value sums) {
  codeWeights(values, weights);
  const VectorType bytes = e.vec(e.i8);
  const int64_t ahead = e.lanes * valueSize / (valueDim / e.lanes); // bytes, for each column
  e.loop(e.number(valueDim / e.lanes), [&](Value c) {
    for (int64_t line = 0; line < ahead; line += 64)
      e.prefetch(e.at(e.at(later, line), c, ahead), false);
    Value column = e.at(values, c, e.lanes);
    Value block = arith::DivUIOp::create(e.b, e.loc, c, e.number(kCachedBlock / e.lanes));
    Value mine = e.hide(e.at(codes, block, 32 * rows)), units = e.at(weightUnits, block, 4 * rows);
    for (int64_t r0 = 0; r0 < rows; r0 += atOnce) {
      const int64_t count = std::min(atOnce, rows - r0);
      Emitter::Values sum(count, e.splat(ints, 0));
      for (int64_t j = 0; j < e.lanes; j += 2) {
        Value from = e.at(column, j * valueSize);
        CodePair pair = openPair(e, e.load(bytes, from), e.load(bytes, e.at(from, valueSize)));
        for (int64_t i = 0; i < count; ++i)
          sum[i] = addPair(e, sum[i], pair, e.at(mine, 32 * (r0 + i) + 2 * j));
      }
      for (int64_t i = 0; i < count; ++i) {
        Value place = e.at(e.at(sums, 4 * valueDim * (r0 + i)), c, 64);
        Value unit = e.loadSpread(e.f32, e.at(units, 4 * (r0 + i)));
        e.store(e.fma(finishSum(e, sum[i]), unit, e.load(floats, place)), place);
      }
    }
  });
}

} // namespace stepdown
