#include "lib/CodeGen/Backend.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/TargetSelect.h"
#include <mutex>

namespace stepdown {

Result<std::unique_ptr<llvm::TargetMachine>> nativeMachine(const char *purpose, llvm::StringRef architecture,
                                                           llvm::StringRef processor, llvm::StringRef features,
                                                           llvm::CodeGenOptLevel level) {
  static std::once_flag once;
  std::call_once(once, [] {
#define STEPDOWN_BACKEND(name) /* without the parser, inline assembly ends the program */                              \
  LLVMInitialize##name##TargetInfo(), LLVMInitialize##name##Target(), LLVMInitialize##name##TargetMC(),                \
      LLVMInitialize##name##AsmPrinter(), LLVMInitialize##name##AsmParser()
    STEPDOWN_BACKEND(X86);
    STEPDOWN_BACKEND(AArch64);
#undef STEPDOWN_BACKEND
  });
  std::string reason;
  const llvm::Triple triple(architecture, "unknown", "linux", "gnu");
  const llvm::Target *backend = llvm::TargetRegistry::lookupTarget(triple, reason);
  if (!backend)
    return fail(ErrorCode::CodeTarget, "%s: expects an LLVM with this target: %s", purpose, reason.c_str());
  llvm::TargetOptions options;
  options.AllowFPOpFusion = llvm::FPOpFusion::Strict; // a result is what the kernel says: llvm.fma or two roundings
  options.EmitStackSizeSection = true;
  std::unique_ptr<llvm::TargetMachine> machine(backend->createTargetMachine(
      triple, processor, features, options, llvm::Reloc::PIC_, llvm::CodeModel::Small, level));
  if (!machine)
    return fail(ErrorCode::CodeTarget, "%s: expects a target machine for processor %s", purpose,
                processor.str().c_str());
  return machine;
}

void optimise(llvm::Module &module, llvm::TargetMachine &machine, llvm::StringRef passes,
              const llvm::TargetLibraryInfoImpl *library) {
  llvm::PassBuilder builder(&machine);
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager components;
  llvm::ModuleAnalysisManager modules;
  if (library)
    functions.registerPass([&] { return llvm::TargetLibraryAnalysis(*library); });
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(components);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, components, modules);
  llvm::ModulePassManager manager;
  if (passes.empty())
    manager = builder.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O3);
  else
    llvm::cantFail(builder.parsePassPipeline(manager, passes));
  manager.run(module, modules);
}

} // namespace stepdown
