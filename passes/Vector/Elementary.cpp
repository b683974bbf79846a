#include "passes/Vector/Elementary.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include <cmath>
#include <limits>

using namespace mlir;

namespace stepdown {

static constexpr double kInfinity = std::numeric_limits<double>::infinity();
static constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

static Type withElement(Value like, Type element) {
  auto vector = dyn_cast<VectorType>(like.getType());
  return vector ? Type(VectorType::get(vector.getShape(), element)) : element;
}

static Value splatOf(OpBuilder &b, Location loc, Type type, TypedAttr value) {
  if (auto vector = dyn_cast<VectorType>(type))
    value = DenseElementsAttr::get(vector, Attribute(value));
  return arith::ConstantOp::create(b, loc, value);
}

Value Elementary::constant(Value like, double value) {
  return splatOf(b, loc, like.getType(), b.getF64FloatAttr(value));
}
Value Elementary::integer(Value like, int64_t value) {
  return splatOf(b, loc, like.getType(), b.getIntegerAttr(getElementTypeOrSelf(like.getType()), value));
}
Value Elementary::add(Value a, Value c) { return arith::AddFOp::create(b, loc, a, c); }
Value Elementary::sub(Value a, Value c) { return arith::SubFOp::create(b, loc, a, c); }
Value Elementary::mul(Value a, Value c) { return arith::MulFOp::create(b, loc, a, c); }
Value Elementary::div(Value a, Value c) { return arith::DivFOp::create(b, loc, a, c); }
Value Elementary::fma(Value a, Value c, Value d) { return math::FmaOp::create(b, loc, a, c, d); }
Value Elementary::abs(Value a) { return math::AbsFOp::create(b, loc, a); }
Value Elementary::sqrt(Value a) { return math::SqrtOp::create(b, loc, a); }
Value Elementary::roundEven(Value a) { return math::RoundEvenOp::create(b, loc, a); }
Value Elementary::signOf(Value magnitude, Value sign) { return math::CopySignOp::create(b, loc, magnitude, sign); }
Value Elementary::select(Value condition, Value a, Value c) { return arith::SelectOp::create(b, loc, condition, a, c); }
Value Elementary::less(Value a, double c) {
  return arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OLT, a, constant(a, c));
}
Value Elementary::greater(Value a, double c) {
  return arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OGT, a, constant(a, c));
}
Value Elementary::equal(Value a, double c) {
  return arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OEQ, a, constant(a, c));
}
Value Elementary::isNaN(Value a) { return arith::CmpFOp::create(b, loc, arith::CmpFPredicate::UNO, a, a); }

Value Elementary::polynomial(Value x, ArrayRef<double> coefficients) {
  Value y = constant(x, coefficients.back());
  for (double c : llvm::reverse(coefficients.drop_back()))
    y = fma(y, x, constant(x, c));
  return y;
}

Value Elementary::bits(Value of) { return arith::BitcastOp::create(b, loc, withElement(of, b.getI64Type()), of); }
Value Elementary::fromBits(Value of) { return arith::BitcastOp::create(b, loc, withElement(of, b.getF64Type()), of); }
Value Elementary::toInt(Value of) { return arith::FPToSIOp::create(b, loc, withElement(of, b.getI32Type()), of); }
Value Elementary::wide(Value of) { return arith::ExtSIOp::create(b, loc, withElement(of, b.getI64Type()), of); }

// --- exponentials ----------------------------------------------------------------------------------------------------

static constexpr double kLn2High = 0x1.62e42fefap-1; // 33 bits: its product with a whole number of 11 bits is exact
static constexpr double kLn2Low = 0x1.cf79abc9e3b3ap-40;

Value Elementary::scaledExp(Value r, Value n) {
  SmallVector<double> series;
  double factorial = 1;
  for (int i = 0; i <= (single ? 8 : 13); ++i) {
    series.push_back(1 / factorial);
    factorial *= i + 1;
  }
  Value p = polynomial(r, series);
  // 2^n in two halves, each of which float64 has: subnormal results and those next to infinity are rounded once.
  Value whole = toInt(n);
  Value half = arith::ShRSIOp::create(b, loc, whole, integer(whole, 1));
  Value rest = arith::SubIOp::create(b, loc, whole, half);
  auto power = [&](Value e) {
    Value biased = wide(arith::AddIOp::create(b, loc, e, integer(e, 1023)));
    return fromBits(arith::ShLIOp::create(b, loc, biased, integer(biased, 52)));
  };
  return mul(mul(p, power(half)), power(rest));
}

