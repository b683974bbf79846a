// Files that get their name when they are whole, with several processes at one name.
#include "lib/Base/PartFile.h"
#include <cstdlib>
#include <gtest/gtest.h>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

using namespace stepdown;

TEST(PartFile, SeveralAtOneNameTakeNoPartFromEachOther) {
  std::string folder = testing::TempDir() + "/stepdown-part-XXXXXX";
  ASSERT_TRUE(mkdtemp(folder.data()));
  const std::string path = folder + "/x";
  pid_t children[3];
  for (pid_t &child : children) {
    child = fork();
    ASSERT_GE(child, 0);
    if (child)
      continue;
    for (int i = 0; i < 2003; ++i) { // each looks for what was left behind while the others begin
      Result<PartFile> file = PartFile::create(path);
      if (!file || !file->append("whole", 5) || !file->commit()) {
        std::fprintf(stderr, "%s\n",
                     file ? "expects a part file that is there until commit" : file.error().message.c_str());
        _exit(1);
      }
    }
    _exit(0);
  }
  for (pid_t child : children) {
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  EXPECT_EQ(unlink(path.c_str()), 0);
  EXPECT_EQ(rmdir(folder.c_str()), 0) << "nothing else is left";
}

// Before any work begins: the name of the part file is shorter, so it would be found out at the end.
TEST(PartFile, ANameThatNoFileCanHaveIsRefusedAtOnce) {
  const std::string folder = testing::TempDir();
  Result<PartFile> file = PartFile::create(folder + "/" + std::string(256, 'n'));
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code, ErrorCode::FileWrite);
  EXPECT_NE(file.error().message.find("File name too long"), std::string::npos) << file.error().message;
  EXPECT_TRUE(PartFile::create(folder + "/" + std::string(255, 'n'))) << "the longest that one can have";
}
