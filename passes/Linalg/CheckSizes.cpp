// What a module leaves open until it runs: dimensions that must agree, indices that must lie inside, divisors that must
// not be zero. Where types prove it, nothing is left; the rest becomes one assertion each.
#include "dialects/Transformer/IR/TransformerDialect.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Bufferization/IR/BufferizableOpInterface.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/Matchers.h"
#include "passes/Linalg/Passes.h"

using namespace mlir;

namespace stepdown {
#define GEN_PASS_DEF_CHECKSIZES
#include "passes/Linalg/Passes.h.inc"

namespace {

/// Assertions in front of one operation.
class Checks {
public:
  explicit Checks(Operation *op) : b(op), loc(op->getLoc()), name(op->getName().getStringRef()) {}

  Value size(Value tensor, int64_t dim) { return b.createOrFold<tensor::DimOp>(loc, tensor, dim); }
  Value number(int64_t value) { return arith::ConstantIndexOp::create(b, loc, value); }
  Value value(OpFoldResult of) { return getValueOrCreateConstantIndexOp(b, loc, of); }

  void require(arith::CmpIPredicate predicate, Value a, Value c, const Twine &text) {
    Value ok = b.createOrFold<arith::CmpIOp>(loc, predicate, a, c);
    require(ok, text);
  }
  void require(Value ok, const Twine &text) {
    if (auto known = getConstantIntValue(ok); known && *known != 0)
      return;
    cf::AssertOp::create(b, loc, ok, (name + ": " + text).str());
  }
  /// 0 <= index < size of the tensor's dimension.
  void inside(Value index, Value tensor, int64_t dim) {
    require(arith::CmpIPredicate::ult, index, size(tensor, dim),
            "expects index " + Twine(dim) + " inside the tensor, but it lies outside");
  }

  OpBuilder b;
  Location loc;
  StringRef name;
};

struct CheckSizes : impl::CheckSizesBase<CheckSizes> {
  /// Dimensions that one loop goes through agree; sums of loops (convolutions) stay inside.
  static void check(linalg::LinalgOp op) {
    Checks c(op);
    SmallVector<std::pair<OpOperand *, int64_t>> owner(op.getNumLoops(), {nullptr, 0});
    SmallVector<Value> sizes(op.getNumLoops());
    for (OpOperand &operand : op->getOpOperands()) {
      AffineMap map = op.getMatchingIndexingMap(&operand);
      auto type = dyn_cast<RankedTensorType>(operand.get().getType());
      for (auto [d, expr] : llvm::enumerate(map.getResults())) {
        auto loop = dyn_cast<AffineDimExpr>(expr);
        if (!type || !loop)
          continue;
        auto &[first, dim] = owner[loop.getPosition()];
        if (!first) {
          first = &operand, dim = d;
          sizes[loop.getPosition()] = c.size(operand.get(), d);
          continue;
        }
        if (type.isDynamicDim(d) || cast<RankedTensorType>(first->get().getType()).isDynamicDim(dim))
          c.require(arith::CmpIPredicate::eq, c.size(operand.get(), d), sizes[loop.getPosition()],
                    "expects dimension " + Twine(d) + " of operand " + Twine(operand.getOperandNumber()) +
                        " to equal dimension " + Twine(dim) + " of operand " + Twine(first->getOperandNumber()) +
                        ", but they differ");
      }
    }
    for (OpOperand &operand : op->getOpOperands()) {
      AffineMap map = op.getMatchingIndexingMap(&operand);
      for (auto [d, expr] : llvm::enumerate(map.getResults())) {
        auto type = dyn_cast<RankedTensorType>(operand.get().getType());
        if (!type || !isa<AffineBinaryOpExpr>(expr) || llvm::any_of(sizes, [](Value size) { return !size; }))
          continue;
        // The largest index: all loops at their last iteration. An empty loop reads nothing.
        SmallVector<OpFoldResult> last;
        Value some;
        for (Value size : sizes) {
          last.push_back(c.b.createOrFold<arith::SubIOp>(c.loc, size, c.number(1)));
          Value empty = c.b.createOrFold<arith::CmpIOp>(c.loc, arith::CmpIPredicate::eq, size, c.number(0));
          some = some ? c.b.createOrFold<arith::OrIOp>(c.loc, some, empty) : empty;
        }
        OpFoldResult index =
            affine::makeComposedFoldedAffineApply(c.b, c.loc, AffineMap::get(map.getNumDims(), 0, expr), last);
        Value fits =
            c.b.createOrFold<arith::CmpIOp>(c.loc, arith::CmpIPredicate::ult, c.value(index), c.size(operand.get(), d));
        c.require(c.b.createOrFold<arith::OrIOp>(c.loc, fits, some), "expects dimension " + Twine(d) + " of operand " +
                                                                         Twine(operand.getOperandNumber()) +
                                                                         " to hold every window, but it is too small");
      }
    }
  }

