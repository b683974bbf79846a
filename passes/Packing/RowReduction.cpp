// A number of each row, a sum or a maximum over its columns, by a block of threads: a thread has every 32nd or 128th
// column, ascending, and what the threads have is joined in a tree. The order is that of columns alone. Several such
// numbers of one row, and what is made of them, are one launch: ThreadKernel::buildRows.
#include "dialects/Tile/IR/TileOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Matchers.h"
#include "passes/Packing/ThreadKernel.h"
#include "llvm/Support/MathExtras.h"

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

/// In memory that the threads of a block share.
Value ThreadKernel::sharedMemory(ArrayRef<int64_t> shape, Type element) {
  auto space = gpu::AddressSpaceAttr::get(b->getContext(), gpu::AddressSpace::Workgroup);
  return memref::AllocaOp::create(*b, loc, MemRefType::get(shape, element, MemRefLayoutAttrInterface(), space));
}

Value ThreadKernel::sharedNumbers(int64_t count) { return sharedMemory({count}, b->getF32Type()); }

/// What thread `lane` has of the result's number at `place`: its columns, ascending.
Value ThreadKernel::partOfRow(linalg::GenericOp op, const RowReduction &r, ValueRange place, Value lane) {
  Values loops = loopsAt(op, place);
  auto with = [&](Value at, Value before) {
    loops.back() = at;
    return bodyAt(op, loops, before);
  };
  const int64_t whole = r.columns / r.threads, rest = r.columns % r.threads;
  Value all = loop(number(0), number(whole), at(op.getDpsInits()[0], place),
                   [&](Value i, Value before) { return with(add(mul(i, number(r.threads)), lane), before); });
  if (!rest)
    return all;
  auto choice = scf::IfOp::create(*b, loc, TypeRange(all), less(lane, number(rest)), true);
  OpBuilder::InsertionGuard guard(*b);
  b->setInsertionPointToStart(choice.thenBlock());
  scf::YieldOp::create(*b, loc, with(add(number(whole * r.threads), lane), all));
  b->setInsertionPointToStart(choice.elseBlock());
  scf::YieldOp::create(*b, loc, all);
  return choice.getResult(0);
}

/// Joins what the threads have, each its `part`, in a tree; `take` is where thread 0 has all.
void ThreadKernel::joinParts(Value part, Value shared, Value lane, const RowReduction &r,
                             function_ref<void(Value)> take) {
  memref::StoreOp::create(*b, loc, part, shared, lane);
  gpu::BarrierOp::create(*b, loc);
  int64_t left = r.threads; // numbers: of as many as no power of two the last ones of the first half join none
  for (int64_t half = llvm::PowerOf2Ceil(r.threads) / 2; half; left = half, half /= 2) {
    when(less(lane, number(left - half)), [&] {
      Value x = load(shared, lane), y = load(shared, add(lane, number(half)));
      Value both =
          r.isMaximum ? Value(arith::MaximumFOp::create(*b, loc, x, y)) : Value(arith::AddFOp::create(*b, loc, x, y));
      if (half > 1)
        memref::StoreOp::create(*b, loc, both, shared, lane);
      else
        take(both);
    });
    if (half > 1)
      gpu::BarrierOp::create(*b, loc);
  }
}

/// Every number of the result by a block of threads.
void ThreadKernel::reduceRows(linalg::GenericOp op, const RowReduction &r) {
  auto type = cast<RankedTensorType>(result.getType());
  const int64_t numbers = type.getRank() == 1 ? 1 : type.getDimSize(1);
  Value out = argument(result), shared = sharedNumbers(r.threads);
  forEach(numbers * r.threads, out, r.threads, [&](Value token, Value column) {
    Value lane = rem(column, r.threads), mine = div(column, r.threads);
    Value part = partOfRow(op, r, type.getRank() == 1 ? Values{token} : Values{token, mine}, lane);
    joinParts(part, shared, lane, r,
              [&](Value all) { memref::StoreOp::create(*b, loc, all, out, ValueRange{token, mine}); });
  });
}

/// A member that is read again is computed again, but for sums and maxima: so no thread reads what another has written
/// to memory in this launch, and a row of any length takes no more of what is shared.
FailureOr<func::FuncOp> ThreadKernel::buildRows(OpBuilder &builder, ArrayRef<Value> wanted, int64_t threads) {
  members.assign(wanted.begin(), wanted.end());
  result = members.front();
  begin(builder);
  Values shared;
  for (Value member : members) {
    argument(member);
    shared.push_back(RowReduction::of(member) ? sharedNumbers(threads) : Value());
  }
  forEach(threads, argument(result), threads, [&](Value token, Value lane) {
    for (size_t i = 0; i < members.size(); ++i) {
      Value member = members[i], common = shared[i], out = argument(member), none = number(0);
      auto put = [&](Value value, Value column) {
        memref::StoreOp::create(*b, loc, value, out, ValueRange{token, column});
      };
      if (auto rows = RowReduction::of(member)) {
        const bool single = cast<RankedTensorType>(member.getType()).getRank() == 1;
        Value part = partOfRow(member.getDefiningOp<linalg::GenericOp>(), *rows,
                               single ? Values{token} : Values{token, none}, lane);
        joinParts(part, common, lane, *rows, [&](Value all) {
          memref::StoreOp::create(*b, loc, all, common, none);
          put(all, none);
        });
        gpu::BarrierOp::create(*b, loc);
        scalars[member] = load(common, none);
        continue;
      }
      const int64_t wide = columns(cast<RankedTensorType>(member.getType())), whole = wide / threads;
      loop(none, number(whole), ValueRange(), [&](Value turn, ValueRange) {
        Value column = add(mul(turn, number(threads)), lane);
        put(at(member, {token, column}), column);
        return Values();
      });
      if (wide % threads)
        when(less(lane, number(wide % threads)), [&] {
          Value column = add(number(whole * threads), lane);
          put(at(member, {token, column}), column);
        });
    }
  });
  return finish();
}

} // namespace stepdown
