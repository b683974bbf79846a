// Everything that the vector stage leaves becomes LLVM in one conversion.
#include "dialects/Tile/IR/TileOps.h"
#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/FuncToLLVM/ConvertFuncToLLVM.h"
#include "mlir/Conversion/IndexToLLVM/IndexToLLVM.h"
#include "mlir/Conversion/LLVMCommon/ConversionTarget.h"
#include "mlir/Conversion/LLVMCommon/Pattern.h"
#include "mlir/Conversion/MathToLLVM/MathToLLVM.h"
#include "mlir/Conversion/MemRefToLLVM/MemRefToLLVM.h"
#include "mlir/Conversion/UBToLLVM/UBToLLVM.h"
#include "mlir/Conversion/VectorToLLVM/ConvertVectorToLLVM.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/Vector/Transforms/LoweringPatterns.h"
#include "mlir/Transforms/DialectConversion.h"
#include "mlir/Transforms/RegionUtils.h"
#include "passes/CPU/BlockTypes.h"
#include "passes/CPU/Passes.h"

using namespace mlir;
using namespace stepdown::transformer;

namespace stepdown {
#define GEN_PASS_DEF_LOWERTOLLVM
#include "passes/CPU/Passes.h.inc"

namespace {
struct BlockPtrLowering : ConvertOpToLLVMPattern<tile::BlockPtrOp> {
  using ConvertOpToLLVMPattern::ConvertOpToLLVMPattern;
  LogicalResult matchAndRewrite(tile::BlockPtrOp op, OpAdaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    auto type = cast<MemRefType>(op.getBase().getType());
    rewriter.replaceOp(op, getStridedElementPtr(rewriter, op.getLoc(), type, adaptor.getBase(), adaptor.getIndices()));
    return success();
  }
};

struct LowerToLLVM : impl::LowerToLLVMBase<LowerToLLVM> {
  using Dialects = llvm::SmallDenseSet<StringRef>;

  /// Those of which `patterns` convert operations.
  static Dialects dialectsOf(RewritePatternSet &patterns) {
    Dialects dialects;
    for (const auto &pattern : patterns.getNativePatterns())
      if (std::optional<OperationName> root = pattern->getRootKind())
        dialects.insert(root->getDialectNamespace());
    return dialects;
  }

  /// Whether the conversion knows `op`; says which function it is left in where not.
  static LogicalResult checkKnown(Operation *op, const Dialects &known, LLVMTypeConverter &converter) {
    auto function = isa<func::FuncOp>(op) ? cast<func::FuncOp>(op) : op->getParentOfType<func::FuncOp>();
    StringRef name = function ? function.getName() : StringRef("?");
    if (!isa<ModuleOp, UnrealizedConversionCastOp, tile::BlockPtrOp>(op) &&
        !isa_and_nonnull<LLVM::LLVMDialect>(op->getDialect()) && !known.contains(op->getName().getDialectNamespace()))
      return op->emitOpError() << "expects to be lowered before kernels become LLVM, but is left in @" << name;
    SmallVector<Type> types(op->getOperandTypes());
    llvm::append_range(types, op->getResultTypes());
    if (isa<func::FuncOp>(op))
      llvm::append_range(types, cast<func::FuncOp>(op).getArgumentTypes());
    for (Type type : types)
      if (!converter.convertType(type))
        return op->emitOpError() << "expects types of numbers, vectors, memrefs and blocks in @" << name << ", but got "
                                 << type;
    return success();
  }

  void runOnOperation() override {
    MLIRContext *context = &getContext();
    IRRewriter rewriter(context);
    // The conversion passes over blocks that nothing reaches.
    for (auto function : getOperation().getOps<func::FuncOp>())
      (void)eraseUnreachableBlocks(rewriter, function->getRegions());
    LLVMTypeConverter converter(context);
    addBlockTypes(converter);
    RewritePatternSet patterns(context);
    vector::populateVectorBroadcastLoweringPatterns(patterns);
    populateFinalizeMemRefToLLVMConversionPatterns(converter, patterns);
    populateFuncToLLVMConversionPatterns(converter, patterns);
    arith::populateArithToLLVMConversionPatterns(converter, patterns);
    cf::populateControlFlowToLLVMConversionPatterns(converter, patterns);
    populateVectorToLLVMConversionPatterns(converter, patterns);
    populateMathToLLVMConversionPatterns(converter, patterns);
    index::populateIndexToLLVMConversionPatterns(converter, patterns);
    ub::populateUBToLLVMConversionPatterns(converter, patterns);
    const Dialects known = dialectsOf(patterns);
    patterns.add<BlockPtrLowering>(converter);
    WalkResult unknown = getOperation().walk<WalkOrder::PreOrder>([&](Operation *op) {
      return isa<gpu::GPUModuleOp>(op) ? WalkResult::skip() : WalkResult(checkKnown(op, known, converter));
    });
    if (unknown.wasInterrupted())
      return signalPassFailure();
    LLVMConversionTarget target(*context);
    target.addLegalOp<ModuleOp, gpu::GPUModuleOp>();
    target.markOpRecursivelyLegal<gpu::GPUModuleOp>(); // kernels have become LLVM on their own
    // Partial: a full one would tell of what is left in its own words.
    if (failed(applyPartialConversion(getOperation(), target, std::move(patterns))))
      return signalPassFailure();
    WalkResult left = getOperation().walk<WalkOrder::PreOrder>([](Operation *op) {
      if (isa<gpu::GPUModuleOp>(op))
        return WalkResult::skip();
      if (isa<ModuleOp, UnrealizedConversionCastOp>(op) || isa_and_nonnull<LLVM::LLVMDialect>(op->getDialect()))
        return WalkResult::advance();
      op->emitError() << "'" << op->getName()
                      << "': expects an operation that has a form in machine code, but this has none";
      return WalkResult::interrupt();
    });
    if (left.wasInterrupted())
      signalPassFailure();
  }
};
} // namespace
} // namespace stepdown
