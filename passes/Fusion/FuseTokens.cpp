// Fusions of operations that work on each token by itself, or on each token and head.
#include "passes/Fusion/Grouping.h"
#include "passes/Fusion/Passes.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace stepdown::transformer;

namespace stepdown {
#define GEN_PASS_DEF_FUSEROPEAPPEND
#define GEN_PASS_DEF_FUSEATTENTION
#define GEN_PASS_DEF_FUSERESIDUALNORM
#define GEN_PASS_DEF_WRAPKERNELS
#include "passes/Fusion/Passes.h.inc"

/// The angle tables of `rope` for every position of the model's context: (coarse, fine).
static std::pair<Value, Value> ropeTables(OpBuilder &b, RopeOp rope, int64_t positions) {
  const int64_t pairs = rope.getInverseFrequencies().size(), coarse = (positions + 63) / 64;
  auto type = [&](int64_t rows) { return RankedTensorType::get({rows, 2, pairs}, b.getF32Type()); };
  auto table = [&](int64_t rows, int64_t stride, double factor) -> Value {
    return RopeTableOp::create(b, rope.getLoc(), type(rows), rope.getInverseFrequenciesAttr(),
                               b.getI64IntegerAttr(stride), b.getF64FloatAttr(factor));
  };
  return {table(coarse, 64, 1.0), table(64, 1, rope.getAttentionFactor().convertToDouble())};
}

static int64_t positionsOf(func::FuncOp function) {
  auto module = function->getParentOfType<ModuleOp>();
  auto model = module ? module->getAttrOfType<ModelAttr>(modelAttrName) : ModelAttr();
  return model ? model.getPositions() : 4096;
}

static constexpr const char *kReadByOthers = "the producer has other readers, so that it goes to memory all the same";

namespace {
struct FuseRopeAppend : impl::FuseRopeAppendBase<FuseRopeAppend> {
  void runOnOperation() override {
    hoistWeights(getOperation());
    SmallVector<RopeOp> ropes;
    getOperation().walk([&](RopeOp op) {
      if (isFree(op))
        ropes.push_back(op);
    });
    SmallVector<Operation *> done;
    for (RopeOp rope : ropes) {
      if (llvm::is_contained(done, rope.getOperation()))
        continue;
      SmallVector<Operation *> group;
      auto take = [&](RopeOp op) {
        if (auto norm = op.getX().getDefiningOp<RMSNormOp>(); norm && norm->hasOneUse())
          group.push_back(norm);
        group.push_back(op);
        done.push_back(op);
      };
      take(rope);
      // The other rotations of the same angles, and the append that stores one of them.
      for (RopeOp other : ropes)
        if (other != rope && other->getBlock() == rope->getBlock() &&
            other.getInverseFrequencies() == rope.getInverseFrequencies() &&
            other.getAttentionFactor() == rope.getAttentionFactor())
          take(other);
      for (Operation *op : SmallVector<Operation *>(group))
        for (Operation *user : op->getUsers())
          if (isa<KVAppendOp>(user) && !llvm::is_contained(group, user))
            group.push_back(user);
      OpBuilder b = OpBuilder::atBlockBegin(rope->getBlock());
      const auto [coarse, fine] = ropeTables(b, rope, positionsOf(getOperation()));
      for (Operation *op : group)
        if (auto member = dyn_cast<RopeOp>(op)) {
          member.getCoarseMutable().assign(coarse);
          member.getFineMutable().assign(fine);
        }
      makeKernel("rope_append", group, whyApart);
    }
  }

  static std::string whyApart(Operation *producer, Operation *reader) {
    if (isa<RMSNormOp>(producer))
      return kReadByOthers;
    if (!isa<LinearOp>(producer))
      return "";
    if (auto rope = dyn_cast<RopeOp>(reader))
      return needsWhole("a rotation", "heads", rope.getHeadDim());
    if (auto norm = dyn_cast<RMSNormOp>(reader)) {
      const int64_t normed = norm.getWeight().getType().getDimSize(0); // a head, or with OLMo 2 the whole row
      return needsWhole("a norm", normed == columns(producer->getResult(0).getType()) ? "rows" : "heads", normed);
    }
    return "keys and values are stored together, and the rotation of the keys is in the kernel that stores them";
  }
};

struct FuseAttention : impl::FuseAttentionBase<FuseAttention> {
  void runOnOperation() override {
    SmallVector<AttentionOp> work;
    getOperation().walk([&](AttentionOp op) { work.push_back(op); });
    for (AttentionOp op : work) {
      SmallVector<Operation *> group = {op};
      auto quantize = onlyUser<QuantizeOp>(op.getResult());
      const int64_t headColumns = columns(op.getResult().getType()) / op.getCache().getType().getHeads();
      if (quantize && !quantize.getGroups() && headColumns % 32 == 0)
        group.push_back(quantize);
      else if (quantize)
        remarkInputs(quantize, [&](Operation *, Operation *) -> std::string {
          if (auto groups = quantize.getGroups(); groups && (*groups)[0] != (*groups)[1])
            return llvm::formatv("heads of {0} columns lie in {1} each, and blocks have no room between them",
                                 (*groups)[0], (*groups)[1]);
          return llvm::formatv("the {0} columns of a cache head's queries are not a multiple of 32", headColumns);
        });
      makeKernel("attention", group, [](Operation *producer, Operation *) -> std::string {
        return isa<KVAppendOp>(producer)
                   ? "a token reads keys and values of other tokens: those of the whole step must be in the cache first"
                   : "attention waits until keys and values of the whole step are in the cache";
      });
    }
  }
};

struct FuseResidualNorm : impl::FuseResidualNormBase<FuseResidualNorm> {
  using impl::FuseResidualNormBase<FuseResidualNorm>::FuseResidualNormBase;

