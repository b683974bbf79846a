// What no tile kernel computes: each structured operation becomes a launch of as many threads as its parallel
// dimensions have elements, and a thread walks the reduction. Where the device's memory begins is decided here too:
// what a launch touches lies there, and what stays outside of launches asks for it one element at a time
// (bind-launches).
#include "dialects/Tile/IR/TileOps.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Linalg/Utils/Utils.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "passes/Kernel/KeepSums.h"
#include "passes/Kernel/Passes.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace stepdown {
#define GEN_PASS_DEF_MAPTHREADS
#include "passes/Kernel/Passes.h.inc"

namespace {
constexpr int64_t kBlock = 256, kWarp = 32; // threads

struct MapThreads : impl::MapThreadsBase<MapThreads> {
  Value check; ///< memref<i64>: 0, or the number of the check that failed in a launch, counted from the last one

  static Value number(OpBuilder &b, Location loc, int64_t value) {
    return arith::ConstantIndexOp::create(b, loc, value);
  }

  /// The loops of `op`: parallel ones in one scf.parallel, inside of which the reduction's are.
  static FailureOr<scf::ParallelOp> makeLoops(IRRewriter &rewriter, linalg::LinalgOp op) {
    rewriter.setInsertionPoint(op);
    auto generic = dyn_cast<linalg::GenericOp>(op.getOperation());
    if (!generic) {
      FailureOr<linalg::GenericOp> made = linalg::generalizeNamedOp(rewriter, op);
      if (failed(made))
        return op.emitOpError() << "expects an operation with a region of numbers", failure();
      generic = *made;
    }
    SmallVector<unsigned> order, reductions;
    for (auto [d, kind] : llvm::enumerate(generic.getIteratorTypesArray()))
      (kind == utils::IteratorType::parallel ? order : reductions).push_back(d);
    const bool alone = order.empty();
    order.append(reductions);
    if (!llvm::is_sorted(order)) {
      rewriter.setInsertionPoint(generic);
      FailureOr<linalg::GenericOp> turned = linalg::interchangeGenericOp(rewriter, generic, order);
      if (failed(turned))
        return failure();
      generic = *turned;
    }
    rewriter.setInsertionPoint(generic);
    scf::ParallelOp loop;
    if (alone) { // one thread
      Location loc = generic.getLoc();
      Value zero = number(rewriter, loc, 0), one = number(rewriter, loc, 1);
      loop = scf::ParallelOp::create(rewriter, loc, ValueRange(zero), ValueRange(one), ValueRange(one));
      generic->moveBefore(loop.getBody()->getTerminator());
      rewriter.setInsertionPoint(generic);
    }
    FailureOr<linalg::LinalgLoops> loops = linalg::linalgOpToParallelLoops(rewriter, generic);
    if (failed(loops))
      return failure();
    if (!alone)
      loop = cast<scf::ParallelOp>(loops->front());
    rewriter.eraseOp(generic);
    SmallVector<scf::ForOp> walks(loop.getBody()->getOps<scf::ForOp>());
    for (scf::ForOp walk : walks)
      keepSums(rewriter, walk);
    return loop;
  }