  /// Elements [offset, offset + size * stride) lie inside each dimension of `whole`.
  static void checkSlice(OffsetSizeAndStrideOpInterface op, Value whole, Value part) {
    Checks c(op);
    auto type = cast<RankedTensorType>(whole.getType());
    for (int64_t d = 0; d < type.getRank(); ++d) {
      OpFoldResult offset = op.getMixedOffsets()[d], size = op.getMixedSizes()[d], stride = op.getMixedStrides()[d];
      if (getConstantIntValue(offset) && getConstantIntValue(size) && getConstantIntValue(stride) &&
          !type.isDynamicDim(d))
        continue; // the verifier has seen it
      Value from = c.value(offset), count = c.value(size), step = c.value(stride), most = c.size(whole, d);
      c.require(arith::CmpIPredicate::sge, count, c.number(0), "expects a size of at least 0 in dimension " + Twine(d));
      c.require(arith::CmpIPredicate::ule, from, most, "expects an offset inside dimension " + Twine(d));
      Value last = c.b.createOrFold<arith::AddIOp>(
          c.loc, from,
          c.b.createOrFold<arith::MulIOp>(c.loc, c.b.createOrFold<arith::SubIOp>(c.loc, count, c.number(1)), step));
      Value none = c.b.createOrFold<arith::CmpIOp>(c.loc, arith::CmpIPredicate::eq, count, c.number(0));
      Value fits = c.b.createOrFold<arith::CmpIOp>(c.loc, arith::CmpIPredicate::ult, last, most);
      c.require(c.b.createOrFold<arith::OrIOp>(c.loc, fits, none),
                "expects a slice inside dimension " + Twine(d) + ", but it ends outside");
    }
    if (!part)
      return;
    // Dimensions of the part are those of the slice but for dropped ones of size 1.
    llvm::SmallBitVector dropped = op.getOperation()->getNumResults()
                                       ? cast<tensor::InsertSliceOp>(op.getOperation()).getDroppedDims()
                                       : llvm::SmallBitVector(type.getRank());
    int64_t at = 0;
    for (int64_t d = 0; d < type.getRank(); ++d)
      if (!dropped.test(d))
        c.require(arith::CmpIPredicate::eq, c.size(part, at++), c.value(op.getMixedSizes()[d]),
                  "expects the source to have the slice's size in dimension " + Twine(d) + ", but they differ");
  }

  static void checkDivision(Operation *op) {
    if (!op->getResult(0).getType().isIntOrIndex())
      return;
    Checks c(op);
    Value divisor = op->getOperand(1);
    if (auto known = getConstantIntValue(divisor); known && *known != 0 && *known != -1)
      return;
    auto integer = [&](int64_t value) -> Value {
      return arith::ConstantOp::create(c.b, c.loc, c.b.getIntegerAttr(divisor.getType(), value));
    };
    c.require(arith::CmpIPredicate::ne, divisor, integer(0), "expects a divisor other than 0");
    if (isa<arith::DivUIOp, arith::RemUIOp, arith::CeilDivUIOp>(op))
      return;
    // The one quotient that does not fit ends a program on x86.
    const unsigned width = divisor.getType().isIndex() ? 64 : divisor.getType().getIntOrFloatBitWidth();
    Value least = arith::ConstantOp::create(
        c.b, c.loc, c.b.getIntegerAttr(divisor.getType(), llvm::APInt::getSignedMinValue(width)));
    Value fits = c.b.createOrFold<arith::OrIOp>(
        c.loc, c.b.createOrFold<arith::CmpIOp>(c.loc, arith::CmpIPredicate::ne, divisor, integer(-1)),
        c.b.createOrFold<arith::CmpIOp>(c.loc, arith::CmpIPredicate::ne, op->getOperand(0), least));
    c.require(fits, "expects a quotient that fits its type");
  }

  /// 1 / 0 to some power; of a known exponent that is not negative, nothing is left to check.
  static void checkPower(math::IPowIOp op) {
    APInt known;
    if (matchPattern(op.getRhs(), m_ConstantInt(&known)) && known.isNonNegative())
      return;
    Checks c(op);
    Value zero = arith::ConstantOp::create(c.b, c.loc, c.b.getIntegerAttr(op.getType(), 0));
    Value some = c.b.createOrFold<arith::CmpIOp>(c.loc, arith::CmpIPredicate::ne, op.getLhs(), zero);
    Value whole = c.b.createOrFold<arith::CmpIOp>(c.loc, arith::CmpIPredicate::sge, op.getRhs(), zero);
    c.require(c.b.createOrFold<arith::OrIOp>(c.loc, some, whole),
              "expects a base other than 0 where the exponent is negative");
  }

