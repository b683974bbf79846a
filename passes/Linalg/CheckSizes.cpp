// What a module leaves open until it runs: dimensions that must agree, indices that must lie inside, divisors that must
// not be zero. Where types prove it, nothing is left; the rest becomes one assertion each.
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
#include "passes/Linalg/SizeArithmetic.h"

using namespace mlir;

namespace stepdown {
#define GEN_PASS_DEF_CHECKSIZES
#include "passes/Linalg/Passes.h.inc"

namespace {

struct CheckSizes : impl::CheckSizesBase<CheckSizes> {
  using Predicate = arith::CmpIPredicate;

  SizeFacts facts;

  /// Dimensions that one loop goes through agree; other indices (of convolutions) stay inside.
  void check(linalg::LinalgOp op) {
    SizeArithmetic s(op, &facts);
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
          sizes[loop.getPosition()] = s.size(operand.get(), d);
          continue;
        }
        if (type.isDynamicDim(d) || cast<RankedTensorType>(first->get().getType()).isDynamicDim(dim))
          s.require(Predicate::eq, s.size(operand.get(), d), sizes[loop.getPosition()],
                    "expects dimension " + Twine(d) + " of operand " + Twine(operand.getOperandNumber()) +
                        " to equal dimension " + Twine(dim) + " of operand " + Twine(first->getOperandNumber()) +
                        ", but they differ");
      }
    }
    checkWindows(op, s, sizes);
  }

  /// Indices that are no loop alone lie inside, unless some loop is empty: then nothing is read.
  void checkWindows(linalg::LinalgOp op, SizeArithmetic &s, ArrayRef<Value> sizes) {
    SmallVector<Value> last; // of each loop, in 128 bits
    Value empty;
    for (OpOperand &operand : op->getOpOperands()) {
      AffineMap map = op.getMatchingIndexingMap(&operand);
      for (auto [d, expr] : llvm::enumerate(map.getResults())) {
        auto type = dyn_cast<RankedTensorType>(operand.get().getType());
        if (!type || isa<AffineDimExpr>(expr) || llvm::any_of(sizes, [](Value size) { return !size; }))
          continue;
        for (size_t i = last.size(); i < sizes.size(); ++i) {
          last.push_back(s.sub(s.wide(sizes[i]), s.wide(1)));
          Value none = s.compare(Predicate::eq, sizes[i], s.index(0));
          empty = empty ? s.either(empty, none) : none;
        }
        IndexRange range = rangeOf(s, expr, last);
        Value fits = s.both(s.compare(Predicate::sge, range.least, s.wide(0)),
                            s.compare(Predicate::slt, range.most, s.wideSize(operand.get(), d)));
        s.require(empty ? s.either(fits, empty) : fits, "expects dimension " + Twine(d) + " of operand " +
                                                            Twine(operand.getOperandNumber()) +
                                                            " to hold every window, but it is too small");
      }
    }
  }

  /// Elements offset + i * stride, for i below size, lie inside each dimension of `whole`. What is a constant is
  /// checked as well: the verifier sees attributes alone.
  void checkSlice(OffsetSizeAndStrideOpInterface op, Operation *before, Value whole, Value part,
                  const llvm::SmallBitVector &dropped) {
    SizeArithmetic s(before, &facts);
    s.name = op->getName().getStringRef();
    auto type = cast<RankedTensorType>(whole.getType());
    const unsigned firstStride = op.getOffsetSizeAndStrideStartOperandIndex() +
                                 llvm::count_if(op.getStaticOffsets(), ShapedType::isDynamic) +
                                 llvm::count_if(op.getStaticSizes(), ShapedType::isDynamic);
    unsigned strides = 0; // that are operands
    for (int64_t d = 0; d < type.getRank(); ++d) {
      OpFoldResult stride = op.getMixedStrides()[d];
      Value from = s.index(op.getMixedOffsets()[d]), count = s.index(op.getMixedSizes()[d]), step = s.index(stride);
      Value most = s.size(whole, d);
      s.require(Predicate::sge, count, s.index(0), "expects a size of at least 0 in dimension " + Twine(d));
      s.require(Predicate::ule, from, most, "expects an offset inside dimension " + Twine(d));
      Value last = s.add(s.wide(from), s.mul(s.sub(s.wide(count), s.wide(1)), s.wide(step)));
      Value none = s.compare(Predicate::eq, count, s.index(0));
      // The first and the last lie inside, so those between them do. Offset and last fit 128 bits whatever they are.
      Value fits = s.compare(Predicate::slt, last, s.wide(most));
      if (getConstantIntValue(stride) != 1) {
        fits = s.both(fits, s.compare(Predicate::sge, last, s.wide(0)));
        fits = s.both(fits, s.compare(Predicate::ult, from, most));
      }
      s.require(s.either(fits, none), "expects a slice inside dimension " + Twine(d) + ", but it ends outside");
      if (part && getConstantIntValue(stride) != 1) // which of them would stay?
        s.require(s.either(s.compare(Predicate::ne, step, s.index(0)), s.compare(Predicate::ule, count, s.index(1))),
                  "expects a stride other than 0 for several elements in dimension " + Twine(d));
      if (!isa<Value>(stride))
        continue;
      // The stride of one element or none means nothing; times that of the array it must not pass 64 bits all the same.
      Value several = s.compare(Predicate::ugt, count, s.index(1));
      op->setOperand(firstStride + strides++, s.b.createOrFold<arith::SelectOp>(s.loc, several, step, s.index(1)));
    }
    if (!part)
      return;
    // Dimensions of the part are those of the slice but for dropped ones of size 1.
    int64_t at = 0;
    for (int64_t d = 0; d < type.getRank(); ++d)
      if (!dropped.test(d))
        s.require(Predicate::eq, s.size(part, at++), s.index(op.getMixedSizes()[d]),
                  "expects the source to have the slice's size in dimension " + Twine(d) + ", but they differ");
  }

  void checkDivision(Operation *op) {
    if (!op->getResult(0).getType().isIntOrIndex())
      return;
    SizeArithmetic c(op, &facts);
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
  void checkPower(math::IPowIOp op) {
    APInt known;
    if (matchPattern(op.getRhs(), m_ConstantInt(&known)) && known.isNonNegative())
      return;
    SizeArithmetic c(op, &facts);
    Value zero = arith::ConstantOp::create(c.b, c.loc, c.b.getIntegerAttr(op.getType(), 0));
    Value some = c.b.createOrFold<arith::CmpIOp>(c.loc, arith::CmpIPredicate::ne, op.getLhs(), zero);
    Value whole = c.b.createOrFold<arith::CmpIOp>(c.loc, arith::CmpIPredicate::sge, op.getRhs(), zero);
    c.require(c.b.createOrFold<arith::OrIOp>(c.loc, some, whole),
              "expects a base other than 0 where the exponent is negative");
  }

  /// Padding by sizes, to a size.
  void checkPad(tensor::PadOp pad) {
    SizeArithmetic s(pad, &facts);
    for (int64_t d = 0; d < pad.getSourceType().getRank(); ++d) {
      Value low = s.index(pad.getMixedLowPad()[d]), high = s.index(pad.getMixedHighPad()[d]);
      for (Value amount : {low, high})
        s.require(Predicate::sge, amount, s.index(0), "expects padding of at least 0");
      Value sum = s.add(s.add(s.wideSize(pad.getSource(), d), s.wide(low)), s.wide(high));
      s.requireRoom(s.compare(Predicate::sle, sum, s.wide(kMostElements)));
    }
  }

  /// Arrays that are made with the sizes `given` where their type leaves them open.
  void checkMade(Operation *op, ValueRange given) {
    SizeArithmetic s(op, &facts);
    auto type = cast<RankedTensorType>(op->getResult(0).getType());
    unsigned next = 0;
    for (int64_t d = 0; d < type.getRank(); ++d)
      s.requireSize(type.isDynamicDim(d) ? given[next++] : s.index(type.getDimSize(d)), d);
  }

  /// A dimension of which the tensor has one.
  void checkDim(tensor::DimOp op) {
    SizeArithmetic s(op, &facts);
    const int64_t rank = cast<RankedTensorType>(op.getSource().getType()).getRank();
    auto known = getConstantIntValue(op.getIndex());
    if (known && *known >= 0 && *known < rank)
      return;
    s.require(Predicate::ult, op.getIndex(), s.index(rank), "expects an index below the rank of " + Twine(rank));
    if (rank && !known)
      return;
    op.replaceAllUsesWith(s.index(0)); // never reached
    facts.replaced.push_back(op);
  }

  /// Steps go forward, and the one past the end is a number of the loop's type.
  void checkSteps(Operation *op, Value from, Value to, Value step, bool isUnsigned) {
    SizeArithmetic s(op, &facts);
    auto integer = [&](llvm::APInt value) -> Value {
      return arith::ConstantOp::create(s.b, s.loc, s.b.getIntegerAttr(step.getType(), value));
    };
    const unsigned width = step.getType().isIndex() ? 64 : step.getType().getIntOrFloatBitWidth();
    Value zero = integer(llvm::APInt(width, 0));
    s.require(isUnsigned ? Predicate::ugt : Predicate::sgt, step, zero, "expects a positive step");
    if (getConstantIntValue(step) == 1)
      return;
    Value most = integer(isUnsigned ? llvm::APInt::getMaxValue(width) : llvm::APInt::getSignedMaxValue(width));
    Value slack = s.sub(step, integer(llvm::APInt(width, 1)));
    Value fits = s.compare(isUnsigned ? Predicate::ule : Predicate::sle, to, s.sub(most, slack));
    Value none = s.compare(isUnsigned ? Predicate::uge : Predicate::sge, from, to);
    s.require(s.either(fits, none), "expects an end that steps do not pass the largest integer for");
  }

  void check(Operation *op) {
    if (auto structured = dyn_cast<linalg::LinalgOp>(op)) {
      check(structured);
    } else if (auto extract = dyn_cast<tensor::ExtractOp>(op)) {
      for (auto [d, index] : llvm::enumerate(extract.getIndices()))
        SizeArithmetic(op, &facts).requireInside(index, extract.getTensor(), d);
    } else if (auto insert = dyn_cast<tensor::InsertOp>(op)) {
      for (auto [d, index] : llvm::enumerate(insert.getIndices()))
        SizeArithmetic(op, &facts).requireInside(index, insert.getDest(), d);
    } else if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op)) {
      checkSlice(slice, op, slice.getSource(), Value(), {});
    } else if (auto put = dyn_cast<tensor::InsertSliceOp>(op)) {
      checkSlice(put, op, put.getDest(), put.getSource(), put.getDroppedDims());
    } else if (auto put = dyn_cast<tensor::ParallelInsertSliceOp>(op)) { // only its like may stand beside it
      checkSlice(put, op->getParentOp(), put.getDest(), put.getSource(), put.getDroppedDims());
    } else if (auto cast = dyn_cast<tensor::CastOp>(op)) {
      auto to = dyn_cast<RankedTensorType>(cast.getType());
      for (int64_t d = 0; to && d < to.getRank(); ++d)
        if (!to.isDynamicDim(d)) {
          SizeArithmetic s(op, &facts);
          s.require(Predicate::eq, s.size(cast.getSource(), d), s.index(to.getDimSize(d)),
                    "expects " + Twine(to.getDimSize(d)) + " in dimension " + Twine(d) + ", but the size differs");
        }
    } else if (auto pad = dyn_cast<tensor::PadOp>(op)) {
      checkPad(pad);
    } else if (auto empty = dyn_cast<tensor::EmptyOp>(op)) {
      checkMade(op, empty.getDynamicSizes());
    } else if (auto splat = dyn_cast<tensor::SplatOp>(op)) {
      checkMade(op, splat.getDynamicSizes());
    } else if (auto generate = dyn_cast<tensor::GenerateOp>(op)) {
      checkMade(op, generate.getDynamicExtents());
    } else if (auto dim = dyn_cast<tensor::DimOp>(op)) {
      checkDim(dim);
    } else if (auto expand = dyn_cast<tensor::ExpandShapeOp>(op)) {
      checkExpand(expand, facts);
    } else if (auto reshape = dyn_cast<tensor::ReshapeOp>(op)) {
      expandReshape(reshape, facts);
    } else if (auto loop = dyn_cast<scf::ForOp>(op)) {
      checkSteps(op, loop.getLowerBound(), loop.getUpperBound(), loop.getStep(), loop.getUnsignedCmp());
    } else if (isa<scf::ForallOp, scf::ParallelOp>(op)) {
      auto loops = mlir::cast<LoopLikeOpInterface>(op);
      OpBuilder b(op);
      for (auto [from, to, step] :
           llvm::zip(*loops.getLoopLowerBounds(), *loops.getLoopUpperBounds(), *loops.getLoopSteps())) {
        auto value = [&](OpFoldResult of) { return getValueOrCreateConstantIndexOp(b, op->getLoc(), of); };
        Value low = value(from), high = value(to);
        checkSteps(op, low, high, value(step), false);
      }
    } else if (isa<arith::DivSIOp, arith::DivUIOp, arith::RemSIOp, arith::RemUIOp, arith::FloorDivSIOp,
                   arith::CeilDivSIOp, arith::CeilDivUIOp>(op)) {
      checkDivision(op);
    } else if (auto power = dyn_cast<math::IPowIOp>(op)) {
      checkPower(power);
    }
  }

  void runOnOperation() override {
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
    facts = SizeFacts();
    for (Operation *op : work)
      check(op);
    for (Operation *op : facts.replaced)
      op->erase();
  }
};
} // namespace
} // namespace stepdown
