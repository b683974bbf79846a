// The elementary functions in float64, on scalars and on vectors of any width, without calls and without branches.
//
// Each is a reduction of the argument and a series whose length follows from the accuracy that is wanted: about 1 unit
// in the last place of float64, or of float32 with room to spare. Infinities, zeros and not-a-numbers give what IEEE
// 754 says.
#pragma once
#include "mlir/IR/Builders.h"

namespace stepdown {

class Elementary {
public:
  using Value = mlir::Value;
  /// `single`: results are rounded to float32 or less afterwards.
  Elementary(mlir::OpBuilder &b, mlir::Location loc, bool single) : b(b), loc(loc), single(single) {}

  Value exp(Value x);
  Value exp2(Value x);
  Value expm1(Value x);
  Value log(Value x);
  Value log2(Value x);
  Value log10(Value x);
  Value log1p(Value x);
  Value pow(Value x, Value y);
  Value cbrt(Value x);
  Value sin(Value x); ///< of |x| up to 2^30; beyond, the reduction loses digits
  Value cos(Value x);
  Value tan(Value x);
  Value asin(Value x);
  Value acos(Value x);
  Value atan(Value x);
  Value atan2(Value y, Value x);
  Value sinh(Value x);
  Value cosh(Value x);
  Value tanh(Value x);
  Value asinh(Value x);
  Value acosh(Value x);
  Value atanh(Value x);
  Value erf(Value x);
  Value erfc(Value x);

private:
  Value constant(Value like, double value);
  Value integer(Value like, int64_t value);
  Value add(Value a, Value c);
  Value sub(Value a, Value c);
  Value mul(Value a, Value c);
  Value div(Value a, Value c);
  Value fma(Value a, Value c, Value d);
  Value mul(Value a, double c) { return mul(a, constant(a, c)); }
  Value add(Value a, double c) { return add(a, constant(a, c)); }
  Value abs(Value a);
  Value sqrt(Value a);
  Value roundEven(Value a);
  Value signOf(Value magnitude, Value sign);
  Value select(Value condition, Value a, Value c);
  Value less(Value a, double c);
  Value greater(Value a, double c);
  Value equal(Value a, double c);
  Value isNaN(Value a);
  /// c[0] + x (c[1] + x (c[2] + ...))
  Value polynomial(Value x, llvm::ArrayRef<double> coefficients);
  /// As 64-bit numbers of `of`'s shape, and back.
  Value bits(Value of);
  Value fromBits(Value of);
  Value toInt(Value of); ///< 32 bits, toward zero
  Value wide(Value of);  ///< 32 to 64 bits
  /// e^r 2^n for |r| <= ln 2 / 2 and whole n.
  Value scaledExp(Value r, Value n);
  /// x = m 2^e with m in [sqrt 1/2, sqrt 2): e, and (m - 1) / (m + 1).
  std::pair<Value, Value> split(Value x);
  Value logOfMantissa(Value s);
  Value logEnds(Value x, Value y);
  /// The nearest multiple of pi/2 as a number of quarters, and the rest.
  std::pair<Value, Value> quarters(Value x);
  Value sinSeries(Value r);
  Value cosSeries(Value r);
  Value sinOrCos(Value x, int64_t shift);

  mlir::OpBuilder &b;
  mlir::Location loc;
  const bool single;
};

} // namespace stepdown
