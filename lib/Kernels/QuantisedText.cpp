#include "lib/Kernels/QuantisedText.h"
#include "lib/Kernels/ChipLimits.h"

using namespace mlir;
using namespace stepdown::tile;

namespace stepdown {

bool isQuantised(KernelOp kernel) { return !operationsIn<UnpackOp>(kernel).empty(); }

/// Both roles, and their loops.
static LogicalResult findRoles(QuantisedText &text, KernelOp kernel, StringRef chip) {
  auto refuse = [&](Operation *at, const Twine &expected) {
    return unfit(at) << "expects " << expected << " on " << chip;
  };
  for (RoleOp role : kernel.getBody().getOps<RoleOp>()) {
    const bool copies = !operationsIn<AcquireOp>(role).empty();
    if (copies ? bool(text.copying) : bool(text.role))
      return refuse(role, "one role that copies and one that multiplies");
    SmallVector<ScheduleOp> schedules = operationsIn<ScheduleOp>(role);
    SmallVector<scf::ForOp> loops = operationsIn<scf::ForOp>(role);
    if (schedules.size() != 1 || loops.size() != (copies ? 2 : 1))
      return refuse(role,
                    "one schedule with a loop over columns, and one over tiles of tokens in the role that copies");
    if (copies) {
      text.copying = schedules[0];
      text.inner = loops[0]; // walks go from inside
      text.copies = dyn_cast<scf::ForOp>(text.inner->getParentOp());
    } else {
      text.role = role;
      text.turns = loops[0];
    }
  }
  if (!text.copies || !text.turns || text.copies.getLowerBound() != text.turns.getLowerBound() ||
      text.copies.getUpperBound() != text.turns.getUpperBound() || text.copies.getStep() != text.turns.getStep())
    return refuse(kernel, "two roles that go through the same columns");
  return takesNothingFromItsRole(text.copying, chip);
}

FailureOr<QuantisedText> quantisedText(KernelOp kernel, StringRef chip) {
  QuantisedText text = {};
  auto refuse = [&](Operation *at, const Twine &expected) {
    return unfit(at) << "expects " << expected << " on " << chip;
  };
  if (failed(findRoles(text, kernel, chip)))
    return failure();
  SmallVector<CopyOp> copies = operationsIn<CopyOp>(text.copies);
  auto isMatrix = [&](CopyOp copy) {
    return isa<BlockArgument>(copy.getFrom()) && copy.getFrom().getParentRegion() == &kernel.getBody();
  };
  if (copies.size() != 2 || copies[0]->getBlock() != text.copies.getBody() ||
      copies[1]->getBlock() != text.inner.getBody() || !isMatrix(copies[0]) || !isMatrix(copies[1]))
    return refuse(text.copies, "a copy of packed blocks, and one of tokens in the loop inside, both of arguments");
  text.weight = copies[0], text.tokens = copies[1];
  const MemRefType slot = text.weight.getTo().getType();
  auto block = dyn_cast<transformer::BlockType>(slot.getElementType());
  if (!block)
    return refuse(text.weight, "packed blocks in front of the tiles of tokens");
  text.packed = packedBlock(*block.getLayout(), block.getFormat());
  if (text.packed.rows != 16 || text.packed.d.bytes != 2)
    return unfit(text.weight) << "expects blocks of 16 rows with scales of binary16 on " << chip << ", but got "
                              << block;
  const std::optional<int64_t> step = constantOf(text.copies.getStep()), tileStep = constantOf(text.inner.getStep());
  const int64_t columns = slot.getDimSize(1) * text.packed.columns;
  if (step != columns || tileStep != kUnpacked || constantOf(text.inner.getLowerBound()) != 0 ||
      constantOf(text.inner.getUpperBound()) != columns || columns % std::max<int64_t>(text.packed.columns, kUnpacked))
    return refuse(text.copies, "turns of a slot's columns, with a tile of tokens for each 64 of them");
  text.turnTiles = columns / kUnpacked;

  SmallVector<MmaOp> products = operationsIn<MmaOp>(text.turns);
  SmallVector<WaitOp> waits = operationsIn<WaitOp>(text.role);
  if (int64_t(products.size()) != text.turnTiles || operationsIn<MmaOp>(kernel).size() != products.size() ||
      int64_t(waits.size()) != text.turnTiles + 1)
    return refuse(text.turns, "a product of each tile of tokens in a turn, and nothing waited for outside");
  text.first = products.front();
  const VectorType sum = text.first.getType().getSum();
  auto ringOf = [](CopyOp copy) { return copy.getTo().getDefiningOp<AcquireOp>().getChannel(); };
  for (auto [i, mma] : llvm::enumerate(products)) {
    auto unpack = mma.getA().getDefiningOp<UnpackOp>();
    if (!unpack || constantOf(unpack.getColumn()) != int64_t(i) * kUnpacked ||
        unpack.getResult().getType().getDimSize(1) != kUnpacked || !mma.getTransposeB() ||
        mma.getType().getSum() != sum || !sum.getElementType().isF32() || mma->getBlock() != text.turns.getBody())
      return refuse(mma, "sums of f32 of the next 64 columns, unpacked, and of tokens");
    // A tile of tokens is read before the next is waited for, behind which its slot may be filled.
    if (unpack.getTile().getDefiningOp() != waits[0] || mma.getB().getDefiningOp() != waits[i + 1] ||
        waits[i + 1]->getBlock() != text.turns.getBody() || waits[i + 1].getChannel() != ringOf(text.tokens) ||
        (i && waits[i + 1]->isBeforeInBlock(products[i - 1])))
      return refuse(mma, "products of the turn's blocks and of tiles of tokens, each waited for behind the product "
                         "before,");
  }
  if (waits[0].getChannel() != ringOf(text.weight))
    return refuse(waits[0], "a turn that waits for packed blocks first");
  text.weightRing = ringOf(text.weight).getDefiningOp<ChannelOp>();
  text.tokenRing = ringOf(text.tokens).getDefiningOp<ChannelOp>();
  text.tile = {int64_t(text.copying.getHeight()), int64_t(text.copying.getWidth())};
  return text;
}

} // namespace stepdown
