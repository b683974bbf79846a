#include "lib/Kernels/ProductText.h"
#include "lib/Kernels/ChipLimits.h"
#include "lib/Kernels/ShareEmitter.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace stepdown::tile;

namespace stepdown {

std::optional<int64_t> constantOf(Value value) {
  llvm::APInt number;
  if (!matchPattern(value, m_ConstantInt(&number)))
    return std::nullopt;
  return number.getSExtValue();
}

SmallVector<int64_t> scheduledOver(KernelOp kernel) {
  SmallVector<int64_t> over;
  kernel.walk([&](ScheduleOp schedule) { // the same in all roles
    over.clear();
    for (Value size : {schedule.getRows(), schedule.getColumns()})
      if (auto dim = size.getDefiningOp<memref::DimOp>())
        if (auto matrix = dyn_cast<BlockArgument>(dim.getSource()))
          over.append({matrix.getArgNumber(), dim.getConstantIndex().value_or(0)});
  });
  return over;
}

/// Whether the waits of `role` are for the turns of `copies`, in their order: one in front of a loop, one in each turn.
static bool follows(RoleOp role, scf::ForOp copies) {
  auto loop = onlyOperation<scf::ForOp>(role);
  SmallVector<WaitOp> waits = operationsIn<WaitOp>(role);
  if (!loop || waits.size() != 2 || waits[0]->getBlock() != loop->getBlock() || !waits[0]->isBeforeInBlock(loop) ||
      waits[1]->getBlock() != loop.getBody())
    return false;
  auto from = constantOf(copies.getLowerBound()), step = constantOf(copies.getStep()),
       later = constantOf(loop.getLowerBound()), steps = constantOf(loop.getStep());
  return from && step && later && steps && *later == *from + *step && *steps == *step &&
         loop.getUpperBound() == copies.getUpperBound();
}

CopyOp copyOf(scf::ForOp copies, Value operand) {
  auto wait = operand.getDefiningOp<WaitOp>();
  for (CopyOp copy : operationsIn<CopyOp>(copies))
    if (wait && copy.getTo().getDefiningOp<AcquireOp>().getChannel() == wait.getChannel() &&
        cast<OpResult>(copy.getTo()).getResultNumber() == cast<OpResult>(operand).getResultNumber())
      return copy;
  return CopyOp();
}

LogicalResult takesNothingFromItsRole(ScheduleOp schedule, StringRef chip) {
  auto isOfRole = [&](Value value) {
    Region *region = value.getParentRegion();
    return region->isProperAncestor(&schedule.getBody()) && !isa<KernelOp>(region->getParentOp());
  };
  WalkResult found = schedule.getBody().walk([&](Operation *op) {
    if (llvm::none_of(op->getOperands(), isOfRole))
      return WalkResult::advance();
    unfit(op) << "expects numbers of a tile's place and of the kernel in the schedule that fills slots on " << chip
              << ", but got one of its role";
    return WalkResult::interrupt();
  });
  return failure(found.wasInterrupted());
}

LogicalResult copiesAlone(scf::ForOp copies, StringRef chip) {
  auto refuse = [&](Operation *at, const Twine &expected) {
    return unfit(at) << "expects " << expected << " on " << chip;
  };
  auto schedule = cast<ScheduleOp>(copies->getParentOp());
  if (!llvm::hasSingleElement(schedule.getBody().front()))
    return refuse(schedule, "one loop alone in the schedule that fills slots");
  Region &body = copies->getParentOfType<KernelOp>().getBody();
  for (Operation &op : copies.getBody()->without_terminator()) {
    auto copy = dyn_cast<CopyOp>(op);
    if (!isa<AcquireOp, CopyOp, CommitOp>(op))
      return refuse(&op, "copies at a tile's place alone in the loop that fills slots");
    if (copy && (!isa<BlockArgument>(copy.getFrom()) || copy.getFrom().getParentRegion() != &body))
      return refuse(copy, "copies from an argument of the kernel");
  }
  return takesNothingFromItsRole(schedule, chip);
}

FailureOr<ProductText> productText(KernelOp kernel, StringRef chip) {
  ProductText text = {};
  auto refuse = [&](Operation *at, const Twine &expected) {
    return unfit(at) << "expects " << expected << " on " << chip;
  };
  text.ring = onlyOperation<ChannelOp>(kernel);
  for (RoleOp role : kernel.getBody().getOps<RoleOp>()) {
    if (auto acquire = onlyOperation<AcquireOp>(role); acquire && !text.copies)
      text.copies = dyn_cast<scf::ForOp>(acquire->getParentOp());
    else if (!text.role)
      text.role = role;
    else
      return refuse(role, "one role that copies and one that multiplies");
  }
  if (!text.ring || !text.role || !text.copies || operationsIn<MmaOp>(kernel).size() != 2)
    return refuse(kernel, "a product: a role that copies, one that multiplies, and one channel between them");
  if (!follows(text.role, text.copies))
    return refuse(text.role, "one slot waited for before the loop over k, and one in each turn");
  auto schedule = dyn_cast<ScheduleOp>(text.copies->getParentOp());
  if (!schedule || !onlyOperation<ScheduleOp>(text.role))
    return refuse(text.copies, "loops over k in a schedule");
  if (failed(copiesAlone(text.copies, chip)))
    return failure();
  WalkResult product = text.role.walk([&](Operation *op) {
    const bool behind = isa<MapOp, ReadOp>(op) && !op->getParentOfType<scf::ForOp>();
    if (!behind && isa<MapOp, ReadOp, ReduceOp, MaskOp, ConvertOp, EntryOp, UnpackOp>(op))
      return (void)refuse(op, "a product without work on its registers but maps behind it"), WalkResult::interrupt();
    return WalkResult::advance();
  });
  if (product.wasInterrupted())
    return failure();
  SmallVector<MmaOp> products = operationsIn<MmaOp>(text.role);
  auto loop = onlyOperation<scf::ForOp>(text.role);
  if (products.size() != 2 || products[0]->getBlock() != loop->getBlock() || products[1]->getBlock() != loop.getBody())
    return refuse(text.role, "one product in front of the loop over k, and one in each turn");
  text.first = products[0];
  text.a = copyOf(text.copies, text.first.getA());
  text.b = copyOf(text.copies, text.first.getB());
  if (!text.a || !text.b)
    return unfit(text.first) << "expects tiles of the channel on " << chip << ", but got " << text.first.getA()
                             << " and " << text.first.getB();
  if (copyOf(text.copies, products[1].getA()) != text.a || copyOf(text.copies, products[1].getB()) != text.b ||
      products[1].getTransposeB() != text.first.getTransposeB())
    return refuse(products[1], "the product of a turn to be of the tiles of that in front of the loop, in their ways,");
  text.tile = {int64_t(schedule.getHeight()), int64_t(schedule.getWidth())};
  return text;
}

/// Whether `size` is dimension `dimension` of `matrix`.
static bool isSize(Value size, Value matrix, int64_t dimension) {
  auto dim = size.getDefiningOp<memref::DimOp>();
  return dim && dim.getSource() == matrix && dim.getConstantIndex() == dimension;
}

FailureOr<SharedSum> sharedSum(KernelOp kernel, const ProductText &given, StringRef chip) {
  ProductText text = given; // what operations say of themselves is not const
  auto refuse = [&](Operation *at, const Twine &expected) {
    return unfit(at) << "expects " << expected << " where blocks share a sum out on " << chip;
  };
  if (kernel->hasAttr(kGridAttr))
    return refuse(kernel, "blocks along y that are shares, and no grid of its own,");
  auto store = onlyOperation<StoreOp>(kernel);
  if (!store || store.getTransposed() || store.getRows() || !operationsIn<ReadOp>(kernel).empty() ||
      !operationsIn<MapOp>(kernel).empty() || store.getTo() == text.a.getFrom() || store.getTo() == text.b.getFrom() ||
      text.a.getFrom() == text.b.getFrom() || store.getTo().getType().getElementTypeBitWidth() != 32)
    return refuse(kernel, "sums of 32 bits, stored as they are,");
  // What a launch is checked by: C3 of tile.launch.
  if (text.a.getFrom() != kernel.getBody().getArgument(0) || cast<OpResult>(text.a.getTo()).getResultNumber() != 0)
    return refuse(text.a, "the first factor to be the kernel's first matrix, and its tile the channel's first,");
  // A share begins where its matrices do, and ends where they end.
  const bool transposed = bool(text.first.getTransposeB());
  const Value k = text.copies.getInductionVar(), end = text.copies.getUpperBound();
  if (constantOf(text.copies.getLowerBound()) != 0 ||
      constantOf(text.copies.getStep()) != text.a.getTo().getType().getDimSize(1) ||
      (!isSize(end, text.a.getFrom(), 1) && !isSize(end, text.b.getFrom(), transposed ? 1 : 0)))
    return refuse(text.copies, "a loop over all of a factor's numbers along k, a slot a turn,");
  for (auto [copy, along] : {std::pair<CopyOp, Value>(text.a, text.a.getColumn()),
                             {text.b, transposed ? text.b.getColumn() : text.b.getRow()}})
    if (along != k)
      return refuse(copy, "tiles at the loop's place along k");
  auto schedule = cast<ScheduleOp>(text.copies->getParentOp());
  if (!isSize(schedule.getRows(), store.getTo(), 0) || !isSize(schedule.getColumns(), store.getTo(), 1))
    return refuse(schedule, "tiles of the matrix that sums are stored to");
  return SharedSum{text.a, text.b, transposed, store};
}

} // namespace stepdown
