#include "lib/Target/Chips.h"

namespace stepdown {

static constexpr ChipFacts kChips[] = {
#define STEPDOWN_CHIP(name, road, ...) {"emulated:" name, road ":" name, name, road, __VA_ARGS__},
#include "lib/Base/Chips.def"
#undef STEPDOWN_CHIP
};

const char *ChipFacts::triple() const {
  return llvm::StringRef(road) == "amd" ? "amdgcn-amd-amdhsa" : "nvptx64-nvidia-cuda";
}

llvm::ArrayRef<ChipFacts> chips() { return kChips; }

const ChipFacts *factsOfChip(llvm::StringRef name) {
  for (const ChipFacts &chip : kChips)
    if (name == chip.name)
      return &chip;
  return nullptr;
}

std::string chipNames() {
  std::string names;
  for (const ChipFacts &chip : kChips)
    names += (names.empty() ? "" : ", ") + std::string(chip.name);
  return names;
}

} // namespace stepdown
