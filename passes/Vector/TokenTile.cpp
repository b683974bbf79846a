#include "passes/Vector/TokenTile.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "llvm/Support/MathExtras.h"
#include <cassert>

using namespace mlir;

namespace stepdown {
using transformer::ActivationType;
using Values = Emitter::Values;

namespace {
constexpr int64_t kVector = 64;              ///< bytes of 16 lanes
constexpr int64_t kPlane = kQuads * kVector; ///< of a plane of weights
constexpr int64_t kScale = 2 * kPlane, kBias = kScale + kVector, kFactor = kBias + 2 * kVector;
constexpr int64_t kHighFactor = kFactor + 2 * kVector, kExcess = kHighFactor + 2 * kVector,
                  kKept = kExcess + 2 * kVector;
} // namespace

TokenTile::TokenTile(Emitter &emitter, ActivationType type)
    : e(emitter), fields(type.getElement()), lanes(e.registerLanes()), parts(e.lanes / lanes),
      tileTokens(type.getTokens()), residual(fields.planes > 1), outliers(fields.outliers > 0), kept(e.scratch(kKept)) {
}

bool TokenTile::takes(ActivationType type, const BlockFormat &format) {
  const unsigned tokens = type.getTokens();
  return !format.floatScales && llvm::isPowerOf2_32(tokens) && tokens >= 4 && tokens <= 16;
}

void TokenTile::open(WeightReader &weight, Value sub) {
  w = weight.codes(sub);
  constexpr int64_t kLargest = 127, kPairs = 32767; // of an activation's code, of a pair's sum
  run = kPairs / (w.maxCode * 2 * kLargest);
  assert(run >= 1 || w.groups == 1);
  isSigned = w.isLess && !residual && !outliers;
  if (run < 2 && w.groups == 1 && !isSigned && !wide) // two quads, at least: those of two outliers
    wide = e.scratch(2 * kPlane);
  tokens = residual && !wide ? 2 : 4; // eight registers of sums: two of rows, planes of codes, tokens
  for (auto [q, codes] : llvm::enumerate(w.quads)) {
    if (isSigned) {
      Value magnitudes = math::AbsIOp::create(e.b, e.loc, e.bitcast(codes, e.vec(e.i8, kVector)));
      e.store(magnitudes, e.at(kept, kPlane + kVector * q));
    }
    if (!wide) {
      e.store(codes, e.at(kept, kVector * q));
      continue;
    }
    assert(w.isLess && "expects codes of 8 bits to have a sign");
    Value pairs = e.bitcast(codes, e.vec(e.i16, 2 * e.lanes)), eight = e.splat(pairs.getType(), 8);
    Value even = arith::ShRSIOp::create(e.b, e.loc, e.shiftLeft(pairs, 8), eight);
    e.store(even, e.at(kept, kVector * q));
    e.store(arith::ShRSIOp::create(e.b, e.loc, pairs, eight), e.at(kept, kPlane + kVector * q));
  }
  e.store(w.scale, e.at(kept, kScale));
  for (int g = 0; g < w.groups; ++g) {
    if (w.bias[g]) // of the whole, then of what the second group has more
      e.store(g ? e.sub(w.bias[1], w.bias[0]) : w.bias[0], e.at(kept, kBias + kVector * g));
    if (w.factor[g])
      e.store(QuadSum::factorOf(e, w.factor[g]), e.at(kept, kFactor + kVector * g));
    if (w.factor[g] && outliers)
      e.store(QuadSum::factorOf(e, e.shiftLeft(w.factor[g], 7)), e.at(kept, kHighFactor + kVector * g));
    if (w.factor[g] && w.excess) { // of the whole, then of what the second group has more
      Value factor = g ? e.sub(w.factor[1], w.factor[0]) : w.factor[0];
      e.store(e.shiftLeft(factor, llvm::Log2_32(w.excess)), e.at(kept, kExcess + kVector * g));
    }
  }
}

Value TokenTile::field(Type type, Value a, int64_t offset, int64_t t) {
  return e.spread(e.load(type, e.at(a, offset * tileTokens + 4 * t)), lanes);
}

Value TokenTile::keptVector(Type type, int64_t offset, int64_t part) {
  return e.load(e.vec(type, lanes), e.at(kept, offset + 4 * lanes * part));
}

/// The order of a tile's products is the order they are written in: else all of them are computed before the first sum,
/// and most are spilled.
Value TokenTile::pinned(Value v) {
  return LLVM::InlineAsmOp::create(e.b, e.loc, TypeRange{v.getType()}, ValueRange{v}, e.b.getStringAttr(""),
                                   e.b.getStringAttr("=x,0"), /*has_side_effects=*/e.b.getUnitAttr(), nullptr,
                                   LLVM::TailCallKindAttr::get(e.b.getContext(), LLVM::TailCallKind::None), nullptr,
                                   nullptr)
      .getResult(0);
}

Values TokenTile::weights(Value quad) {
  Values result;
  for (int64_t part = 0; part < parts; ++part)
    result.push_back(e.load(e.vec(e.i8, 4 * lanes), e.at(quad, 4 * lanes * part)));
  return result;
}

/// The sums of neighbouring pairs times `factor`: of lanes, or of 16 bits.
static Value pairSums(Emitter &e, Value pairs, Value factor) {
  Type lanes = e.vec(e.i32, cast<VectorType>(pairs.getType()).getNumElements() / 2);
  return e.intrinsic(e.target.instructions.pairs, lanes, {pairs, e.bitcast(factor, pairs.getType())});
}
static Value pairSums(Emitter &e, Value pairs, int64_t factor) {
  return pairSums(e, pairs, e.splat(pairs.getType(), factor));
}

/// What 16-bit products take: of each quad columns 0 and 2, and in a second plane 1 and 3, of values with all their
/// bits.
void TokenTile::widen(Value a) {
  if (!wide)
    return;
  const int64_t count = std::min(lanes, tileTokens), bytes = 4 * count; // of tokens at a time
  VectorType words = e.vec(e.i16, 2 * count), dwords = e.vec(e.i32, count);
  auto shifted = [&](Value x, int64_t left, int64_t right) { // sign-extends what a shift to the left brought up
    x = left ? e.shiftLeft(x, left) : x;
    return right ? Value(arith::ShRSIOp::create(e.b, e.loc, x, e.splat(x.getType(), right))) : x;
  };
  auto upper = [&](Value x) { return arith::AndIOp::create(e.b, e.loc, x, e.splat(words, -256)); };
  for (int64_t part = 0; part < tileTokens / count; ++part) {
    auto load = [&](Type type, int64_t offset) { return e.load(type, e.at(a, offset * tileTokens + bytes * part)); };
    Value high[2][2], place[2]; // [outlier][plane]: 128 times the codes
    for (int i = 0; i < 2 && outliers; ++i) {
      Value codes = load(words, fields.high(i));
      place[i] = load(dwords, fields.place(i));
      high[i][0] = shifted(codes, 8, 1), high[i][1] = shifted(upper(codes), 0, 1);
    }
    for (int64_t q = 0; q < kQuads; ++q) {
      Value codes = load(words, fields.codes(0, q)), plane[2];
      if (residual) {
        Value rest = load(words, fields.codes(1, q));
        plane[0] = e.add(e.shiftLeft(codes, 8), shifted(rest, 8, 8)),
        plane[1] = e.add(upper(codes), shifted(rest, 0, 8));
      } else {
        plane[0] = shifted(codes, 8, 8), plane[1] = shifted(codes, 0, 8);
      }
      for (int i = 0; i < 2 && outliers; ++i) {
        Value here = arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::eq, place[i], e.splat(dwords, 64 * q));
        Value mask = e.bitcast(arith::ExtSIOp::create(e.b, e.loc, dwords, here), words);
        for (int p = 0; p < 2; ++p)
          plane[p] = e.add(plane[p], arith::AndIOp::create(e.b, e.loc, high[i][p], mask));
      }
      for (int p = 0; p < 2; ++p)
        e.store(plane[p], e.at(wide, kPlane * p + kVector * q + bytes * part));
    }
  }
}

