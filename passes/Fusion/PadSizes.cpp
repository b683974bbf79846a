// Kernels compute vectors of 16 lanes, activation blocks of 32 columns, and cache heads of whole vectors. Here a
// model's sizes become such sizes, once: rows to multiples of 32 columns, each head to a multiple of 16. Everything
// after this pass sees padded sizes only, and a model whose sizes fit is left as it is.
//
// What is added is zeros, and no zero reaches a result. Added rows of a weight, and elements of its bias, are zeros, so
// the columns they compute are; a sum of two such columns, a rotation (which turns the first columns of a head only), a
// gate times another, and a norm times a weight of zero are zeros again. Added columns of a weight are multiplied with
// such columns. Scores gain products of zeros, and zero columns of values give zero columns of attention. Only the mean
// of a norm has to be told how many columns there are. A quantised weight's columns lie in the blocks of the file,
// which know nothing of heads: what it reads is packed without the zeros between heads (the groups of quantize).
#include "dialects/Transformer/IR/TransformerDialect.h"
#include "lib/Target/Target.h"
#include "passes/Fusion/Passes.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace stepdown::transformer;

namespace stepdown {
#define GEN_PASS_DEF_PADSIZES
#include "passes/Fusion/Passes.h.inc"

namespace {
constexpr int64_t kBlock = 32; // columns of an activation block

/// Every `size` columns (rows of the weight that computes them) lie in `room`.
struct Groups {
  int64_t size, room;
  int64_t padded(int64_t columns) const { return columns / size * room; }
};

struct PadSizes : impl::PadSizesBase<PadSizes> {
  using impl::PadSizesBase<PadSizes>::PadSizesBase;

  int64_t lanes = 0;                    ///< of a vector of the target
  llvm::DenseMap<Value, int64_t> heads; ///< rows that hold heads one after the other -> columns of one
  llvm::DenseMap<Value, int64_t> ranks; ///< the same of what a token's experts give: each is padded like a row
  bool failed = false;

  void expect(bool holds, Operation *op, const char *what) {
    if (holds || failed)
      return;
    op->emitOpError() << "expects " << what << " where sizes are padded";
    failed = true;
  }

  void isByHeads(Value value, int64_t size) {
    auto [known, isNew] = heads.try_emplace(value, size);
    expect(known->second == size, value.getDefiningOp() ? value.getDefiningOp() : getOperation().getOperation(),
           "heads of one size");
    if (!isNew)
      return;
    // What keeps the columns apart keeps the heads.
    if (Operation *op = value.getDefiningOp(); isa_and_nonnull<RopeOp, RMSNormOp, AdaptOp>(op))
      isByHeads(op->getOperand(0), size);
    for (Operation *user : value.getUsers())
      if (isa<RopeOp, RMSNormOp, AdaptOp>(user) && user->getOperand(0) == value)
        isByHeads(user->getResult(0), size);
  }

  void findHeads(func::FuncOp function) {
    function.walk([&](Operation *op) {
      if (auto rope = dyn_cast<RopeOp>(op)) {
        isByHeads(rope.getX(), rope.getHeadDim());
      } else if (auto append = dyn_cast<KVAppendOp>(op)) {
        isByHeads(append.getK(), append.getCache().getType().getKey());
        isByHeads(append.getV(), append.getCache().getType().getValue());
      } else if (auto attention = dyn_cast<AttentionOp>(op)) {
        isByHeads(attention.getQ(), attention.getCache().getType().getKey());
        isByHeads(attention.getResult(), attention.getCache().getType().getValue());
      }
    });
  }

  void findRanks(func::FuncOp function) {
    function.walk([&](ExpertLinearOp op) {
      ranks[op.getResult()] = op.getRowsOfExpert();
      auto quantize = op.getX().getDefiningOp<QuantizeOp>();
      if (op.getByRank())
        ranks[quantize ? Value(quantize.getX()) : Value(op.getX())] = columns(op.getWeight().getType());
    });
  }

