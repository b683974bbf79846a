// The table of operations that emulated code is accompanied by; its form is in include/stepdown/Emulation.h.
#pragma once
#include "lib/CodeGen/EmulatedOperations.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/IR/Function.h"
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace stepdown {

/// Slots of 8 bytes that a value takes in the frame of an operation's operands and results.
unsigned slotsOf(llvm::Type *type, const llvm::DataLayout &layout);

class EmulationTable {
public:
  /// Returns the kernel's number.
  uint32_t addKernel(const llvm::Function &kernel, uint64_t staticShared);
  stepdown_emulated_kernel &kernel(uint32_t number) { return kernels[number]; }
  /// Returns the operation's number.
  uint32_t add(llvm::StringRef name, uint32_t kernel, llvm::StringRef file, uint32_t line,
               const EmulatedOperation &operation, unsigned results, unsigned arguments, unsigned bytes);
  /// Where the code of each kernel begins.
  void place(const std::map<std::string, uint64_t> &entries);
  std::vector<uint8_t> bytes() const;

private:
  uint32_t name(llvm::StringRef text);

  std::vector<stepdown_emulated_kernel> kernels;
  std::vector<bool> flushes; ///< of each, whether its chip takes subnormal numbers as zeros
  std::vector<stepdown_emulated_operation> operations;
  std::string names;
  llvm::StringMap<uint32_t> known;
};

} // namespace stepdown