  /// `loop` from 0 in steps of 1 as a launch of a thread for each of its iterations.
  static gpu::LaunchOp launch(scf::ParallelOp loop) {
    OpBuilder b(loop);
    Location loc = loop.getLoc();
    Value total = loop.getUpperBound().front();
    int64_t most = getConstantIntValue(total).value_or(ShapedType::kDynamic);
    for (Value size : loop.getUpperBound().drop_front()) {
      total = arith::MulIOp::create(b, loc, total, size);
      const std::optional<int64_t> known = getConstantIntValue(size);
      most = known && !ShapedType::isDynamic(most) ? llvm::SaturatingMultiply<uint64_t>(most, *known)
                                                   : ShapedType::kDynamic;
    }
    const int64_t threads =
        ShapedType::isDynamic(most) ? kBlock : std::clamp<int64_t>(llvm::alignTo(most, kWarp), kWarp, kBlock);
    Value one = number(b, loc, 1), block = number(b, loc, threads);
    Value blocks =
        arith::DivUIOp::create(b, loc, arith::AddIOp::create(b, loc, total, number(b, loc, threads - 1)), block);
    auto launch = gpu::LaunchOp::create(b, loc, blocks, one, one, block, one, one);
    b.setInsertionPointToStart(&launch.getBody().front());
    Value rest =
        arith::AddIOp::create(b, loc, arith::MulIOp::create(b, loc, launch.getBlockIds().x, number(b, loc, threads)),
                              launch.getThreadIds().x);
    Value inside = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, rest, total);
    auto guard = scf::IfOp::create(b, loc, inside);
    gpu::TerminatorOp::create(b, loc);
    b.setInsertionPointToStart(guard.thenBlock());
    SmallVector<Value> indices(loop.getNumLoops());
    for (unsigned d = loop.getNumLoops(); d-- > 1;) {
      indices[d] = arith::RemUIOp::create(b, loc, rest, loop.getUpperBound()[d]);
      rest = arith::DivUIOp::create(b, loc, rest, loop.getUpperBound()[d]);
    }
    indices[0] = rest;
    for (auto [argument, index] : llvm::zip(loop.getInductionVars(), indices))
      argument.replaceAllUsesWith(index);
    guard.thenBlock()->getOperations().splice(std::prev(guard.thenBlock()->end()), loop.getBody()->getOperations(),
                                              loop.getBody()->begin(), std::prev(loop.getBody()->end()));
    loop.erase();
    return launch;
  }

  /// Whether `view` is one of the matrices of an array of matrices, whose elements follow each other and whose first
  /// one begins where that of the array does, but for whole matrices.
  static bool isMatrixOfMany(Value view) {
    auto piece = view.getDefiningOp<memref::SubViewOp>();
    if (!piece || !piece.getSourceType().getLayout().isIdentity() || piece.getSourceType().getRank() != 3 ||
        piece.getType().getRank() != 2 || !piece.getDroppedDims().test(0))
      return false;
    for (int64_t d : {1, 2}) {
      const OpFoldResult size = piece.getMixedSizes()[d];
      auto whole = isa<Value>(size) ? cast<Value>(size).getDefiningOp<memref::DimOp>() : memref::DimOp();
      const bool all = whole ? whole.getSource() == piece.getSource() && whole.getConstantIndex() == d
                             : getConstantIntValue(size) == piece.getSourceType().getDimSize(d);
      if (!all || getConstantIntValue(piece.getMixedOffsets()[d]) != 0 ||
          getConstantIntValue(piece.getMixedStrides()[d]) != 1)
        return false;
    }
    return true;
  }

  /// Matrices without gaps in place of views that have some: kernels of tiles know no other.
  static void closeGaps(tile::LaunchOp op) {
    const unsigned output = op->getNumOperands() - 1;
    for (OpOperand &operand : op->getOpOperands()) {
      auto type = dyn_cast<MemRefType>(operand.get().getType());
      if (!type || type.getLayout().isIdentity() || isMatrixOfMany(operand.get()))
        continue;
      OpBuilder b(op);
      Location loc = op.getLoc();
      SmallVector<Value> sizes;
      for (int64_t d = 0; d < type.getRank(); ++d)
        if (type.isDynamicDim(d))
          sizes.push_back(memref::DimOp::create(b, loc, operand.get(), d));
      Value view = operand.get();
      Value whole = memref::AllocOp::create(b, loc, MemRefType::get(type.getShape(), type.getElementType()), sizes);
      const bool writes = operand.getOperandNumber() == output;
      if (writes)
        b.setInsertionPointAfter(op);
      linalg::makeMemRefCopyOp(b, loc, writes ? whole : view, writes ? view : whole);
      operand.set(whole);
    }
  }

  static Value zeroOf(OpBuilder &b, Location loc, Type type) {
    return arith::ConstantOp::create(b, loc, b.getZeroAttr(type));
  }

