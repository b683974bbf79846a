// Every linear layer reads activation blocks: 8 bits for quantised weights, float32 for the others.
#include "passes/Fusion/Passes.h"

using namespace mlir;
using namespace stepdown::transformer;

namespace stepdown {
#define GEN_PASS_DEF_QUANTIZEACTIVATIONS
#include "passes/Fusion/Passes.h.inc"

namespace {
struct QuantizeActivations : impl::QuantizeActivationsBase<QuantizeActivations> {
  using impl::QuantizeActivationsBase<QuantizeActivations>::QuantizeActivationsBase;

  void runOnOperation() override {
    llvm::DenseMap<std::pair<Value, Type>, Value> made;
    getOperation().walk([&](Operation *op) {
      if (!isa<LinearOp, LogitsOp>(op) || !isRows(op->getOperand(0).getType()))
        return;
      Value x = op->getOperand(0);
      auto type = cast<RankedTensorType>(x.getType());
      auto block = cast<BlockType>(cast<RankedTensorType>(op->getOperand(1).getType()).getElementType());
      if (type.getDimSize(1) % 32) {
        op->emitOpError() << "expects columns in multiples of 32, but got " << type;
        return signalPassFailure();
      }
      StringRef element = exact || !block.getFormat().isQuantised() ? StringRef("f32") : StringRef(activations);
      Type packed = RankedTensorType::get({type.getDimSize(0), type.getDimSize(1) / 32},
                                          ActivationType::get(&getContext(), element, 1, 32));
      Value &blocks = made[{x, packed}];
      if (!blocks) {
        OpBuilder b(&getContext());
        b.setInsertionPointAfterValue(x);
        blocks = QuantizeOp::create(b, op->getLoc(), packed, x);
      }
      op->setOperand(0, blocks);
    });
  }
};
} // namespace
} // namespace stepdown
