// What emulated code says of a load, a store or an atomic.
#pragma once
#include "lib/CodeGen/EmulatedOperations.h"
#include "llvm/IR/DataLayout.h"
#include "llvm/IR/IntrinsicInst.h"
#include <string>

namespace stepdown {

struct EmulatedAccess {
  std::string name; ///< as the chip's vendor calls it
  EmulatedOperation operation;
  llvm::Value *pointer;
  llvm::Type *type; ///< of what is read or written
};

/// Of a load, store or atomic instruction; `amd`: in AMD's words, else in NVIDIA's.
EmulatedAccess emulatedAccess(llvm::Instruction &at, bool amd);

/// Puts a loop in place of `memory`; false for a memmove that LLVM has none for.
bool expandMemory(llvm::MemIntrinsic *memory, const llvm::DataLayout &layout);

} // namespace stepdown