  static void checkElements(Operation *op, Value from, Value to) {
    OpBuilder after(op->getBlock(), std::next(op->getIterator()));
    Checks c(op);
    c.b.setInsertionPointAfter(op);
    auto count = [&](Value tensor) {
      Value product = c.number(1);
      for (int64_t d = 0; d < cast<RankedTensorType>(tensor.getType()).getRank(); ++d)
        product = c.b.createOrFold<arith::MulIOp>(c.loc, product, c.size(tensor, d));
      return product;
    };
    if (cast<RankedTensorType>(from.getType()).hasStaticShape() &&
        cast<RankedTensorType>(to.getType()).hasStaticShape())
      return;
    c.require(arith::CmpIPredicate::eq, count(from), count(to), "expects as many elements as there were");
  }

  static void check(Operation *op) {
    if (auto structured = dyn_cast<linalg::LinalgOp>(op)) {
      check(structured);
    } else if (auto extract = dyn_cast<tensor::ExtractOp>(op)) {
      for (auto [d, index] : llvm::enumerate(extract.getIndices()))
        Checks(op).inside(index, extract.getTensor(), d);
    } else if (auto insert = dyn_cast<tensor::InsertOp>(op)) {
      for (auto [d, index] : llvm::enumerate(insert.getIndices()))
        Checks(op).inside(index, insert.getDest(), d);
    } else if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op)) {
      checkSlice(slice, slice.getSource(), Value());
    } else if (auto put = dyn_cast<tensor::InsertSliceOp>(op)) {
      checkSlice(put, put.getDest(), put.getSource());
    } else if (auto cast = dyn_cast<tensor::CastOp>(op)) {
      auto to = dyn_cast<RankedTensorType>(cast.getType());
      for (int64_t d = 0; to && d < to.getRank(); ++d)
        if (!to.isDynamicDim(d)) {
          Checks c(op);
          c.require(arith::CmpIPredicate::eq, c.size(cast.getSource(), d), c.number(to.getDimSize(d)),
                    "expects " + Twine(to.getDimSize(d)) + " in dimension " + Twine(d) + ", but the size differs");
        }
    } else if (auto pad = dyn_cast<tensor::PadOp>(op)) {
      Checks c(op);
      for (OpFoldResult amount : llvm::concat<OpFoldResult>(pad.getMixedLowPad(), pad.getMixedHighPad()))
        if (!getConstantIntValue(amount))
          c.require(arith::CmpIPredicate::sge, c.value(amount), c.number(0), "expects padding of at least 0");
    } else if (auto expand = dyn_cast<tensor::ExpandShapeOp>(op)) {
      checkElements(op, expand.getSrc(), expand.getResult());
    } else if (auto reshape = dyn_cast<tensor::ReshapeOp>(op)) {
      checkElements(op, reshape.getSource(), reshape.getResult());
    } else if (auto loop = dyn_cast<scf::ForOp>(op)) {
      Checks c(op);
      Value zero = arith::ConstantOp::create(c.b, c.loc, c.b.getIntegerAttr(loop.getStep().getType(), 0));
      c.require(arith::CmpIPredicate::sgt, loop.getStep(), zero, "expects a positive step");
    } else if (isa<arith::DivSIOp, arith::DivUIOp, arith::RemSIOp, arith::RemUIOp, arith::FloorDivSIOp,
                   arith::CeilDivSIOp, arith::CeilDivUIOp>(op)) {
      checkDivision(op);
    } else if (auto power = dyn_cast<math::IPowIOp>(op)) {
      checkPower(power);
    }
  }

  void runOnOperation() override {
    if (!getOperation()->hasAttr(transformer::kCallableAttr))
      return;
    SmallVector<Operation *> work;
    WalkResult known = getOperation().walk([&](Operation *op) {
      work.push_back(op);
      auto isTensor = [](Type type) { return isa<TensorType>(type); };
      if ((llvm::none_of(op->getOperandTypes(), isTensor) && llvm::none_of(op->getResultTypes(), isTensor)) ||
          isa<bufferization::BufferizableOpInterface>(op))
        return WalkResult::advance();
      op->emitOpError() << "expects operations that have a form on buffers, but this has none";
      return WalkResult::interrupt();
    });
    if (known.wasInterrupted())
      return signalPassFailure();
    for (Operation *op : work)
      check(op);
  }
};
} // namespace
} // namespace stepdown
