#include "passes/Vector/ExpandArithmetic.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Matchers.h"
#include "passes/Vector/NarrowFloats.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace stepdown {
namespace {

unsigned widthOf(Type type) {
  type = getElementTypeOrSelf(type);
  return type.isIndex() ? 64 : type.getIntOrFloatBitWidth();
}

class Arithmetic {
public:
  explicit Arithmetic(Operation *op) : b(op), loc(op->getLoc()) {}

  Value constant(Type like, TypedAttr element) {
    Type type = withElement(like, element.getType());
    if (auto vector = dyn_cast<VectorType>(type))
      element = DenseElementsAttr::get(vector, Attribute(element));
    return arith::ConstantOp::create(b, loc, element);
  }
  /// An integer of `like`'s element type.
  Value number(Type like, const llvm::APInt &value) {
    return constant(like, b.getIntegerAttr(getElementTypeOrSelf(like), value));
  }
  Value number(Type like, int64_t value) {
    return number(like, llvm::APInt(widthOf(like), static_cast<uint64_t>(value), false, /*implicitTrunc=*/true));
  }
  Value number(Type like, const llvm::APFloat &value) {
    return constant(like, b.getFloatAttr(getElementTypeOrSelf(like), value));
  }
  Value compare(arith::CmpFPredicate predicate, Value a, Value c) {
    return arith::CmpFOp::create(b, loc, predicate, a, c);
  }
  Value compare(arith::CmpIPredicate predicate, Value a, Value c) {
    return arith::CmpIOp::create(b, loc, predicate, a, c);
  }
  Value select(Value condition, Value a, Value c) { return arith::SelectOp::create(b, loc, condition, a, c); }
  template <typename Op> Value make(Value a, Value c) { return Op::create(b, loc, a, c); }
  Value size(Value v) { return math::AbsFOp::create(b, loc, v); }

  /// Of the issue that upstream closed with pull request 175012: LLVM 22.1 has min and max exchanged.
  Value clamp(math::ClampFOp op) {
    return make<arith::MaximumFOp>(make<arith::MinimumFOp>(op.getValue(), op.getMax()), op.getMin());
  }

  /// isnan, isinf, isfinite, isnormal: LLVM 22.1 has no lowering of isinf and isnormal.
  Value classify(Operation *op) {
    Value v = op->getOperand(0);
    const llvm::fltSemantics &semantics = cast<FloatType>(getElementTypeOrSelf(v.getType())).getFloatSemantics();
    Value infinity = number(v.getType(), llvm::APFloat::getInf(semantics));
    if (isa<math::IsNaNOp>(op))
      return compare(arith::CmpFPredicate::UNO, v, v);
    if (isa<math::IsInfOp>(op))
      return compare(arith::CmpFPredicate::OEQ, size(v), infinity);
    Value finite = compare(arith::CmpFPredicate::OLT, size(v), infinity);
    if (isa<math::IsFiniteOp>(op))
      return finite;
    Value least = number(v.getType(), llvm::APFloat::getSmallestNormalized(semantics));
    return make<arith::AndIOp>(finite, compare(arith::CmpFPredicate::OGE, size(v), least));
  }

  /// The one of two f16 or bf16 that is a number, or the larger (smaller). As an operation on float32 that is rounded,
  /// LLVM makes it one on f16 again, and that a call of fmaxf.
  Value pick(Operation *op) {
    Value a = op->getOperand(0), c = op->getOperand(1);
    auto first = isa<arith::MaxNumFOp>(op) ? arith::CmpFPredicate::OGT : arith::CmpFPredicate::OLT;
    Value better = make<arith::OrIOp>(compare(first, a, c), compare(arith::CmpFPredicate::UNO, c, c));
    return select(better, a, c);
  }

  /// An integer as bf16, rounded once. Of 64 bits, those that float64 has no room for become one, which says whether
  /// there were any: rounding to eight digits asks for no more.
  Value toBFloat16(Operation *op) {
    Value v = op->getOperand(0);
    const bool isSigned = isa<arith::SIToFPOp>(op);
    if (widthOf(v.getType()) == 64) {
      Type type = v.getType();
      constexpr int64_t lost = (1 << 11) - 1;
      Value low = make<arith::AndIOp>(v, number(type, lost));
      Value any = compare(arith::CmpIPredicate::ne, low, number(type, 0));
      Value sticky = select(any, number(type, lost + 1), number(type, 0));
      Value high = make<arith::OrIOp>(make<arith::AndIOp>(v, number(type, ~lost)), sticky);
      Value shifted = make<arith::ShRSIOp>(v, number(type, 32)); // 0 or -1: float64 holds all of it
      Value zero = compare(arith::CmpIPredicate::eq, shifted, number(type, 0));
      Value small =
          isSigned ? make<arith::OrIOp>(zero, compare(arith::CmpIPredicate::eq, shifted, number(type, -1))) : zero;
      v = select(small, v, high);
    }
    Type f64 = withElement(v.getType(), b.getF64Type());
    Value wide = isSigned ? Value(arith::SIToFPOp::create(b, loc, f64, v)) : arith::UIToFPOp::create(b, loc, f64, v);
    return arith::TruncFOp::create(b, loc, op->getResult(0).getType(), wide);
  }

