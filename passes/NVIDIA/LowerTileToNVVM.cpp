// Each tile.kernel becomes a gpu.module with one llvm.func. Not nvgpu and not gpu.func: their Hopper forms serialise
// products, and a gpu.func drops what makes a tensor map a parameter (house decision 7). sm_80's products are written
// with the same operations of nvvm.
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "passes/NVIDIA/AttentionEmitter.h"
#include "passes/NVIDIA/KernelEmitter.h"
#include "passes/NVIDIA/QuantisedEmitter.h"
#include "passes/NVIDIA/SharedLayout.h"
#include "passes/NVIDIA/WarpEmitter.h"

using namespace mlir;

namespace stepdown {
#define GEN_PASS_DEF_LOWERTILETONVVM
#include "passes/NVIDIA/Passes.h.inc"

namespace {
using nvidia::ArgumentPlan;
using nvidia::KernelPlan;

struct LowerTileToNVVM : impl::LowerTileToNVVMBase<LowerTileToNVVM> {
  using LowerTileToNVVMBase::LowerTileToNVVMBase;

  /// Types and attributes of the parameters, and what the launch has to hand in for them.
  struct Parameters {
    SmallVector<Type> types;
    SmallVector<Attribute> attributes, contents;
  };

  static Parameters parametersOf(tile::KernelOp kernel, ArrayRef<ArgumentPlan> arguments) {
    Builder b(kernel.getContext());
    Parameters parameters;
    const auto generic = LLVM::LLVMPointerType::get(b.getContext()),
               global = LLVM::LLVMPointerType::get(b.getContext(), 1);
    auto append = [&](unsigned argument, StringRef what, Type type, ArrayRef<NamedAttribute> attributes = {},
                      Type box = {}, bool orPointer = false) {
      parameters.types.push_back(type);
      parameters.attributes.push_back(b.getDictionaryAttr(attributes));
      SmallVector<NamedAttribute> content = {b.getNamedAttr("argument", b.getI64IntegerAttr(argument)),
                                             b.getNamedAttr("holds", b.getStringAttr(what))};
      if (box)
        content.push_back(b.getNamedAttr("box", TypeAttr::get(box)));
      if (orPointer) // zeros for what no map describes
        content.push_back(b.getNamedAttr("or_pointer", b.getUnitAttr()));
      parameters.contents.push_back(b.getDictionaryAttr(content));
    };
    for (auto [i, entry] : llvm::enumerate(arguments)) {
      Type type = kernel.getArgumentTypes()[i];
      if (!isa<MemRefType>(type)) {
        append(i, "value", type.isIndex() ? b.getI32Type() : type);
        continue;
      }
      if (entry.box) // 128 bytes that the launch copies, as cuTensorMapEncodeTiled writes them
        append(i, "map", generic,
               {b.getNamedAttr("llvm.byval", TypeAttr::get(LLVM::LLVMArrayType::get(b.getI8Type(), 128))),
                b.getNamedAttr("llvm.align", b.getI64IntegerAttr(64)),
                b.getNamedAttr("nvvm.grid_constant", b.getUnitAttr())},
               entry.box, entry.staged);
      if (entry.pointer) {
        append(i, "pointer", global);
        append(i, "stride", b.getI64Type());
      }
      if (entry.box && nvidia::isPacked(cast<MemRefType>(type)))
        continue;
      append(i, "rows", b.getI32Type());
      append(i, "columns", b.getI32Type());
    }
    return parameters;
  }

