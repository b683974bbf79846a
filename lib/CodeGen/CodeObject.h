// AMD kernels as code objects (HSACO): LLVM's object file, linked by its ld.lld. No ROCm takes part.
#pragma once
#include "lib/Base/Result.h"
#include "llvm/IR/Module.h"
#include <string>
#include <vector>

namespace stepdown {

/// What a code object's metadata says of a kernel (AMDGPU code object v5, amdhsa.kernels).
struct CodeObjectKernel {
  std::string name;
  int64_t vectorRegisters = 0; ///< of a lane, those of accumulators among them
  int64_t scalarRegisters = 0;
  int64_t spilled = 0;    ///< registers, vector and scalar
  int64_t ldsBytes = 0;   ///< of a block
  int64_t stackBytes = 0; ///< of a lane
};

struct CodeObject {
  std::string bytes;
  std::vector<CodeObjectKernel> kernels;
};

/// ld.lld of the variable STEPDOWN_LLD, else ld.lld-22 or ld.lld of the PATH. Empty where there is none.
std::string findLld();

/// `module`, as translateKernels made it for `chip`, through the linker `lld`. E0565 where LLVM has no code for it, the
/// linker is missing or refuses, or the metadata cannot be read.
Result<CodeObject> writeCodeObject(const llvm::Module &module, llvm::StringRef chip, const std::string &lld);

/// What a kernel may take at most.
struct KernelBudget {
  int64_t vectorRegisters = 0, ldsBytes = 0;
};

/// E0566 where a kernel of `object` spills a register, has a stack, or takes more than `budget`.
Status checkBudget(const CodeObject &object, const KernelBudget &budget);

} // namespace stepdown
