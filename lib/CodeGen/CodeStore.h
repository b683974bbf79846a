// Code that LLVM made before, kept in a folder by what it was made of.
//
// Compiling one model after another, as the tests do, mostly makes kernels that another model has: shapes are dynamic,
// so a product is the same machine code whatever its size. STEPDOWN_CODE_STORE names a folder for them; unset or empty,
// as it is by default, nothing is kept. All of the lowering by passes happens whether or not anything is kept.
//
// A key is a digest of the whole module that LLVM is given, of the target, and of the build identifiers of the program
// and of every library in it: another compiler, or another LLVM, finds nothing. Code becomes part of artifacts, so who
// may write to the folder may change what they do, as with a compiler cache. Each build has a folder in it, "build-"
// and a digest, and those of other builds are removed but for the three that were opened last. Nothing else of it is
// touched.
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
  /// That of `folder`, which exists or is made by open. Closed where `folder` is empty, and where the program or one of
  /// its libraries was linked without a build identifier.
  explicit CodeStore(std::string folder);
  /// That of the environment variable.
  static CodeStore ofEnvironment();

  bool isOpen() const { return !folder.empty(); }
  /// Makes this build's folder, and removes those of builds that were not opened lately. E0903 where that cannot be
  /// made or written. Nothing to do for a store that is closed.
  Status open() const;
  /// Of `parts`, where one ends included.
  std::string keyOf(llvm::ArrayRef<llvm::StringRef> parts) const;
  /// What was kept as `key`; nothing where nobody did, or where not all of it is there as it was.
  std::optional<llvm::SmallVector<char, 0>> find(const std::string &key) const;
  /// Replaces what is there, whole. False where that fails, on a full disk for one: then it is as it was before.
  bool keep(const std::string &key, llvm::StringRef bytes) const;

private:
  void removeOtherBuilds() const;
  std::string pathOf(const std::string &key) const;
  std::string folder, build; ///< as it was given; build identifiers, one behind another
  std::string own;           ///< what this build's folder in it is called
};

} // namespace stepdown
