// A gpu.module of nvvm and llvm operations as an optimised LLVM module of its chip: the form that PTX is printed from
// and that the emulator executes, so that both see the same instructions.
#pragma once
#include "lib/Base/Result.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "llvm/Target/TargetMachine.h"
#include <memory>
#include <string>
#include <vector>

namespace mlir {
class DialectRegistry;
} // namespace mlir

namespace stepdown {

/// Kernels of one gpu.module, lowered and optimised.
struct KernelModule {
  std::unique_ptr<llvm::LLVMContext> context;
  std::unique_ptr<llvm::Module> module; ///< triple and data layout of the chip; every kernel has lines of its source
  std::vector<std::string> kernels;     ///< names, in the order of the text
};

/// The dialects that a gpu.module may hold, and what translates them to LLVM.
void registerKernelDialects(mlir::DialectRegistry &registry);

/// An LLVM target machine for `chip` of lib/Base/Chips.def; E1000 for a chip that is not one of ours.
Result<std::unique_ptr<llvm::TargetMachine>> kernelMachine(llvm::StringRef chip);

/// Lowers what is left of scf, cf and arith in `kernels` (a gpu.module, which stays as it is; its context has been
/// given registerKernelDialects), translates it and optimises the result as O3 for `chip`. Inline PTX is marked
/// convergent first: LLVM 22 cannot say so in MLIR, and would duplicate a `.sync.aligned` instruction. E1000 with what
/// is wrong.
Result<KernelModule> translateKernels(mlir::Operation *kernels, llvm::StringRef chip);

/// The first gpu.module of the MLIR text `source`, called `name` in messages and locations, through translateKernels.
Result<KernelModule> translateKernels(llvm::StringRef source, llvm::StringRef name, llvm::StringRef chip);

} // namespace stepdown
