// What every way to code asks of LLVM: a machine of the processor, and the optimiser.
#pragma once
#include "lib/Base/Result.h"
#include "llvm/Analysis/TargetLibraryInfo.h"
#include "llvm/IR/Module.h"
#include "llvm/Target/TargetMachine.h"
#include <memory>

namespace stepdown {

/// LLVM's machine of a processor that runs Linux (LLVM's names of its architecture, of itself and of its features), for
/// code that runs wherever it is mapped and rounds as its operations say: products and sums are never joined. `purpose`
/// is what messages call it; E0810 where LLVM has no such machine.
Result<std::unique_ptr<llvm::TargetMachine>> nativeMachine(const char *purpose, llvm::StringRef architecture,
                                                           llvm::StringRef processor, llvm::StringRef features,
                                                           llvm::CodeGenOptLevel level);

/// Runs `passes` for `machine`, in the syntax of opt; empty: LLVM's own of level O3. With `library`, loops become calls
/// of what that has alone.
void optimise(llvm::Module &module, llvm::TargetMachine &machine, llvm::StringRef passes = {},
              const llvm::TargetLibraryInfoImpl *library = nullptr);

} // namespace stepdown