  /// A fused multiply-add of narrow floats, rounded once, by way of float64: it holds every product, and every sum that
  /// is near a tie of f16 or eight bits. A sum of bf16 may have lost digits, of which its last bit then tells.
  Value fuse(math::FmaOp op) {
    Type f64 = withElement(op.getType(), b.getF64Type()), i64 = withElement(f64, b.getI64Type());
    auto wide = [&](Value v) -> Value { return arith::ExtFOp::create(b, loc, f64, v); };
    Value product = make<arith::MulFOp>(wide(op.getA()), wide(op.getB())), addend = wide(op.getC());
    Value sum = make<arith::AddFOp>(product, addend);
    if (getElementTypeOrSelf(op.getType()).isBF16()) {
      // What is lost is a float64 itself (Knuth's TwoSum), and not a number where the sum is none.
      Value fromAddend = make<arith::SubFOp>(sum, product);
      Value fromProduct = make<arith::SubFOp>(sum, fromAddend);
      Value lost =
          make<arith::AddFOp>(make<arith::SubFOp>(product, fromProduct), make<arith::SubFOp>(addend, fromAddend));
      Value zero = number(f64, llvm::APFloat(0.0)), one = number(i64, 1);
      Value all = arith::BitcastOp::create(b, loc, i64, sum);
      Value even = compare(arith::CmpIPredicate::eq, make<arith::AndIOp>(all, one), number(i64, 0));
      Value inexact = compare(arith::CmpFPredicate::ONE, lost, zero);
      Value outward = compare(arith::CmpIPredicate::eq, compare(arith::CmpFPredicate::OGT, lost, zero),
                              compare(arith::CmpFPredicate::OGT, sum, zero));
      Value odd = select(outward, make<arith::AddIOp>(all, one), make<arith::SubIOp>(all, one));
      sum = arith::BitcastOp::create(b, loc, f64, select(make<arith::AndIOp>(inexact, even), odd, all));
    }
    return arith::TruncFOp::create(b, loc, op.getType(), sum);
  }

  /// What the operation's rounding mode gives, from what is nearest: the same, or the neighbour on the other side.
  Value round(arith::TruncFOp op) {
    Value v = op.getIn();
    Type type = op.getType(), bits = withElement(type, b.getIntegerType(widthOf(type)));
    Value near = arith::TruncFOp::create(b, loc, type, v);
    Value back = arith::ExtFOp::create(b, loc, v.getType(), near);
    Value all = arith::BitcastOp::create(b, loc, bits, near), one = number(bits, 1);
    auto neighbour = [&](bool outward) -> Value {
      return outward ? make<arith::AddIOp>(all, one) : make<arith::SubIOp>(all, one);
    };
    auto asFloat = [&](Value integer) -> Value { return arith::BitcastOp::create(b, loc, type, integer); };
    Value below = compare(arith::CmpFPredicate::OLT, size(back), size(v)); // nearer to zero than the value
    Value above = compare(arith::CmpFPredicate::OGT, size(back), size(v));
    if (*op.getRoundingmode() == arith::RoundingMode::toward_zero)
      return asFloat(select(above, neighbour(false), all));
    if (*op.getRoundingmode() == arith::RoundingMode::to_nearest_away) {
      Value next = asFloat(neighbour(true));
      Value wide = size(arith::ExtFOp::create(b, loc, v.getType(), next));
      Value tie = compare(arith::CmpFPredicate::OEQ, make<arith::SubFOp>(wide, size(v)),
                          make<arith::SubFOp>(size(v), size(back)));
      return select(make<arith::AndIOp>(below, tie), next, near);
    }
    // Away from zero is up for what is positive, and down for what is negative: the sign bit says which.
    const bool up = *op.getRoundingmode() == arith::RoundingMode::upward;
    Value negative = compare(arith::CmpIPredicate::slt, all, number(bits, 0));
    Value outward =
        make<arith::AndIOp>(below, up ? make<arith::XOrIOp>(negative, number(negative.getType(), 1)) : negative);
    Value inward =
        make<arith::AndIOp>(above, up ? negative : make<arith::XOrIOp>(negative, number(negative.getType(), 1)));
    return asFloat(select(outward, neighbour(true), select(inward, neighbour(false), all)));
  }

