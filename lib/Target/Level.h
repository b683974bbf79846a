// Instruction-set levels of x86-64 as tables: what the vector stage may select and what LLVM generates for.
#pragma once
#include "include/stepdown/Artifact.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"

namespace stepdown {

struct Level {
  const char *name; ///< as --isa and --target spell it
  stepdown_level id;
  const char *processor; ///< LLVM's -mcpu
  const char *features;  ///< LLVM's -mattr, on top of the processor
  bool avx512;           ///< 512-bit registers and vpdpbusd; else AVX2
  int tokensAtOnce;      ///< tokens of a tile whose accumulators of 16 rows stay in registers
  int prefetchBytes;     ///< how far ahead of a streamed weight to prefetch
};

/// All levels, lowest first.
llvm::ArrayRef<Level> levels();
/// The level called `name`, or null.
const Level *findLevel(llvm::StringRef name);

/// A token-count bucket: steps of at least minTokens tokens run `tile` tokens at a time. A linear layer's unit of work
/// is `group` such tiles, whose activations stay in the second-level cache while all weights pass.
struct Bucket {
  int minTokens, tile, group;
};
llvm::ArrayRef<Bucket> buckets();

} // namespace stepdown
