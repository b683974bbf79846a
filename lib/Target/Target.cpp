#include "lib/Target/Target.h"

namespace stepdown {

// A tile of 16 tokens fills the accumulators of AVX-512; 4 suits speculation and small batches.
static const Bucket kBuckets[] = {{1, 1, 1}, {2, 4, 1}, {9, 16, 4}};

static const Target kTargets[] = {
#define STEPDOWN_TARGET(id, name, processor, features, avx512, tokensAtOnce, prefetchBytes, needs)                     \
  {name,          STEPDOWN_LEVEL_##id, processor, features, avx512, tokensAtOnce,                                      \
   prefetchBytes, &kTiles16,           kBuckets,  "cpu",    "cpu",  nullptr},
#include "lib/Base/Targets.def"
#undef STEPDOWN_TARGET
    {"emulated:sm_90a", STEPDOWN_LEVEL_X86_64_V3, "x86-64-v3", "+f16c", false, 4, 4096, &kTiles16, kBuckets, "nvidia",
     "emulated:sm_90a", "sm_90a"},
};

llvm::ArrayRef<Target> targets() { return kTargets; }

llvm::ArrayRef<Target> defaultTargets() {
  return targets().take_while([](const Target &target) { return !target.chip; });
}

const Target *findTarget(llvm::StringRef name) {
  for (const Target &target : kTargets)
    if (name == target.name)
      return &target;
  return nullptr;
}

} // namespace stepdown
