#include "passes/Kernel/KeepSums.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;

namespace stepdown {
namespace {

/// An element that the loops read and store at one place.
struct Carried {
  memref::StoreOp store;
  SmallVector<memref::LoadOp> loads; ///< before the store
};

/// The element that `store` changes; none where something else in the loops touches its array.
std::optional<Carried> carriedBy(memref::StoreOp store, scf::ForOp outer) {
  auto outside = [&](Value value) { return outer.isDefinedOutsideOfLoop(value); };
  if (!outside(store.getMemRef()) || !llvm::all_of(store.getIndices(), outside))
    return std::nullopt;
  Carried carried = {store, {}};
  for (Operation *user : store.getMemRef().getUsers()) {
    if (user == store || !outer->isProperAncestor(user))
      continue;
    auto load = dyn_cast<memref::LoadOp>(user);
    if (!load || load->getBlock() != store->getBlock() || !load->isBeforeInBlock(store) ||
        load.getIndices() != store.getIndices())
      return std::nullopt;
    carried.loads.push_back(load);
  }
  return carried.loads.empty() ? std::nullopt : std::optional(carried);
}

} // namespace

unsigned keepSums(RewriterBase &rewriter, scf::ForOp outer) {
  outer.walk([&](affine::AffineApplyOp op) { // of one loop, to the loop's own number, which loads and stores then share
    SmallVector<Value> same;
    if (succeeded(rewriter.tryFold(op, same)))
      rewriter.replaceOp(op, same);
  });
  SmallVector<scf::ForOp> loops = {outer};
  while (true) {
    Block *body = loops.back().getBody();
    auto inner = dyn_cast<scf::ForOp>(body->front());
    if (!inner || inner->getNextNode() != body->getTerminator())
      break;
    loops.push_back(inner);
  }
  SmallVector<Carried> all;
  for (auto store : loops.back().getBody()->getOps<memref::StoreOp>())
    if (std::optional<Carried> carried = carriedBy(store, outer))
      all.push_back(*carried);
  for (Carried &carried : all) {
    memref::StoreOp store = carried.store;
    rewriter.setInsertionPoint(loops.front());
    Value begin = memref::LoadOp::create(rewriter, store.getLoc(), store.getMemRef(), store.getIndices());
    Value value = store.getValueToStore();
    for (scf::ForOp &loop : llvm::reverse(loops)) { // the innermost first: each begins with what the next carries
      auto wider = cast<scf::ForOp>(*loop.replaceWithAdditionalYields(
          rewriter, begin, /*replaceInitOperandUsesInLoop=*/true,
          [&](OpBuilder &, Location, ArrayRef<BlockArgument>) { return SmallVector<Value>{value}; }));
      loop = wider;
      value = loop.getResults().back();
    }
    for (memref::LoadOp load : carried.loads)
      rewriter.replaceOp(load, loops.back().getRegionIterArgs().back());
    rewriter.setInsertionPointAfter(loops.front());
    memref::StoreOp::create(rewriter, store.getLoc(), value, store.getMemRef(), store.getIndices());
    rewriter.eraseOp(store);
  }
  return all.size();
}

} // namespace stepdown
