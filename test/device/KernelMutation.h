// Changes of one synchronisation operation of a kernel, to see which of them the emulator reports.
#pragma once
#include "llvm/IR/Module.h"
#include <memory>
#include <string>
#include <vector>

namespace stepdown::test {

struct Mutation {
  enum Kind { Keep, Delete, MoveUp, MoveDown, Alter, Narrow } kind;
  unsigned call;           ///< number among the calls of the kernel; Keep changes none
  unsigned operand = 0;    ///< of Alter
  int64_t difference = 0;  ///< of Alter: added to the operand; 0 flips a parity
  std::string description; ///< "line 93 mbarrier.try.wait.parity: deleted"
};

/// Every mutation of the kernel `name`: each synchronisation operation, fences among them, deleted, moved over the
/// operation before and after it in its block, each of its numbers one step larger and smaller, and a scope of the
/// cluster narrowed to its own block.
std::vector<Mutation> mutations(llvm::Module &module, const std::string &name);

/// A copy of `module` with `mutation`; null where it makes no valid program.
std::unique_ptr<llvm::Module> mutate(const llvm::Module &module, const std::string &name, const Mutation &mutation);

} // namespace stepdown::test
