// What is known of a GPU chip whatever kernel it runs: the rows of lib/Base/Chips.def.
#pragma once
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include <string>

namespace stepdown {

/// The columns of the table, which says what they mean, behind the names of the chip's targets.
struct ChipFacts {
  const char *emulated, *own; ///< executed by the host, and the chip itself
  const char *name, *road, *features;
  int lanes;
  int sharedBytes;
  bool flushes;

  /// LLVM's triple.
  const char *triple() const;
};

llvm::ArrayRef<ChipFacts> chips();
/// The chip called `name`, or null.
const ChipFacts *factsOfChip(llvm::StringRef name);
/// "sm_80, sm_90a ...".
std::string chipNames();

} // namespace stepdown
