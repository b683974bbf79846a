#include "lib/Target/Target.h"
#include "lib/Target/Chips.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallVector.h"

namespace stepdown {

// Tiles of 4 tokens suit speculation and small batches: both of a step of 8 pass together, so that weights are read
// once. Tiles of 16 have fewer loops and wider loads.
static const char *const kCpu = "cpu";
static const Bucket kBuckets[] = {{1, 1, 1}, {2, 4, 2}, {9, 16, 4}};
// A thread of a device computes a number of one token, whatever else is in the step. How many tokens the tile of a
// product has is its kernel's to say: its weight is read once for each tile.
static const Bucket kThreads[] = {{1, 1, 1}, {9, 1, 1}, {65, 1, 1}};

static std::vector<Target> makeTargets() {
  std::vector<Target> all = {
#define STEPDOWN_TARGET(id, name, needs, ...)                                                                          \
  {name, STEPDOWN_LEVEL_##id, __VA_ARGS__, &kTiles16, kBuckets, kCpu, kCpu, nullptr},
#include "lib/Base/Targets.def"
#undef STEPDOWN_TARGET
  };
  auto add = [&](const char *name, const ChipFacts &facts) {
    Target chip = all.front(); // the processor beside it
    chip.name = chip.device = name;
    chip.road = facts.road, chip.chip = facts.name, chip.inCpu = false, chip.buckets = kThreads;
    all.push_back(chip);
  };
  for (const ChipFacts &facts : chips())
    add(facts.emulated, facts);
  for (const ChipFacts &facts : chips())
    add(facts.own, facts);
  return all;
}

llvm::ArrayRef<Target> targets() {
  static const std::vector<Target> all = makeTargets();
  return all;
}

const Target &defaultTarget() { return *targetsNamed(kCpu).back(); }

const Target *findTarget(llvm::StringRef name) {
  for (const Target &target : targets())
    if (name == target.name)
      return &target;
  return nullptr;
}

std::vector<const Target *> targetsNamed(llvm::StringRef name) {
  std::vector<const Target *> named;
  for (const Target &target : targets())
    if (name == target.name || (name == kCpu && target.inCpu))
      named.push_back(&target);
  return named;
}

std::vector<const Target *> targetsOfBFloats() {
  std::vector<const Target *> found;
  for (const Target &target : targets())
    if (target.instructions.bfloats && !target.chip &&
        llvm::StringRef(target.architecture) == defaultTarget().architecture)
      found.push_back(&target);
  return found;
}

bool namesCpu(llvm::StringRef names) {
  llvm::SmallVector<llvm::StringRef> list;
  names.split(list, ',');
  return llvm::is_contained(list, kCpu);
}

std::vector<std::string> targetNames() {
  std::vector<std::string> names = {kCpu};
  for (const Target &target : targets())
    names.push_back(target.name);
  return names;
}

} // namespace stepdown