  /// Of a plan of either kind.
  struct Launch {
    SmallVector<ArgumentPlan> arguments;
    int64_t threads, sharedBytes;
    std::array<int64_t, 2> tile;
    SmallVector<int64_t> over;
    int64_t cluster = 1;
  };
  static Launch launchOf(tile::KernelOp, const KernelPlan &plan) {
    return {plan.arguments, plan.threads, plan.sharedBytes, plan.tile, plan.over, plan.cluster};
  }
  template <typename Plan> // copies are of threads: no tensor maps
  static Launch launchOfThreads(tile::KernelOp kernel, const Plan &plan, std::array<int64_t, 2> tile) {
    SmallVector<ArgumentPlan> pointers(kernel.getBody().getNumArguments(), {MemRefType(), true});
    return {pointers, plan.threads, plan.sharedBytes, tile, scheduledOver(kernel)};
  }
  static Launch launchOf(tile::KernelOp kernel, const nvidia::WarpPlan &plan) {
    return launchOfThreads(kernel, plan, plan.text.tile);
  }
  static Launch launchOf(tile::KernelOp kernel, const nvidia::AttentionPlan &plan) {
    return launchOfThreads(kernel, plan, plan.text.tile);
  }
  static Launch launchOf(tile::KernelOp kernel, const nvidia::QuantisedPlan &plan) {
    return launchOfThreads(kernel, plan, plan.tile);
  }

  template <typename Emitter, typename Plan>
  static LogicalResult lower(tile::KernelOp kernel, const FailureOr<Plan> &plan) {
    if (failed(plan))
      return failure();
    const Launch planned = launchOf(kernel, *plan);
    if (auto grid = kernel->getAttrOfType<DenseI64ArrayAttr>(tile::kGridAttr))
      if (grid[1] != planned.threads || grid[2] != planned.sharedBytes)
        return kernel.emitOpError() << "expects to be launched with " << planned.threads << " threads and "
                                    << planned.sharedBytes << " bytes of shared memory, but got " << grid;
    OpBuilder b(kernel);
    const Location loc = kernel.getLoc();
    auto module = gpu::GPUModuleOp::create(b, loc, kernel.getSymName());
    b.setInsertionPointToStart(module.getBody());
    // Of size zero and external: the launch says how large it is. An internal one would be a static byte.
    LLVM::GlobalOp::create(b, loc, LLVM::LLVMArrayType::get(b.getI8Type(), 0), /*isConstant=*/false,
                           LLVM::Linkage::External, "smem", Attribute(), nvidia::kPatternBytes, /*addrSpace=*/3);
    Parameters parameters = parametersOf(kernel, planned.arguments);
    auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(b.getContext()), parameters.types);
    auto function = LLVM::LLVMFuncOp::create(b, loc, kernel.getSymName(), type);
    function.setArgAttrsAttr(b.getArrayAttr(parameters.attributes));
    function->setAttr(NVVM::NVVMDialect::getKernelFuncAttrName(), b.getUnitAttr());
    function->setAttr(NVVM::NVVMDialect::getMaxntidAttrName(),
                      b.getDenseI32ArrayAttr({int32_t(planned.threads), 1, 1}));
    function->setAttr(NVVM::NVVMDialect::getMinctasmAttrName(), b.getI32IntegerAttr(1));
    SmallVector<NamedAttribute> launch = {b.getNamedAttr("parameters", b.getArrayAttr(parameters.contents)),
                                          b.getNamedAttr("shared_bytes", b.getI64IntegerAttr(planned.sharedBytes)),
                                          b.getNamedAttr("threads", b.getI64IntegerAttr(planned.threads))};
    if (planned.over.size() == 4) {
      launch.push_back(b.getNamedAttr("over", b.getDenseI64ArrayAttr(planned.over)));
      launch.push_back(b.getNamedAttr("tile", b.getDenseI64ArrayAttr(planned.tile)));
    }
    if (const int64_t shares = sharesOf(kernel); shares > 1)
      launch.push_back(b.getNamedAttr("shares", b.getI64IntegerAttr(shares)));
    if (planned.cluster > 1) {
      function->setAttr(NVVM::NVVMDialect::getClusterDimAttrName(),
                        b.getDenseI32ArrayAttr({int32_t(planned.cluster), 1, 1}));
      launch.push_back(b.getNamedAttr("cluster", b.getI64IntegerAttr(planned.cluster)));
    }
    function->setAttr(tile::kLaunchAttr, b.getDictionaryAttr(launch));
    function.addEntryBlock(b);
    if (failed(Emitter(kernel, *plan, function).emit()))
      return failure();
    kernel.erase();
    return success();
  }

