// Functions of plain modules: the signature of include/stepdown/Artifact.h, and arrays in the arena of the call.
//
// The arena is a range of addresses that the caller reserved; taking from it moves one number of the call's record.
// Nothing is given back one by one: the call as a whole is, and each iteration of a loop that hands no array on.
#include "include/stepdown/Artifact.h"
#include "mlir/Conversion/LLVMCommon/ConversionTarget.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "passes/CPU/Operands.h"
#include "passes/CPU/Passes.h"
#include "llvm/Support/MathExtras.h"
#include <cstddef>

using namespace mlir;

namespace stepdown {
#define GEN_PASS_DEF_BINDARRAYS
#include "passes/CPU/Passes.h.inc"

namespace {

constexpr int64_t kAlignment = 64;
/// No array of a call is larger, so that sums of sizes stay inside 64 bits.
constexpr int64_t kMostBytes = int64_t(1) << 46;
constexpr int64_t kTooManyBytes = kMostBytes + kAlignment; ///< stands for whatever is more

struct BindArrays : impl::BindArraysBase<BindArrays> {
  Value call; ///< the record, !llvm.ptr

  Value place(OpBuilder &b, Location loc, size_t offset) { return operandPlace(b, loc, call, offset / 8); }

  static Value number(OpBuilder &b, Location loc, int64_t value) {
    return arith::ConstantOp::create(b, loc, b.getI64IntegerAttr(value));
  }

  /// Bytes of one element as memory holds it.
  static int64_t bytesOf(Type element) {
    return element.isIndex() ? 8 : llvm::divideCeil(element.getIntOrFloatBitWidth(), 8);
  }