Value Elementary::exp(Value x) {
  // Not-a-number goes around the conversion to integers; beyond these ends the result is 0 or infinite.
  Value inside = select(isNaN(x), constant(x, 0), x);
  inside = select(less(inside, -750), constant(x, -750), inside);
  inside = select(greater(inside, 710), constant(x, 710), inside);
  Value n = roundEven(mul(inside, M_LOG2E));
  Value r = fma(n, constant(x, -kLn2Low), fma(n, constant(x, -kLn2High), inside));
  return select(isNaN(x), x, scaledExp(r, n));
}

Value Elementary::exp2(Value x) {
  Value inside = select(isNaN(x), constant(x, 0), x);
  inside = select(less(inside, -1080), constant(x, -1080), inside);
  inside = select(greater(inside, 1024), constant(x, 1024), inside);
  Value n = roundEven(inside);
  return select(isNaN(x), x, scaledExp(mul(sub(inside, n), M_LN2), n));
}

Value Elementary::expm1(Value x) {
  SmallVector<double> series;
  double factorial = 1;
  for (int i = 1; i <= (single ? 10 : 17); ++i)
    series.push_back(1 / (factorial *= i));
  Value near = mul(x, polynomial(x, series));
  return select(less(abs(x), 0.5), near, add(exp(x), -1));
}

// --- logarithms ------------------------------------------------------------------------------------------------------

std::pair<Value, Value> Elementary::split(Value x) {
  Value tiny = less(x, 0x1p-1022);
  Value normal = select(tiny, mul(x, 0x1p54), x);
  Value all = bits(normal);
  Value exponent = arith::ShRUIOp::create(b, loc, all, integer(all, 52));
  Value mantissa = arith::AndIOp::create(b, loc, all, integer(all, (int64_t(1) << 52) - 1));
  Value m = fromBits(arith::OrIOp::create(b, loc, mantissa, integer(all, int64_t(1023) << 52)));
  Value e = arith::TruncIOp::create(b, loc, withElement(x, b.getI32Type()), exponent);
  e = add(Value(arith::SIToFPOp::create(b, loc, x.getType(), e)), -1023);
  e = select(tiny, add(e, -54), e);
  Value large = greater(m, M_SQRT2);
  m = select(large, mul(m, 0.5), m);
  e = select(large, add(e, 1), e);
  return {e, div(add(m, -1), add(m, 1))};
}

/// log((1 + s) / (1 - s)) = 2 s (1 + s^2 / 3 + s^4 / 5 ...), |s| <= 0.172.
Value Elementary::logOfMantissa(Value s) {
  SmallVector<double> series;
  for (int i = 0; i <= (single ? 5 : 10); ++i)
    series.push_back(2.0 / (2 * i + 1));
  return mul(s, polynomial(mul(s, s), series));
}

/// What `y`, a logarithm of a positive number, is at the ends.
Value Elementary::logEnds(Value x, Value y) {
  y = select(equal(x, kInfinity), x, y);
  y = select(equal(x, 0), constant(x, -kInfinity), y);
  y = select(less(x, 0), constant(x, kNaN), y);
  return select(isNaN(x), x, y);
}

Value Elementary::log(Value x) {
  auto [e, s] = split(x);
  Value y = fma(e, constant(x, kLn2Low), logOfMantissa(s));
  return logEnds(x, fma(e, constant(x, kLn2High), y));
}

Value Elementary::log2(Value x) {
  auto [e, s] = split(x);
  return logEnds(x, fma(logOfMantissa(s), constant(x, M_LOG2E), e));
}

Value Elementary::log10(Value x) {
  auto [e, s] = split(x);
  return logEnds(x, fma(e, constant(x, 0.30102999566398119521), mul(logOfMantissa(s), M_LOG10E)));
}

// What 1 + x loses of x is put back by the factor x / ((1 + x) - 1).
Value Elementary::log1p(Value x) {
  Value u = add(x, 1);
  Value y = mul(log(u), div(x, add(u, -1)));
  y = select(equal(u, 1), x, y);
  return select(equal(u, kInfinity), u, y);
}

Value Elementary::pow(Value x, Value y) {
  Value magnitude = exp(mul(y, log(abs(x))));
  // A negative base takes whole exponents, and keeps its sign for odd ones.
  Value whole = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OEQ, roundEven(y), y);
  Value half = mul(y, 0.5);
  Value even = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OEQ, roundEven(half), half);
  Value odd = arith::AndIOp::create(b, loc, whole, arith::XOrIOp::create(b, loc, even, integer(even, 1)));
  Value result = select(odd, signOf(magnitude, x), magnitude);
  Value undefined = arith::AndIOp::create(b, loc, less(x, 0), arith::XOrIOp::create(b, loc, whole, integer(whole, 1)));
  undefined = arith::AndIOp::create(b, loc, undefined, greater(x, -kInfinity));
  result = select(undefined, constant(x, kNaN), result);
  result = select(arith::OrIOp::create(b, loc, isNaN(x), isNaN(y)), constant(x, kNaN), result);
  Value one = arith::AndIOp::create(b, loc, equal(x, -1), equal(abs(y), kInfinity));
  one = arith::OrIOp::create(b, loc, one, arith::OrIOp::create(b, loc, equal(y, 0), equal(x, 1)));
  return select(one, constant(x, 1), result);
}

