// What the compiler knows of targets, and that the runtime knows the same ones.
#include "lib/Target/Target.h"
#include "runtime/Devices.h"
#include "runtime/cpu/Processor.h"
#include <algorithm>
#include <gtest/gtest.h>

using namespace stepdown;

TEST(Target, IsOneForCompilerAndRuntime) {
  std::vector<std::string> names;
  for (const Target &target : targets()) {
    EXPECT_EQ(findTarget(target.name), &target);
    // Of hardware only what a driver finds.
    const bool isHardware = target.chip && !llvm::StringRef(target.device).starts_with("emulated:");
    EXPECT_EQ(runsHere(target.device, STEPDOWN_LEVEL_X86_64_V3), !isHardware || openDevice(target.device))
        << target.device;
    const std::vector<std::string> devices = deviceNames();
    EXPECT_NE(std::find(devices.begin(), devices.end(), target.device), devices.end()) << target.device;
    if (target.chip)
      continue; // its code is for the level of another
    names.push_back(target.name);
    EXPECT_EQ(levelNamed(target.name), target.id);
    EXPECT_STREQ(levelName(target.id), target.name);
  }
  EXPECT_EQ(levelNames(), names);
  EXPECT_EQ(findTarget("x86-64-v9"), nullptr);
  EXPECT_EQ(levelName(0), nullptr);
  EXPECT_FALSE(processorHas(0));
}

// What is compiled for where no target is named stays what it is when a target joins the table.
TEST(Target, StandsForOthersByItsNameAlone) {
  const std::vector<const Target *> cpu = targetsNamed("cpu");
  EXPECT_EQ(cpu, (std::vector<const Target *>{findTarget("x86-64-v3"), findTarget("x86-64-v4-vnni")}));
  EXPECT_EQ(&defaultTarget(), cpu.back());
  for (const Target &target : targets())
    EXPECT_EQ(targetsNamed(target.name), std::vector<const Target *>{&target});
  EXPECT_TRUE(targetsNamed("x86-64-v9").empty());
  EXPECT_EQ(targetNames().size(), targets().size() + 1);
}

// Of weights of bfloat16 besides.
TEST(Target, StandsForProductsOfBFloats) {
  EXPECT_EQ(targetsOfBFloats(), (std::vector<const Target *>{findTarget("x86-64-v4-bf16")}));
  EXPECT_GT(levelRank(STEPDOWN_LEVEL_X86_64_V4_BF16), levelRank(STEPDOWN_LEVEL_X86_64_V4_VNNI));
  for (const char *names : {"cpu", "aarch64-dotprod,cpu"})
    EXPECT_TRUE(namesCpu(names)) << names;
  for (const char *names : {"", "x86-64-v3,x86-64-v4-vnni", "cpus"})
    EXPECT_FALSE(namesCpu(names)) << names;
}

// A register holds rows of a tile without a rest, and codes are one of the two kinds that QuadSum knows.
TEST(Target, NamesInstructionsOfWholeRegisters) {
  for (const Target &target : targets()) {
    EXPECT_EQ(target.layout->rows % target.instructions.lanes, 0) << target.name;
    EXPECT_FALSE(target.instructions.pairs && target.instructions.signedCodes) << target.name;
    for (const char *name : {target.instructions.dot, target.instructions.lookUp})
      EXPECT_EQ(std::string(name).rfind("llvm.", 0), 0u) << target.name;
  }
}

// A higher target is chosen before a lower one, by its row in the table: numbers in files tell when it joined.
TEST(Target, AscendsInTheTable) {
  for (size_t i = 1; i < targets().size(); ++i) {
    EXPECT_TRUE(targets()[i].chip || !targets()[i - 1].chip)
        << "devices stand behind processors: " << targets()[i].name;
    EXPECT_TRUE(targets()[i].chip || levelRank(targets()[i - 1].id) < levelRank(targets()[i].id)) << targets()[i].name;
  }
  EXPECT_GT(levelRank(STEPDOWN_LEVEL_X86_64_V4_VNNI), levelRank(STEPDOWN_LEVEL_X86_64_V3_VNNI));
  EXPECT_GT(levelRank(STEPDOWN_LEVEL_X86_64_V3), levelRank(0));
}

// The phases before a road's fork run once for all targets, and an artifact has one copy of the weights: whoever adds a
// target with another layout or other buckets has to change that first.
TEST(Target, SharesLayoutAndBuckets) {
  for (const Target &target : targets()) {
    EXPECT_EQ(target.layout, targets().front().layout) << target.name;
    for (const Target &other : targets())
      if (llvm::StringRef(target.road) == other.road)
        EXPECT_EQ(target.buckets.data(), other.buckets.data()) << target.name << " and " << other.name;
  }
}

TEST(Target, HasBucketsThatAscendAndDiffer) {
  const llvm::ArrayRef<Bucket> buckets = targets().front().buckets;
  ASSERT_EQ(buckets.front().minTokens, 1);
  ASSERT_LE(buckets.size(), size_t(STEPDOWN_MAX_BUCKETS));
  for (size_t i = 1; i < buckets.size(); ++i) {
    EXPECT_LT(buckets[i - 1].minTokens, buckets[i].minTokens);
    EXPECT_NE(std::make_pair(buckets[i - 1].tile, buckets[i - 1].group),
              std::make_pair(buckets[i].tile, buckets[i].group))
        << "bucket " << i << " does what the one before does";
  }
}
