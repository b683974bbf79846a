// stepdown-run as a file.
#include "test/unit/ArtifactBuilder.h"
#include <fstream>
#include <gtest/gtest.h>
#include <sys/stat.h>

using stepdown::test::temporaryFile;

TEST(RunFile, isOneSmallStaticFile) {
#if defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
  GTEST_SKIP() << "a sanitizer links its own runtime";
#endif
#endif
  std::string stripped = temporaryFile({}, ".stripped"), needed = temporaryFile({}, ".needed");
  if (std::system(("strip -o " + stripped + " " STEPDOWN_RUN).c_str()))
    GTEST_SKIP() << "no strip on this machine";
  struct stat info;
  ASSERT_EQ(stat(stripped.c_str(), &info), 0);
  EXPECT_LE(info.st_size, 10 << 20);
  ASSERT_EQ(std::system(("LC_ALL=C ldd " STEPDOWN_RUN " >" + needed + " 2>&1; true").c_str()), 0);
  std::ifstream in(needed);
  const std::string text(std::istreambuf_iterator<char>(in), {});
  EXPECT_TRUE(text.find("not a dynamic") != std::string::npos || text.find("statically") != std::string::npos) << text;
}
