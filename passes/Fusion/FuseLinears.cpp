// Linears that read the same activations: gate and up with the activation that joins them, then q, k and v.
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
      auto gate = op.getGate().getDefiningOp<LinearOp>(), up = op.getUp().getDefiningOp<LinearOp>();
      if (!gate || !up || gate == up || !gate->hasOneUse() || !up->hasOneUse() || gate.getX() != up.getX())
        continue;
      SmallVector<Operation *> group = {gate, up, op};
      if (auto quantize = onlyUser<QuantizeOp>(op.getResult()))
        group.push_back(quantize);
      else
        continue; // the tile's result would go to memory as rows: the plain kernels do that as well
      makeKernel("gated_linear", group);
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
        makeKernel("linear", group);
  }
};
} // namespace
} // namespace stepdown
