// Operations of a plain module that stand for several and that kernels of models have no linalg for, or do not hold at
// all: those on a cache or on stored weights, and linalg's aggregates.
#include "dialects/Transformer/IR/TransformerOps.h"
#include "mlir/Conversion/AffineToStandard/AffineToStandard.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Transforms/DialectConversion.h"
#include "passes/Linalg/DecomposeRelayout.h"
#include "passes/Linalg/Passes.h"
#include "passes/Linalg/PlainOperations.h"
#include "passes/Linalg/SizeArithmetic.h"
#include "passes/Linalg/SoundForms.h"

using namespace mlir;
using namespace stepdown::transformer;

namespace stepdown {
#define GEN_PASS_DEF_DECOMPOSEOPERATIONS
#include "passes/Linalg/Passes.h.inc"

namespace {

struct DecomposeOperations : impl::DecomposeOperationsBase<DecomposeOperations> {
  LogicalResult usePlainTypes() {
    PlainTypes types;
    RewritePatternSet patterns(&getContext());
    ConversionTarget target(getContext());
    populatePlainPatterns(types, patterns, target);
    return applyPartialConversion(getOperation(), target, std::move(patterns));
  }

  LogicalResult decompose(Operation *op) {
    if (isa<linalg::PackOp, linalg::UnPackOp>(op))
      checkPack(op);
    IRRewriter rewriter(op);
    FailureOr<SmallVector<Value>> parts = failure();
    if (auto softmax = dyn_cast<linalg::SoftmaxOp>(op))
      parts = softmax.decomposeOperation(rewriter);
    else if (auto concat = dyn_cast<tensor::ConcatOp>(op)) {
      checkConcat(op);
      parts = join(rewriter, concat);
    } else if (isRelayout(op)) {
      return succeeded(decomposeRelayout(rewriter, op)) ? success() : refuse(op);
    }
    if (failed(parts))
      return refuse(op);
    rewriter.replaceOp(op, *parts);
    return success();
  }

  /// The sizes that are known, be it by what is cast to the array.
  static ArrayRef<int64_t> shapeOf(Value array) {
    auto cast = array.getDefiningOp<tensor::CastOp>();
    if (cast && isa<RankedTensorType>(cast.getSource().getType()) &&
        !llvm::is_contained(mlir::cast<RankedTensorType>(array.getType()).getShape(), 0))
      return shapeOf(cast.getSource());
    return mlir::cast<RankedTensorType>(array.getType()).getShape();
  }
  static bool isEmpty(Value array) { return llvm::is_contained(shapeOf(array), 0); }

  /// Arrays that are known to be empty are left out: MLIR verifies no part that begins where an array ends.
  static FailureOr<SmallVector<Value>> join(IRRewriter &b, tensor::ConcatOp op) {
    SmallVector<Value> some;
    llvm::copy_if(op.getInputs(), std::back_inserter(some), [](Value part) { return !isEmpty(part); });
    bool nothing = some.empty() || isEmpty(op.getResult());
    for (Value part : op.getInputs())
      for (auto [d, size] : llvm::enumerate(shapeOf(part)))
        nothing |= size == 0 && d != op.getDim();
    if (!nothing && some.size() == op.getInputs().size())
      return op.decomposeOperation(b);
    Location loc = op.getLoc();
    Value joined;
    if (nothing) {
      ReifiedRankedShapedTypeDims sizes;
      if (failed(reifyResultShapes(b, op, sizes)))
        return failure();
      joined = tensor::EmptyOp::create(b, loc, sizes.front(), op.getResultType().getElementType());
    } else {
      auto rest = tensor::ConcatOp::create(b, loc, op.getDim(), some);
      auto parts = rest.decomposeOperation(b);
      if (failed(parts))
        return failure();
      joined = parts->front();
      rest.erase();
    }
    if (joined.getType() != op.getResultType())
      joined = tensor::CastOp::create(b, loc, op.getResultType(), joined);
    return SmallVector<Value>{joined};
  }

  static LogicalResult refuse(Operation *op) {
    return op->emitOpError() << "expects a form that takes linalg and tensor operations alone, but there is none of it";
  }

  /// Loops and branches of affine have no form on buffers where they hand arrays on; scf's have. All of them, since
  /// one inside another takes the other's variable for its own bounds, which it may only of an affine loop.
  LogicalResult lowerAffine() {
    RewritePatternSet patterns(&getContext());
    populateAffineToStdConversionPatterns(patterns);
    ConversionTarget target(getContext());
    target.addIllegalOp<affine::AffineForOp, affine::AffineIfOp, affine::AffineYieldOp>();
    target.markUnknownOpDynamicallyLegal([](Operation *) { return true; });
    return applyPartialConversion(getOperation(), target, std::move(patterns));
  }

  void runOnOperation() override {
    if (failed(usePlainTypes()))
      return signalPassFailure();
    SmallVector<UnrealizedConversionCastOp> casts; // of select-attention, to what are plain types now
    getOperation().walk([&](UnrealizedConversionCastOp cast) { casts.push_back(cast); });
    reconcileUnrealizedCasts(casts);
    if (failed(lowerAffine()))
      return signalPassFailure();
    SmallVector<Operation *> work;
    getOperation().walk([&](Operation *op) {
      if (isRelayout(op) || isa<linalg::SoftmaxOp, tensor::ConcatOp>(op))
        work.push_back(op);
    });
    for (Operation *op : work)
      if (failed(decompose(op)))
        return signalPassFailure();
    giveSoundForms(getOperation());
  }
};
} // namespace
} // namespace stepdown
