// f8E4M3FN (OCP 8-bit floating point specification, revision 1.0: a sign, 4 bits of exponent with bias 7, 3 of
// mantissa; no infinity, and NaN where all but the sign are ones) is binary16 without the lowest bits, but for the
// bias: a code shifted by 7 is the binary16 of its value over 2^8, subnormal codes too. So one conversion of binary16
// reads it, and the 2^8 are a factor of the query, and of the sum.
#include "passes/Vector/CachedNumbers.h"
#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;

namespace stepdown {

double cachedUnit(Type element) { return isa<Float8E4M3FNType>(element) ? 256 : 1; }

Value widenCached(Emitter &e, Type element, Value pointer) {
  if (!isa<Float8E4M3FNType>(element))
    return e.toF32(e.load(e.vec(element), pointer));
  const VectorType words = e.vec(e.i16);
  Value wide = arith::ExtSIOp::create(e.b, e.loc, words, e.load(e.vec(e.i8), pointer)); // the sign nine times
  Value shifted = e.shiftLeft(wide, 7), magnitude = e.splat(words, 0x3f80);
  Value isNaN = arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::eq,
                                      arith::AndIOp::create(e.b, e.loc, shifted, magnitude), magnitude);
  Value half = arith::AndIOp::create(e.b, e.loc, shifted, e.splat(words, int16_t(0xbf80)));
  half = arith::OrIOp::create(e.b, e.loc, half, arith::ExtSIOp::create(e.b, e.loc, words, isNaN));
  return e.toF32(e.bitcast(half, e.vec(e.f16)));
}

Value narrowToE4M3(Emitter &e, Value number) {
  auto constant = [&](int64_t value) { return e.splat(e.i32, double(value)); };
  auto shifted = [&](Value v, int64_t bits) { return Value(arith::ShRUIOp::create(e.b, e.loc, v, constant(bits))); };
  constexpr int64_t kMost = 0x43e00000;   // 448
  constexpr int64_t kNormal = 0x3c800000; // 2^-6, the least normal number
  constexpr int64_t kBias = 0x3c000000;   // of the exponent, 127 - 7
  Value bits = e.bitcast(number, e.i32), given = arith::AndIOp::create(e.b, e.loc, bits, constant(0x7fffffff));
  Value magnitude = arith::MinSIOp::create(e.b, e.loc, given, constant(kMost));
  // Half of what is left out, less one where the last digit is even.
  Value odd = arith::AndIOp::create(e.b, e.loc, shifted(magnitude, 20), constant(1));
  Value normal = e.add(e.add(magnitude, constant(0x7ffff - kBias)), odd);
  normal = shifted(normal, 20);
  // Beside 2^14 a float32 counts in 2^-9, as subnormal numbers do.
  Value beside = arith::AddFOp::create(e.b, e.loc, e.bitcast(magnitude, e.f32), e.splat(e.f32, 16384.0));
  Value subnormal = arith::AndIOp::create(e.b, e.loc, e.bitcast(beside, e.i32), constant(0xf));
  Value code = e.select(e.less(magnitude, constant(kNormal)), subnormal, normal);
  code = e.select(e.less(constant(0x7f800000), given), constant(0x7f), code);
  Value sign = arith::AndIOp::create(e.b, e.loc, shifted(bits, 24), constant(0x80));
  return arith::TruncIOp::create(e.b, e.loc, e.i8, arith::OrIOp::create(e.b, e.loc, code, sign));
}

} // namespace stepdown
