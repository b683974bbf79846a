// What the compiler knows of targets, and that the runtime knows the same ones.
#include "lib/Target/Target.h"
#include "runtime/Devices.h"
#include "runtime/cpu/Processor.h"
#include <gtest/gtest.h>

using namespace stepdown;

TEST(Target, IsOneForCompilerAndRuntime) {
  std::vector<std::string> names;
  for (const Target &target : targets()) {
    EXPECT_EQ(findTarget(target.name), &target);
    EXPECT_TRUE(runsHere(target.device, STEPDOWN_LEVEL_X86_64_V3)) << target.device;
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

// A higher target is chosen before a lower one, by its number in the file.
TEST(Target, AscendsInTheTableAndInTheFile) {
  for (size_t i = 1; i < defaultTargets().size(); ++i)
    EXPECT_LT(targets()[i - 1].id, targets()[i].id);
  for (const Target &target : targets())
    EXPECT_EQ(!target.chip, &target < defaultTargets().end()) << "devices stand behind processors: " << target.name;
}

// The phases before a road's fork run once for all targets, and an artifact has one copy of the weights: whoever adds a
// target with another layout or other buckets has to change that first.
TEST(Target, SharesLayoutAndBuckets) {
  for (const Target &target : targets()) {
    EXPECT_EQ(target.layout, targets().front().layout) << target.name;
    EXPECT_EQ(target.buckets.data(), targets().front().buckets.data()) << target.name;
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