  /// The next bytes of the arena in place of `alloc`.
  void take(memref::AllocOp alloc, LLVMTypeConverter &converter) {
    OpBuilder b(alloc);
    Location loc = alloc.getLoc();
    MemRefType type = alloc.getType();
    Type i64 = b.getI64Type();
    SmallVector<Value> sizes;
    unsigned dynamic = 0;
    // `bytes` of the array, and `extent`: what it would have if no size were zero. An empty array has sizes, too, and
    // products of them stay inside 64 bits where the extent does. What types know is multiplied here.
    uint64_t known = bytesOf(type.getElementType());
    Value extent, fits, empty;
    auto require = [&](Value condition) {
      fits = fits ? Value(arith::AndIOp::create(b, loc, fits, condition)) : condition;
    };
    for (int64_t size : type.getShape())
      if (!ShapedType::isDynamic(size))
        known =
            std::min<uint64_t>(llvm::SaturatingMultiply<uint64_t>(known, std::max<int64_t>(size, 1)), kTooManyBytes);
    extent = number(b, loc, known);
    for (int64_t size : type.getShape()) {
      if (!ShapedType::isDynamic(size)) {
        sizes.push_back(number(b, loc, size));
        continue;
      }
      Value wanted = arith::IndexCastOp::create(b, loc, i64, alloc.getDynamicSizes()[dynamic++]);
      sizes.push_back(wanted);
      Value zero = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, wanted, number(b, loc, 0));
      empty = empty ? Value(arith::OrIOp::create(b, loc, empty, zero)) : zero;
      // As unsigned numbers a negative size is too large; the product of two below 2^46 is checked by its high half.
      auto product = arith::MulUIExtendedOp::create(b, loc, extent,
                                                    arith::SelectOp::create(b, loc, zero, number(b, loc, 1), wanted));
      require(arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, product.getHigh(), number(b, loc, 0)));
      extent = product.getLow();
    }
    require(arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ule, extent, number(b, loc, kMostBytes)));
    extent = arith::SelectOp::create(b, loc, fits, extent, number(b, loc, kTooManyBytes));
    Value bytes = extent;
    if (llvm::is_contained(type.getShape(), 0))
      empty = arith::ConstantOp::create(b, loc, b.getBoolAttr(true));
    if (empty)
      bytes = arith::SelectOp::create(b, loc, arith::AndIOp::create(b, loc, fits, empty), number(b, loc, 0), extent);
    Value rounded = arith::AndIOp::create(b, loc, arith::AddIOp::create(b, loc, bytes, number(b, loc, kAlignment - 1)),
                                          number(b, loc, -kAlignment));
    Value next = LLVM::LoadOp::create(b, loc, i64, place(b, loc, offsetof(stepdown_call, next)));
    Value end = LLVM::LoadOp::create(b, loc, i64, place(b, loc, offsetof(stepdown_call, end)));
    Value after = arith::AddIOp::create(b, loc, next, rounded);
    require(arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ule, after, end));
    LLVM::StoreOp::create(b, loc, rounded, place(b, loc, offsetof(stepdown_call, wanted)));
    cf::AssertOp::create(b, loc, fits, kArenaCheck);
    LLVM::StoreOp::create(b, loc, after, place(b, loc, offsetof(stepdown_call, next)));
    Value base = LLVM::IntToPtrOp::create(b, loc, LLVM::LLVMPointerType::get(b.getContext()), next);
    alloc.replaceAllUsesWith(bindMemory(b, loc, converter, type, base, sizes));
    alloc.erase();
  }

  /// `expand` as the view that its sizes describe: upstream's own expansion takes but one of them from the operation.
  static void reinterpret(memref::ExpandShapeOp expand) {
    OpBuilder b(expand);
    Location loc = expand.getLoc();
    MemRefType type = expand.getResultType();
    auto whole = memref::ExtractStridedMetadataOp::create(b, loc, expand.getSrc());
    auto [known, start] = type.getStridesAndOffset();
    SmallVector<OpFoldResult> sizes = expand.getMixedOutputShape(), strides(type.getRank());
    for (auto [d, group] : llvm::enumerate(expand.getReassociationIndices())) {
      Value stride = whole.getStrides()[d];
      for (int64_t i : llvm::reverse(group)) {
        strides[i] = ShapedType::isDynamic(known[i]) ? OpFoldResult(stride) : b.getIndexAttr(known[i]);
        if (i != group.front())
          stride = arith::MulIOp::create(b, loc, stride, getValueOrCreateConstantIndexOp(b, loc, sizes[i]));
      }
    }
    for (OpFoldResult &stride : strides) // a source of rank 0: ones alone
      if (!stride)
        stride = b.getIndexAttr(1);
    OpFoldResult offset = ShapedType::isDynamic(start) ? OpFoldResult(whole.getOffset()) : b.getIndexAttr(start);
    Value view = memref::ReinterpretCastOp::create(b, loc, type, whole.getBaseBuffer(), offset, sizes, strides);
    expand.replaceAllUsesWith(view);
    expand.erase();
  }

  /// Whether an iteration of `loop` takes something and hands no array on.
  static bool givesBack(Operation *loop) {
    if (!isa<scf::ForOp, scf::WhileOp>(loop))
      return false;
    for (Region &region : loop->getRegions())
      for (Type type : region.getArgumentTypes())
        if (isa<BaseMemRefType>(type))
          return false;
    if (llvm::any_of(loop->getResultTypes(), [](Type type) { return isa<BaseMemRefType>(type); }))
      return false;
    return loop->walk([](memref::AllocOp) { return WalkResult::interrupt(); }).wasInterrupted();
  }

  /// Every block of `loop` ends with as much of the arena as it began with.
  void giveBack(Operation *loop) {
    for (Region &region : loop->getRegions()) {
      OpBuilder b = OpBuilder::atBlockBegin(&region.front());
      Location loc = loop->getLoc();
      Value mark = LLVM::LoadOp::create(b, loc, b.getI64Type(), place(b, loc, offsetof(stepdown_call, next)));
      b.setInsertionPoint(region.front().getTerminator());
      LLVM::StoreOp::create(b, loc, mark, place(b, loc, offsetof(stepdown_call, next)));
    }
  }

  /// The address and dimensions of a result, into the operands from `slot` on.
  static void hand(OpBuilder &b, Location loc, Value result, Value operands, int64_t slot) {
    auto type = cast<MemRefType>(result.getType());
    auto store = [&](Value index, int64_t at) {
      Value number = arith::IndexCastOp::create(b, loc, b.getI64Type(), index);
      LLVM::StoreOp::create(b, loc, number, operandPlace(b, loc, operands, at));
    };
    store(memref::ExtractAlignedPointerAsIndexOp::create(b, loc, result), slot);
    for (int64_t d = 0; d < type.getRank(); ++d)
      store(memref::DimOp::create(b, loc, result, d), slot + 1 + d);
  }

  void runOnOperation() override {
    func::FuncOp function = getOperation();
    if (function.isExternal())
      return;
    if (!llvm::hasSingleElement(function.getBody())) {
      function.emitError() << "expects a function of one block";
      return signalPassFailure();
    }
    LLVMTypeConverter converter(&getContext());
    Block &entry = function.getBody().front();
    OpBuilder b = OpBuilder::atBlockBegin(&entry);
    Location loc = function.getLoc();
    auto ret = cast<func::ReturnOp>(entry.getTerminator());
    for (TypeRange types : {TypeRange(entry.getArgumentTypes()), TypeRange(ret.getOperandTypes())})
      for (Type type : types)
        if (auto memref = dyn_cast<MemRefType>(type); !memref || !memref.getLayout().isIdentity()) {
          function.emitError() << "expects arguments and results that are contiguous memrefs, but got " << type;
          return signalPassFailure();
        }
    const unsigned old = entry.getNumArguments();
    Value operands = entry.addArgument(LLVM::LLVMPointerType::get(&getContext()), loc);
    entry.addArgument(b.getI64Type(), loc); // thread and threads: a call has one
    entry.addArgument(b.getI64Type(), loc);
    call = loadOperand(b, loc, LLVM::LLVMPointerType::get(&getContext()), operands, 0);
    int64_t slot = 1;
    for (unsigned i = 0; i < old; ++i) {
      auto type = cast<MemRefType>(entry.getArgument(i).getType());
      entry.getArgument(i).replaceAllUsesWith(bindOperand(b, loc, converter, type, operands, slot));
      slot += 1 + type.getRank();
    }
    b.setInsertionPoint(ret);
    for (Value result : ret.getOperands()) {
      hand(b, loc, result, operands, slot);
      slot += 1 + cast<MemRefType>(result.getType()).getRank();
    }
    ret->setOperands({});
    entry.eraseArguments(0, old);
    function.setType(b.getFunctionType(entry.getArgumentTypes(), {}));
    function.removeArgAttrsAttr();
    function.removeResAttrsAttr();
    SmallVector<Operation *> loops;
    SmallVector<memref::AllocOp> allocations;
    function.walk([&](Operation *op) {
      if (givesBack(op))
        loops.push_back(op);
      else if (auto alloc = dyn_cast<memref::AllocOp>(op))
        allocations.push_back(alloc);
    });
    for (Operation *loop : loops)
      giveBack(loop);
    for (memref::AllocOp alloc : allocations)
      take(alloc, converter);
    SmallVector<memref::ExpandShapeOp> expansions;
    function.walk([&](memref::ExpandShapeOp op) {
      if (!op.getResultType().hasStaticShape())
        expansions.push_back(op);
    });
    for (memref::ExpandShapeOp expand : expansions)
      reinterpret(expand);
  }
};
} // namespace
} // namespace stepdown
