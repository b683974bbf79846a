// Products of threads whose columns several of them share: a warp of 32 rows has every so manieth block of columns of
// these rows, and what the warps of a block have is joined, warp after warp. So a token alone has eight times the
// threads, each of which waits for an eighth of the weights. Which blocks a warp has, and the order in which they are
// joined, follow from the columns alone, so a number is the same whatever else is computed beside it.
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "passes/Packing/ThreadKernel.h"
#include "llvm/Support/MathExtras.h"
#include <numeric>

using namespace mlir;
using namespace stepdown::transformer;

namespace stepdown {

static constexpr int64_t kRows = 32, kMostShares = 8; ///< of a block of threads

int64_t ThreadKernel::blocksOf(Value weight) const {
  auto type = cast<RankedTensorType>(weight.getType());
  return columns(type) / packedBlock(layout, cast<BlockType>(type.getElementType()).getFormat()).columns;
}

SmallVector<Operation *> ThreadKernel::productsOf(Value value, bool inPlace, bool &all) {
  value = sameNumbers(value);
  Operation *op = value.getDefiningOp();
  if (!op || places.contains(value) || isa<tensor::DimOp, tensor::EmptyOp>(op)) // sizes are the loops'
    return {};
  if (isa<LinearOp, ExpertLinearOp>(op)) {
    auto plain = dyn_cast<LinearOp>(op);
    all &= inPlace && !(plain && plain.getBias()); // which a thread has no form for: at() says so
    return {op};
  }
  SmallVector<Operation *> found;
  auto structured = dyn_cast<linalg::GenericOp>(op);
  for (OpOperand &operand : op->getOpOperands()) {
    const bool same = inPlace && structured && structured.getNumReductionLoops() == 0 &&
                      structured.getMatchingIndexingMap(&operand).isIdentity();
    for (Operation *product : productsOf(operand.get(), same, all))
      if (!llvm::is_contained(found, product))
        found.push_back(product);
  }
  return found;
}

/// Whether the threads of a block share the products that the result is computed of; then it is computed.
bool ThreadKernel::computeShared() {
  bool all = true;
  const SmallVector<Operation *> products = productsOf(result, true, all);
  int64_t common = 0; // blocks of columns of each, as many as all shares can have alike
  auto weightOf = [](Operation *op) { return isa<LinearOp>(op) ? op->getOperand(1) : op->getOperand(2); };
  for (Operation *op : products)
    common = std::gcd(common, blocksOf(weightOf(op)));
  int64_t shares = std::min(common, kMostShares);
  while (shares > 1 && common % shares)
    --shares;
  if (!all || shares < 2)
    return false;
  const int64_t threads = kRows * shares;
  const int64_t wide = numbersOf(result);
  Value out = argument(result);
  Values parts;
  for (size_t i = 0; i < products.size(); ++i)
    parts.push_back(sharedNumbers(threads));
  forEach(llvm::divideCeil(wide, kRows) * threads, out, threads, [&](Value token, Value column) {
    Value thread = rem(column, threads), lane = rem(thread, kRows), share = div(thread, kRows);
    Value row = add(mul(div(column, threads), number(kRows)), lane);
    Value safe = wide % kRows ? Value(arith::MinUIOp::create(*b, loc, row, number(wide - 1))) : row;
    for (auto [op, part] : llvm::zip(products, parts)) {
      Value mine = isa<LinearOp>(op) ? linear(op->getOperand(0), op->getOperand(1), token, {safe, {}, share, shares})
                                     : expertSum(cast<ExpertLinearOp>(op), token, safe, share, shares);
      memref::StoreOp::create(*b, loc, mine, part, thread);
    }
    gpu::BarrierOp::create(*b, loc);
    auto join = [&] {
      for (auto [op, part] : llvm::zip(products, parts)) {
        Value sum = load(part, lane);
        for (int64_t other = 1; other < shares; ++other)
          sum = arith::AddFOp::create(*b, loc, sum, load(part, add(lane, number(other * kRows))));
        scalars[op->getResult(0)] = sum;
        if (auto experts = dyn_cast<ExpertLinearOp>(op))
          scalars[op->getResult(0)] = withBias(experts, sum, token, row);
      }
      place(result, token, row);
    };
    when(less(thread, number(kRows)), [&] {
      if (wide % kRows)
        when(less(row, number(wide)), join);
      else
        join();
    });
  });
  return true;
}

} // namespace stepdown