  /// What follows a check in its block happens where it holds; where not, its number is left for the host, which says
  /// what was wrong.
  void guard(cf::AssertOp op, int64_t code) {
    OpBuilder b(op);
    Location loc = op.getLoc();
    Block *block = op->getBlock();
    Operation *end = block->getTerminator();
    auto choice = scf::IfOp::create(b, loc, end->getOperandTypes(), op.getArg(), /*withElseRegion=*/true);
    Block *then = choice.thenBlock();
    if (then->mightHaveTerminator())
      then->getTerminator()->erase();
    then->getOperations().splice(then->end(), block->getOperations(), std::next(Block::iterator(op)),
                                 Block::iterator(end));
    b.setInsertionPointToEnd(then);
    scf::YieldOp::create(b, loc, end->getOperands());
    Block *otherwise = choice.elseBlock();
    if (otherwise->mightHaveTerminator())
      otherwise->getTerminator()->erase();
    b.setInsertionPointToEnd(otherwise);
    // Threads that find something wrong at a time leave the number of the first check of them all, in any order.
    memref::AtomicRMWOp::create(b, loc, b.getI64Type(), arith::AtomicRMWKind::maxs,
                                arith::ConstantOp::create(b, loc, b.getI64IntegerAttr(code)), check, ValueRange());
    SmallVector<Value> zeros;
    for (Type type : end->getOperandTypes())
      zeros.push_back(zeroOf(b, loc, type));
    scf::YieldOp::create(b, loc, zeros);
    end->setOperands(choice.getResults());
    op->moveBefore(choice);
    op.erase();
  }

  /// The checks inside of `launch`, which only the host can tell of.
  void tellChecks(gpu::LaunchOp launch) {
    SmallVector<cf::AssertOp> checks;
    launch.walk([&](cf::AssertOp op) { checks.push_back(op); });
    if (checks.empty())
      return;
    OpBuilder b(launch);
    if (!check) {
      b.setInsertionPointToStart(&getOperation().getBody().front());
      check = memref::AllocOp::create(b, launch.getLoc(), MemRefType::get({}, b.getI64Type()));
      memref::StoreOp::create(b, launch.getLoc(), arith::ConstantOp::create(b, launch.getLoc(), b.getI64IntegerAttr(0)),
                              check, ValueRange());
    }
    b.setInsertionPointAfter(launch);
    Value code = memref::LoadOp::create(b, launch.getLoc(), check, ValueRange());
    for (auto [i, op] : llvm::enumerate(checks)) {
      Value good =
          arith::CmpIOp::create(b, op.getLoc(), arith::CmpIPredicate::ne, code,
                                arith::ConstantOp::create(b, op.getLoc(), b.getI64IntegerAttr(checks.size() - i)));
      cf::AssertOp::create(b, op.getLoc(), good, op.getMsg());
    }
    for (auto [i, op] : llvm::enumerate(checks))
      guard(op, checks.size() - i);
  }

  void runOnOperation() override {
    func::FuncOp function = getOperation();
    if (function.isExternal())
      return;
    check = Value();
    // Constants of the program lie with the host's code: the device gets a copy in each call.
    SmallVector<memref::GetGlobalOp> constants;
    function.walk([&](memref::GetGlobalOp op) { constants.push_back(op); });
    for (memref::GetGlobalOp constant : constants) {
      OpBuilder b(constant->getContext());
      b.setInsertionPointAfter(constant);
      Value copy = memref::AllocOp::create(b, constant.getLoc(), constant.getType());
      constant.getResult().replaceAllUsesWith(copy);
      memref::CopyOp::create(b, constant.getLoc(), constant, copy);
    }
    // Kernels of tiles take matrices without gaps.
    function.walk([](tile::LaunchOp op) { closeGaps(op); });
    IRRewriter rewriter(&getContext());
    SmallVector<linalg::LinalgOp> structured;
    function.walk([&](linalg::LinalgOp op) { structured.push_back(op); });
    for (linalg::LinalgOp op : structured) {
      FailureOr<scf::ParallelOp> loop = makeLoops(rewriter, op);
      if (failed(loop))
        return signalPassFailure();
      tellChecks(launch(*loop));
      ++launches;
    }
  }
};
} // namespace
} // namespace stepdown