/// Products of 16 bits [token][part].
Values TokenTile::wideDots(Value activations) {
  Values sums(tokens * parts);
  for (int64_t step = 0; step < 2 * kQuads; ++step) {
    Values codes = weights(e.at(kept, kVector * step));
    for (int64_t t = 0, i = 0; t < tokens; ++t) {
      Value spread = e.spread(e.load(e.i32, e.at(activations, kVector * step + 4 * t)), lanes);
      for (Value rows : codes) {
        Value product = pairSums(e, e.bitcast(rows, e.vec(e.i16, 2 * lanes)), spread);
        sums[i] = pinned(sums[i] ? e.add(sums[i], product) : product);
        ++i;
      }
    }
  }
  return sums;
}

static Value pairProducts(Emitter &e, Value codes, Value activations) {
  auto bytes = cast<VectorType>(codes.getType());
  return e.intrinsic(e.target.instructions.dot, e.vec(e.i16, bytes.getNumElements() / 2),
                     {codes, e.bitcast(activations, bytes)});
}

/// Products with activations that get the sign of the weight they are multiplied with [token][part].
Values TokenTile::signedDots(Value a) {
  Values sums(tokens * parts);
  for (int64_t q = 0; q < kQuads; ++q) {
    Values codes = weights(e.at(kept, kVector * q)), magnitudes = weights(e.at(kept, kPlane + kVector * q));
    for (int64_t t = 0, i = 0; t < tokens; ++t) {
      Value spread = field(e.i32, a, fields.codes(0, q), t);
      for (int64_t row = 0; row < parts; ++row, ++i) {
        Value product = pairSums(e, pairProducts(e, magnitudes[row], e.sign(spread, codes[row])), 1);
        sums[i] = pinned(sums[i] ? e.add(sums[i], product) : product);
      }
    }
  }
  return sums;
}

