// Each tile.kernel that is a product becomes a gpu.module with one llvm.func. LDS is a variable of that module: the
// code object then says how much of it a block needs.
#include "lib/Kernels/ChipLimits.h"
#include "lib/Target/WarpFragments.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/ROCDLDialect.h"
#include "passes/AMD/AttentionEmitter.h"
#include "passes/AMD/KernelEmitter.h"
#include "passes/AMD/QuantisedEmitter.h"

using namespace mlir;

namespace stepdown {
#define GEN_PASS_DEF_LOWERTILETOROCDL
#include "passes/AMD/Passes.h.inc"

namespace {
struct LowerTileToROCDL : impl::LowerTileToROCDLBase<LowerTileToROCDL> {
  using LowerTileToROCDLBase::LowerTileToROCDLBase;

  /// Types of the parameters, and what the launch has to hand in for them.
  static SmallVector<Type> parametersOf(tile::KernelOp kernel, SmallVectorImpl<Attribute> &contents) {
    Builder b(kernel.getContext());
    SmallVector<Type> types;
    auto append = [&](unsigned argument, StringRef what, Type type) {
      types.push_back(type);
      contents.push_back(b.getDictionaryAttr(
          {b.getNamedAttr("argument", b.getI64IntegerAttr(argument)), b.getNamedAttr("holds", b.getStringAttr(what))}));
    };
    for (auto [i, type] : llvm::enumerate(kernel.getArgumentTypes())) {
      if (!isa<MemRefType>(type)) {
        append(i, "value", type.isIndex() ? b.getI32Type() : type);
        continue;
      }
      append(i, "pointer", LLVM::LLVMPointerType::get(b.getContext(), 1));
      append(i, "stride", b.getI64Type());
      append(i, "rows", b.getI32Type());
      append(i, "columns", b.getI32Type());
    }
    return types;
  }

  template <typename Emitter, typename Plan> LogicalResult lower(tile::KernelOp kernel, const FailureOr<Plan> &plan) {
    if (failed(plan))
      return failure();
    if (auto grid = kernel->getAttrOfType<DenseI64ArrayAttr>(tile::kGridAttr))
      if (grid[1] != plan->threads || grid[2] != 0)
        return kernel.emitOpError() << "expects to be launched with " << plan->threads
                                    << " threads and no LDS beside the code's, but got " << grid;
    OpBuilder b(kernel);
    const Location loc = kernel.getLoc();
    auto module = gpu::GPUModuleOp::create(b, loc, kernel.getSymName());
    b.setInsertionPointToStart(module.getBody());
    auto lds = LLVM::GlobalOp::create(b, loc, LLVM::LLVMArrayType::get(b.getI8Type(), plan->ldsBytes),
                                      /*isConstant=*/false, LLVM::Linkage::Internal, "lds", Attribute(),
                                      /*alignment=*/16, /*addrSpace=*/3);
    {
      OpBuilder::InsertionGuard guard(b); // nothing is in it to begin with
      b.createBlock(&lds.getInitializerRegion());
      LLVM::ReturnOp::create(b, loc, ValueRange(LLVM::PoisonOp::create(b, loc, lds.getType())));
    }
    SmallVector<Attribute> contents;
    auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(b.getContext()), parametersOf(kernel, contents));
    auto function = LLVM::LLVMFuncOp::create(b, loc, kernel.getSymName(), type);
    function->setAttr(ROCDL::ROCDLDialect::getKernelFuncAttrName(), b.getUnitAttr());
    const std::string threads = std::to_string(plan->threads);
    function->setAttr("rocdl.flat_work_group_size", b.getStringAttr(threads + "," + threads));
    SmallVector<NamedAttribute> launch = {b.getNamedAttr("parameters", b.getArrayAttr(contents)),
                                          b.getNamedAttr("shared_bytes", b.getI64IntegerAttr(0)),
                                          b.getNamedAttr("threads", b.getI64IntegerAttr(plan->threads))};
    if (plan->tile[0])
      launch.push_back(b.getNamedAttr("tile", b.getDenseI64ArrayAttr(plan->tile)));
    if (SmallVector<int64_t> over = scheduledOver(kernel); over.size() == 4)
      launch.push_back(b.getNamedAttr("over", b.getDenseI64ArrayAttr(over)));
    if (const int64_t shares = sharesOf(kernel); shares > 1)
      launch.push_back(b.getNamedAttr("shares", b.getI64IntegerAttr(shares)));
    function->setAttr(tile::kLaunchAttr, b.getDictionaryAttr(launch));
    function.addEntryBlock(b);
    if (failed(Emitter(kernel, *plan, function).emit()))
      return failure();
    kernel.erase();
    return success();
  }