  /// 16 x 16 numbers by two instructions, which have the same rows of A.
  static LogicalResult lower(tile::WarpMmaOp op) {
    if (op.getA().size() != 8)
      return op.emitOpError() << "expects 8 elements of an operand, which each of 32 lanes has, but got "
                              << op.getA().size();
    OpBuilder b(op);
    const Location loc = op.getLoc();
    const auto pair = VectorType::get(2, b.getF16Type());
    auto words = [&](ValueRange elements) { // two elements each
      SmallVector<Value> made;
      for (size_t i = 0; i < elements.size(); i += 2) {
        Value word = LLVM::PoisonOp::create(b, loc, pair);
        for (int32_t half : {0, 1})
          word = LLVM::InsertElementOp::create(b, loc, word, elements[i + half],
                                               LLVM::ConstantOp::create(b, loc, b.getI32IntegerAttr(half)));
        made.push_back(word);
      }
      return made;
    };
    const auto type = LLVM::LLVMStructType::getLiteral(b.getContext(), SmallVector<Type>(4, b.getF32Type()));
    const SmallVector<Value> rows = words(op.getA());
    SmallVector<Value> sums;
    for (size_t first : {0, 4}) {
      Value made = NVVM::MmaOp::create(b, loc, type, rows, words(op.getB().slice(first, 4)),
                                       op.getSum().slice(first, 4), {16, 8, 16}, std::nullopt, std::nullopt,
                                       std::array{NVVM::MMATypes::f16, NVVM::MMATypes::f16},
                                       std::array{NVVM::MMALayout::row, NVVM::MMALayout::col});
      for (int64_t e = 0; e < 4; ++e)
        sums.push_back(LLVM::ExtractValueOp::create(b, loc, made, ArrayRef<int64_t>{e}));
    }
    op.replaceAllUsesWith(sums);
    op.erase();
    return success();
  }

  void runOnOperation() override {
    const ChipFacts *facts = factsOfChip(chip);
    if (!facts || StringRef(facts->road) != "nvidia") {
      getOperation().emitError() << "lower-tile-to-nvvm: expects a chip of sm_80, sm_90a, but got \"" << chip << "\"";
      return signalPassFailure();
    }
    const bool warpgroups = chip == "sm_90a";
    for (auto kernel : llvm::make_early_inc_range(getOperation().getOps<tile::KernelOp>()))
      if (failed(warpgroups            ? lower<nvidia::KernelEmitter>(kernel, nvidia::planKernel(kernel))
                 : isQuantised(kernel) ? lower<nvidia::QuantisedEmitter>(kernel, nvidia::planQuantised(kernel, *facts))
                 : isAttention(kernel) ? lower<nvidia::AttentionEmitter>(kernel, nvidia::planAttention(kernel, *facts))
                                       : lower<nvidia::WarpEmitter>(kernel, nvidia::planWarps(kernel, *facts))))
        return signalPassFailure();
    SmallVector<tile::WarpMmaOp> products;
    getOperation().walk([&](tile::WarpMmaOp op) { products.push_back(op); });
    for (tile::WarpMmaOp op : products) {
      // Three blocks of 128 threads an SM, 168 registers, or two of 256: where nobody says how many, ptxas spills one
      // to fit four.
      if (auto function = op->getParentOfType<gpu::GPUFuncOp>()) {
        const auto threads = function.getKnownBlockSize();
        function->setAttr(NVVM::NVVMDialect::getMinctasmAttrName(),
                          OpBuilder(op).getI32IntegerAttr(threads && threads->front() > 128 ? 2 : 3));
      }
      if (failed(lower(op)))
        return signalPassFailure();
    }
  }
};
} // namespace
} // namespace stepdown
