#include "passes/Vector/TokenTile.h"
#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;

namespace stepdown {
using transformer::ActivationType;
using Values = Emitter::Values;

namespace {
constexpr int64_t kVector = 64;              ///< bytes of 16 lanes
constexpr int64_t kPlane = kQuads * kVector; ///< of a plane of weights
constexpr int64_t kScale = 2 * kPlane, kBias = kScale + 2 * kVector, kHighScale = kBias + 2 * kVector;
constexpr int64_t kKept = kHighScale + 2 * kVector;
constexpr int64_t kNibble = 15;
} // namespace

TokenTile::TokenTile(Emitter &emitter, ActivationType type)
    : e(emitter), lanes(e.registerLanes()), parts(e.lanes / lanes), tileTokens(type.getTokens()),
      residual(type.getElement() == "q8x2"), outliers(type.getElement() == "q8o2"), kept(e.scratch(kKept)) {}

void TokenTile::open(WeightReader &weight, Value sub) {
  w = weight.codes(sub);
  constexpr int64_t kLargest = 127, kPairs = 32767; // of an activation's code, of a pair's sum
  planes = 2 * w.maxCode * 2 * kLargest > kPairs ? 2 : 1; // two quads fit: those of two outliers
  run = kPairs / ((planes == 2 ? kNibble : w.maxCode) * 2 * kLargest);
  // Eight accumulators in any case: rows, planes of weights, planes of activations, tokens.
  tokens = 4 / (planes * (1 + residual));
  if (w.groups == 2 && tokens > 2)
    tokens = 2; // the other registers hold the sum of the first group
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
  for (int g = 0; g < w.groups; ++g) {
    e.store(w.scale[g], e.at(kept, kScale + kVector * g));
    if (w.bias[g]) // of the whole, then of what the second group has more
      e.store(g ? e.sub(w.bias[1], w.bias[0]) : w.bias[0], e.at(kept, kBias + kVector * g));
    if (outliers && w.groups == 2)
      e.store(e.mul(w.scale[g], e.splat(e.vec(e.f32), 128.0)), e.at(kept, kHighScale + kVector * g));
  }
}

Value TokenTile::field(Type type, Value a, int64_t offset, int64_t t) {
  return e.spread(e.load(type, e.at(a, offset * tileTokens + 4 * t)), lanes);
}

Value TokenTile::keptVector(int64_t offset, int64_t part) {
  return e.load(e.vec(e.f32, lanes), e.at(kept, offset + 4 * lanes * part));
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

/// `factor` times the sums of neighbouring pairs.
Value TokenTile::pairSums(Value pairs, int64_t factor) {
  return e.intrinsic("llvm.x86.avx2.pmadd.wd", e.vec(e.i32, lanes), {pairs, e.splat(pairs.getType(), factor)});
}

/// Adds the products with quads [begin, end), whose pairs' sums fit 16 bits, to `sums`.
void TokenTile::addRun(int64_t begin, int64_t end, Value a, Values &sums) {
  const int64_t activations = 1 + residual;
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
  int64_t i = 0;
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t plane = 0; plane < activations; ++plane)
      for (int64_t nibble = 0; nibble < planes; ++nibble)
        for (int64_t part = 0; part < parts; ++part) {
          const int64_t factor = (residual && plane == 0 ? 256 : 1) * (nibble ? kNibble + 1 : 1);
          Value &sum = sums[t * parts + part], more = pairSums(pairs[i++], factor);
          sum = sum ? e.add(sum, more) : more;
        }
}

Values TokenTile::dots(int64_t begin, int64_t end, Value a) {
  Values sums(tokens * parts);
  const int64_t runs = (end - begin + run - 1) / run, most = (end - begin + runs - 1) / runs;
  for (int64_t first = begin; first < end; first += most)
    addRun(first, std::min(first + most, end), a, sums);
  return sums;
}

/// Which quad an outlier is, times 64; of the tokens that the step does not have, some quad.
Value TokenTile::placeOf(Value a, int outlier, int64_t t) {
  Value place = e.load(e.i32, e.at(a, (52 + 4 * outlier) * tileTokens + 4 * t));
  return e.cast(arith::AndIOp::create(e.b, e.loc, place, e.splat(e.i32, 7 * 64)), e.index);
}

Values TokenTile::highDots(ArrayRef<int> which, Value a, int64_t t) {
  Values pairs(planes * parts), result(parts);
  for (int outlier : which) {
    Value spread = field(e.i32, a, 44 + 4 * outlier, t);
    for (auto [i, codes] : llvm::enumerate(weights(e.at(kept, placeOf(a, outlier, t))))) {
      Value product = pairProducts(e, codes, spread);
      pairs[i] = pairs[i] ? e.add(pairs[i], product) : product;
    }
  }
  for (auto [i, sum] : llvm::enumerate(pairs)) {
    const int64_t factor = (w.groups == 1 ? 128 : 1) * (int64_t(i) / parts ? kNibble + 1 : 1);
    Value &total = result[i % parts], more = pairSums(sum, factor);
    total = total ? e.add(total, more) : more;
  }
  return result;
}

void TokenTile::add(Value a, Value sums) {
  Value stored = kept;
  kept = e.hide(kept); // else its loads become the registers they were stored from, and those are spilled
  Values first = dots(0, kQuads / w.groups, a), second;
  if (w.groups == 2) {
    for (auto [i, sum] : llvm::enumerate(first))
      sum = e.mul(e.toF32(sum), keptVector(kScale, i % parts));
    second = dots(kQuads / 2, kQuads, a);
  }
  for (int64_t t = 0; t < tokens; ++t) {
    // [outlier or both][part]
    SmallVector<Values> high;
    SmallVector<Value> group;
    if (outliers && w.groups == 1) {
      high.push_back(highDots({0, 1}, a, t));
    } else if (outliers) {
      for (int i = 0; i < 2; ++i) {
        high.push_back(highDots({i}, a, t));
        Value upper = arith::AndIOp::create(e.b, e.loc, placeOf(a, i, t), e.number(4 * 64));
        group.push_back(arith::DivUIOp::create(e.b, e.loc, upper, e.number(4)));
      }
    }
    Value scale = field(e.f32, a, 0, t);
    for (int64_t part = 0; part < parts; ++part) {
      const int64_t i = t * parts + part;
      Value place = e.at(sums, kVector * t + 4 * lanes * part);
      Value sum = e.load(e.vec(e.f32, lanes), place);
      for (int g = 0; g < w.groups && w.bias[0]; ++g)
        sum = e.fma(keptVector(kBias + kVector * g, part), field(e.f32, a, 4 + 4 * g, t), sum);
      if (w.groups == 1) {
        Value total = outliers ? e.add(first[i], high[0][part]) : first[i];
        sum = e.fma(e.toF32(total), e.mul(keptVector(kScale, part), scale), sum);
      } else {
        Value total = e.fma(e.toF32(second[i]), keptVector(kScale + kVector, part), first[i]);
        for (auto [products, offset] : llvm::zip(high, group)) {
          Value highScale = e.load(e.vec(e.f32, lanes), e.at(e.at(kept, kHighScale + 4 * lanes * part), offset));
          total = e.fma(e.toF32(products[part]), highScale, total);
        }
        sum = e.fma(total, scale, sum);
      }
      e.store(sum, place);
    }
  }
  kept = stored;
}

} // namespace stepdown
