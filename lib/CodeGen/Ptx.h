// GPU kernels as PTX text, and as machine code where NVIDIA's assembler is at hand.
#pragma once
#include "lib/Base/Result.h"
#include "llvm/IR/Module.h"
#include <string>
#include <vector>

namespace stepdown {

/// `module`, as translateKernels made it, as PTX for `chip`. Leaves the module as it is. E0563 where LLVM has no PTX
/// for it, or the text calls a function that it does not hold, which no driver could load.
Result<std::string> writePtx(const llvm::Module &module, llvm::StringRef chip);

/// What ptxas says of one kernel.
struct AssembledKernel {
  std::string name;
  int registers = 0;   ///< of a thread, where it begins
  int sharedBytes = 0; ///< static
};

struct AssembledPtx {
  std::string cubin;
  std::vector<AssembledKernel> kernels;
};

/// ptxas of the variable STEPDOWN_PTXAS, else the one that tools/fetch-ptxas.sh has put into `folder` (empty: into
/// none), else of the PATH
/// where it is 13.1 or newer: older ones are known to make wrong code of sm_90a kernels. Empty where there is none.
std::string findPtxas(const std::string &folder);

/// `ptx` through the program `ptxas`. E0564 where it refuses, warns (that it serialises matrix products, C75xx, or of
/// anything else), or spills registers: a kernel that is correct and slow is a wrong kernel.
Result<AssembledPtx> assemblePtx(const std::string &ptx, llvm::StringRef chip, const std::string &ptxas);

} // namespace stepdown
