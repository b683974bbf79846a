// Linears that read the same activations: gate and up with the activation that joins them, of a layer or of its
// experts; then q, k and v. And a linear with the activation of its result alone.
#include "passes/Fusion/Grouping.h"
#include "passes/Fusion/Passes.h"
#include "llvm/ADT/MapVector.h"

using namespace mlir;
using namespace stepdown::transformer;

namespace stepdown {
#define GEN_PASS_DEF_FUSEGATEDACTIVATION
#define GEN_PASS_DEF_FUSESIBLINGLINEARS
#include "passes/Fusion/Passes.h.inc"

namespace {
struct FuseGatedActivation : impl::FuseGatedActivationBase<FuseGatedActivation> {
  void runOnOperation() override {
    hoistWeights(getOperation());
    SmallVector<GatedActivationOp> gates;
    getOperation().walk([&](GatedActivationOp op) { gates.push_back(op); });
    for (GatedActivationOp op : gates) {
      Operation *gate = op.getGate().getDefiningOp(), *up = op.getUp().getDefiningOp();
      auto gateExperts = dyn_cast_or_null<ExpertLinearOp>(gate), upExperts = dyn_cast_or_null<ExpertLinearOp>(up);
      const bool linears = isa_and_nonnull<LinearOp>(gate) && isa_and_nonnull<LinearOp>(up);
      const bool ofExperts = gateExperts && upExperts && !gateExperts.getByRank() && !upExperts.getByRank();
      auto quantize = onlyUser<QuantizeOp>(op.getResult());
      const char *why = (!linears && !ofExperts) || gate == up ? "gate and up are not two linears"
                        : !gate->hasOneUse() || !up->hasOneUse()
                            ? "gate or up has another reader, so that it goes to memory all the same"
                        : gate->getOperand(0) != up->getOperand(0) ? "gate and up read different inputs"
                        : ofExperts && gateExperts.getIds() != upExperts.getIds()
                            ? "gate and up are of different experts"
                        : !quantize ? "the result is not packed for linears alone, so that it goes to memory as rows"
                                    : nullptr;
      if (why)
        remarkInputs(op, [&](Operation *, Operation *) -> std::string { return why; });
      else
        makeKernel(ofExperts ? "gated_experts" : "gated_linear", {gate, up, op, quantize}, wholeRowsOfInput);
    }
    SmallVector<ActivationOp> activations;
    getOperation().walk([&](ActivationOp op) { activations.push_back(op); });
    for (ActivationOp op : activations) {
      auto linear = op.getX().getDefiningOp<LinearOp>();
      auto quantize = onlyUser<QuantizeOp>(op.getResult());
      const char *why = !linear                ? "the input is not a linear's"
                        : !linear->hasOneUse() ? "the linear has another reader, so that it goes to memory all the same"
                        : !quantize ? "the result is not packed for linears alone, so that it goes to memory as rows"
                                    : nullptr;
      if (why)
        remarkInputs(op, [&](Operation *, Operation *) -> std::string { return why; });
      else
        makeKernel("activated_linear", {linear, op, quantize}, wholeRowsOfInput);
    }
  }
};

struct FuseSiblingLinears : impl::FuseSiblingLinearsBase<FuseSiblingLinears> {
  void runOnOperation() override {
    if (getOperation().isExternal())
      return;
    hoistWeights(getOperation());
    llvm::MapVector<Value, SmallVector<Operation *>> siblings;
    for (auto linear : getOperation().getBody().front().getOps<LinearOp>())
      siblings[linear.getX()].push_back(linear);
    for (auto &[x, group] : siblings)
      if (group.size() > 1)
        makeKernel("linear", group, wholeRowsOfInput);
  }
};
} // namespace
} // namespace stepdown