  Groups groupsOf(Value rows) {
    if (int64_t size = ranks.lookup(rows))
      return {size, int64_t(llvm::alignTo(size, kBlock))};
    if (int64_t size = heads.lookup(rows))
      return {size, int64_t(llvm::alignTo(size, lanes))};
    const int64_t columns = cast<RankedTensorType>(rows.getType()).getDimSize(1);
    return {columns,
            isa_and_nonnull<LogitsOp>(rows.getDefiningOp()) ? columns : int64_t(llvm::alignTo(columns, kBlock))};
  }

  Type padded(Value value) {
    Type type = value.getType();
    if (auto cache = dyn_cast<CacheType>(type))
      return CacheType::get(type.getContext(), cache.getHeads(), llvm::alignTo(cache.getKey(), lanes),
                            llvm::alignTo(cache.getValue(), lanes), cache.getElement());
    if (auto quantize = value.getDefiningOp<QuantizeOp>(); quantize && ranks.contains(quantize.getX())) {
      auto blocks = cast<RankedTensorType>(type);
      return blocks.clone(
          {blocks.getDimSize(0), groupsOf(quantize.getX()).padded(columns(quantize.getX().getType())) / kBlock});
    }
    if (!isRows(type))
      return type;
    auto rows = cast<RankedTensorType>(type);
    return rows.clone({rows.getDimSize(0), groupsOf(value).padded(rows.getDimSize(1))});
  }

  /// The weight of `operand` with its rows (elements of a vector) in `groups` and, of a matrix, `columns`.
  void padWeight(OpOperand &operand, Groups groups, int64_t columns = 0) {
    auto type = cast<RankedTensorType>(operand.get().getType());
    auto block = dyn_cast<BlockType>(type.getElementType());
    const int64_t stored = block ? transformer::columns(type) : 0;
    if (groups.size == groups.room && (!block || stored == columns))
      return;
    auto weight = operand.get().getDefiningOp<WeightOp>();
    expect(weight && type.getDimSize(0) % groups.size == 0, operand.getOwner(), "a weight of the checkpoint");
    if (failed)
      return;
    SmallVector<int64_t> shape = {groups.padded(type.getDimSize(0))};
    if (block)
      shape.push_back(columns / block.getElements());
    OpBuilder b(weight);
    auto groupsAttr =
        groups.size == groups.room ? DenseI64ArrayAttr() : b.getDenseI64ArrayAttr({groups.size, groups.room});
    auto columnsAttr = block && stored != columns ? b.getI64IntegerAttr(stored) : IntegerAttr();
    operand.set(WeightOp::create(b, weight.getLoc(), type.clone(shape), weight.getTensorAttr(), weight.getRowsAttr(),
                                 groupsAttr, columnsAttr));
    if (weight->use_empty())
      weight.erase();
  }

  /// The rows of a down matrix, or the columns of an up matrix, in `groups`.
  void padAdapter(OpOperand &operand, Groups groups) {
    if (groups.size == groups.room)
      return;
    auto adapter = operand.get().getDefiningOp<AdapterOp>();
    expect(adapter != nullptr, operand.getOwner(), "a matrix of adapters");
    if (failed)
      return;
    const RankedTensorType type = adapter.getResult().getType();
    SmallVector<int64_t> shape(type.getShape());
    int64_t &size = shape[adapter.getDown() ? 1 : 2];
    size = groups.padded(size);
    OpBuilder b(adapter);
    operand.set(AdapterOp::create(b, adapter.getLoc(), type.clone(shape), adapter.getTensorAttr(), adapter.getDown(),
                                  adapter.getUp(), b.getDenseI64ArrayAttr({groups.size, groups.room})));
    if (adapter->use_empty())
      adapter.erase();
  }

  void padNorm(RMSNormOp norm) {
    const int64_t columns = norm.getX().getType().getDimSize(1), normed = norm.getWeight().getType().getDimSize(0);
    Groups groups = groupsOf(norm.getX());
    if (groups.size == groups.room)
      return;
    expect(normed == groups.size || normed == columns, norm, "a norm of whole rows or of each head");
    norm.setPadding(groups.padded(normed) - normed);
    padWeight(norm.getWeightMutable(), groups);
  }

