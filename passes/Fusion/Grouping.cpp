#include "passes/Fusion/Grouping.h"
#include "dialects/Transformer/IR/FusionRemarks.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace stepdown::transformer;

namespace stepdown {

bool isFree(Operation *op) { return isa_and_nonnull<func::FuncOp>(op->getParentOp()); }

Operation *computedBy(Value value) {
  Operation *op = value.getDefiningOp();
  if (auto kernel = dyn_cast_or_null<KernelOp>(op))
    op = kernel.getBody().front().getTerminator()->getOperand(cast<OpResult>(value).getResultNumber()).getDefiningOp();
  return op && isa<TransformerDialect>(op->getDialect()) &&
                 !isa<WeightOp, AdapterOp, RopeTableOp, PositionsOp, AdapterSlotsOp>(op)
             ? op
             : nullptr;
}

std::string needsWhole(StringRef who, StringRef units, int64_t columns) {
  return llvm::formatv("{0} needs whole {1} of {2} columns, of which a tile of a linear computes a part", who, units,
                       columns);
}

std::string wholeRowsOfInput(Operation *, Operation *) {
  return "each tile of a linear needs whole rows of its input, and would compute the producer again";
}

void remarkInputs(Operation *op, WhyApart why) {
  for (OpOperand &operand : op->getOpOperands()) {
    Operation *producer = computedBy(operand.get());
    if (!producer)
      continue;
    std::string text =
        isa<LayersOp>(producer) || isa<LayersOp>(op)
            ? "crosses the layer loop: the layers run as a loop over functions, and this operation runs once a step"
            : why(producer, op);
    if (!text.empty())
      remarkApart(producer, operand, text);
  }
}

KernelOp makeKernel(StringRef label, ArrayRef<Operation *> group, WhyApart why) {
  for (Operation *op : group)
    if (!isFree(op) || op->getBlock() != group.front()->getBlock())
      return KernelOp();
  llvm::SmallSetVector<Operation *, 8> members(group.begin(), group.end());
  SmallVector<Operation *> ordered(members.begin(), members.end());
  llvm::sort(ordered, [](Operation *a, Operation *c) { return a->isBeforeInBlock(c); });
  llvm::SmallSetVector<Value, 8> inputs, tables;
  SmallVector<Value> outputs;
  for (Operation *op : ordered) {
    for (Value operand : op->getOperands())
      if (!members.contains(operand.getDefiningOp()))
        (operand.getDefiningOp<RopeTableOp>() ? tables : inputs).insert(operand);
    for (Value result : op->getResults())
      if (llvm::any_of(result.getUsers(), [&](Operation *user) { return !members.contains(user); }))
        outputs.push_back(result);
  }
  inputs.insert_range(tables);
  // After the last input, before the first user of an output.
  Operation *first = ordered.front(), *place = first;
  for (Value input : inputs)
    if (Operation *def = input.getDefiningOp())
      if (def->getBlock() == first->getBlock() && !def->isBeforeInBlock(place))
        place = def->getNextNode();
  for (Value output : outputs)
    for (Operation *user : output.getUsers())
      if (!members.contains(user) && user->getBlock() == first->getBlock() && user->isBeforeInBlock(place)) {
        for (Operation *op : ordered)
          remarkInputs(op, [&](Operation *producer, Operation *) {
            return members.contains(producer) ? "what lies between the two reads one and is read by the other" : "";
          });
        return KernelOp();
      }
  for (Operation *op : ordered)
    remarkInputs(op, [&](Operation *producer, Operation *reader) {
      return members.contains(producer) ? std::string() : why(producer, reader);
    });
  OpBuilder b(place);
  Location loc = ordered.back()->getLoc();
  auto kernel = KernelOp::create(b, loc, ValueRange(outputs).getTypes(), b.getStringAttr(label), inputs.getArrayRef());
  Block *body = b.createBlock(&kernel.getBody());
  for (Value input : inputs) {
    BlockArgument argument = body->addArgument(input.getType(), input.getLoc());
    input.replaceUsesWithIf(argument, [&](OpOperand &use) { return members.contains(use.getOwner()); });
  }
  for (auto [output, result] : llvm::zip(outputs, kernel.getResults()))
    output.replaceUsesWithIf(result, [&](OpOperand &use) { return !members.contains(use.getOwner()); });
  for (Operation *op : ordered)
    op->moveBefore(body, body->end());
  b.setInsertionPointToEnd(body);
  YieldOp::create(b, loc, outputs);
  return kernel;
}

void hoistWeights(func::FuncOp function) {
  if (function.isExternal())
    return;
  Block &block = function.getBody().front();
  SmallVector<Operation *> weights;
  for (Operation &op : block)
    if (isa<WeightOp, AdapterOp, RopeTableOp>(op))
      weights.push_back(&op);
  for (Operation *op : llvm::reverse(weights))
    op->moveBefore(&block, block.begin());
}

} // namespace stepdown
