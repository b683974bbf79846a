#include "passes/Kernel/Contraction.h"
#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;

namespace stepdown {

/// The argument of the body that `factor` is, perhaps widened.
static std::optional<unsigned> argumentOf(Value factor, Block &body, bool &widened) {
  Operation *wide = factor.getDefiningOp();
  if (isa_and_present<arith::ExtFOp, arith::ExtSIOp>(wide)) {
    factor = wide->getOperand(0);
    widened = true;
  }
  auto argument = dyn_cast<BlockArgument>(factor);
  return argument && argument.getOwner() == &body ? std::optional(argument.getArgNumber()) : std::nullopt;
}

/// Whether `body` adds the product of its first two arguments to the third.
static bool addsProducts(Block &body) {
  Operation *sum =
      body.getTerminator()->getNumOperands() == 1 ? body.getTerminator()->getOperand(0).getDefiningOp() : nullptr;
  if (!isa_and_present<arith::AddFOp, arith::AddIOp>(sum))
    return false;
  for (unsigned i : {0, 1}) {
    Operation *product = sum->getOperand(1 - i).getDefiningOp();
    if (sum->getOperand(i) != body.getArgument(2) || !isa_and_present<arith::MulFOp, arith::MulIOp>(product))
      continue;
    bool first = false, second = false;
    const auto x = argumentOf(product->getOperand(0), body, first),
               y = argumentOf(product->getOperand(1), body, second);
    return x && y && *x + *y == 1 && first == second;
  }
  return false;
}

/// The dimension of the operand that loop `d` goes along.
static int64_t dimensionOf(AffineMap map, unsigned d) {
  for (auto [i, expr] : llvm::enumerate(map.getResults()))
    if (cast<AffineDimExpr>(expr).getPosition() == d)
      return i;
  return Contraction::kNone;
}

std::optional<Contraction> contractionOf(linalg::LinalgOp op) {
  if (!op.hasPureTensorSemantics() || op.getNumDpsInputs() != 2 || op.getNumDpsInits() != 1 ||
      op.getNumReductionLoops() != 1 || op->getNumRegions() != 1 || !addsProducts(op->getRegion(0).front()))
    return std::nullopt;
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  for (auto [map, operand] : llvm::zip(maps, op->getOperands()))
    if (!isa<RankedTensorType>(operand.getType()) || !map.isProjectedPermutation())
      return std::nullopt;
  SmallVector<unsigned> reductions;
  op.getReductionDims(reductions);
  const unsigned k = reductions.front(), rank = maps[2].getNumResults();
  if ((rank != 2 && rank != 3) || op.getNumLoops() != rank + 1)
    return std::nullopt;
  auto loop = [&](unsigned result) { return cast<AffineDimExpr>(maps[2].getResult(result)).getPosition(); };
  const unsigned m = loop(rank - 2), n = loop(rank - 1);
  auto operand = [&](unsigned i, unsigned rows, unsigned columns) -> Contraction::Operand {
    return {op.getDpsInputs()[i], rank == 3 ? dimensionOf(maps[i], loop(0)) : Contraction::kNone,
            dimensionOf(maps[i], rows), dimensionOf(maps[i], columns)};
  };
  const unsigned left = dimensionOf(maps[0], m) == Contraction::kNone; // the operand that has rows of the result
  Contraction found = {operand(left, m, k), operand(1 - left, k, n), op.getDpsInits()[0]};
  for (const Contraction::Operand &each : {found.a, found.b})
    if (each.rows == Contraction::kNone || each.columns == Contraction::kNone ||
        cast<RankedTensorType>(each.value.getType()).getRank() != (each.batch == Contraction::kNone ? 2 : 3))
      return std::nullopt;
  if (rank == 3 && found.a.batch == Contraction::kNone && found.b.batch == Contraction::kNone)
    return std::nullopt;
  return found;
}

} // namespace stepdown
