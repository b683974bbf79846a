#include "passes/Vector/CodeDot.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "llvm/Support/MathExtras.h"
#include <memory>

using namespace mlir;

namespace stepdown {
using transformer::ActivationType;
using Values = Emitter::Values;

CodeDot::CodeDot(Emitter &emitter, ActivationType type, bool tilesOfOne)
    : e(emitter), fields(type.getElement()), lanes(e.registerLanes()), tokens(type.getTokens()),
      residual(fields.planes > 1), outliers(fields.outliers > 0) {
  if (outliers && !tilesOfOne)
    kept = e.scratch(8 * 64 + 2 * 64);
}

void CodeDot::open(WeightReader &weight, Value sub) {
  all = weight.codes(sub);
  if (outliers)
    keep();
}

void CodeDot::take(int64_t which) {
  part = which, w = all;
  for (Value &quad : w.quads)
    quad = e.part(quad, lanes, part);
  w.scale = e.part(w.scale, lanes, part);
  for (int g = 0; g < w.groups; ++g) {
    if (w.bias[g])
      w.bias[g] = e.part(w.bias[g], lanes, part);
    if (w.factor[g]) {
      w.factor[g] = e.part(w.factor[g], lanes, part);
      factors[g] = QuadSum::factorOf(e, w.factor[g]);
    }
    if (w.groupScale[g])
      w.groupScale[g] = e.part(w.groupScale[g], lanes, part);
  }
}

Value CodeDot::token(Value a, Value sum) {
  auto highFactor = [&](int i, Type type) {
    Value group = arith::DivUIOp::create(e.b, e.loc, upperHalf(a, i), e.number(4));
    return e.load(e.vec(type, lanes), e.at(keptAt(8), group));
  };
  auto group = [&](int g, int plane) {
    Values quads;
    for (int q = 4 * g; q < 4 * g + 4; ++q)
      quads.push_back(field(e.i32, a, fields.codes(plane, q)));
    Value start = beginning(w, a, g, plane);
    return e.dotQuads(ArrayRef<Value>(w.quads).slice(4 * g, 4), quads, w.maxCode, start, factors[g]);
  };
  return scaled(
      a, sum, [&](Value start) { return codes(a, start); }, group, [&] { return highCodes(a, {0, 1}, {}); },
      [&] {
        Value first = highCodes(a, {0}, highFactor(0, e.i32));
        return e.add(first, highCodes(a, {1}, highFactor(1, e.i32)));
      },
      [&](int i) { return std::pair(highCodes(a, {i}, {}), highFactor(i, e.f32)); });
}

Values CodeDot::onlyToken(MutableArrayRef<WeightReader> weights, Value sub, Value a, ValueRange sums) {
  SmallVector<WeightReader::Codes> scales;
  for (WeightReader &weight : weights)
    scales.push_back(weight.scales(sub));
  const int groups = scales[0].groups, planes = 1 + residual;
  const int64_t quads = kQuads / groups;
  // [group][rows][plane]
  SmallVector<SmallVector<Values>> dots(groups, SmallVector<Values>(weights.size()));
  for (int g = 0; g < groups; ++g) {
    SmallVector<std::unique_ptr<QuadSum>> running;
    for (const WeightReader::Codes &rows : scales)
      for (int plane = 0; plane < planes; ++plane) {
        Value factor = rows.factor[g] ? QuadSum::factorOf(e, rows.factor[g]) : Value();
        Value start = beginning(rows, a, g, plane);
        running.push_back(std::make_unique<QuadSum>(e, rows.maxCode, quads, start, factor));
      }
    for (int64_t q = g * quads; q < (g + 1) * quads; ++q) {
      Values spread;
      for (int plane = 0; plane < planes; ++plane)
        spread.push_back(field(e.i32, a, fields.codes(plane, q)));
      for (auto [i, weight] : llvm::enumerate(weights)) {
        Value codes = weight.quad(sub, q);
        for (int plane = 0; plane < planes; ++plane)
          running[i * planes + plane]->add(codes, spread[plane]);
      }
    }
    for (size_t i = 0; i < weights.size(); ++i)
      for (int plane = 0; plane < planes; ++plane)
        dots[g][i].push_back(running[i * planes + plane]->finish());
  }
  Values result;
  for (size_t i = 0; i < weights.size(); ++i) {
    w = scales[i];
    auto dot = [&](Value start) {
      const Values &part = dots[0][i];
      Value total = residual ? e.add(e.shiftLeft(part[0], 8), part[1]) : part[0];
      return start ? e.add(total, start) : total;
    };
    auto high = [&](ArrayRef<int> which, Value factor) {
      QuadSum total(e, w.maxCode, which.size(), {}, factor);
      for (int outlier : which) {
        Value q = arith::DivUIOp::create(e.b, e.loc, placeOf(a, outlier), e.number(64));
        total.add(weights[i].quad(sub, q), field(e.i32, a, fields.high(outlier)));
      }
      return total.finish();
    };
    auto highOfGroup = [&](int outlier) { // the factor read again: a choice of two vectors would be a jump
      Value group = arith::DivUIOp::create(e.b, e.loc, upperHalf(a, outlier), e.number(4 * 64));
      return high(outlier, QuadSum::factorOf(e, weights[i].factor(sub, group)));
    };
    result.push_back(scaled(
        a, sums[i], dot, [&](int g, int plane) { return dots[g][i][plane]; }, [&] { return high({0, 1}, {}); },
        [&] {
          Value first = highOfGroup(0);
          return e.shiftLeft(e.add(first, highOfGroup(1)), 7);
        },
        [&](int outlier) {
          Value group = arith::DivUIOp::create(e.b, e.loc, upperHalf(a, outlier), e.number(4 * 64));
          return std::pair(high({outlier}, {}), weights[i].groupScale(sub, group));
        }));
  }
  return result;
}

Value CodeDot::scaled(Value a, Value sum, function_ref<Value(Value)> dot, function_ref<Value(int, int)> group,
                      function_ref<Value()> high, function_ref<Value()> highOfGroups,
                      function_ref<std::pair<Value, Value>(int)> highOfOne) {
  Value scale = field(e.f32, a, fields.scale()), total;
  if (w.groupScale[0]) {
    for (int i = 0; i < 2 && outliers; ++i) {
      auto [products, groupScale] = highOfOne(i);
      sum = e.fma(e.toF32(e.shiftLeft(products, 7)), e.mul(groupScale, scale), sum);
    }
    for (int g = 0; g < 2; ++g) {
      total = group(g, 0);
      if (residual)
        total = e.add(e.shiftLeft(total, 8), group(g, 1));
      sum = e.fma(e.toF32(total), e.mul(w.groupScale[g], scale), sum);
    }
    return sum;
  }
  if (w.bias[0]) // bias0 * (all - upper) + bias1 * upper
    sum = e.fma(w.bias[0], field(e.f32, a, fields.scaledSum()), sum);
  if (w.groups == 1) {
    total = dot(outliers ? e.shiftLeft(high(), 7) : Value());
    if (w.excess)
      total = e.sub(total, e.shiftLeft(allCodes(a), llvm::Log2_32(w.excess)));
    total = e.toF32(total);
  } else {
    if (w.bias[0])
      sum = e.fma(e.sub(w.bias[1], w.bias[0]), field(e.f32, a, fields.scaledUpper()), sum);
    total = bothGroups(a, 0, group);
    if (outliers)
      total = e.add(total, highOfGroups());
    total = e.toF32(total);
    if (residual)
      total = e.fma(total, e.splat(total.getType(), 256), e.toF32(bothGroups(a, 1, group)));
  }
  return e.fma(total, e.mul(w.scale, scale), sum);
}

Value CodeDot::allCodes(Value a) {
  Value sum = field(e.i32, a, fields.sum(0));
  return residual ? e.add(e.shiftLeft(sum, 8), field(e.i32, a, fields.sum(1))) : sum;
}

Value CodeDot::beginning(const WeightReader::Codes &w, Value a, int g, int plane) {
  if (!w.excess || w.groups == 1 || (e.target.instructions.pairs && w.factor[0]))
    return Value();
  Value sum = field(e.i32, a, fields.upper(plane));
  if (g == 0)
    sum = e.sub(field(e.i32, a, fields.sum(plane)), sum);
  return e.sub(e.splat(sum.getType(), 0), e.shiftLeft(sum, llvm::Log2_32(w.excess)));
}

Value CodeDot::bothGroups(Value a, int plane, function_ref<Value(int, int)> group) {
  Value total = e.add(group(0, plane), group(1, plane));
  if (!w.excess || !e.target.instructions.pairs)
    return total;
  Value upper = field(e.i32, a, fields.upper(plane)), lower = e.sub(field(e.i32, a, fields.sum(plane)), upper);
  Value both = e.add(e.mul(w.factor[0], lower), e.mul(w.factor[1], upper));
  return e.sub(total, e.shiftLeft(both, llvm::Log2_32(w.excess)));
}

Value CodeDot::upperHalf(Value a, int i) { return arith::AndIOp::create(e.b, e.loc, placeOf(a, i), e.number(4 * 64)); }

Value CodeDot::field(Type type, Value a, int64_t offset) {
  return e.spread(e.load(type, e.at(a, offset * tokens)), lanes);
}

Value CodeDot::codes(Value a, Value start) {
  Value total = start;
  for (int plane = 0; plane <= int(residual); ++plane) {
    Values quads;
    for (int q = 0; q < kQuads; ++q)
      quads.push_back(field(e.i32, a, fields.codes(plane, q)));
    if (plane)
      total = e.shiftLeft(total, 8);
    total = e.dotQuads(w.quads, quads, w.maxCode, total);
  }
  return total;
}

Value CodeDot::placeOf(Value a, int i) {
  Value place = e.load(e.i32, e.at(a, fields.place(i) * tokens));
  return e.cast(arith::AndIOp::create(e.b, e.loc, place, e.splat(e.i32, 7 * 64)), e.index);
}

Value CodeDot::highCodes(Value a, ArrayRef<int> which, Value factor) {
  Values weights, quads;
  for (int i : which) {
    weights.push_back(e.load(e.vec(e.i32, lanes), e.at(keptAt(0), placeOf(a, i))));
    quads.push_back(field(e.i32, a, fields.high(i)));
  }
  return e.dotQuads(weights, quads, w.maxCode, {}, factor);
}

void CodeDot::keep() {
  for (auto [q, codes] : llvm::enumerate(all.quads))
    e.store(codes, e.at(kept, 64 * q));
  for (int g = 0; g < 2 && all.groups == 2; ++g)
    e.store(all.groupScale[g] ? all.groupScale[g] : QuadSum::factorOf(e, e.shiftLeft(all.factor[g], 7)),
            e.at(kept, 64 * (8 + g)));
}

} // namespace stepdown