/// Adds the products with quads [begin, end), whose pairs' sums fit 16 bits, to `sums`.
void TokenTile::addRun(int64_t begin, int64_t end, Value a, Values &sums) {
  const int64_t activations = 1 + residual;
  auto flush = [&](Value pairs, int64_t t, int64_t plane, int64_t row) {
    Value more;
    if (w.groups == 2)
      more = pairSums(e, pairs, keptVector(e.i32, kFactor + kVector * (begin / (kQuads / 2)), row));
    else
      more = pairSums(e, pairs, residual && plane == 0 ? 256 : 1);
    Value &sum = sums[((w.groups == 2 ? plane : 0) * tokens + t) * parts + row];
    sum = pinned(sum ? e.add(sum, more) : more);
  };
  if (end - begin <= 2) { // all of a token's at once: no pairs are kept beside the sums
    SmallVector<Values> codes;
    for (int64_t q = begin; q < end; ++q)
      codes.push_back(weights(e.at(kept, kVector * q)));
    for (int64_t t = 0; t < tokens; ++t)
      for (int64_t plane = 0; plane < activations; ++plane) {
        Values spread;
        for (int64_t q = begin; q < end; ++q)
          spread.push_back(field(e.i32, a, fields.codes(plane, q), t));
        for (int64_t row = 0; row < parts; ++row) {
          Value pairs;
          for (auto [rows, activation] : llvm::zip(codes, spread)) {
            Value product = pairProducts(e, rows[row], activation);
            pairs = pairs ? e.add(pairs, product) : product;
          }
          flush(pairs, t, plane, row);
        }
      }
    return;
  }
  Values pairs(parts * activations * tokens);
  for (int64_t q = begin; q < end; ++q) {
    Values codes = weights(e.at(kept, kVector * q));
    for (int64_t t = 0, i = 0; t < tokens; ++t)
      for (int64_t plane = 0; plane < activations; ++plane) {
        Value spread = field(e.i32, a, fields.codes(plane, q), t);
        for (Value rows : codes) {
          Value product = pairProducts(e, rows, spread);
          pairs[i] = pinned(pairs[i] ? e.add(pairs[i], product) : product);
          ++i;
        }
      }
  }
  for (int64_t t = 0, i = 0; t < tokens; ++t)
    for (int64_t plane = 0; plane < activations; ++plane)
      for (int64_t row = 0; row < parts; ++row)
        flush(pairs[i++], t, plane, row);
}