  void runOnOperation() override {
    hoistWeights(getOperation());
    SmallVector<AddOp> adds;
    getOperation().walk([&](AddOp op) { adds.push_back(op); });
    for (AddOp add : adds) {
      SmallVector<Operation *> group;
      auto isNorm = [](Operation *user) { return isa<RMSNormOp, LayerNormOp>(user); };
      Operation *product = add.getB().getDefiningOp();
      const bool behind = behindProducts && isa_and_nonnull<LinearOp>(product) && product->hasOneUse() &&
                          isFree(product) && llvm::none_of(add->getUsers(), isNorm);
      if (behind)
        group.push_back(product);
      for (Value operand : add->getOperands()) // a norm, rows or the experts' sum of what is added
        if (Operation *def = operand.getDefiningOp();
            isa_and_nonnull<RMSNormOp, SelectRowsOp, CombineExpertsOp>(def) && def->hasOneUse() && isFree(def))
          group.push_back(def);
      group.push_back(add);
      for (Operation *user : add->getUsers())
        if (isa<RMSNormOp, LayerNormOp>(user) && isFree(user))
          takeNorm(user, group);
      makeKernel(behind ? "residual_linear" : "residual_norm", group, whyApart);
    }
    SmallVector<Operation *> norms;
    getOperation().walk([&](Operation *op) {
      if (isa<RMSNormOp, LayerNormOp>(op) && isFree(op))
        norms.push_back(op);
    });
    for (Operation *norm : norms) {
      SmallVector<Operation *> group;
      if (auto select = norm->getOperand(0).getDefiningOp<SelectRowsOp>(); select && select->hasOneUse())
        group.push_back(select);
      takeNorm(norm, group);
      makeKernel("norm", group, whyApart);
    }
    SmallVector<SelectRowsOp> selects;
    getOperation().walk([&](SelectRowsOp op) { selects.push_back(op); });
    for (SelectRowsOp select : selects)
      if (auto quantize = onlyUser<QuantizeOp>(select.getResult()); quantize && isFree(select))
        makeKernel("select_rows", {select, quantize}, whyApart);
  }

  static std::string whyApart(Operation *producer, Operation *reader) {
    if (isa<RouteOp>(producer))
      return "a product lies between the choice of experts and their sum";
    if (isa<LinearOp, ExpertLinearOp>(producer))
      return needsWhole(isa<AddOp, CombineExpertsOp>(reader) ? "the kernel of a sum" : "a norm", "rows",
                        columns(producer->getResult(0).getType()));
    if (isa<LinearOp>(reader))
      return wholeRowsOfInput(producer, reader);
    if (isa<AttentionOp>(producer) && isa<SelectRowsOp>(reader))
      return "attention is computed for every token, and its result is read for the wanted rows alone";
    if (isa<AddOp>(producer) && isa<AddOp>(reader))
      return "each residual sum has a kernel of its own, with what it adds to the sum before computed between";
    return isa<RMSNormOp, SelectRowsOp>(producer) ? kReadByOthers : "";
  }

  static void takeNorm(Operation *norm, SmallVector<Operation *> &group) {
    group.push_back(norm);
    for (Operation *user : norm->getUsers())
      if (isa<QuantizeOp>(user))
        group.push_back(user);
  }
};

struct WrapKernels : impl::WrapKernelsBase<WrapKernels> {
  void runOnOperation() override {
    if (getOperation().isExternal())
      return;
    SmallVector<Operation *> work;
    for (Operation &op : getOperation().getBody().front())
      if (isa<LayersOp>(op))
        remarkInputs(&op, whyApart);
      else if (isa<TransformerDialect>(op.getDialect()) &&
               !isa<KernelOp, WeightOp, AdapterOp, RopeTableOp, PositionsOp, AdapterSlotsOp, DispatchOp>(op))
        work.push_back(&op);
    for (Operation *op : work)
      makeKernel(op->getName().stripDialect(), {op}, whyApart);
  }

  static std::string whyApart(Operation *producer, Operation *reader) {
    if (isa<LinearOp, LogitsOp, ExpertLinearOp>(reader) && !isa<RouteOp>(producer))
      return wholeRowsOfInput(producer, reader);
    if (isa<RouteOp>(producer))
      return "a product has many tiles of a token, which would each choose its experts again";
    if (!isa<LinearOp, ExpertLinearOp>(producer))
      return "";
    return isa<QuantizeOp>(reader)
               ? needsWhole("packing", "blocks", 32)
               : needsWhole(reader->getName().stripDialect(), "rows", columns(producer->getResult(0).getType()));
  }
};
} // namespace
} // namespace stepdown
