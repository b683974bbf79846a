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

/// The first members are columns of lib/Base/Targets.def, which says what they mean; of a target with a chip they are
/// those of the processor beside it.
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
  const char *chip;               ///< that kernels are compiled for, where they run beside a processor; else null
};

/// All targets: processors, lowest first, then devices beside one. Those of one road share layout and buckets: they go
/// together until its fork, and an artifact has one program and one copy of the weights for them.
llvm::ArrayRef<Target> targets();
/// Those that "cpu" stands for, and that are taken where none is named.
llvm::ArrayRef<Target> defaultTargets();
/// The target called `name`, or null.
const Target *findTarget(llvm::StringRef name);

} // namespace stepdown
