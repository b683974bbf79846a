// What the compiler knows of a chip, as values: instruction sets, how blocks lie in memory, how steps are cut.
#pragma once
#include "include/stepdown/Artifact.h"
#include "lib/Target/Layout.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"

namespace stepdown {

/// A token-count bucket: steps of at least minTokens tokens run `tile` tokens at a time. A linear layer's unit of work
/// is `group` such tiles, whose activations stay in the second-level cache while all weights pass.
struct Bucket {
  int minTokens, tile, group;
};

/// The first members are columns of lib/Base/Targets.def, which says what they mean.
struct Target {
  const char *name;
  stepdown_level id;
  const char *processor;
  const char *features;
  bool avx512;
  int tokensAtOnce;
  int prefetchBytes;
  const Layout *layout;           ///< of packed weights and of rows of activations
  llvm::ArrayRef<Bucket> buckets; ///< ascending, the first from 1 token on
  const char *road;               ///< that leads to its code: lib/Pipeline/Phases.h
  const char *device;             ///< that runs its code: the target that an artifact lists it under
};

/// All targets, lowest first. They share layout and buckets: they go together until their road's fork, and an artifact
/// has one program and one copy of the weights.
llvm::ArrayRef<Target> targets();
/// The target called `name`, or null.
const Target *findTarget(llvm::StringRef name);

} // namespace stepdown