Value Elementary::cbrt(Value x) {
  Value a = abs(x);
  Value t = exp(mul(log(a), 1.0 / 3));
  Value better = sub(t, mul(sub(t, div(a, mul(t, t))), 1.0 / 3)); // Newton's step makes it exact to the last place
  Value ends = arith::OrIOp::create(b, loc, equal(a, 0), equal(a, kInfinity));
  return signOf(select(ends, a, better), x);
}

// --- circular functions ----------------------------------------------------------------------------------------------

std::pair<Value, Value> Elementary::quarters(Value x) {
  Value n = roundEven(mul(x, M_2_PI));
  Value r = fma(n, constant(x, -0x1.921fb54442d18p0), x); // pi/2 in three parts
  r = fma(n, constant(x, -0x1.1a62633145c07p-54), r);
  r = fma(n, constant(x, 0x1.f1976b7ed8fbcp-110), r);
  Value inside = select(less(abs(n), 0x1p30), n, constant(x, 0));
  return {toInt(inside), r};
}

static SmallVector<double> alternating(int first, int count) {
  SmallVector<double> series;
  double factorial = 1;
  for (int i = 1; i <= first; ++i)
    factorial *= i;
  for (int i = 0; i < count; ++i) {
    series.push_back((i % 2 ? -1 : 1) / factorial);
    factorial *= (first + 2 * i + 1.0) * (first + 2 * i + 2.0);
  }
  return series;
}

Value Elementary::sinSeries(Value r) { return mul(r, polynomial(mul(r, r), alternating(1, single ? 6 : 9))); }
Value Elementary::cosSeries(Value r) { return polynomial(mul(r, r), alternating(0, single ? 7 : 10)); }

Value Elementary::sinOrCos(Value x, int64_t shift) {
  auto [whole, r] = quarters(x);
  Value n = whole; // for the lambda
  Value quarter = arith::AddIOp::create(b, loc, n, integer(n, shift));
  auto bit = [&](int64_t mask) -> Value {
    Value masked = arith::AndIOp::create(b, loc, quarter, integer(n, mask));
    return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne, masked, integer(n, 0));
  };
  Value y = select(bit(1), cosSeries(r), sinSeries(r));
  y = select(bit(2), arith::NegFOp::create(b, loc, y), y);
  return select(equal(x, 0), shift ? constant(x, 1) : x, y); // sin(-0) is -0
}

Value Elementary::sin(Value x) { return sinOrCos(x, 0); }
Value Elementary::cos(Value x) { return sinOrCos(x, 1); }

Value Elementary::tan(Value x) {
  auto [n, r] = quarters(x);
  Value odd = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne, arith::AndIOp::create(b, loc, n, integer(n, 1)),
                                    integer(n, 0));
  Value s = sinSeries(r), c = cosSeries(r);
  return select(odd, div(arith::NegFOp::create(b, loc, c), s), div(s, c));
}

Value Elementary::atan(Value x) {
  Value a = abs(x), steep = greater(a, 1);
  a = select(steep, div(constant(x, 1), a), a);
  Value middle = greater(a, M_SQRT2 - 1);
  Value t = select(middle, div(add(a, -1), add(a, 1)), a);
  SmallVector<double> series;
  for (int i = 0; i <= (single ? 11 : 21); ++i)
    series.push_back((i % 2 ? -1.0 : 1.0) / (2 * i + 1));
  Value y = mul(t, polynomial(mul(t, t), series));
  y = select(middle, add(y, M_PI_4), y);
  y = select(steep, sub(constant(x, M_PI_2), y), y);
  return signOf(y, x);
}

Value Elementary::atan2(Value y, Value x) {
  Value both = arith::AndIOp::create(b, loc, equal(abs(x), kInfinity), equal(abs(y), kInfinity));
  Value ratio = div(abs(y), abs(x));
  ratio = select(equal(y, 0), constant(x, 0), ratio);
  Value a = atan(select(both, constant(x, 1), ratio));
  Value left = less(signOf(constant(x, 1), x), 0); // -0 is left too
  a = select(left, sub(constant(x, M_PI), a), a);
  a = select(arith::OrIOp::create(b, loc, isNaN(x), isNaN(y)), constant(x, kNaN), a);
  return signOf(a, y);
}

