#include "passes/Vector/TokenTile.h"
#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;

namespace stepdown {
using transformer::ActivationType;
using Values = Emitter::Values;

namespace {
constexpr int64_t kVector = 64;              ///< bytes of 16 lanes
constexpr int64_t kPlane = kQuads * kVector; ///< of a plane of weights
constexpr int64_t kScale = 2 * kPlane, kBias = kScale + kVector, kFactor = kBias + 2 * kVector;
constexpr int64_t kHighFactor = kFactor + 2 * kVector, kKept = kHighFactor + 2 * kVector;
constexpr int64_t kNibble = 15;
} // namespace

TokenTile::TokenTile(Emitter &emitter, ActivationType type)
    : e(emitter), lanes(e.registerLanes()), parts(e.lanes / lanes), tileTokens(type.getTokens()),
      residual(type.getElement() == "q8x2"), outliers(type.getElement() == "q8o2"), kept(e.scratch(kKept)) {}

void TokenTile::open(WeightReader &weight, Value sub) {
  w = weight.codes(sub);
  constexpr int64_t kLargest = 127, kPairs = 32767;       // of an activation's code, of a pair's sum
  planes = 2 * w.maxCode * 2 * kLargest > kPairs ? 2 : 1; // two quads fit: those of two outliers
  run = kPairs / ((planes == 2 ? kNibble : w.maxCode) * 2 * kLargest);
  // Eight accumulators in any case: rows, planes of weights, planes of activations, tokens.
  tokens = 4 / (planes * (1 + residual));
  Type type = e.vec(e.i32);
  for (auto [q, codes] : llvm::enumerate(w.quads)) {
    if (planes == 1) {
      e.store(codes, e.at(kept, kVector * q));
      continue;
    }
    Value mask = e.splat(type, 0x0f0f0f0f);
    Value high = arith::ShRUIOp::create(e.b, e.loc, codes, e.splat(type, 4));
    e.store(arith::AndIOp::create(e.b, e.loc, codes, mask), e.at(kept, kVector * q));
    e.store(arith::AndIOp::create(e.b, e.loc, high, mask), e.at(kept, kPlane + kVector * q));
  }
  e.store(w.scale, e.at(kept, kScale));
  for (int g = 0; g < w.groups; ++g) {
    if (w.bias[g]) // of the whole, then of what the second group has more
      e.store(g ? e.sub(w.bias[1], w.bias[0]) : w.bias[0], e.at(kept, kBias + kVector * g));
    if (w.factor[g])
      e.store(QuadSum::factorOf(e, w.factor[g]), e.at(kept, kFactor + kVector * g));
    if (w.factor[g] && outliers)
      e.store(QuadSum::factorOf(e, e.shiftLeft(w.factor[g], 7)), e.at(kept, kHighFactor + kVector * g));
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
  for (int64_t plane = 0; plane < planes; ++plane)
    for (int64_t part = 0; part < parts; ++part)
      result.push_back(e.load(e.vec(e.i8, 4 * lanes), e.at(quad, kPlane * plane + 4 * lanes * part)));
  return result;
}

static Value pairProducts(Emitter &e, Value codes, Value activations) {
  auto bytes = cast<VectorType>(codes.getType());
  return e.intrinsic("llvm.x86.avx2.pmadd.ub.sw", e.vec(e.i16, bytes.getNumElements() / 2),
                     {codes, e.bitcast(activations, bytes)});
}

/// The sums of neighbouring pairs times `factor`: of lanes, or of 16 bits.
static Value pairSums(Emitter &e, Value pairs, Value factor) {
  Type lanes = e.vec(e.i32, cast<VectorType>(pairs.getType()).getNumElements() / 2);
  return e.intrinsic("llvm.x86.avx2.pmadd.wd", lanes, {pairs, e.bitcast(factor, pairs.getType())});
}
static Value pairSums(Emitter &e, Value pairs, int64_t factor) {
  return pairSums(e, pairs, e.splat(pairs.getType(), factor));
}

/// Adds the products with quads [begin, end), whose pairs' sums fit 16 bits, to `sums`.
void TokenTile::addRun(int64_t begin, int64_t end, Value a, Values &sums) {
  const int64_t activations = 1 + residual;
  auto flush = [&](Value pairs, int64_t t, int64_t plane, int64_t row) {
    Value more;
    if (w.groups == 2)
      more = pairSums(e, pairs, keptVector(e.i32, kFactor + kVector * (begin / (kQuads / 2)), row));
    else
      more = pairSums(e, pairs, (residual && plane == 0 ? 256 : 1) * (row < parts ? 1 : kNibble + 1));
    Value &sum = sums[((w.groups == 2 ? plane : 0) * tokens + t) * parts + row % parts];
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
          spread.push_back(field(e.i32, a, 12 + 32 * plane + 4 * q, t));
        for (int64_t row = 0; row < planes * parts; ++row) {
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
  Values pairs(planes * parts * activations * tokens);
  for (int64_t q = begin; q < end; ++q) {
    Values codes = weights(e.at(kept, kVector * q));
    for (int64_t t = 0, i = 0; t < tokens; ++t)
      for (int64_t plane = 0; plane < activations; ++plane) {
        Value spread = field(e.i32, a, 12 + 32 * plane + 4 * q, t);
        for (Value rows : codes) {
          Value product = pairProducts(e, rows, spread);
          pairs[i] = pinned(pairs[i] ? e.add(pairs[i], product) : product);
          ++i;
        }
      }
  }
  for (int64_t t = 0, i = 0; t < tokens; ++t)
    for (int64_t plane = 0; plane < activations; ++plane)
      for (int64_t row = 0; row < planes * parts; ++row)
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
  Value place = e.load(e.i32, e.at(a, (52 + 4 * outlier) * tileTokens + 4 * t));
  return e.cast(arith::AndIOp::create(e.b, e.loc, place, e.splat(e.i32, 7 * 64)), e.index);
}

Values TokenTile::highDots(Value a, int64_t t) {
  Values pairs(planes * parts), result(parts);
  auto flush = [&](Value pairs, Value factor, int64_t row) {
    Value &total = result[row % parts], more = pairSums(e, pairs, factor);
    total = total ? e.add(total, more) : more;
  };
  for (int outlier = 0; outlier < 2; ++outlier) {
    Value spread = field(e.i32, a, 44 + 4 * outlier, t), place = placeOf(a, outlier, t), factors;
    if (w.groups == 2) {
      Value upper = arith::AndIOp::create(e.b, e.loc, place, e.number(4 * 64));
      factors = e.at(e.at(kept, kHighFactor), arith::DivUIOp::create(e.b, e.loc, upper, e.number(4)));
    }
    for (auto [i, codes] : llvm::enumerate(weights(e.at(kept, place)))) {
      Value product = pairProducts(e, codes, spread);
      if (w.groups == 2)
        flush(product, e.load(e.vec(e.i32, lanes), e.at(factors, 4 * lanes * i)), i);
      else
        pairs[i] = pairs[i] ? e.add(pairs[i], product) : product;
    }
  }
  for (int64_t row = 0; row < planes * parts && w.groups == 1; ++row)
    flush(pairs[row], e.splat(pairs[row].getType(), 128 * (row < parts ? 1 : kNibble + 1)), row);
  return result;
}

void TokenTile::add(Value a, Value sums) {
  Value stored = kept;
  kept = e.hide(kept); // else its loads become the registers they were stored from, and those are spilled
  Values products = dots(a);
  for (int64_t t = 0; t < tokens; ++t) {
    Values high;
    if (outliers)
      high = highDots(a, t);
    Value scale = field(e.f32, a, 0, t);
    for (int64_t part = 0; part < parts; ++part) {
      const int64_t i = t * parts + part;
      Value place = e.at(sums, kVector * t + 4 * lanes * part);
      Value sum = e.load(e.vec(e.f32, lanes), place);
      for (int g = 0; g < w.groups && w.bias[0]; ++g)
        sum = e.fma(keptVector(e.f32, kBias + kVector * g, part), field(e.f32, a, 4 + 4 * g, t), sum);
      Value total = e.toF32(outliers ? e.add(products[i], high[part]) : products[i]);
      if (w.groups == 2 && residual)
        total = e.fma(total, e.splat(total.getType(), 256), e.toF32(products[tokens * parts + i]));
      e.store(e.fma(total, e.mul(keptVector(e.f32, kScale, part), scale), sum), place);
    }
  }
  kept = stored;
}

} // namespace stepdown
