// What every way from a chip's LLVM module to its code asks for: LLVM's code, and programs beside LLVM.
#pragma once
#include "lib/Base/Result.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/CodeGen.h"
#include <string>

namespace stepdown {

/// `module`, as translateKernels made it, as assembly or an object file of `chip`. Leaves the module as it is. E1000
/// for a chip that is not one of ours, `code` with what LLVM's backend says against the module.
Result<std::string> emitForChip(const llvm::Module &module, llvm::StringRef chip, llvm::CodeGenFileType type,
                                ErrorCode code);

/// Runs `command`; what it prints to both of its outputs goes into `text`. Its exit status, or less than 0 and why it
/// did not run.
int runProgram(llvm::ArrayRef<llvm::StringRef> command, std::string &text, std::string &reason);

} // namespace stepdown