  /// x^n modulo 2^bits by squaring. Of a negative n: 1 and -1 stay or alternate, and anything else is a fraction, which
  /// is 0; 0 was refused by check-sizes.
  Value power(math::IPowIOp op) {
    Value x = op.getLhs(), n = op.getRhs();
    Type type = x.getType();
    const unsigned width = widthOf(type);
    Value one = number(type, 1), zero = number(type, 0);
    llvm::APInt known;
    if (matchPattern(n, m_ConstantInt(&known)) && known.isNonNegative()) {
      Value result;
      for (Value square = x; !known.isZero(); known = known.lshr(1)) {
        if (known[0])
          result = result ? make<arith::MulIOp>(result, square) : square;
        if (known.ugt(1))
          square = make<arith::MulIOp>(square, square);
      }
      return result ? result : one;
    }
    // The sign bit is no digit of the exponent.
    Value result = one;
    if (width > 1) {
      auto index = [&](int64_t value) -> Value { return arith::ConstantIndexOp::create(b, loc, value); };
      auto loop = scf::ForOp::create(b, loc, index(0), index(width - 1), index(1), ValueRange{one, x, n});
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(loop.getBody());
      Value made = loop.getRegionIterArg(0), square = loop.getRegionIterArg(1), digits = loop.getRegionIterArg(2);
      Value odd = compare(arith::CmpIPredicate::ne, make<arith::AndIOp>(digits, one), zero);
      scf::YieldOp::create(b, loc,
                           ValueRange{select(odd, make<arith::MulIOp>(made, square), made),
                                      make<arith::MulIOp>(square, square), make<arith::ShRUIOp>(digits, one)});
      result = loop.getResult(0);
    }
    Value odd = compare(arith::CmpIPredicate::ne, make<arith::AndIOp>(n, one), zero), minus = number(type, -1);
    Value inverse = select(compare(arith::CmpIPredicate::eq, x, minus), select(odd, minus, one),
                           select(compare(arith::CmpIPredicate::eq, x, one), one, zero));
    return select(compare(arith::CmpIPredicate::slt, n, zero), inverse, result);
  }

  OpBuilder b;
  Location loc;
};

/// `op` as other operations, or null where it stays.
Value expand(Operation *op) {
  Arithmetic a(op);
  return llvm::TypeSwitch<Operation *, Value>(op)
      .Case([&](math::ClampFOp clamp) { return a.clamp(clamp); })
      .Case<math::IsNaNOp, math::IsInfOp, math::IsFiniteOp, math::IsNormalOp>(
          [&](auto which) { return a.classify(which); })
      .Case([&](math::IPowIOp power) { return a.power(power); })
      .Case([&](math::FmaOp fma) { return isNarrow(fma.getType()) ? a.fuse(fma) : Value(); })
      .Case<arith::MaxNumFOp, arith::MinNumFOp>(
          [&](auto pick) { return isNarrow(pick.getType()) ? a.pick(pick) : Value(); })
      .Case<arith::SIToFPOp, arith::UIToFPOp>([&](auto convert) {
        const bool inexact =
            getElementTypeOrSelf(convert.getType()).isBF16() && widthOf(convert.getIn().getType()) > 24;
        return inexact ? a.toBFloat16(convert) : Value();
      })
      .Case([&](arith::TruncFOp round) {
        auto mode = round.getRoundingmode();
        if (!mode)
          return Value();
        if (*mode != arith::RoundingMode::to_nearest_even)
          return a.round(round);
        return Value(arith::TruncFOp::create(a.b, a.loc, round.getType(), round.getIn()));
      })
      .Default([](Operation *) { return Value(); });
}

} // namespace

void expandArithmetic(func::FuncOp function) {
  SmallVector<Operation *> work;
  function.walk([&](Operation *op) {
    if (isa_and_nonnull<arith::ArithDialect, math::MathDialect>(op->getDialect()))
      work.push_back(op);
  });
  for (Operation *op : work)
    if (Value value = expand(op)) {
      op->getResult(0).replaceAllUsesWith(value);
      op->erase();
    }
}

} // namespace stepdown
