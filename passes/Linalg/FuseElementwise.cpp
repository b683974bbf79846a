// Fewer arrays: a value that is read once need not be stored.
#include "dialects/Transformer/IR/FusionRemarks.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Linalg/Utils/Utils.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "passes/Linalg/Passes.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;

namespace stepdown {
#define GEN_PASS_DEF_FUSEELEMENTWISE
#include "passes/Linalg/Passes.h.inc"

/// Why what `operand` holds is stored although a structured operation computes it, as the end of a sentence; null where
/// its reader takes every element once, so that nothing would be computed twice.
static const char *whyStored(OpOperand &operand) {
  if (!operand.get().hasOneUse())
    return "it is read more than once";
  auto reader = dyn_cast<linalg::LinalgOp>(operand.getOwner());
  if (!reader)
    return "its reader is no structured operation";
  if (!reader.getMatchingIndexingMap(&operand).isPermutation())
    return "its reader does not take every element once";
  return nullptr;
}

/// The first condition that the two ends of `operand` do not meet.
static std::string whyApart(linalg::LinalgOp producer, OpOperand &operand) {
  StringRef from = producer->getName().getStringRef(), to = operand.getOwner()->getName().getStringRef();
  auto reader = dyn_cast<linalg::LinalgOp>(operand.getOwner());
  if (reader && reader.isDpsInit(&operand))
    return llvm::formatv("it is what the result of {0} starts from", to);
  if (producer.getNumReductionLoops())
    return llvm::formatv("{0} reduces: an element is whole when the last of its loop is in", from);
  if (const char *why = whyStored(operand)) {
    if (!operand.get().hasOneUse())
      return llvm::formatv("{0}: by {1} operands", why, llvm::range_size(operand.get().getUses()));
    return why;
  }
  if (!isa<linalg::GenericOp>(producer))
    return llvm::formatv("{0} is not elementwise", from);
  if (!isa<linalg::GenericOp>(reader))
    return llvm::formatv("{0} is not elementwise, and takes arrays", to);
  if (!linalg::areElementwiseOpsFusable(&operand))
    return "together they would leave a loop of the reader without a size";
  return "no fusion joins the two";
}

namespace {
struct FuseElementwise : impl::FuseElementwiseBase<FuseElementwise> {
  /// Operations that a round made. Fusing copies both bodies, so that a chain fused from its front copies its beginning
  /// as often as it is long; where no round takes what it made itself, each doubles what is fused, and a body is copied
  /// as often as its logarithm.
  struct Round : RewriterBase::Listener {
    llvm::DenseSet<Operation *> made;
    void notifyOperationInserted(Operation *op, OpBuilder::InsertPoint) override {
      if (isa<linalg::GenericOp>(op))
        made.insert(op);
    }
    void notifyOperationErased(Operation *op) override { made.erase(op); }
  };

  static bool isElementwise(Operation *op) {
    auto same = [](AffineMap map) { return map.isIdentity() || map.getNumResults() == 0; };
    auto structured = dyn_cast_or_null<linalg::LinalgOp>(op);
    return structured && !isa<linalg::FillOp>(op) && structured.hasPureTensorSemantics() &&
           linalg::isElementwise(structured) && llvm::all_of(structured.getIndexingMapsArray(), same);
  }

  /// linalg.add, linalg.map and others that take each element from the same place, in the form that fuses, where there
  /// is something to fuse with. Not those that transpose: fused, they would keep their reader from vectors.
  static void generalize(func::FuncOp function) {
    SmallVector<linalg::LinalgOp> named;
    function.walk([&](linalg::LinalgOp op) {
      auto fuses = [](Value value) { return value.hasOneUse() && isa<linalg::LinalgOp>(*value.user_begin()); };
      auto partner = [&](Value value) { return fuses(value) && isElementwise(value.getDefiningOp()); };
      if (!isa<linalg::GenericOp>(op) && isElementwise(op) &&
          (llvm::any_of(op->getOperands(), partner) || llvm::any_of(op->getResults(), fuses)))
        named.push_back(op);
    });
    IRRewriter rewriter(function.getContext());
    for (linalg::LinalgOp op : named) {
      rewriter.setInsertionPoint(op);
      (void)linalg::generalizeNamedOp(rewriter, op); // one that has no such form stays as it is
    }
  }

  /// The size of a result is that of the array it is computed into, which is there without computing.
  struct SizeOfResult : OpRewritePattern<tensor::DimOp> {
    using OpRewritePattern::OpRewritePattern;
    LogicalResult matchAndRewrite(tensor::DimOp op, PatternRewriter &rewriter) const override {
      auto computed = op.getSource().getDefiningOp<linalg::LinalgOp>();
      if (!computed)
        return rewriter.notifyMatchFailure(op, "expects the size of a structured operation's result");
      auto result = cast<OpResult>(op.getSource());
      Value init = computed.getDpsInitOperand(result.getResultNumber())->get();
      rewriter.modifyOpInPlace(op, [&] { op.getSourceMutable().assign(init); });
      return success();
    }
  };

  /// What a body does not read needs no start, so what made it need not be computed. Upstream's pattern of the name
  /// RemoveOutsDependency forgets that a reduction over no elements is its start.
  struct RoomAlone : OpRewritePattern<linalg::GenericOp> {
    using OpRewritePattern::OpRewritePattern;
    LogicalResult matchAndRewrite(linalg::GenericOp op, PatternRewriter &rewriter) const override {
      if (op.getNumReductionLoops() || !op.hasPureTensorSemantics())
        return rewriter.notifyMatchFailure(op, "expects parallel loops alone");
      bool changed = false;
      for (OpOperand &start : op.getDpsInitsMutable()) {
        auto type = dyn_cast<RankedTensorType>(start.get().getType());
        if (!type || op.payloadUsesValueFromOperand(&start) || start.get().getDefiningOp<tensor::EmptyOp>())
          continue;
        Value room = tensor::EmptyOp::create(
            rewriter, op.getLoc(), tensor::getMixedSizes(rewriter, op.getLoc(), start.get()), type.getElementType());
        if (room.getType() != type)
          room = tensor::CastOp::create(rewriter, op.getLoc(), type, room);
        rewriter.modifyOpInPlace(op, [&] { start.set(room); });
        changed = true;
      }
      return success(changed);
    }
  };

  void runOnOperation() override {
    generalize(getOperation());
    const std::string unsound[] = {"(anonymous namespace)::RemoveOutsDependency", "{anonymous}::RemoveOutsDependency"};
    for (bool changed = true; changed;) {
      Round round;
      RewritePatternSet patterns(&getContext());
      linalg::populateElementwiseOpsFusionPatterns(patterns, [&](OpOperand *operand) {
        return !whyStored(*operand) && !round.made.contains(operand->getOwner()) &&
               !round.made.contains(operand->get().getDefiningOp());
      });
      linalg::GenericOp::getCanonicalizationPatterns(patterns, &getContext());
      patterns.add<SizeOfResult, RoomAlone>(&getContext());
      GreedyRewriteConfig config;
      config.setListener(&round);
      if (failed(applyPatternsGreedily(getOperation(), FrozenRewritePatternSet(std::move(patterns), unsound), config,
                                       &changed)))
        return signalPassFailure();
      changed = !round.made.empty(); // what folds without making anything needs no other round
    }
    getOperation().walk([](linalg::LinalgOp producer) {
      for (OpOperand &use : producer->getUses())
        if (!isa<func::ReturnOp, tensor::DimOp>(use.getOwner()))
          remarkApart(producer, use, whyApart(producer, use));
    });
  }
};
} // namespace
} // namespace stepdown
