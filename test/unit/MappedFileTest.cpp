// Mapped files, what a program says when one shrinks under it, and the digest of their bytes.
#include "lib/Base/MappedFile.h"
#include "lib/Base/MappingGuard.h"
#include "lib/Base/Sha256.h"

#include <algorithm>
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

TEST(MappedFile, CopiesOutlastTheFile) {
  for (size_t bytes : {0, 1, 10007}) {
    std::string path = writeFile(bytes);
    Result<MappedFile> file = MappedFile::copy(path);
    ASSERT_EQ(truncate(path.c_str(), 0), 0);
    unlink(path.c_str());
    ASSERT_TRUE(file) << file.error().text();
    ASSERT_EQ(file->size(), bytes);
    for (size_t i = 0; i < bytes; ++i)
      ASSERT_EQ(file->data()[i], 0);
  }
}

TEST(MappedFile, RefusesFolders) {
  for (auto take : {MappedFile::open, MappedFile::copy}) {
    Result<MappedFile> file = take("/tmp");
    ASSERT_FALSE(file);
    EXPECT_EQ(file.error().code, ErrorCode::FileOpen);
  }
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

std::string digestOf(const std::string &bytes, Sha256::Way way, size_t step) {
  Sha256 hash(way);
  for (size_t at = 0; at < bytes.size(); at += step)
    hash.add(bytes.data() + at, std::min(step, bytes.size() - at));
  return hash.finish();
}

// The examples of FIPS 180-4 (NIST's page of examples), and the empty message.
TEST(Sha256, GivesThePublishedDigests) {
  const std::pair<std::string, const char *> examples[] = {
      {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
      {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
      {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
       "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
      {std::string(1000000, 'a'), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"}};
  for (const auto &[text, digest] : examples)
    for (Sha256::Way way : {Sha256::Way::fastest, Sha256::Way::portable})
      EXPECT_EQ(digestOf(text, way, 1 << 20), digest) << text.size();
}

TEST(Sha256, GivesTheSameHoweverBytesCome) {
  std::string bytes;
  for (uint32_t i = 0, x = 7; i < 331; ++i, x = x * 1664525 + 1013904223)
    bytes += char(x >> 24);
  for (size_t size = 0; size <= bytes.size(); ++size) {
    const std::string text = bytes.substr(0, size), whole = digestOf(text, Sha256::Way::portable, size + 1);
    for (size_t step : {1, 17, 61, 64, 67, 128, 331})
      EXPECT_EQ(digestOf(text, Sha256::Way::fastest, step), whole) << size << " by " << step;
  }
}

} // namespace
