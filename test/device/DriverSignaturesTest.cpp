// Our declarations of the drivers' functions, numbers and records are those of cuda.h and hip_runtime_api.h; skipped by
// name where a header is not installed.
#include "test/device/driver/Signatures.h"
#include <gtest/gtest.h>

using namespace stepdown::test;

namespace {

TEST(DriverSignatures, FollowCudasHeader) {
  const Compared compared = compareCuda();
  if (compared.count == 0)
    GTEST_SKIP() << "cuda.h is not installed";
  EXPECT_GT(compared.count, 60u);
  EXPECT_EQ(compared.different, std::vector<std::string>());
}

TEST(DriverSignatures, FollowHipsHeader) {
  const Compared compared = compareHip();
  if (compared.count == 0)
    GTEST_SKIP() << "hip_runtime_api.h is not installed (Debian: libamdhip64-dev)";
  EXPECT_GT(compared.count, 30u);
  EXPECT_EQ(compared.different, std::vector<std::string>());
}

// The comparison itself tells functions apart.
TEST(DriverSignatures, DifferWhereTheyDiffer) {
  static_assert(SameShape<int (*)(void **, unsigned long), int (*)(char **, size_t)>::value);
  static_assert(!SameShape<int (*)(void *), int (*)(void *, void *)>::value);
  static_assert(!SameShape<int (*)(int), int (*)(long)>::value);
  static_assert(!SameShape<int (*)(float), int (*)(int)>::value);
  static_assert(!SameShape<void (*)(int), int (*)(int)>::value);
}

} // namespace
