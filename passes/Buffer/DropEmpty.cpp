// What is done with arrays that are known to be empty becomes nothing: MLIR 22.1.8 verifies no slice that begins where
// an array ends, be it of no elements, and knows no buffer for a collapsed dimension of 0 and one that is not known.
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "passes/Buffer/EmptyArrays.h"
#include "passes/Buffer/Passes.h"

using namespace mlir;

namespace stepdown {
#define GEN_PASS_DEF_DROPEMPTY
#include "passes/Buffer/Passes.h.inc"

namespace {
struct DropEmpty : impl::DropEmptyBase<DropEmpty> {
  /// Whether the one result of `op` has no elements, as a type of it says.
  static bool makesNothing(Operation *op, EmptyArrays &empty) {
    if (isa<tensor::CastOp>(op)) // to a type that says so: the other way it stays what slices are seen to be of
      return llvm::is_contained(cast<ShapedType>(op->getResult(0).getType()).getShape(), 0);
    return isa<tensor::ExtractSliceOp, tensor::PadOp, arith::ConstantOp, tensor::CollapseShapeOp, tensor::ExpandShapeOp,
               tensor::ReshapeOp>(op) &&
           empty.isKnown(op->getResult(0));
  }

  /// Whether `op` puts an array into another, and either has no elements.
  static bool putsNothing(Operation *op, EmptyArrays &empty) {
    return isa<tensor::InsertSliceOp, tensor::ParallelInsertSliceOp>(op) &&
           (empty.isKnown(op->getOperand(0)) || empty.isKnown(op->getOperand(1)));
  }

  /// The sizes of what `op` makes.
  static FailureOr<SmallVector<OpFoldResult>> sizesOf(OpBuilder &b, Operation *op) {
    if (auto reshape = dyn_cast<tensor::ReshapeOp>(op)) { // to a shape that is an array
      SmallVector<OpFoldResult> sizes;
      for (auto [d, size] : llvm::enumerate(cast<RankedTensorType>(reshape.getType()).getShape())) {
        if (!ShapedType::isDynamic(size)) {
          sizes.push_back(b.getIndexAttr(size));
          continue;
        }
        Value at = arith::ConstantIndexOp::create(b, op->getLoc(), d);
        Value number = tensor::ExtractOp::create(b, op->getLoc(), reshape.getShape(), at);
        if (!number.getType().isIndex())
          number = arith::IndexCastOp::create(b, op->getLoc(), b.getIndexType(), number);
        sizes.push_back(number);
      }
      return sizes;
    }
    if (auto expand = dyn_cast<tensor::ExpandShapeOp>(op))
      return expand.getMixedOutputShape();
    if (auto collapse = dyn_cast<tensor::CollapseShapeOp>(op)) {
      SmallVector<OpFoldResult> sizes, from = tensor::getMixedSizes(b, op->getLoc(), collapse.getSrc());
      for (const ReassociationIndices &group : collapse.getReassociationIndices()) {
        OpFoldResult size = b.getIndexAttr(1);
        for (int64_t d : group)
          size = isConstantIntValue(size, 0) || isConstantIntValue(from[d], 0)
                     ? OpFoldResult(b.getIndexAttr(0))
                     : OpFoldResult(b.createOrFold<arith::MulIOp>(
                           op->getLoc(), getValueOrCreateConstantIndexOp(b, op->getLoc(), size),
                           getValueOrCreateConstantIndexOp(b, op->getLoc(), from[d])));
        sizes.push_back(size);
      }
      return sizes;
    }
    if (isa<arith::ConstantOp>(op))
      return getAsIndexOpFoldResult(b.getContext(), cast<RankedTensorType>(op->getResult(0).getType()).getShape());
    if (isa<tensor::CastOp>(op)) // those of what it was
      return tensor::getMixedSizes(b, op->getLoc(), op->getOperand(0));
    ReifiedRankedShapedTypeDims sizes;
    if (failed(reifyResultShapes(b, op, sizes)))
      return failure();
    return sizes.front();
  }

