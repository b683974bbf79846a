// The kernel ABI of include/stepdown/Artifact.h: operands are addresses and dimensions in one array of 64-bit numbers.
#include "dialects/Tile/IR/TileDialect.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "passes/CPU/BlockTypes.h"
#include "passes/CPU/Operands.h"
#include "passes/CPU/Passes.h"

using namespace mlir;

namespace stepdown {
#define GEN_PASS_DEF_BINDOPERANDS
#include "passes/CPU/Passes.h.inc"

namespace {
struct BindOperands : impl::BindOperandsBase<BindOperands> {
  /// Tiles [total * thread / threads, total * (thread + 1) / threads), or thread, thread + threads, ...
  static void share(scf::ForallOp forall, Value thread, Value threads, bool cyclic) {
    OpBuilder b(forall);
    Location loc = forall.getLoc();
    auto number = [&](int64_t n) -> Value { return arith::ConstantIndexOp::create(b, loc, n); };
    SmallVector<Value> counts;
    for (OpFoldResult bound : forall.getMixedUpperBound())
      counts.push_back(isa<Attribute>(bound) ? number(cast<IntegerAttr>(cast<Attribute>(bound)).getInt())
                                             : cast<Value>(bound));
    Value total = number(1);
    for (Value count : counts)
      total = arith::MulIOp::create(b, loc, total, count);
    Value lower = thread, upper = total, step = threads;
    if (!cyclic) {
      auto share = [&](Value t) -> Value {
        return arith::DivUIOp::create(b, loc, arith::MulIOp::create(b, loc, total, t), threads);
      };
      lower = share(thread);
      upper = share(arith::AddIOp::create(b, loc, thread, number(1)));
      step = number(1);
    }
    auto loop = scf::ForOp::create(b, loc, lower, upper, step);
    b.setInsertionPointToStart(loop.getBody());
    Value rest = loop.getInductionVar();
    SmallVector<Value> indices(counts.size());
    for (int64_t d = counts.size() - 1; d > 0; --d) {
      indices[d] = arith::RemUIOp::create(b, loc, rest, counts[d]);
      rest = arith::DivUIOp::create(b, loc, rest, counts[d]);
    }
    indices[0] = rest;
    for (auto [old, now] : llvm::zip(forall.getInductionVars(), indices))
      old.replaceAllUsesWith(now);
    forall.getTerminator().erase();
    Block *body = forall.getBody();
    loop.getBody()->getOperations().splice(std::prev(loop.getBody()->end()), body->getOperations());
    forall.erase();
  }

  void runOnOperation() override {
    func::FuncOp function = getOperation();
    if (function.isExternal())
      return;
    MLIRContext *context = &getContext();
    LLVMTypeConverter converter(context);
    addBlockTypes(converter);
    Block &entry = function.getBody().front();
    OpBuilder b = OpBuilder::atBlockBegin(&entry);
    Location loc = function.getLoc();
    const unsigned old = entry.getNumArguments();
    Type i64 = b.getI64Type();
    Value operands = entry.addArgument(LLVM::LLVMPointerType::get(context), loc);
    Value threadNumber = entry.addArgument(i64, loc), threadCount = entry.addArgument(i64, loc);
    int64_t slot = 0;
    for (unsigned i = 0; i < old; ++i) {
      auto type = dyn_cast<MemRefType>(entry.getArgument(i).getType());
      if (!type || !type.getLayout().isIdentity()) {
        function.emitError() << "expects arguments that are contiguous memrefs, but got "
                             << entry.getArgument(i).getType();
        return signalPassFailure();
      }
      entry.getArgument(i).replaceAllUsesWith(bindOperand(b, loc, converter, type, operands, slot));
      slot += 1 + type.getRank();
    }
    entry.eraseArguments(0, old);
    function.setType(b.getFunctionType(entry.getArgumentTypes(), {}));
    function.removeArgAttrsAttr();
    Value thread = arith::IndexCastOp::create(b, loc, b.getIndexType(), threadNumber);
    Value threads = arith::IndexCastOp::create(b, loc, b.getIndexType(), threadCount);
    SmallVector<scf::ForallOp> loops;
    function.walk([&](scf::ForallOp op) { loops.push_back(op); });
    for (scf::ForallOp loop : loops)
      share(loop, thread, threads, function->hasAttr(tile::kCyclicAttr));
    function->removeAttr(tile::kCyclicAttr);
    function->removeAttr(tile::kAnyTileAttr);
  }
};
} // namespace
} // namespace stepdown