Value Elementary::asin(Value x) { return atan(div(x, sqrt(mul(sub(constant(x, 1), x), add(x, 1))))); }

Value Elementary::acos(Value x) { return mul(atan(sqrt(div(sub(constant(x, 1), x), add(x, 1)))), 2); }

// --- hyperbolic functions --------------------------------------------------------------------------------------------

Value Elementary::sinh(Value x) {
  Value t = expm1(abs(x));
  Value y = mul(add(t, div(t, add(t, 1))), 0.5);
  return signOf(select(equal(t, kInfinity), t, y), x);
}

Value Elementary::cosh(Value x) {
  Value e = exp(abs(x));
  return mul(add(e, div(constant(x, 1), e)), 0.5);
}

Value Elementary::tanh(Value x) {
  Value t = expm1(mul(abs(x), -2));
  return signOf(div(arith::NegFOp::create(b, loc, t), add(t, 2)), x);
}

Value Elementary::asinh(Value x) {
  Value a = abs(x), square = mul(a, a);
  Value y = log1p(add(a, div(square, add(sqrt(add(square, 1)), 1))));
  return signOf(select(greater(a, 1e150), add(log(a), M_LN2), y), x);
}

Value Elementary::acosh(Value x) {
  Value t = add(x, -1);
  Value y = log1p(add(t, sqrt(mul(t, add(t, 2)))));
  y = select(greater(x, 1e150), add(log(x), M_LN2), y);
  return select(less(x, 1), constant(x, kNaN), y);
}

Value Elementary::atanh(Value x) {
  Value a = abs(x);
  return signOf(mul(log1p(div(mul(a, 2), sub(constant(x, 1), a))), 0.5), x);
}

// --- error function --------------------------------------------------------------------------------------------------

// erfc(x) = t exp(-x^2 + f(2 t - 1)), t = 1 / (1 + x / 2), x >= 0; f as a Chebyshev series, whose coefficients are
// 2/N sum_j f(cos((j + 1/2) pi / N)) cos(k (j + 1/2) pi / N), computed with 60 digits. Clenshaw's recurrence sums it.
Value Elementary::erfc(Value x) {
  static const double series[] = {
      -1.3026537197817094342,     0.6419697923564902603,      0.019476473204185836312,    -0.0095615147868086316419,
      -0.0009465953444820368663,  0.00036683949785276145187,  0.000042523324806907771645, -0.000020278578112534243154,
      -1.6242900046470255135e-6,  1.3036558355805232018e-6,   1.5626441722066143178e-8,   -8.5238095914926542525e-8,
      6.5290544390988514964e-9,   5.0593434955514689418e-9,   -9.9136415649303308674e-10, -2.2736512229318358557e-10,
      9.646791102015526802e-11,   2.3940380830391147447e-12,  -6.8860275264975533984e-12, 8.9448792730907257167e-13,
      3.1309213993429580783e-13,  -1.1270822361367252366e-13, 3.8109052551892320552e-16,  7.1060976136092369878e-15,
      -1.5230282014571043043e-15, -9.4574945712912340005e-17, 1.2102371892242789923e-16};
  Value a = abs(x);
  Value t = div(constant(x, 2), add(a, 2));
  Value u = add(mul(t, 4), -2); // 2 (2 t - 1)
  Value next = constant(x, 0), after = next;
  for (int k = single ? 14 : 26; k > 0; --k) {
    Value here = fma(u, next, sub(constant(x, series[k]), after));
    after = next, next = here;
  }
  Value f = fma(mul(u, 0.5), next, sub(constant(x, series[0] / 2), after));
  Value y = mul(t, exp(fma(arith::NegFOp::create(b, loc, a), a, f)));
  y = select(greater(a, 27.5), constant(x, 0), y);
  y = select(less(x, 0), sub(constant(x, 2), y), y);
  return select(isNaN(x), x, y);
}

Value Elementary::erf(Value x) {
  SmallVector<double> series;
  double factorial = 1;
  for (int i = 0; i <= (single ? 7 : 12); ++i) {
    series.push_back(M_2_SQRTPI * (i % 2 ? -1 : 1) / (factorial * (2 * i + 1)));
    factorial *= i + 1;
  }
  Value near = mul(x, polynomial(mul(x, x), series));
  Value far = signOf(sub(constant(x, 1), erfc(abs(x))), x);
  return select(less(abs(x), 0.5), near, far);
}

} // namespace stepdown
