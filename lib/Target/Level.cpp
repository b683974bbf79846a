#include "lib/Target/Level.h"

namespace stepdown {

static const Level kLevels[] = {
    {"x86-64-v3", STEPDOWN_LEVEL_X86_64_V3, "x86-64-v3", "+f16c", false, 4, 4096},
    {"x86-64-v4-vnni", STEPDOWN_LEVEL_X86_64_V4_VNNI, "x86-64-v4", "+avx512vnni,-prefer-256-bit", true, 16, 4096},
};
// A tile of 16 tokens fills the accumulators of AVX-512; 4 suits speculation and small batches.
static const Bucket kBuckets[] = {{1, 1, 1}, {2, 4, 1}, {9, 16, 4}, {128, 16, 4}};

llvm::ArrayRef<Level> levels() { return kLevels; }

const Level *findLevel(llvm::StringRef name) {
  for (const Level &level : kLevels)
    if (name == level.name)
      return &level;
  return nullptr;
}

llvm::ArrayRef<Bucket> buckets() { return kBuckets; }

} // namespace stepdown
