// A number of each row, a sum or a maximum over its columns, by a block of threads: a thread has every 32nd or 128th
// column, ascending, and what the threads have is joined in a tree. The order is that of columns alone.
#include "dialects/Tile/IR/TileOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Matchers.h"
#include "passes/Packing/ThreadKernel.h"

using namespace mlir;
using namespace stepdown::transformer;

namespace stepdown {

/// Threads that share the columns of a row: a warp, or four where there are many; 1: a thread has them all.
static int64_t threadsFor(int64_t columns) { return columns >= 512 ? 128 : columns >= 128 ? 32 : 1; }

std::optional<RowReduction> RowReduction::of(Value result) {
  auto op = result.getDefiningOp<linalg::GenericOp>();
  if (!op || op.getNumReductionLoops() != 1 || op.getNumDpsInits() != 1 || op.getNumLoops() < 2 ||
      op.getIteratorTypesArray().back() != utils::IteratorType::reduction ||
      !llvm::all_of(op.getIndexingMapsArray(), [](AffineMap map) { return map.isProjectedPermutation(true); }))
    return std::nullopt;
  RowReduction r;
  r.columns = op.getStaticLoopRanges().back();
  if (ShapedType::isDynamic(r.columns) || (r.threads = threadsFor(r.columns)) == 1)
    return std::nullopt;
  // What joins a number with those before it joins numbers of two threads, if it begins with nothing.
  Block *body = op.getBody();
  Value before = body->getArguments().back(), joined = body->getTerminator()->getOperand(0);
  Operation *last = joined.getDefiningOp();
  if (!last || !before.hasOneUse() || *before.getUsers().begin() != last)
    return std::nullopt;
  auto fill = op.getDpsInits()[0].getDefiningOp<linalg::FillOp>();
  FloatAttr start;
  if (!fill || !matchPattern(fill.value(), m_Constant(&start)))
    return std::nullopt;
  r.isMaximum = isa<arith::MaximumFOp>(last);
  const bool isSum = isa<arith::AddFOp>(last) || (isa<math::FmaOp>(last) && last->getOperand(2) == before);
  if (!r.isMaximum && !(isSum && start.getValue().isZero()))
    return std::nullopt;
  return r;
}

/// Every number of the result by a block of threads.
void ThreadKernel::reduceRows(linalg::GenericOp op, const RowReduction &r) {
  auto type = cast<RankedTensorType>(result.getType());
  const int64_t numbers = type.getRank() == 1 ? 1 : type.getDimSize(1);
  Value out = argument(result);
  auto space = gpu::AddressSpaceAttr::get(b->getContext(), gpu::AddressSpace::Workgroup);
  Value shared = memref::AllocaOp::create(
      *b, loc, MemRefType::get({r.threads}, b->getF32Type(), MemRefLayoutAttrInterface(), space));
  auto join = [&](Value x, Value y) -> Value {
    return r.isMaximum ? Value(arith::MaximumFOp::create(*b, loc, x, y)) : Value(arith::AddFOp::create(*b, loc, x, y));
  };
  forEach(numbers * r.threads, out, r.threads, [&](Value token, Value column) {
    Value lane = rem(column, r.threads), mine = div(column, r.threads);
    const Values place = type.getRank() == 1 ? Values{token} : Values{token, mine};
    Values loops = loopsAt(op, place);
    auto with = [&](Value at, Value before) {
      loops.back() = at;
      return bodyAt(op, loops, before);
    };
    const int64_t whole = r.columns / r.threads, rest = r.columns % r.threads;
    Value all = loop(number(0), number(whole), at(op.getDpsInits()[0], place),
                     [&](Value i, Value before) { return with(add(mul(i, number(r.threads)), lane), before); });
    if (rest) {
      auto choice = scf::IfOp::create(*b, loc, TypeRange(all), less(lane, number(rest)), true);
      OpBuilder::InsertionGuard guard(*b);
      b->setInsertionPointToStart(choice.thenBlock());
      scf::YieldOp::create(*b, loc, with(add(number(whole * r.threads), lane), all));
      b->setInsertionPointToStart(choice.elseBlock());
      scf::YieldOp::create(*b, loc, all);
      all = choice.getResult(0);
    }
    memref::StoreOp::create(*b, loc, all, shared, lane);
    gpu::BarrierOp::create(*b, loc);
    for (int64_t half = r.threads / 2; half; half /= 2) {
      when(less(lane, number(half)), [&] {
        Value both = join(load(shared, lane), load(shared, add(lane, number(half))));
        if (half > 1)
          memref::StoreOp::create(*b, loc, both, shared, lane);
        else
          memref::StoreOp::create(*b, loc, both, out, ValueRange{token, mine});
      });
      if (half > 1)
        gpu::BarrierOp::create(*b, loc);
    }
  });
}

} // namespace stepdown
