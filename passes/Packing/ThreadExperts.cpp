// What threads do for a mixture of experts. An expert is chosen by its rank: how many have a larger number, or an equal
// one and come before it. So the threads of a token's block find all of its experts at once, each counting for its own,
// and no order in which they run shows. NaN and -infinity count as the lowest finite number, so ranks are those of a
// total order and each is had once.
//
// A product of a token with an expert is that of a row of the stack which holds all weights: which, the token's id
// says.
#include "dialects/Tile/IR/TileOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "passes/Packing/ThreadKernel.h"
#include "llvm/Support/MathExtras.h"
#include <limits>

using namespace mlir;
using namespace stepdown::transformer;

namespace stepdown {

static constexpr int64_t kWarp = 32, kMostThreads = 256;

/// `body` for each of `count` places, of which the block's thread `lane` has every `threads`-th.
void ThreadKernel::share(int64_t count, int64_t threads, Value lane, function_ref<void(Value)> body) {
  const int64_t whole = count / threads, rest = count % threads;
  if (whole)
    loop(number(0), number(whole), ValueRange(), [&](Value turn, ValueRange) {
      body(add(mul(turn, number(threads)), lane));
      return Values();
    });
  if (rest)
    when(less(lane, number(rest)), [&] { body(add(number(whole * threads), lane)); });
}

FailureOr<func::FuncOp> ThreadKernel::buildRoute(OpBuilder &builder, RouteOp op) {
  members = {op.getIds(), op.getWeights()};
  result = members.front();
  begin(builder);
  const int64_t experts = op.getExperts(), used = op.getUsed(), wide = columns(op.getWeights().getType());
  const int64_t threads = std::clamp<int64_t>(llvm::alignTo(std::max(experts, wide), kWarp), kWarp, kMostThreads);
  Value ids = argument(op.getIds()), weights = argument(op.getWeights());
  Value numbers = sharedNumbers(experts), chosen = sharedNumbers(used),
        lowest = real(std::numeric_limits<float>::lowest());
  auto compare = [&](arith::CmpFPredicate how, Value a, Value c) -> Value {
    return arith::CmpFOp::create(*b, loc, how, a, c);
  };
  auto weight = [&](Value z, Value top) -> Value {
    return math::ExpOp::create(*b, loc, arith::SubFOp::create(*b, loc, z, top));
  };
  forEach(threads, ids, threads, [&](Value token, Value lane) {
    share(experts, threads, lane, [&](Value expert) {
      Value z = at(op.getZ(), {token, expert});
      memref::StoreOp::create(*b, loc, select(compare(arith::CmpFPredicate::OGT, z, lowest), z, lowest), numbers,
                              expert);
    });
    gpu::BarrierOp::create(*b, loc);
    share(experts, threads, lane, [&](Value expert) {
      Value mine = load(numbers, expert);
      Value rank = loop(number(0), number(experts), number(0), [&](Value other, Value before) {
        Value its = load(numbers, other);
        Value isFirst =
            arith::AndIOp::create(*b, loc, compare(arith::CmpFPredicate::OEQ, its, mine), less(other, expert));
        Value isBefore = arith::OrIOp::create(*b, loc, compare(arith::CmpFPredicate::OGT, its, mine), isFirst);
        return add(before, select(isBefore, number(1), number(0)));
      });
      when(less(rank, number(used)), [&] {
        Value place = arith::MinUIOp::create(*b, loc, rank, number(used - 1)); // as it is: how far --explain sees it go
        memref::StoreOp::create(*b, loc, mine, chosen, place);
        Value id = arith::IndexCastOp::create(*b, loc, b->getI32Type(), expert);
        memref::StoreOp::create(*b, loc, id, ids, ValueRange{token, place});
      });
    });
    gpu::BarrierOp::create(*b, loc);
    Value top = load(chosen, number(0));
    share(wide, threads, lane, [&](Value rank) {
      Value all =
          loop(number(0), number(op.getNormalised() ? used : experts), real(0), [&](Value i, Value sum) -> Value {
            return arith::AddFOp::create(*b, loc, sum, weight(load(op.getNormalised() ? chosen : numbers, i), top));
          });
      Value factor = arith::DivFOp::create(*b, loc, real(op.getScale().convertToDouble()), all);
      Value place = arith::MinUIOp::create(*b, loc, rank, number(used - 1));
      Value mine = load(chosen, place);
      Value y = arith::MulFOp::create(*b, loc, weight(mine, top), factor);
      memref::StoreOp::create(*b, loc, select(less(rank, number(used)), y, real(0)), weights, ValueRange{token, rank});
    });
  });
  return finish();
}

/// The row of the stack that `column` of the result is of. What the ids are is nobody's to check but this kernel's, so
/// that tables that were altered lead to another expert and not to another place.
Value ThreadKernel::expertRow(ExpertLinearOp op, Value token, Value column) {
  const int64_t rows = op.getRowsOfExpert();
  Value id = index(argument(op.getIds()), {token, div(column, rows)});
  Value expert = arith::MinUIOp::create(*b, loc, id, number(int64_t(op.getExperts()) - 1));
  return add(mul(expert, number(rows)), rem(column, rows));
}

Value ThreadKernel::expertSum(ExpertLinearOp op, Value token, Value column, Value share, int64_t shares) {
  Value first;
  if (op.getByRank())
    first = mul(div(column, op.getRowsOfExpert()), number(columns(op.getX().getType()) / op.getRanks()));
  return linear(op.getX(), op.getWeight(), token, {expertRow(op, token, column), first, share, shares});
}

Value ThreadKernel::withBias(ExpertLinearOp op, Value sum, Value token, Value column) {
  if (!op.getBias())
    return sum;
  return arith::AddFOp::create(*b, loc, sum, load(argument(op.getBias()), {expertRow(op, token, column)}));
}

/// Ranks ascending, as on a processor.
Value ThreadKernel::combineExperts(CombineExpertsOp op, Value token, Value column) {
  const int64_t wide = columns(op.getResult().getType());
  auto weight = [&](Value rank) { return at(op.getWeights(), {token, rank}); };
  Value start = arith::MulFOp::create(*b, loc, weight(number(0)), at(op.getX(), {token, column}));
  if (op.getRanks() == 1)
    return start;
  return loop(number(1), number(op.getRanks()), start, [&](Value rank, Value sum) -> Value {
    Value x = at(op.getX(), {token, add(mul(rank, number(wide)), column)});
    return math::FmaOp::create(*b, loc, weight(rank), x, sum);
  });
}

} // namespace stepdown
