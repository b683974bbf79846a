#include "passes/Buffer/EmptyArrays.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"
#include "llvm/ADT/SmallPtrSet.h"

using namespace mlir;

namespace stepdown {
namespace {
/// Goes from an array to one of the same sizes that was there before it.
struct Origins {
  SmallPtrSet<Value, 4> asked; // arrays that loops carry, of which it is being found out

  /// Whether each turn of a loop hands on `next` of the sizes of `carried`.
  bool keepsSizes(Value carried, Value next) {
    if (!asked.insert(carried).second)
      return false;
    while (next && next != carried)
      next = before(next);
    asked.erase(carried);
    return next == carried;
  }

  Value ofArgument(BlockArgument argument) {
    Operation *loop = argument.getOwner()->getParentOp();
    if (auto forall = dyn_cast<scf::ForallOp>(loop)) {
      OpOperand *start = argument.getArgNumber() < forall.getRank() ? nullptr : forall.getTiedOpOperand(argument);
      return start ? start->get() : Value();
    }
    if (auto serial = dyn_cast<scf::ForOp>(loop)) {
      OpOperand *start = serial.getTiedLoopInit(argument);
      return start && keepsSizes(argument, serial.getTiedLoopYieldedValue(argument)->get()) ? start->get() : Value();
    }
    auto loose = dyn_cast<scf::WhileOp>(loop);
    if (!loose)
      return {};
    if (argument.getOwner() == loose.getAfterBody())
      return loose.getConditionOp().getArgs()[argument.getArgNumber()];
    return keepsSizes(argument, loose.getYieldOp().getOperand(argument.getArgNumber()))
               ? loose.getInits()[argument.getArgNumber()]
               : Value();
  }

  /// An array of the sizes of `array`, or null where none is known.
  Value before(Value array) {
    if (auto argument = dyn_cast<BlockArgument>(array))
      return ofArgument(argument);
    auto result = cast<OpResult>(array);
    Operation *op = result.getOwner();
    if (auto same = dyn_cast<tensor::CastOp>(op))
      return same.getSource();
    if (auto written = dyn_cast<DestinationStyleOpInterface>(op)) // insert_slice and insert among them
      return written.getTiedOpOperand(result)->get();
    if (auto forall = dyn_cast<scf::ForallOp>(op))
      return forall.getTiedOpOperand(result)->get();
    if (auto serial = dyn_cast<scf::ForOp>(op))
      return ofArgument(serial.getRegionIterArg(result.getResultNumber()));
    if (auto loose = dyn_cast<scf::WhileOp>(op))
      return loose.getConditionOp().getArgs()[result.getResultNumber()];
    return {};
  }
};

/// What `array` has all its elements of: what it reshapes, or is a slice of. Null for others.
Value source(Value array) {
  Operation *op = array.getDefiningOp();
  return isa_and_nonnull<tensor::CollapseShapeOp, tensor::ExpandShapeOp, tensor::ReshapeOp, tensor::ExtractSliceOp>(op)
             ? op->getOperand(0)
             : Value();
}
} // namespace

bool EmptyArrays::isKnown(Value array) {
  SmallVector<Value> asked; // arrays that are empty if one behind them is
  bool empty = false;
  Origins origins;
  while (array) {
    if (auto found = known.find(array); found != known.end()) {
      empty = found->second;
      break;
    }
    asked.push_back(array);
    auto type = dyn_cast<RankedTensorType>(array.getType());
    if (empty = type && llvm::is_contained(type.getShape(), 0); empty)
      break;
    Value same = origins.before(array);
    array = same ? same : source(array);
  }
  for (Value each : asked)
    known[each] = empty;
  return empty;
}
} // namespace stepdown
