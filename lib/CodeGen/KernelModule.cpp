// The body of the gpu.module is lowered as a module of its own: passes that give functions lines, and that convert
// control flow, run on a builtin.module only.
#include "lib/CodeGen/KernelModule.h"
#include "lib/CodeGen/Backend.h"
#include "lib/Target/Chips.h"
#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/ConvertToLLVM/ToLLVMPass.h"
#include "mlir/Conversion/MathToLLVM/MathToLLVM.h"
#include "mlir/Conversion/NVVMToLLVM/NVVMToLLVM.h"
#include "mlir/Conversion/ReconcileUnrealizedCasts/ReconcileUnrealizedCasts.h"
#include "mlir/Conversion/SCFToControlFlow/SCFToControlFlow.h"
#include "mlir/Conversion/VectorToLLVM/ConvertVectorToLLVM.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/LLVMIR/ROCDLDialect.h"
#include "mlir/Dialect/LLVMIR/Transforms/Passes.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/NVVM/NVVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/ROCDL/ROCDLToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "mlir/Transforms/Passes.h"
#include "llvm/IR/InlineAsm.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/Verifier.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/TargetSelect.h"
#include <mutex>

using namespace mlir;

namespace stepdown {
namespace {

/// Every diagnostic of one lowering, with its line.
class Diagnostics {
public:
  explicit Diagnostics(MLIRContext *context)
      : handler(context, [this](Diagnostic &diagnostic) {
          if (diagnostic.getSeverity() != DiagnosticSeverity::Error)
            return;
          if (!text.empty())
            text += "; ";
          llvm::raw_string_ostream stream(text);
          stream << diagnostic.getLocation() << ": " << diagnostic;
        }) {}
  std::string text;

private:
  ScopedDiagnosticHandler handler;
};

LogicalResult lower(ModuleOp module) {
  PassManager passes(module.getContext(), ModuleOp::getOperationName());
  passes.addPass(createSCFToControlFlowPass());
  passes.addPass(createConvertToLLVMPass());
  passes.addPass(createConvertNVVMToLLVMPass());
  passes.addPass(createReconcileUnrealizedCastsPass());
  passes.addPass(createCanonicalizerPass());
  passes.addPass(createCSEPass());
  LLVM::DIScopeForLLVMFuncOpPassOptions lines;
  // Tables of lines would make the PTX one for debugging (".target sm_90a, debug"), in which ptxas ignores setmaxnreg
  // and says so in a line of information (C7505). Directives alone give profilers the lines, and nothing changes.
  lines.emissionKind = LLVM::DIEmissionKind::DebugDirectivesOnly;
  passes.addPass(LLVM::createDIScopeForLLVMFuncOpPass(lines));
  return passes.run(module);
}

/// Gives each operation one line: its own, or that of what it is in. The pass that gives functions lines (LLVM 22.1.8)
/// comes to a fault on a module whose place is a call, and on operations that were inlined from a place without a line,
/// as bodies of named operations are.
void placeOperations(ModuleOp module) {
  module->walk<WalkOrder::PreOrder>([](Operation *op) {
    if (auto line = op->getLoc()->findInstanceOf<FileLineColLoc>())
      op->setLoc(line);
    else if (Operation *parent = op->getParentOp())
      op->setLoc(parent->getLoc());
    else
      op->setLoc(UnknownLoc::get(op->getContext()));
  });
}

/// A `.sync.aligned` instruction must not be moved into a branch or duplicated; plain inline assembly may be.
void markConvergent(llvm::Module &module) {
  for (llvm::Function &function : module)
    for (llvm::Instruction &instruction : llvm::instructions(function))
      if (auto *call = llvm::dyn_cast<llvm::CallBase>(&instruction); call && call->isInlineAsm())
        call->setConvergent();
}

/// AMD's code depends on the chip before the backend comes: how wide a wave is, how much LDS there is. The emulator
/// reads it of every kernel.
void nameChip(llvm::Module &module, llvm::StringRef chip) {
  for (llvm::Function &function : module)
    if (function.getCallingConv() == llvm::CallingConv::AMDGPU_KERNEL ||
        function.getCallingConv() == llvm::CallingConv::PTX_Kernel)
      function.addFnAttr("target-cpu", chip);
}

} // namespace

void registerKernelDialects(DialectRegistry &registry) {
  registry.insert<gpu::GPUDialect, NVVM::NVVMDialect, ROCDL::ROCDLDialect, LLVM::LLVMDialect, scf::SCFDialect,
                  cf::ControlFlowDialect, arith::ArithDialect, math::MathDialect, vector::VectorDialect>();
  registerConvertToLLVMDependentDialectLoading(registry);
  arith::registerConvertArithToLLVMInterface(registry);
  cf::registerConvertControlFlowToLLVMInterface(registry);
  registerConvertMathToLLVMInterface(registry);
  vector::registerConvertVectorToLLVMInterface(registry);
  registerConvertNVVMToLLVMInterface(registry);
  registerBuiltinDialectTranslation(registry);
  registerLLVMDialectTranslation(registry);
  registerNVVMDialectTranslation(registry);
  registerROCDLDialectTranslation(registry);
}

Result<std::unique_ptr<llvm::TargetMachine>> kernelMachine(llvm::StringRef chip) {
  static std::once_flag once;
  std::call_once(once, [] {
    LLVMInitializeNVPTXTargetInfo();
    LLVMInitializeNVPTXTarget();
    LLVMInitializeNVPTXTargetMC();
    LLVMInitializeNVPTXAsmPrinter();
    LLVMInitializeAMDGPUTargetInfo();
    LLVMInitializeAMDGPUTarget();
    LLVMInitializeAMDGPUTargetMC();
    LLVMInitializeAMDGPUAsmPrinter();
  });
  const ChipFacts *known = factsOfChip(chip);
  if (!known)
    return fail(ErrorCode::KernelTranslation, "chip: expects one of %s, but got \"%s\"", chipNames().c_str(),
                chip.str().c_str());
  std::string reason;
  const llvm::Triple triple(known->triple());
  const llvm::Target *backend = llvm::TargetRegistry::lookupTarget(triple, reason);
  if (!backend)
    return fail(ErrorCode::KernelTranslation, "%s: expects an LLVM with this target: %s", known->name, reason.c_str());
  return std::unique_ptr<llvm::TargetMachine>(
      backend->createTargetMachine(triple, known->name, known->features, llvm::TargetOptions(), llvm::Reloc::PIC_,
                                   std::nullopt, llvm::CodeGenOptLevel::Aggressive));
}

Result<KernelModule> translateKernels(Operation *kernels, llvm::StringRef chip) {
  Result<std::unique_ptr<llvm::TargetMachine>> machine = kernelMachine(chip);
  if (!machine)
    return machine.error();
  auto source = dyn_cast<gpu::GPUModuleOp>(kernels);
  if (!source)
    return fail(ErrorCode::KernelTranslation, "expects a gpu.module, but got %s",
                kernels->getName().getStringRef().str().c_str());
  const std::string name = source.getName().str();
  Diagnostics diagnostics(kernels->getContext());
  OwningOpRef<ModuleOp> module = ModuleOp::create(source.getLoc(), name);
  OpBuilder inside = OpBuilder::atBlockEnd(module->getBody());
  for (Operation &operation : source.getBodyRegion().front())
    inside.clone(operation);
  placeOperations(*module);
  if (failed(lower(*module)))
    return fail(ErrorCode::KernelTranslation, "%s: expects operations that nvvm and llvm can be made of: %s",
                name.c_str(), diagnostics.text.c_str());
  KernelModule result;
  for (auto function : module->getOps<LLVM::LLVMFuncOp>())
    if (function->hasAttr(NVVM::NVVMDialect::getKernelFuncAttrName()) ||
        function->hasAttr(ROCDL::ROCDLDialect::getKernelFuncAttrName()))
      result.kernels.push_back(function.getSymName().str());
  result.context = std::make_unique<llvm::LLVMContext>();
  result.module = translateModuleToLLVMIR(*module, *result.context, name);
  if (!result.module)
    return fail(ErrorCode::KernelTranslation, "%s: expects operations that translate to LLVM: %s", name.c_str(),
                diagnostics.text.c_str());
  result.module->setTargetTriple((*machine)->getTargetTriple());
  result.module->setDataLayout((*machine)->createDataLayout());
  markConvergent(*result.module);
  nameChip(*result.module, chip);
  std::string reason;
  llvm::raw_string_ostream stream(reason);
  if (llvm::verifyModule(*result.module, &stream))
    return fail(ErrorCode::KernelTranslation, "%s: expects valid LLVM: %s", name.c_str(), reason.c_str());
  optimise(*result.module, **machine);
  return result;
}

Result<KernelModule> translateKernels(llvm::StringRef source, llvm::StringRef name, llvm::StringRef chip) {
  DialectRegistry registry;
  registerKernelDialects(registry);
  MLIRContext context(registry, MLIRContext::Threading::DISABLED);
  OwningOpRef<ModuleOp> module;
  {
    Diagnostics diagnostics(&context);
    module = parseSourceString<ModuleOp>(source, ParserConfig(&context), name);
    if (!module)
      return fail(ErrorCode::KernelTranslation, "%s: expects MLIR text: %s", name.str().c_str(),
                  diagnostics.text.c_str());
  }
  for (auto kernels : module->getOps<gpu::GPUModuleOp>())
    return translateKernels(kernels, chip);
  return fail(ErrorCode::KernelTranslation, "%s: expects a gpu.module, but there is none", name.str().c_str());
}

} // namespace stepdown