  LogicalResult lower(tile::KernelOp kernel, const amd::Chip &on) {
    if (sharesOf(kernel) > 1 && (isQuantised(kernel) || isAttention(kernel)))
      return unfit(kernel) << "expects a product of two matrices where blocks share a sum out on " << on.name;
    if (isQuantised(kernel))
      return lower<amd::QuantisedEmitter>(kernel, amd::planQuantised(kernel, on));
    if (isAttention(kernel))
      return lower<amd::AttentionEmitter>(kernel, amd::planAttention(kernel, on));
    return lower<amd::KernelEmitter>(kernel, amd::planKernel(kernel, on));
  }

  static LogicalResult lower(tile::WarpMmaOp op, const amd::Chip &on) {
    const WarpFragments w = *WarpFragments::of(on);
    if (int64_t(op.getA().size()) != w.factors || int64_t(op.getSum().size()) != w.held)
      return op.emitOpError() << "expects " << w.factors << " elements of an operand and " << w.held
                              << " sums, which each of " << w.lanes << " lanes has on " << on.name << ", but got "
                              << op.getA().size() << " and " << op.getSum().size();
    const char *intrinsic = on.mfma ? "llvm.amdgcn.mfma.f32.16x16x16f16" : "llvm.amdgcn.wmma.f32.16x16x16.f16";
    OpBuilder b(op);
    const Location loc = op.getLoc();
    auto place = [&](int64_t e) { return LLVM::ConstantOp::create(b, loc, b.getI32IntegerAttr(int32_t(e))); };
    auto joined = [&](ValueRange elements) {
      const auto type = VectorType::get(int64_t(elements.size()), elements.front().getType());
      Value made = LLVM::PoisonOp::create(b, loc, type);
      for (auto [e, element] : llvm::enumerate(elements))
        made = LLVM::InsertElementOp::create(b, loc, made, element, place(e));
      return made;
    };
    SmallVector<Value> operands = {joined(op.getA()), joined(op.getB()), joined(op.getSum())};
    if (on.mfma)
      operands.append(3, place(0)); // no broadcast, no permutation
    Value sum =
        LLVM::CallIntrinsicOp::create(b, loc, operands[2].getType(), b.getStringAttr(intrinsic), operands).getResult(0);
    SmallVector<Value> sums;
    for (int64_t e = 0; e < w.held; ++e)
      sums.push_back(LLVM::ExtractElementOp::create(b, loc, sum, place(e)));
    op.replaceAllUsesWith(sums);
    op.erase();
    return success();
  }

  void runOnOperation() override {
    const amd::Chip *found = amd::findChip(chip);
    if (!found) {
      getOperation().emitError() << "lower-tile-to-rocdl: expects a chip of " << amd::chipNames() << ", but got \""
                                 << chip << "\"";
      return signalPassFailure();
    }
    for (auto kernel : llvm::make_early_inc_range(getOperation().getOps<tile::KernelOp>()))
      if (failed(checkCluster(kernel, chip)) || failed(lower(kernel, *found)))
        return signalPassFailure();
    SmallVector<tile::WarpMmaOp> products;
    getOperation().walk([&](tile::WarpMmaOp op) { products.push_back(op); });
    for (tile::WarpMmaOp op : products)
      if (failed(lower(op, *found)))
        return signalPassFailure();
  }
};
} // namespace
} // namespace stepdown
