#include "lib/Kernels/AttentionText.h"
#include "lib/Kernels/ChipLimits.h"

using namespace mlir;
using namespace stepdown::tile;

namespace stepdown {

bool isAttention(KernelOp kernel) {
  return llvm::any_of(operationsIn<MmaOp>(kernel), [](MmaOp op) { return op.takesRegisters(); });
}

/// Whether `theirs`, of the role that copies, is what `ours` is: one value, or made alike of the places of two
/// schedules.
static bool alike(Value theirs, Value ours) {
  if (theirs == ours)
    return true;
  auto number = [](Value value) -> unsigned {
    auto argument = dyn_cast<BlockArgument>(value);
    return argument ? argument.getArgNumber() : cast<OpResult>(value).getResultNumber();
  };
  if (theirs.getType() != ours.getType() || number(theirs) != number(ours))
    return false;
  Operation *from = theirs.getDefiningOp(), *to = ours.getDefiningOp();
  if (!from || !to) // they go over the same tiles
    return !from && !to && isa<ScheduleOp>(theirs.getParentBlock()->getParentOp()) &&
           isa<ScheduleOp>(ours.getParentBlock()->getParentOp());
  if (!isa<EntryOp>(from) && !isa<arith::ArithDialect>(from->getDialect()))
    return false;
  return from->getName() == to->getName() &&
         from->getDiscardableAttrDictionary() == to->getDiscardableAttrDictionary() &&
         from->getPropertiesAsAttribute() == to->getPropertiesAsAttribute() &&
         from->getNumOperands() == to->getNumOperands() &&
         llvm::all_of(llvm::zip(from->getOperands(), to->getOperands()),
                      [](auto pair) { return alike(std::get<0>(pair), std::get<1>(pair)); });
}

/// Whether `ours` is `theirs` and `step`.
static bool isBehind(Value ours, Value theirs, Value step) {
  auto from = constantOf(theirs), by = constantOf(step), at = constantOf(ours);
  if (from && by && at)
    return *at == *from + *by;
  auto sum = ours.getDefiningOp<arith::AddIOp>();
  return sum && alike(theirs, sum.getLhs()) && alike(step, sum.getRhs());
}

FailureOr<AttentionText> attentionText(KernelOp kernel, StringRef chip) {
  AttentionText text = {};
  auto refuse = [&](Operation *at, const Twine &expected) {
    return unfit(at) << "expects " << expected << " on " << chip;
  };
  for (RoleOp role : kernel.getBody().getOps<RoleOp>()) {
    const bool copies = !operationsIn<AcquireOp>(role).empty();
    if ((copies && text.copies) || (!copies && text.role))
      return refuse(role, "one role that copies and one that attends");
    if (!copies) {
      text.role = role;
      continue;
    }
    for (scf::ForOp loop : operationsIn<scf::ForOp>(role))
      text.copies = loop;
    text.copying = text.copies ? dyn_cast<ScheduleOp>(text.copies->getParentOp()) : ScheduleOp();
  }
  if (!text.role || !text.copying)
    return refuse(kernel, "an attention: a role that copies in a loop, and one that attends");
  SmallVector<scf::ForOp> loops = operationsIn<scf::ForOp>(text.role);
  SmallVector<CopyOp> copies = operationsIn<CopyOp>(text.copying);
  SmallVector<WaitOp> waits = operationsIn<WaitOp>(text.role);
  auto schedule = loops.size() == 1 ? dyn_cast<ScheduleOp>(loops[0]->getParentOp()) : ScheduleOp();
  if (!schedule || copies.size() != 3 || copies[0]->getBlock() != &text.copying.getBody().front() ||
      copies[1]->getBlock() != text.copies.getBody() || waits.size() != 5 ||
      loops[0].getStep() != text.copies.getStep())
    return refuse(kernel,
                  "an attention: copies of queries, then of keys and values in turns, and a loop that waits for them");
  for (CopyOp copy : copies)
    if (!isa<BlockArgument>(copy.getFrom()) || copy.getFrom().getParentRegion() != &kernel.getBody())
      return refuse(copy, "copies from an argument of the kernel");
  text.queries = copies[0], text.loop = loops[0];
  // The role that attends says again what stands in front of the copies, and knows a block's place.
  for (Operation &op : text.copying.getBody().front())
    if (!isa<EntryOp, AcquireOp, CopyOp, CommitOp>(op) && !isa<arith::ArithDialect>(op.getDialect()) &&
        &op != text.copies)
      return refuse(&op, "entries, numbers and copies alone in the schedule that fills slots");
  for (Operation &op : text.copies.getBody()->without_terminator())
    if (!isa<AcquireOp, CopyOp, CommitOp>(op))
      return refuse(&op, "copies at a block's place alone in the loop that fills slots");
  if (failed(takesNothingFromItsRole(text.copying, chip)))
    return failure();
  if (!isBehind(text.loop.getLowerBound(), text.copies.getLowerBound(), text.copies.getStep()) ||
      !alike(text.copies.getUpperBound(), text.loop.getUpperBound()))
    return refuse(text.loop, "a loop from the second block of keys to the last");
  if (waits[0]->getBlock() != loops[0]->getBlock() || waits[1]->getBlock() != loops[0]->getBlock() ||
      !waits[1]->isBeforeInBlock(loops[0]) || waits[2]->getBlock() != loops[0].getBody() ||
      waits[3]->getBlock() != loops[0].getBody() || waits[4]->getBlock() != loops[0]->getBlock() ||
      waits[0].getChannel() != text.queries.getTo().getDefiningOp<AcquireOp>().getChannel() ||
      waits[1].getChannel() != waits[2].getChannel() || waits[3].getChannel() != waits[4].getChannel())
    return refuse(loops[0], "queries and keys waited for before the loop, two tiles in each turn, and one behind it,");
  for (MmaOp mma : operationsIn<MmaOp>(loops[0]))
    (mma.takesRegisters() ? text.sums : text.scores) = mma;
  if (!text.scores || !text.sums || !text.scores.getTransposeB() || text.sums.getTransposeB())
    return refuse(loops[0], "a product of queries and keys and one of weights and values in each turn");
  if (failed(checkElements(text.scores, chip)) || failed(checkElements(text.sums, chip)))
    return failure();
  // Those in front of and behind the loop as well: the emitter makes one program of all products of a kind.
  const Type element = text.scores.getShapeOfA().getElementType();
  for (MmaOp mma : operationsIn<MmaOp>(kernel)) {
    if (mma.takesRegisters() == mma.getTransposeB())
      return refuse(mma, "keys with rows along the columns of a head, and values with rows across them,");
    const bool values = mma.takesRegisters();
    auto right = mma.getB().getDefiningOp<WaitOp>();
    if (!right || right.getChannel() != waits[values ? 3 : 1].getChannel() ||
        (!values && mma.getA().getDefiningOp() != waits[0]))
      return refuse(mma, "products of queries with the channel of keys, and of weights with that of values,");
    if (mma.getShapeOfA().getElementType() != element)
      return unfit(mma) << "expects weights and values of the type of queries and keys, " << element << ", on " << chip
                        << ", but got " << mma.getShapeOfA();
  }
  const Value rings[] = {waits[0].getChannel(), waits[1].getChannel(), waits[3].getChannel()};
  text.keys = copyOf(text.copies, text.scores.getB()), text.values = copyOf(text.copies, text.sums.getB());
  if (rings[0] == rings[1] || rings[0] == rings[2] || rings[1] == rings[2] || !text.keys || !text.values ||
      llvm::any_of(rings, [](Value ring) { return cast<ChannelType>(ring.getType()).getPayload().size() != 1; }))
    return refuse(text.scores, "queries, keys and values of a channel each");
  text.tile = {int64_t(text.copying.getHeight()), int64_t(text.copying.getWidth())};
  return text;
}

} // namespace stepdown