  static void replace(IRRewriter &b, Operation *op, Value value) {
    auto type = cast<RankedTensorType>(op->getResult(0).getType());
    b.replaceOp(op, value.getType() == type ? value : tensor::CastOp::create(b, op->getLoc(), type, value).getResult());
  }

  /// A sum over no elements is what it starts from, also where its body reads nothing of that: bufferization takes the
  /// start for room then.
  static void keepStart(IRRewriter &b, linalg::LinalgOp op) {
    auto unread = [&](OpOperand &start) { return !op.payloadUsesValueFromOperand(&start); };
    if (!op.getNumReductionLoops() || !op.hasPureTensorSemantics() || llvm::none_of(op.getDpsInitsMutable(), unread))
      return;
    b.setInsertionPoint(op);
    Location loc = op.getLoc();
    Value nothing;
    for (auto [range, kind] : llvm::zip(op.createLoopRanges(b, loc), op.getIteratorTypesArray())) {
      if (kind != utils::IteratorType::reduction)
        continue;
      if (isConstantIntValue(range.size, 0))
        return b.replaceOp(op, op.getDpsInits());
      if (getConstantIntValue(range.size))
        continue;
      Value none = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, cast<Value>(range.size),
                                         arith::ConstantIndexOp::create(b, loc, 0));
      nothing = nothing ? arith::OrIOp::create(b, loc, nothing, none).getResult() : none;
    }
    if (!nothing)
      return;
    auto choice = scf::IfOp::create(b, loc, op->getResultTypes(), nothing, /*withElseRegion=*/true);
    b.setInsertionPointToStart(choice.thenBlock());
    scf::YieldOp::create(b, loc, op.getDpsInits());
    b.replaceAllUsesWith(op->getResults(), choice.getResults());
    b.moveOpBefore(op, choice.elseBlock(), choice.elseBlock()->end());
    b.setInsertionPointToEnd(choice.elseBlock());
    scf::YieldOp::create(b, loc, op->getResults());
  }

  void runOnOperation() override {
    SmallVector<Operation *> work;
    SmallVector<linalg::LinalgOp> structured;
    getOperation().walk([&](linalg::LinalgOp op) { structured.push_back(op); });
    EmptyArrays empty;
    getOperation().walk([&](Operation *op) {
      auto pad = dyn_cast<tensor::PadOp>(op);
      if (makesNothing(op, empty) || putsNothing(op, empty) || (pad && empty.isKnown(pad.getSource())))
        work.push_back(op);
    });
    IRRewriter b(&getContext());
    for (linalg::LinalgOp op : structured)
      keepStart(b, op);
    for (Operation *op : work) {
      b.setInsertionPoint(op);
      if (isa<tensor::ParallelInsertSliceOp>(op)) {
        b.eraseOp(op);
        continue;
      }
      if (auto put = dyn_cast<tensor::InsertSliceOp>(op)) {
        replace(b, op, put.getDest());
        continue;
      }
      FailureOr<SmallVector<OpFoldResult>> sizes = sizesOf(b, op);
      if (failed(sizes))
        return signalPassFailure();
      auto pad = dyn_cast<tensor::PadOp>(op);
      if (EmptyArrays now; !pad || makesNothing(op, now)) {
        replace(b, op, tensor::EmptyOp::create(b, op->getLoc(), *sizes, getElementTypeOrSelf(op->getResult(0))));
        continue;
      }
      SmallVector<Value> unknown; // all that is there was padded
      for (auto [d, size] : llvm::enumerate(*sizes))
        if (pad.getResultType().isDynamicDim(d))
          unknown.push_back(getValueOrCreateConstantIndexOp(b, op->getLoc(), size));
      auto filled = tensor::GenerateOp::create(b, op->getLoc(), pad.getResultType(), unknown);
      b.inlineRegionBefore(pad.getRegion(), filled.getBody(), filled.getBody().end());
      b.replaceOp(op, filled);
    }
  }
};
} // namespace
} // namespace stepdown
