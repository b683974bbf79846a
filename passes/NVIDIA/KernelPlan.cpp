// Offsets, counts and threads follow from the kernel's text; what sm_90a has no form for is refused here, so that the
// emitter need not ask.
#include "passes/NVIDIA/KernelPlan.h"
#include "lib/Kernels/ChipLimits.h"
#include "lib/Kernels/TileEmitter.h"
#include "lib/Target/Layout.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "passes/NVIDIA/SharedLayout.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace stepdown::tile;

namespace stepdown::nvidia {

bool unpacks(RoleOp role) {
  return role.walk([](UnpackOp) { return WalkResult::interrupt(); }).wasInterrupted();
}

int64_t instructionColumns(VectorType sum) {
  for (int64_t columns = 256; columns > 8; columns -= 8)
    if (sum.getDimSize(1) % columns == 0)
      return columns;
  return 8;
}

static LogicalResult checkProduct(MmaOp mma) {
  const ShapedType a = mma.getShapeOfA();
  const MemRefType b = mma.getB().getType();
  const VectorType sum = mma.getType().getSum();
  const Type element = a.getElementType();
  if (failed(checkElements(mma, "sm_90a")))
    return failure();
  const bool eights = element.getIntOrFloatBitWidth() == 8;
  if (eights && (!mma.getTransposeB() || mma.takesRegisters()))
    return unfit(mma) << "expects tiles of 8 bits in shared memory, both with rows along k, on sm_90a, but got " << a
                      << " and " << b;
  if (const int64_t columns = instructionColumns(sum); element.isInteger() && columns > 24 && columns % 16 != 0)
    return unfit(mma) << "expects sums of i32 whose columns sixteens share out on sm_90a, but got " << mma.getType();
  const int64_t warpgroups = mma->getParentOfType<RoleOp>().getThreads() / kWarpgroup;
  if (sum.getDimSize(0) % (64 * warpgroups) != 0)
    return unfit(mma) << "expects a multiple of 64 rows for each of " << warpgroups << " warpgroups on sm_90a, but got "
                      << sum.getDimSize(0);
  if (unpacks(mma->getParentOfType<RoleOp>()) && !mma.getA().getDefiningOp<UnpackOp>())
    return unfit(mma)
           << "expects a first operand that is unpacked, as that of all products of the role, on sm_90a, but got " << a;
  if (mma.takesRegisters() && a.getDimSize(1) % 16 != 0)
    return unfit(mma) << "expects a multiple of 16 columns in registers on sm_90a, but got " << a;
  for (Type type : {mma.getA().getType(), Type(b)})
    if (auto tile = dyn_cast<MemRefType>(type); tile && !isSwizzled(tile))
      return unfit(mma) << "expects tiles of rows of whole 128 bytes, in eights up to " << kBoxRows
                        << " rows, on sm_90a, but got " << tile;
  return success();
}

/// Tiles in registers: rows in 64 for each warpgroup, columns in eights or one, of f32, or what tile.convert makes.
static LogicalResult checkRegisters(Operation *op) {
  auto role = op->getParentOfType<RoleOp>();
  for (Type type : op->getResultTypes()) {
    auto tile = dyn_cast<VectorType>(type);
    if (!tile)
      continue;
    const Type element = tile.getElementType();
    const bool integers = isa<MmaWaitOp>(op) && element.isSignlessInteger(32); // stored as they are
    const bool oneRow = isa<ReadOp>(op) && tile.getDimSize(0) == 1; // read by each thread where a map uses it
    const bool narrow = isa<ConvertOp, UnpackOp, scf::ForOp>(op) && (element.isBF16() || element.isF16());
    if (!role || (!oneRow && tile.getDimSize(0) % (64 * role.getThreads() / kWarpgroup) != 0) ||
        (tile.getDimSize(1) != 1 && tile.getDimSize(1) % 8 != 0) || (!element.isF32() && !narrow && !integers))
      return unfit(op) << "expects tiles in registers of 64 rows for each warpgroup, of eight columns or of one, "
                          "of f32, on sm_90a, but got "
                       << tile;
  }
  return success();
}

/// Weights are unpacked by halves, two rows at a time.
static LogicalResult checkUnpack(UnpackOp unpack) {
  const auto block = cast<stepdown::transformer::BlockType>(unpack.getTile().getType().getElementType());
  const PackedBlock packed = packedBlock(*block.getLayout(), block.getFormat());
  if (packed.rows != 16 || packed.d.bytes != 2)
    return unfit(unpack) << "expects blocks of 16 rows with scales of binary16 on sm_90a, but got " << block;
  return success();
}

static LogicalResult checkCopy(CopyOp copy) {
  if (!isa<BlockArgument>(copy.getFrom()) ||
      copy.getFrom().getParentRegion() != &copy->getParentOfType<KernelOp>().getBody())
    return unfit(copy) << "expects to copy from an argument of the kernel on sm_90a, but " << copy.getFrom()
                       << " is none";
  if (isPacked(copy.getTo().getType()))
    return success();
  if (!isSwizzled(copy.getTo().getType()))
    return unfit(copy) << "expects a tile of rows of whole 128 bytes, in eights up to " << kBoxRows
                       << " rows, on sm_90a, but got " << copy.getTo().getType();
  return success();
}

/// One block of `tile`, or of a `parts`-th of its rows.
static MemRefType boxOf(MemRefType tile, int64_t parts) {
  if (isPacked(tile)) {
    const int64_t bytes = tile::elementBytes(tile.getElementType()), pieces = piecesOf(bytes);
    return MemRefType::get({tile.getDimSize(0), tile.getDimSize(1) * pieces, bytes / pieces / kWordBytes},
                           IntegerType::get(tile.getContext(), 8 * kWordBytes));
  }
  return MemRefType::get({tile.getDimSize(0) / parts, blockColumns(tile)}, tile.getElementType());
}

/// What the blocks of a cluster copy together: of a product, whose loops are the same for all rows, the factor whose
/// place does not depend on the tile's rows.
static LogicalResult planCluster(KernelOp kernel, KernelPlan &plan) {
  plan.cluster = clusterOf(kernel);
  if (plan.cluster == 1)
    return success();
  if (failed(checkCluster(kernel, "sm_90a")))
    return failure();
  if (kernel->hasAttr(kGridAttr))
    return unfit(kernel) << "expects blocks that share their tiles out in clusters on sm_90a";
  FailureOr<ProductText> text = productText(kernel, "sm_90a in clusters");
  if (failed(text))
    return failure();
  Value row = cast<ScheduleOp>(text->copies->getParentOp()).getBody().getArgument(0);
  for (CopyOp copy : {text->a, text->b}) {
    if (copy.getRow() == row || copy.getColumn() == row)
      continue;
    const MemRefType tile = copy.getTo().getType();
    if (tile.getDimSize(0) % (kPatternRows * plan.cluster) != 0)
      return unfit(copy) << "expects a multiple of " << kPatternRows << " rows for each of " << plan.cluster
                         << " blocks of a cluster on sm_90a, but got " << tile;
    plan.shared.insert(copy);
  }
  return success();
}

static LogicalResult planShares(KernelOp kernel, KernelPlan &plan) {
  if (sharesOf(kernel) == 1)
    return success();
  FailureOr<ProductText> text = productText(kernel, "sm_90a, with a sum in shares,");
  if (failed(text))
    return failure();
  FailureOr<SharedSum> sum = sharedSum(kernel, *text, "sm_90a");
  if (failed(sum))
    return failure();
  plan.sum = *sum;
  return success();
}

static FailureOr<ArgumentPlan> planArgument(BlockArgument argument, const KernelPlan &kernel) {
  ArgumentPlan plan = {MemRefType(), false};
  if (!isa<MemRefType>(argument.getType()))
    return plan;
  for (Operation *user : argument.getUsers()) {
    if (auto copy = dyn_cast<CopyOp>(user)) {
      const MemRefType box = boxOf(copy.getTo().getType(), kernel.shared.contains(copy) ? kernel.cluster : 1);
      if (plan.box && plan.box != box)
        return unfit(copy) << "expects copies of one shape from each argument on sm_90a, but got " << box << " and "
                           << plan.box;
      plan.box = box;
    } else if (isa<StoreOp, ReadOp, EntryOp>(user)) {
      plan.pointer = true;
    } else if (!isa<memref::DimOp>(user) || isPacked(cast<MemRefType>(argument.getType()))) {
      return unfit(user) << "expects to be lowered before a kernel becomes NVVM, but reads a matrix";
    }
  }
  return plan;
}

MemRefType stageBox(StoreOp store) {
  const MemRefType to = store.getTo().getType();
  return MemRefType::get({kStageRows, blockColumns(to)}, to.getElementType());
}

/// Whether TMA can write what `store` says: float32 as elements of 16 bits, in whole boxes, of a matrix that is the
/// kernel's, which nothing else reads or stores to. Boxes are waited for until they have been read from shared memory,
/// not until the matrix has them: nothing orders what comes later, of a loop another turn of `store` itself. (Of 32
/// bits a warp's store fills whole sectors of 32 bytes as it is, and stmatrix has no form.)
static bool canStage(StoreOp store, RoleOp role) {
  const MemRefType to = store.getTo().getType();
  auto argument = dyn_cast<BlockArgument>(store.getTo());
  if (!argument || argument.getOwner()->getParentOp() != role->getParentOp() || store.getTransposed() ||
      store.getRows() || store->getParentOfType<scf::ForOp>() || unpacks(role) ||
      !store.getValue().getType().getElementType().isF32() ||
      (!to.getElementType().isBF16() && !to.getElementType().isF16()))
    return false;
  return store.getValue().getType().getDimSize(1) % blockColumns(to) == 0 &&
         llvm::all_of(argument.getUsers(), [&](Operation *user) { return user == store || isa<memref::DimOp>(user); });
}

/// Two boxes for each warpgroup of `role` from `offset` on, as far as its stores fill them, and a barrier: where the
/// block has room for them. Others store from registers.
static void planStages(RoleOp role, KernelPlan &plan, int64_t &offset, int64_t &barriers) {
  SmallVector<StoreOp> stores;
  int64_t boxes = 1;
  const int64_t warpgroups = role.getThreads() / kWarpgroup;
  role.walk([&](StoreOp store) {
    if (!canStage(store, role))
      return;
    stores.push_back(store);
    const VectorType value = store.getValue().getType();
    boxes = std::max(boxes, value.getNumElements() / stageBox(store).getNumElements() / warpgroups);
  });
  boxes = std::min<int64_t>(boxes, 2);
  const int64_t bytes = warpgroups * boxes * kStageBytes;
  int64_t others = 0; // barriers of the rings behind them
  for (auto &[channel, ring] : plan.channels)
    others += cast<ChannelOp>(channel).getType().getDepth() * kBarrierBytes;
  if (stores.empty() || offset + bytes + others > factsOfChip("sm_90a")->sharedBytes ||
      barriers + warpgroups > kNamedBarriers)
    return;
  plan.roles[role].stage = StagePlan{offset, boxes, barriers};
  offset += bytes, barriers += warpgroups;
  for (StoreOp store : stores) {
    plan.staged.insert(store);
    ArgumentPlan &argument = plan.arguments[cast<BlockArgument>(store.getTo()).getArgNumber()];
    argument.box = stageBox(store), argument.staged = true;
  }
}

FailureOr<KernelPlan> planKernel(KernelOp kernel) {
  KernelPlan plan;
  WalkResult legal = kernel.walk([](Operation *op) {
    if (auto mma = dyn_cast<MmaOp>(op))
      return WalkResult(checkProduct(mma));
    if (auto copy = dyn_cast<CopyOp>(op))
      return WalkResult(checkCopy(copy));
    if (auto unpack = dyn_cast<UnpackOp>(op); unpack && failed(checkUnpack(unpack)))
      return WalkResult::interrupt();
    return WalkResult(checkRegisters(op));
  });
  if (legal.wasInterrupted() || failed(planCluster(kernel, plan)) || failed(planShares(kernel, plan)))
    return failure();
  for (BlockArgument argument : kernel.getBody().getArguments()) {
    FailureOr<ArgumentPlan> each = planArgument(argument, plan);
    if (failed(each))
      return failure();
    plan.arguments.push_back(*each);
  }
  const int64_t products = productsOf(kernel), results = int64_t(plan.arguments.size()) - products;
  for (int64_t i = 1; i < products; ++i) // as the first, which the text names
    plan.arguments[i] = plan.arguments[0], plan.arguments[results + i] = plan.arguments[results];

  kernel.walk([&](ScheduleOp schedule) { // the same in all roles
    plan.tile = {int64_t(schedule.getHeight()) * plan.cluster, int64_t(schedule.getWidth())};
  });
  plan.over = scheduledOver(kernel);
  int64_t warps = 0, registers = 0, barriers = 1; // all threads meet at barrier 0
  for (RoleOp role : kernel.getBody().getOps<RoleOp>()) {
    WalkResult more = role.walk(
        [](Operation *op) { return isa<WaitOp, StoreOp>(op) ? WalkResult::interrupt() : WalkResult::advance(); });
    plan.roles[role] = {warps, !more.wasInterrupted(), 0, std::nullopt};
    warps += role.getWarps();
    registers += role.getThreads() * role.getRegisters();
    if (registers > kRegisters)
      return unfit(role) << "expects roles of at most " << kRegisters << " registers on sm_90a, but got " << registers;
    const int64_t warpgroups = role.getThreads() / kWarpgroup;
    if (warpgroups == 1 || !role.walk([](EnterTurnOp) { return WalkResult::interrupt(); }).wasInterrupted())
      continue;
    plan.roles[role].firstTurn = barriers;
    barriers += warpgroups;
    if (barriers > kNamedBarriers)
      return unfit(role) << "expects turns of at most " << kNamedBarriers - 1 << " warpgroups on sm_90a, but got "
                         << barriers - 1;
  }
  plan.threads = warps * 32;
  // Registers are given out in eights a thread, and no thread has more than 255.
  plan.registers = plan.threads ? std::min<int64_t>(kRegisters / plan.threads / 8 * 8, 248) : 0;

  int64_t offset = 0;
  for (ChannelOp channel : kernel.getBody().getOps<ChannelOp>()) {
    ChannelPlan ring = {offset, 0, 0, 0, {}, false, 0};
    for (MemRefType tile : channel.getType().getPayload()) {
      ring.tiles.push_back(ring.slotBytes);
      ring.slotBytes += llvm::alignTo(tileBytes(tile), kPatternBytes);
    }
    ring.unpacked = llvm::any_of(channel.getType().getPayload(), isPacked);
    const int64_t together = ring.unpacked ? kWarp : kWarpgroup;
    llvm::SmallPtrSet<Operation *, 4> readers;
    for (Operation *user : channel->getUsers())
      if (isa<ReleaseOp>(user) && readers.insert(user->getParentOfType<RoleOp>()).second)
        ring.readers += user->getParentOfType<RoleOp>().getThreads() / together;
    offset += channel.getType().getDepth() * ring.slotBytes;
    plan.channels[channel] = ring;
  }
  for (RoleOp role : kernel.getBody().getOps<RoleOp>())
    planStages(role, plan, offset, barriers);
  for (auto &[channel, ring] : plan.channels) {
    const int64_t depth = cast<ChannelOp>(channel).getType().getDepth();
    ring.full = offset;
    ring.empty = offset + 8 * depth;
    offset += kBarrierBytes * depth;
  }
  plan.sharedBytes = offset;
  int64_t slots = 0, slotBytes = 0; // of the ring that takes the most
  for (auto &[channel, ring] : plan.channels)
    if (const int64_t depth = cast<ChannelOp>(channel).getType().getDepth(); depth * ring.slotBytes > slots * slotBytes)
      slots = depth, slotBytes = ring.slotBytes;
  if (failed(
          checkMemory(kernel, *factsOfChip("sm_90a"), offset, {slots, slotBytes + kBarrierBytes, /*anyCount=*/true})))
    return failure();
  return plan;
}

} // namespace stepdown::nvidia
