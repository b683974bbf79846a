// Fewer arrays: a value that is read once need not be stored.
#include "dialects/Transformer/IR/TransformerDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "passes/Linalg/Passes.h"

using namespace mlir;

namespace stepdown {
#define GEN_PASS_DEF_FUSEELEMENTWISE
#include "passes/Linalg/Passes.h.inc"

namespace {
struct FuseElementwise : impl::FuseElementwiseBase<FuseElementwise> {
  /// Whether the reader takes every element once: then nothing is computed twice.
  static bool readOnce(OpOperand *operand) {
    auto reader = dyn_cast<linalg::LinalgOp>(operand->getOwner());
    return operand->get().hasOneUse() && reader && reader.getMatchingIndexingMap(operand).isPermutation();
  }

  void runOnOperation() override {
    if (!getOperation()->hasAttr(transformer::kCallableAttr))
      return;
    RewritePatternSet patterns(&getContext());
    linalg::populateElementwiseOpsFusionPatterns(patterns, readOnce);
    linalg::GenericOp::getCanonicalizationPatterns(patterns, &getContext());
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};
} // namespace
} // namespace stepdown