  void padOperands(Operation *op) {
    if (isa<LinearOp, LogitsOp>(op)) {
      Groups groups = groupsOf(op->getResult(0));
      padWeight(op->getOpOperand(1), groups, columns(op->getOperand(0).getType()));
      if (op->getNumOperands() > 2)
        padWeight(op->getOpOperand(2), groups);
    } else if (auto experts = dyn_cast<ExpertLinearOp>(op)) {
      padWeight(experts.getWeightMutable(), groupsOf(experts.getResult()),
                llvm::alignTo(columns(experts.getWeight().getType()), kBlock));
      if (experts.getBias())
        padWeight(experts.getBiasMutable()[0], groupsOf(experts.getResult()));
    } else if (auto adapt = dyn_cast<AdaptOp>(op)) {
      padAdapter(adapt.getDownMutable(), groupsOf(adapt.getOf()));
      padAdapter(adapt.getUpMutable(), groupsOf(adapt.getX()));
    } else if (auto embedding = dyn_cast<EmbeddingOp>(op)) {
      const int64_t columns = embedding.getResult().getType().getDimSize(1);
      padWeight(embedding.getTableMutable(), {1, 1}, llvm::alignTo(columns, kBlock));
    } else if (auto bias = dyn_cast<AddBiasOp>(op)) {
      padWeight(bias.getBiasMutable(), groupsOf(bias.getX()));
    } else if (auto norm = dyn_cast<RMSNormOp>(op)) {
      padNorm(norm);
    } else if (auto norm = dyn_cast<LayerNormOp>(op)) {
      expect(columns(norm.getX().getType()) % kBlock == 0, op, "columns in multiples of 32");
    } else if (auto rope = dyn_cast<RopeOp>(op)) {
      rope.setHeadDim(groupsOf(rope.getX()).room);
    } else if (auto quantize = dyn_cast<QuantizeOp>(op)) {
      Groups groups = groupsOf(quantize.getX());
      if (heads.contains(quantize.getX()) &&
          (groups.size != groups.room || columns(quantize.getX().getType()) % kBlock != 0))
        quantize.setGroups(SmallVector<int64_t>{groups.size, groups.room});
    }
  }

  void runOnOperation() override {
    const Target *target = findTarget(targetName);
    if (!target) {
      getOperation().emitError() << "expects a known target, but got '" << targetName << "'";
      return signalPassFailure();
    }
    lanes = target->layout->rows;
    SmallVector<func::FuncOp> functions;
    for (auto function : getOperation().getOps<func::FuncOp>())
      if (function
              .walk([](Operation *op) {
                return isa<TransformerDialect>(op->getDialect()) ? WalkResult::interrupt() : WalkResult::advance();
              })
              .wasInterrupted())
        functions.push_back(function);
    for (func::FuncOp function : functions) {
      findHeads(function);
      findRanks(function);
      SmallVector<Operation *> work;
      function.walk([&](Operation *op) { work.push_back(op); });
      for (Operation *op : work)
        if (!failed && !isa<WeightOp, AdapterOp>(op))
          padOperands(op);
    }
    if (failed)
      return signalPassFailure();
    for (func::FuncOp function : functions) {
      SmallVector<Value> values(function.getArguments().begin(), function.getArguments().end());
      function.walk([&](Operation *op) { values.append(op->result_begin(), op->result_end()); });
      SmallVector<Type> types;
      for (Value value : values)
        types.push_back(padded(value));
      for (auto [value, type] : llvm::zip(values, types))
        value.setType(type);
      auto ret = dyn_cast<func::ReturnOp>(function.getBody().front().getTerminator());
      if (!ret || !llvm::hasSingleElement(function.getBody()))
        continue;
      function.setFunctionType(
          FunctionType::get(&getContext(), function.getBody().front().getArgumentTypes(), ret.getOperandTypes()));
    }
  }
};
} // namespace
} // namespace stepdown
