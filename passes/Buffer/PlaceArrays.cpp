// Functions of plain modules may copy and allocate, unlike kernels; where their arrays lie is decided here and in
// bind-arrays.
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Utils/Utils.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/Transforms/Transforms.h"
#include "mlir/Interfaces/LoopLikeInterface.h"
#include "mlir/Interfaces/ViewLikeInterface.h"
#include "passes/Buffer/Passes.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace stepdown {
#define GEN_PASS_DEF_PLACEARRAYS
#include "passes/Buffer/Passes.h.inc"

namespace {
struct PlaceArrays : impl::PlaceArraysBase<PlaceArrays> {
  using PlaceArraysBase::PlaceArraysBase;
  static constexpr int64_t kMostStack = 16 << 10;

  /// Whether no view of `value` leaves the block that it is made in.
  static bool staysInside(Value value) {
    for (Operation *user : value.getUsers()) {
      if (user->hasTrait<OpTrait::IsTerminator>() || isa<LoopLikeOpInterface>(user))
        return false;
      for (Value result : user->getResults())
        if (isa<BaseMemRefType>(result.getType()) && !staysInside(result))
          return false;
    }
    return true;
  }

  /// Whether elements follow each other without gaps, as far as the type says.
  static bool isContiguous(MemRefType type) {
    int64_t next = 1, offset = 0;
    SmallVector<int64_t> strides;
    if (type.getLayout().isIdentity())
      return true;
    if (failed(type.getStridesAndOffset(strides, offset)) || offset != 0)
      return false;
    for (int64_t d = type.getRank(); d-- > 0; next *= type.getDimSize(d)) {
      if (type.isDynamicDim(d) && d != 0)
        return false;
      if (strides[d] != next && type.getDimSize(d) != 1)
        return false;
    }
    return true;
  }

  /// A part of an array that a function gives back is cast to an array of its own where its sizes are not in its type:
  /// upstream takes steps that the type does not say for any steps, but callers read elements that follow each other.
  static void copyPart(memref::CastOp cast) {
    auto from = dyn_cast<MemRefType>(cast.getSource().getType()), to = dyn_cast<MemRefType>(cast.getType());
    if (!from || !to || !to.getLayout().isIdentity() || isContiguous(from))
      return;
    OpBuilder b(cast);
    SmallVector<Value> sizes;
    for (int64_t d = 0; d < to.getRank(); ++d)
      if (to.isDynamicDim(d))
        sizes.push_back(memref::DimOp::create(b, cast.getLoc(), cast.getSource(), d));
    Value whole = memref::AllocOp::create(b, cast.getLoc(), to, sizes, b.getI64IntegerAttr(64));
    memref::CopyOp::create(b, cast.getLoc(), cast.getSource(), whole);
    cast.replaceAllUsesWith(whole);
    cast.erase();
  }

  void runOnOperation() override {
    func::FuncOp function = getOperation();
    if (function.isExternal())
      return;
    SmallVector<scf::ForallOp> foralls;
    function.walk([&](scf::ForallOp op) { foralls.push_back(op); });
    IRRewriter rewriter(&getContext());
    for (scf::ForallOp forall : foralls) // one thread runs a function
      if (rewriter.setInsertionPoint(forall); failed(scf::forallToForLoop(rewriter, forall)))
        return signalPassFailure();
    SmallVector<memref::CastOp> casts;
    function.walk([&](memref::CastOp op) { casts.push_back(op); });
    llvm::for_each(casts, copyPart);
    SmallVector<memref::CopyOp> copies;
    SmallVector<memref::AllocOp> allocations;
    function.walk([&](memref::CopyOp op) { copies.push_back(op); });
    function.walk([&](memref::AllocOp op) { allocations.push_back(op); });
    for (memref::CopyOp copy : copies) {
      OpBuilder b(copy);
      if (copy.getSource() != copy.getTarget()) // as of a part that was computed in its place
        linalg::makeMemRefCopyOp(b, copy.getLoc(), copy.getSource(), copy.getTarget());
      copy.erase();
    }
    if (!stack)
      return;
    OpBuilder b = OpBuilder::atBlockBegin(&function.getBody().front());
    int64_t used = 0;
    for (memref::AllocOp alloc : allocations) {
      MemRefType type = alloc.getType();
      Type element = type.getElementType();
      if (!alloc->getParentOfType<LoopLikeOpInterface>() || !type.hasStaticShape() || !staysInside(alloc))
        continue;
      uint64_t bytes = element.isIndex() ? 8 : llvm::divideCeil(element.getIntOrFloatBitWidth(), 8);
      for (int64_t size : type.getShape())
        bytes = llvm::SaturatingMultiply<uint64_t>(bytes, size);
      if (bytes > kMostStack || used + int64_t(bytes) > kMostStack)
        continue;
      used += llvm::alignTo(bytes, 64);
      Value place = memref::AllocaOp::create(b, alloc.getLoc(), type, b.getI64IntegerAttr(64));
      alloc.replaceAllUsesWith(place);
      alloc.erase();
    }
  }
};
} // namespace
} // namespace stepdown
