// Mapped files, and what a program says when one shrinks under it.
#include "lib/Base/MappedFile.h"
#include "lib/Base/MappingGuard.h"

#include <csignal>
#include <cstdio>
#include <gtest/gtest.h>
#include <string>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

using namespace stepdown;

namespace {

std::string writeFile(size_t bytes) {
  char name[] = "/tmp/stepdown-mapped-XXXXXX";
  int fd = mkstemp(name);
  std::vector<char> zeros(bytes);
  EXPECT_EQ(write(fd, zeros.data(), bytes), static_cast<ssize_t>(bytes));
  close(fd);
  return name;
}

TEST(MappedFile, MapsAWholeFile) {
  std::string path = writeFile(10000);
  Result<MappedFile> file = MappedFile::open(path);
  unlink(path.c_str());
  ASSERT_TRUE(file) << file.error().text();
  EXPECT_EQ(file->size(), 10000u);
  EXPECT_EQ(file->path(), path);
  EXPECT_EQ(file->data()[9999], 0);
}

TEST(MappedFile, MapsAnEmptyFileToNothing) {
  std::string path = writeFile(0);
  Result<MappedFile> file = MappedFile::open(path);
  unlink(path.c_str());
  ASSERT_TRUE(file) << file.error().text();
  EXPECT_EQ(file->size(), 0u);
}

TEST(MappedFile, RefusesFolders) {
  Result<MappedFile> file = MappedFile::open("/tmp");
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code, ErrorCode::FileOpen);
}

TEST(MappedFile, RefusesPipesWithoutWaiting) {
  std::string path = "/tmp/stepdown-pipe-" + std::to_string(getpid());
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  Result<MappedFile> file = MappedFile::open(path);
  unlink(path.c_str());
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code, ErrorCode::FileOpen);
}

volatile uint8_t sink;

/// Maps 16 pages, cuts the file to one, and reads the last.
void readShrunken(const std::string &path, bool guarded) {
  if (guarded)
    guardMappings("program");
  Result<MappedFile> file = MappedFile::open(path);
  if (!file || truncate(path.c_str(), 4096) != 0)
    _exit(7);
  sink = file->data()[16 * 4096 - 1];
  _exit(8);
}

using MappingGuardDeathTest = testing::Test;

TEST(MappingGuardDeathTest, NamesTheFileThatShrank) {
  std::string path = writeFile(16 * 4096);
  EXPECT_EXIT(readShrunken(path, true), testing::ExitedWithCode(1), "program: error E0902: " + path + ": .*cut short");
  unlink(path.c_str());
}

TEST(MappingGuardDeathTest, LeavesOtherFaultsAlone) {
  auto faultElsewhere = [] {
    guardMappings("program");
    std::string path = writeFile(4096);
    FILE *file = std::fopen(path.c_str(), "r+");
    void *map = mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fileno(file), 0);
    unlink(path.c_str());
    if (ftruncate(fileno(file), 0) != 0)
      _exit(7);
    sink = *static_cast<uint8_t *>(map);
    _exit(8);
  };
  EXPECT_EXIT(faultElsewhere(), testing::KilledBySignal(SIGBUS), "");
}

} // namespace