Values TokenTile::dots(Value a) {
  Values sums((w.groups == 2 && residual ? 2 : 1) * tokens * parts);
  const int64_t quads = kQuads / w.groups, runs = (quads + run - 1) / run, most = (quads + runs - 1) / runs;
  for (int64_t group = 0; group < kQuads; group += quads)
    for (int64_t first = group; first < group + quads; first += most)
      addRun(first, std::min(first + most, group + quads), a, sums);
  return sums;
}

/// Which quad an outlier is, times 64; of the tokens that the step does not have, some quad.
Value TokenTile::placeOf(Value a, int outlier, int64_t t) {
  Value place = e.load(e.i32, e.at(a, fields.place(outlier) * tileTokens + 4 * t));
  return e.cast(arith::AndIOp::create(e.b, e.loc, place, e.splat(e.i32, 7 * 64)), e.index);
}

Values TokenTile::highDots(Value a, int64_t t) {
  Values result(parts);
  for (int outlier = 0; outlier < 2; ++outlier) {
    Value spread = field(e.i32, a, fields.high(outlier), t), place = placeOf(a, outlier, t), factors;
    if (w.groups == 2) {
      Value upper = arith::AndIOp::create(e.b, e.loc, place, e.number(4 * 64));
      factors = e.at(e.at(kept, kHighFactor), arith::DivUIOp::create(e.b, e.loc, upper, e.number(4)));
    }
    for (auto [part, codes] : llvm::enumerate(weights(e.at(kept, place)))) {
      Value more = pairProducts(e, codes, spread);
      if (w.groups == 2)
        more = pairSums(e, more, e.load(e.vec(e.i32, lanes), e.at(factors, 4 * lanes * part)));
      result[part] = result[part] ? e.add(result[part], more) : more;
    }
  }
  for (Value &pairs : result)
    if (w.groups == 1)
      pairs = pairSums(e, pairs, 128);
  return result;
}

void TokenTile::add(Value tile, Value first, Value sums) {
  Value stored = kept, a = e.at(tile, first, 4);
  kept = e.hide(kept); // else its loads become the registers they were stored from, and those are spilled
  Values products = isSigned ? signedDots(a) : wide ? wideDots(e.at(e.hide(wide), first, 4)) : dots(a);
  for (int64_t t = 0; t < tokens; ++t) {
    Values high;
    if (outliers && !wide)
      high = highDots(a, t);
    Value scale = field(e.f32, a, fields.scale(), t), excess[2][2];
    for (int64_t plane = 0; plane < fields.planes && w.excess; ++plane) {
      excess[plane][0] = field(e.i32, a, fields.sum(plane), t);
      if (w.groups == 2)
        excess[plane][1] = field(e.i32, a, fields.upper(plane), t);
    }
    if (w.excess && w.groups == 1) {
      Value &all = excess[0][0];
      all = residual ? e.add(e.shiftLeft(all, 8), excess[1][0]) : all;
      all = e.shiftLeft(all, llvm::Log2_32(w.excess));
    }
    // `total` of products with a plane, and of one group of all, less what codes are too large by
    auto stripped = [&](Value total, int64_t plane, int64_t part) {
      if (!w.excess)
        return total;
      if (w.groups == 1)
        return e.sub(total, excess[0][0]);
      for (int g = 0; g < 2; ++g)
        total = e.sub(total, e.mul(keptVector(e.i32, kExcess + kVector * g, part), excess[plane][g]));
      return total;
    };
    for (int64_t part = 0; part < parts; ++part) {
      const int64_t i = t * parts + part;
      Value place = e.at(sums, kVector * t + 4 * lanes * part);
      Value sum = e.load(e.vec(e.f32, lanes), place);
      for (int g = 0; g < w.groups && w.bias[0]; ++g)
        sum = e.fma(keptVector(e.f32, kBias + kVector * g, part),
                    field(e.f32, a, g ? fields.scaledUpper() : fields.scaledSum(), t), sum);
      Value total = e.toF32(stripped(high.empty() ? products[i] : e.add(products[i], high[part]), 0, part));
      if (w.groups == 2 && residual)
        total = e.fma(total, e.splat(total.getType(), 256), e.toF32(stripped(products[tokens * parts + i], 1, part)));
      e.store(e.fma(total, e.mul(keptVector(e.f32, kScale, part), scale), sum), place);
    }
  }
  kept = stored;
}

} // namespace stepdown
