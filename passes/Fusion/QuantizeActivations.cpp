// Every linear layer reads activation blocks: 8-bit codes for quantised weights, floats for the others.
#include "passes/Fusion/Passes.h"

using namespace mlir;
using namespace stepdown::transformer;

namespace stepdown {
#define GEN_PASS_DEF_QUANTIZEACTIVATIONS
#include "passes/Fusion/Passes.h.inc"

namespace {
struct QuantizeActivations : impl::QuantizeActivationsBase<QuantizeActivations> {
  using impl::QuantizeActivationsBase<QuantizeActivations>::QuantizeActivationsBase;

  /// Around an activation, where most of a prompt's time goes, the default has less than two numbers for a value: one
  /// code with outliers, or one bfloat16.
  StringRef elementFor(Operation *linear, const BlockFormat &format) {
    const bool isBFloat = format.storage == Storage::BF16;
    if (exact || (!format.isQuantised() && !isBFloat))
      return "f32";
    auto isGated = [](Operation *op) { // with what an adapter adds between, which changes nothing for other tokens
      if (isa_and_nonnull<AdaptOp>(op) && op->hasOneUse())
        op = *op->user_begin();
      return isa_and_nonnull<GatedActivationOp, ActivationOp>(op);
    };
    const bool around = activations == "q8o2" &&
                        (isGated(linear->getOperand(0).getDefiningOp()) || llvm::any_of(linear->getUsers(), isGated));
    if (isBFloat)
      return around || activations == "q8" ? "bf16" : "bf16x2";
    return activations == "q8o2" && !around ? StringRef("q8x2") : StringRef(activations);
  }

  void runOnOperation() override {
    llvm::DenseMap<std::pair<Value, Type>, Value> made[2]; // the second: of experts, by token
    getOperation().walk([&](Operation *op) {
      if (!isa<LinearOp, LogitsOp, ExpertLinearOp>(op) || !isRows(op->getOperand(0).getType()))
        return;
      Value x = op->getOperand(0);
      auto experts = dyn_cast<ExpertLinearOp>(op);
      Value weight = experts ? Value(experts.getWeight()) : op->getOperand(1);
      auto type = cast<RankedTensorType>(x.getType());
      auto block = cast<BlockType>(cast<RankedTensorType>(weight.getType()).getElementType());
      StringRef element = elementFor(op, block.getFormat());
      Type packed = RankedTensorType::get({type.getDimSize(0), int64_t(llvm::divideCeil(type.getDimSize(1), 32))},
                                          ActivationType::get(&getContext(), element, 1, 32));
      Value &blocks = made[experts ? 1 : 0][{x, packed}];
      if (!blocks) {
        OpBuilder b(&getContext());
        b.setInsertionPointAfterValue(x);
        blocks = QuantizeOp::create(b, op->getLoc(), packed, x, DenseI64ArrayAttr(), bool(experts));
      }
      op->setOperand(0, blocks);
    });
  }
};
} // namespace
} // namespace stepdown
