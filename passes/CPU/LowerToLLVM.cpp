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
#include "mlir/Dialect/Vector/Transforms/LoweringPatterns.h"
#include "mlir/Transforms/DialectConversion.h"
#include "passes/CPU/BFloatBits.h"
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
  /// Whether the conversion knows `op`; says which kernel it is left in where not.
  static LogicalResult checkKnown(Operation *op, LLVMTypeConverter &converter) {
    static constexpr const char *known[] = {"builtin", "func",   "memref", "arith", "math",
                                            "cf",      "vector", "index",  "ub",    "llvm"};
    auto function = isa<func::FuncOp>(op) ? cast<func::FuncOp>(op) : op->getParentOfType<func::FuncOp>();
    StringRef name = function ? function.getName() : StringRef("?");
    if (!isa<tile::BlockPtrOp>(op) && !llvm::is_contained(known, op->getName().getDialectNamespace()))
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
    auto outer = getOperation()->getParentOfType<ModuleOp>();
    if (getOperation()->hasAttr(kPlainAttr) || (outer && outer->hasAttr(kPlainAttr)))
      carryBFloat16AsBits(getOperation());
    LLVMTypeConverter converter(context);
    addBlockTypes(converter);
    WalkResult unknown =
        getOperation().walk<WalkOrder::PreOrder>([&](Operation *op) { return WalkResult(checkKnown(op, converter)); });
    if (unknown.wasInterrupted())
      return signalPassFailure();
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
    patterns.add<BlockPtrLowering>(converter);
    LLVMConversionTarget target(*context);
    target.addLegalOp<ModuleOp>();
    if (failed(applyFullConversion(getOperation(), target, std::move(patterns))))
      signalPassFailure();
  }
};
} // namespace
} // namespace stepdown
