// A kernel's scratch is static and lives on the stack of the thread that runs it.
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/Builders.h"
#include "passes/Buffer/Passes.h"

using namespace mlir;

namespace stepdown {
#define GEN_PASS_DEF_PLACESCRATCH
#include "passes/Buffer/Passes.h.inc"

/// Whether two views show the same elements: the same value, or equal subviews of the same memref.
static bool sameView(Value a, Value c) {
  if (a == c)
    return true;
  auto x = a.getDefiningOp<memref::SubViewOp>(), y = c.getDefiningOp<memref::SubViewOp>();
  return x && y && sameView(x.getSource(), y.getSource()) && x.getMixedOffsets() == y.getMixedOffsets() &&
         x.getMixedSizes() == y.getMixedSizes() && x.getMixedStrides() == y.getMixedStrides();
}

namespace {
struct PlaceScratch : impl::PlaceScratchBase<PlaceScratch> {
  void runOnOperation() override {
    func::FuncOp function = getOperation();
    if (function.isExternal())
      return;
    if (!llvm::hasSingleElement(function.getBody())) {
      function.emitError() << "expects a kernel of one block";
      return signalPassFailure();
    }
    SmallVector<memref::CopyOp> copies;
    SmallVector<memref::AllocOp> allocations;
    function.walk([&](memref::CopyOp op) { copies.push_back(op); });
    function.walk([&](memref::AllocOp op) { allocations.push_back(op); });
    for (memref::CopyOp copy : copies) {
      if (!sameView(copy.getSource(), copy.getTarget())) {
        copy.emitOpError() << "expects a kernel to work in place, but bufferization had to copy";
        return signalPassFailure();
      }
      copy.erase();
    }
    // Results were computed into arguments: a kernel returns nothing.
    auto ret = cast<func::ReturnOp>(function.getBody().front().getTerminator());
    for (Value result : ret.getOperands())
      if (!isa<BlockArgument>(result)) {
        ret.emitOpError() << "expects results in the kernel's arguments";
        return signalPassFailure();
      }
    ret->setOperands({});
    function.setType(FunctionType::get(&getContext(), function.getArgumentTypes(), {}));
    function.removeResAttrsAttr();
    OpBuilder b = OpBuilder::atBlockBegin(&function.getBody().front());
    for (memref::AllocOp alloc : allocations) {
      if (!alloc.getType().hasStaticShape()) {
        alloc.emitOpError() << "expects scratch of static size, but got " << alloc.getType();
        return signalPassFailure();
      }
      auto place = memref::AllocaOp::create(b, alloc.getLoc(), alloc.getType(), b.getI64IntegerAttr(64));
      alloc.replaceAllUsesWith(place.getResult());
      alloc.erase();
    }
  }
};
} // namespace
} // namespace stepdown
