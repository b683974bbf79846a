// Code that LLVM made before, kept in a folder by what it was made of.
//
// Compiling one model after another, as the tests do, mostly makes kernels that another model has: shapes are dynamic,
// so a product is the same machine code whatever its size. STEPDOWN_CODE_STORE names a folder for them; unset or empty,
// as it is by default, nothing is kept. All of the lowering by passes happens whether or not anything is kept.
//
// A key is a digest of the whole module that LLVM is given, of the target, and of the build identifiers of the program
// and of every library in it: another compiler, or another LLVM, finds nothing. Code becomes part of artifacts, so who
// may write to the folder may change what they do, as with a compiler cache. Nothing is ever deleted from it.
#pragma once
#include "lib/Base/Result.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"
#include <optional>
#include <string>

namespace stepdown {

class CodeStore {
public:
  /// That of `folder`, which exists or is made by the first keep. Closed where `folder` is empty, and where the program
  /// or one of its libraries was linked without a build identifier.
  explicit CodeStore(std::string folder);
  /// That of the environment variable.
  static CodeStore ofEnvironment();

  bool isOpen() const { return !folder.empty(); }
  /// Of `parts`, where one ends included.
  std::string keyOf(llvm::ArrayRef<llvm::StringRef> parts) const;
  /// What was kept as `key`; nothing where nobody did, or where not all of it is there as it was.
  std::optional<llvm::SmallVector<char, 0>> find(const std::string &key) const;
  /// Replaces what is there, whole. E0903 where the folder cannot be written.
  Status keep(const std::string &key, llvm::StringRef bytes) const;

private:
  std::string pathOf(const std::string &key) const;
  std::string folder, build; ///< as it was given; build identifiers, one behind another
};

} // namespace stepdown
