// An optimised LLVM module of GPU kernels as host code that runtime/emulated runs: every target intrinsic, every
// instruction of inline PTX and every access to memory becomes a call through the table that the launch hands in.
#pragma once
#include "lib/Base/Result.h"
#include "llvm/IR/Module.h"
#include <cstdint>
#include <vector>

namespace stepdown {

/// What Emulator::load takes.
struct EmulatedCode {
  std::vector<uint8_t> code;  ///< x86-64, runs wherever it is mapped
  std::vector<uint8_t> table; ///< kernels and operations, see include/stepdown/Emulation.h
};

/// Rewrites `module` (for its chip, as translateKernels returned it) in place and compiles it for the host.
/// ErrorCode::KernelInstruction names an instruction without a meaning, its kernel and line; ErrorCode::KernelEmulation
/// what cannot be emulated otherwise. `quickly`: compiled in half the time or less, into slower code with more stack.
Result<EmulatedCode> emulateKernels(llvm::Module &module, bool quickly = false);

} // namespace stepdown
