#include "lib/Target/Target.h"

namespace stepdown {

// A tile of 16 tokens fills the accumulators of AVX-512; 4 suits speculation and small batches.
static const Bucket kBuckets[] = {{1, 1, 1}, {2, 4, 1}, {9, 16, 4}};

static const Target kTargets[] = {
#define STEPDOWN_TARGET(id, name, processor, features, avx512, tokensAtOnce, prefetchBytes, needs)                     \
  {name,          STEPDOWN_LEVEL_##id, processor, features, avx512, tokensAtOnce,                                      \
   prefetchBytes, &kTiles16,           kBuckets,  "cpu",    "cpu"},
#include "lib/Base/Targets.def"
#undef STEPDOWN_TARGET
};

llvm::ArrayRef<Target> targets() { return kTargets; }

const Target *findTarget(llvm::StringRef name) {
  for (const Target &target : kTargets)
    if (name == target.name)
      return &target;
  return nullptr;
}

} // namespace stepdown
