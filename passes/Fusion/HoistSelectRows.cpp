// What a model answers from are a few rows of the last layer. Other tokens are there for their keys and values alone,
// so all that follows the last attention is computed for the wanted rows.
#include "dialects/Transformer/IR/TransformerOps.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "passes/Fusion/Passes.h"

using namespace mlir;
using namespace stepdown::transformer;

namespace stepdown {
#define GEN_PASS_DEF_HOISTSELECTROWS
#include "passes/Fusion/Passes.h.inc"

namespace {
struct HoistSelectRows : impl::HoistSelectRowsBase<HoistSelectRows> {
  /// Whether a row of the result depends on the same row of the operands alone.
  static bool isByRow(Operation *op) {
    return isa<AddOp, AddBiasOp, LinearOp, RMSNormOp, LayerNormOp, GatedActivationOp, ActivationOp, QuantizeOp, RouteOp,
               ExpertLinearOp, CombineExpertsOp>(op);
  }

  /// The operations of a layer that nothing but its result depends on, in order, from the last that is not by rows on.
  static SmallVector<Operation *> tailOf(func::FuncOp layer) {
    Block &block = layer.getBody().front();
    Value result = block.getTerminator()->getOperand(0);
    llvm::SmallSetVector<Operation *, 16> tail;
    for (Operation &op : llvm::reverse(block)) {
      auto isInTail = [&](OpOperand &use) {
        return tail.contains(use.getOwner()) || (use.getOwner() == block.getTerminator() && use.get() == result);
      };
      if (isByRow(&op) && llvm::all_of(op.getUses(), isInTail))
        tail.insert(&op);
    }
    return SmallVector<Operation *>(llvm::reverse(tail.getArrayRef()));
  }

  /// Whether the tail has work to save, makes the result, and reads nothing by rows but what can be selected of: packed
  /// activations and the ids of experts can not.
  static bool isWorthIt(func::FuncOp layer, ArrayRef<Operation *> tail) {
    // Of an encoder most rows are wanted, or all, and are the result as they are.
    if (layer.walk([](AttentionOp op) { return op.getCausal() ? WalkResult::advance() : WalkResult::interrupt(); })
            .wasInterrupted())
      return false;
    Operation *last = layer.getBody().front().getTerminator()->getOperand(0).getDefiningOp();
    if (!llvm::is_contained(tail, last) || llvm::none_of(tail, [](Operation *op) { return isa<LinearOp>(op); }))
      return false;
    return llvm::none_of(tail, [&](Operation *op) {
      return llvm::any_of(op->getOperands(), [&](Value operand) {
        return (isActivations(operand.getType()) || isChoices(operand.getType())) &&
               !llvm::is_contained(tail, operand.getDefiningOp());
      });
    });
  }

  static void selectInputs(func::FuncOp layer, ArrayRef<Operation *> tail, Value rows) {
    llvm::DenseMap<Value, Value> selected;
    for (Operation *op : tail)
      for (OpOperand &operand : op->getOpOperands()) {
        Value x = operand.get();
        if (!isRows(x.getType()) || x.getDefiningOp<WeightOp>() || llvm::is_contained(tail, x.getDefiningOp()))
          continue;
        Value &own = selected[x];
        if (!own) {
          OpBuilder b(tail.front());
          if (Operation *def = x.getDefiningOp(); def && tail.front()->isBeforeInBlock(def))
            b.setInsertionPointAfter(def);
          own = SelectRowsOp::create(b, op->getLoc(), x.getType(), x, rows);
        }
        operand.set(own);
      }
  }

  void runOnOperation() override {
    auto step = getOperation().lookupSymbol<func::FuncOp>("step");
    if (!step || step.isExternal())
      return;
    for (auto layers : llvm::make_early_inc_range(step.getBody().front().getOps<LayersOp>())) {
      auto select = layers->hasOneUse() ? dyn_cast<SelectRowsOp>(*layers->user_begin()) : SelectRowsOp();
      if (select && !layers.getRows() && isa<BlockArgument>(select.getRows()))
        hoist(layers, select);
    }
  }

  void hoist(LayersOp layers, SelectRowsOp select) {
    SymbolTable symbols(getOperation());
    SmallVector<Attribute> kinds(layers.getKinds().getValue());
    SmallVector<int64_t> order(layers.getOrder());
    auto layer = symbols.lookup<func::FuncOp>(cast<FlatSymbolRefAttr>(kinds[order.back()]).getValue());
    if (!isWorthIt(layer, tailOf(layer)))
      return;
    if (llvm::count(order, order.back()) > 1) {
      auto copy = cast<func::FuncOp>(layer->clone());
      copy.setName((layer.getName() + "_last").str());
      symbols.insert(copy, std::next(layer->getIterator()));
      layer = copy;
      order.back() = kinds.size();
      kinds.push_back(FlatSymbolRefAttr::get(layer.getNameAttr()));
    }
    Block &block = layer.getBody().front();
    Value rows = block.addArgument(select.getRows().getType(), select.getLoc());
    selectInputs(layer, tailOf(layer), rows);
    layer.setFunctionType(FunctionType::get(&getContext(), block.getArgumentTypes(), layer.getResultTypes()));
    OpBuilder b(layers);
    Value result = LayersOp::create(b, layers.getLoc(), layers.getResult().getType(), layers.getX(), layers.getBatch(),
                                    select.getRows(), b.getArrayAttr(kinds), b.getDenseI64ArrayAttr(order));
    select.replaceAllUsesWith(result);
    select.erase();
    layers.erase();
    ++hoisted;
  }
};
} // namespace
} // namespace stepdown
