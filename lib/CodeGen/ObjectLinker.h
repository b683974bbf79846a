// Joins relocatable ELF objects into one block of bytes that runs wherever it is mapped.
//
// The code section of an artifact is mapped read-only and executable and nothing patches it, so everything that a
// system linker would leave to load time is refused here instead: absolute addresses, writable data, symbols that no
// object defines. What remains is distances inside the block, and those are known now.
#pragma once
#include "lib/Base/Result.h"
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace llvm {
class MemoryBuffer;
} // namespace llvm

namespace stepdown {

/// What one kernel function became.
struct FunctionStatistics {
  uint64_t codeBytes = 0;  ///< instructions
  uint64_t stackBytes = 0; ///< of its frame
  double milliseconds = 0; ///< time for optimisation and code generation; not reproducible
};

struct NativeCode {
  std::vector<uint8_t> bytes;                           ///< begins on a page of 4096 bytes wherever it is mapped
  std::map<std::string, uint64_t> entries;              ///< global function -> offset into bytes
  std::map<std::string, FunctionStatistics> statistics; ///< global function -> figures
};

/// Code of all objects comes first, then constants of all objects; each section begins on a 64-byte boundary and keeps
/// the order in which the objects were added.
class ObjectLinker {
public:
  ObjectLinker();
  ~ObjectLinker();

  /// Adds an ELF object of x86-64 or AArch64; `name` is what messages call it, and the entry that its function `symbol`
  /// becomes, unless that is empty. E0813 when it is malformed, or of another architecture than the first, E0815 when
  /// it has data that is written to, at load time or later, E0817 when it defines a function that another object
  /// defines.
  Status add(const std::string &name, std::unique_ptr<llvm::MemoryBuffer> object, const std::string &symbol = {});

  /// Lays everything out and resolves every relocation. E0814 for a symbol that no object defines, E0816 for a
  /// relocation that depends on where the block is mapped or does not reach.
  Result<NativeCode> link();

private:
  struct Layout;
  std::unique_ptr<Layout> layout;
};

} // namespace stepdown
