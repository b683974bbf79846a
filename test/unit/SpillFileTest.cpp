// A file for blocks by itself: what it keeps, what it refuses, and what it does when the disk fails.
#include "runtime/PrefixTree/SpillFile.h"
#include "test/unit/ArtifactBuilder.h"
#include <algorithm>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace stepdown;

namespace {

struct Spilled : testing::Test {
  SpillFile::Options options;
  std::unique_ptr<SpillFile> file;
  Spilled() {
    options.path = test::temporaryFile({}, ".spill");
    options.bytes = 4096 + 3 * 4096;
    options.holds = "numbers";
    options.parts = {101, 997};
  }
  ~Spilled() override { ::unlink(options.path.c_str()); }
  void open() {
    file.reset();
    auto made = SpillFile::open(options);
    ASSERT_TRUE(made) << made.error().text();
    file = std::move(*made);
  }
  std::string refusal() {
    auto made = SpillFile::open(options);
    return made ? "" : made.error().text();
  }
  static SpillFile::Key key(int number) {
    SpillFile::Key key = {};
    std::memcpy(key.data() + 3, &number, sizeof number); // most share a bucket
    return key;
  }
  std::string bytes(int number, size_t part) const {
    std::string text(options.parts[part], 0);
    for (size_t i = 0; i < text.size(); ++i)
      text[i] = static_cast<char>(i * 31 + static_cast<size_t>(number) * 7 + part);
    return text;
  }
  void put(int number, size_t part) {
    const std::string text = bytes(number, part);
    uint8_t *room = file->room(true);
    std::memcpy(room, text.data(), text.size());
    file->put(room, key(number), part);
  }
  /// What is there is what was put.
  bool there(int number, size_t part) {
    const bool had = file->has(key(number), part);
    const uint8_t *got = file->read(key(number), part);
    EXPECT_TRUE(had || !got);
    if (got) {
      EXPECT_EQ(std::string(reinterpret_cast<const char *>(got), options.parts[part]), bytes(number, part));
    }
    return got;
  }
  std::string contents() const {
    std::ifstream in(options.path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void contents(const std::string &text) const {
    std::ofstream(options.path, std::ios::binary | std::ios::trunc) << text;
  }
};

TEST_F(Spilled, keepsWhatWasUsedLastAndFindsItAgain) {
  open();
  EXPECT_EQ(file->capacity(), 3u);
  for (int number : {1, 2, 3})
    put(number, 0);
  EXPECT_TRUE(there(1, 0)); // written or waiting
  put(1, 1);
  file->flush();
  file->touch(key(1));
  put(4, 1); // in place of the second
  file->flush();
  for (int again = 0; again < 2; ++again) {
    EXPECT_TRUE(there(1, 0) && there(1, 1) && there(3, 0) && there(4, 1));
    EXPECT_FALSE(there(2, 0) || there(3, 1) || there(4, 0) || there(5, 0));
    open();
  }
  EXPECT_EQ(file->figures().slots, 3u);
  put(5, 0); // in place of the third, which was begun first
  file->flush();
  EXPECT_TRUE(there(1, 1) && there(4, 1) && there(5, 0));
  EXPECT_FALSE(there(3, 0));
  EXPECT_EQ(file->figures().failures, 0u);
  EXPECT_EQ(file->figures().spilled, 1u);
  EXPECT_EQ(file->figures().restoredBytes, 997u * 2 + 101);
  options.bytes = 4096 + 2 * 4096; // what is beyond is cut off
  open();
  EXPECT_EQ(contents().size(), 3 * 4096u);
  struct stat info;
  ASSERT_EQ(::stat(options.path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0077, 0u);
}

TEST_F(Spilled, isForgottenWhereNoRoomIsLeftToWait) {
  options.queueBytes = 1;
  open();
  uint8_t *first = file->room(false), *second = file->room(false);
  ASSERT_TRUE(first && second);
  EXPECT_EQ(file->room(false), nullptr);
  EXPECT_EQ(file->figures().dropped, 1u);
  file->put(first, key(1), 0, false);
  EXPECT_FALSE(file->has(key(1), 0));
  EXPECT_EQ(file->room(false), first);
  file->put(first, key(1), 0, false);
  file->put(second, key(1), 0, false);
}

TEST_F(Spilled, refusesWhatIsNotItsOwn) {
  open();
  put(1, 0);
  EXPECT_EQ(refusal().substr(0, 11), "error E1518");
  file.reset();
  const std::string ours = contents();
  options.holds = "letters";
  EXPECT_EQ(refusal(), "error E1517: " + options.path +
                           ": expects blocks of letters (7ad8dbe5 of SHA-256); but it has those of numbers (f3c7807d)");
  options.holds = "numbers";
  options.bytes = 4096 + 4095;
  EXPECT_EQ(refusal(), "error E1519: " + options.path +
                           ": expects at least 8192 bytes, for one block of each group of layers, but got 8191");
  options.bytes = 1 << 20;
  for (size_t at : {0, 7, 8, 12, 16, 80, 500, 4095}) { // magic, version, length, digest, text, zeros, checksum
    std::string other = ours;
    other[at] ^= 1;
    contents(other);
    EXPECT_EQ(refusal().substr(0, 11), "error E1516") << at;
    EXPECT_EQ(contents(), other) << at; // left as it is
  }
  for (size_t size : {1, 8, 4095}) {
    contents(ours.substr(0, size));
    EXPECT_EQ(refusal().substr(0, 11), "error E1516") << size;
  }
  const std::string path = options.path;
  options.path = "/dev/full";
  EXPECT_EQ(refusal(), "error E1516: /dev/full: expects a regular file for spilled blocks");
  for (const char *none : {"/", "/no/such/folder/file"}) {
    options.path = none;
    EXPECT_EQ(refusal().substr(0, 11), "error E0901") << none;
  }
  options.path = path;
}

// However long a text is, all of it is compared; a message shows a part, and nothing that a terminal acts on.
TEST_F(Spilled, comparesTheWholeTextAndShowsItSafely) {
  const std::string name = std::string(9973, 'n');
  options.holds = "\x1b[2J\n" + name + "1";
  open();
  file.reset();
  open();
  file.reset();
  options.holds = "\x1b[2J\n" + name + "2";
  const std::string told = refusal();
  EXPECT_EQ(told.substr(0, 11), "error E1517");
  EXPECT_NE(told.find("expects blocks of \\x1b[2J\\x0annn"), told.npos) << told;
  EXPECT_NE(told.find("those of \\x1b[2J\\x0annn"), told.npos) << told;
  EXPECT_EQ(std::count_if(told.begin(), told.end(), [](char c) { return c < ' ' || c > '~'; }), 0);
  EXPECT_LT(told.size(), 1200u);
}

TEST_F(Spilled, refusesWhatIsNotItsUsersAlone) {
  open();
  put(1, 0);
  file.reset();
  const std::string ours = contents();
  for (const std::string &begun : {ours, std::string()}) {
    contents(begun);
    for (mode_t mode : {0640, 0620, 0604, 0602, 0610}) {
      ASSERT_EQ(::chmod(options.path.c_str(), mode), 0);
      const std::string told = refusal();
      EXPECT_EQ(told.substr(0, 11), "error E1521");
      EXPECT_NE(told.find("with mode 06"), told.npos) << told;
      EXPECT_EQ(contents(), begun);
    }
    ASSERT_EQ(::chmod(options.path.c_str(), 0600), 0);
    if (::geteuid() == 0) { // who else could give it away
      ASSERT_EQ(::chown(options.path.c_str(), 7, 7), 0);
      EXPECT_EQ(refusal(), "error E1521: " + options.path +
                               ": expects a file of user 0 with mode 0600, but it is that of user 7 with mode 0600");
      EXPECT_EQ(contents(), begun);
      ASSERT_EQ(::chown(options.path.c_str(), 0, 0), 0);
    }
  }
  const std::string target = options.path;
  options.path += ".link";
  ASSERT_EQ(::symlink(target.c_str(), options.path.c_str()), 0);
  EXPECT_EQ(refusal(), "error E1521: " + options.path + ": expects a file, but it is a symbolic link");
  ::unlink(options.path.c_str());
  options.path = target;
  EXPECT_EQ(refusal(), "");
}

// Whatever happens to the file, what is read is what was put, or nothing.
TEST_F(Spilled, damageIsAMiss) {
  open();
  for (int number : {1, 2, 3})
    put(number, number % 2), put(number, 1 - number % 2);
  file.reset();
  const std::string ours = contents();
  size_t missed = 0;
  for (size_t at = 4096; at < ours.size(); at += at % 4096 < 1200 ? 13 : 1021) {
    std::string other = ours;
    other[at] ^= static_cast<char>(1 + at % 255);
    contents(other);
    open();
    for (int number : {1, 2, 3})
      missed += !there(number, 0) + !there(number, 1);
  }
  EXPECT_GT(missed, 200u);
  for (size_t size = 4096; size < ours.size(); size += 499) {
    contents(ours.substr(0, size));
    open();
    for (int number : {1, 2, 3})
      there(number, 0), there(number, 1);
    put(4, 1);
    file->flush();
    EXPECT_TRUE(there(4, 1));
  }
  // Two slots with each other's place, and one twice.
  contents(ours.substr(0, 4096) + ours.substr(8192, 4096) + ours.substr(4096, 4096) + ours.substr(4096, 4096));
  open();
  EXPECT_TRUE(there(1, 0) && there(2, 0));
  EXPECT_EQ(file->figures().slots, 2u);
  // While it is open.
  ASSERT_EQ(::truncate(options.path.c_str(), 4096), 0);
  EXPECT_FALSE(there(1, 0));
  EXPECT_TRUE(file->figures().failures && file->firstFailure()->code == ErrorCode::SpillDamaged);
  EXPECT_FALSE(file->has(key(1), 0));
}

TEST_F(Spilled, aFullDiskKeepsWhatItHas) {
  std::signal(SIGXFSZ, SIG_DFL); // it would end the program in any other thread
  open();
  put(1, 0);
  file->flush();
  rlimit before;
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  rlimit full = {4096 + 4096 + 700, before.rlim_max}; // within the second slot
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &full), 0);
  put(2, 1);
  put(3, 1);
  file->flush();
  EXPECT_EQ(file->figures().failures, 2u);
  EXPECT_EQ(file->figures().spilled, 1u);
  EXPECT_EQ(file->firstFailure()->code, ErrorCode::FileWrite);
  EXPECT_FALSE(there(2, 1) || there(3, 1));
  EXPECT_TRUE(there(1, 0));
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  put(2, 1); // there is room again
  file->flush();
  EXPECT_TRUE(there(1, 0) && there(2, 1));
  EXPECT_EQ(file->figures().pauses, 0u);
}

// A disk that goes on failing is not tried for each block; also who waits for room is told that there is none.
TEST_F(Spilled, aDiskThatGoesOnFailingIsLeftAloneForAWhile) {
  std::signal(SIGXFSZ, SIG_DFL);
  open();
  rlimit before;
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  rlimit full = {4096, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &full), 0);
  const auto forgotten = [&] {
    uint64_t count = 0;
    while (count < 5000) {
      uint8_t *room = file->room(count % 2);
      if (room) {
        file->put(room, key(1), 0, false);
        break;
      }
      ++count;
    }
    return count;
  };
  for (int number : {1, 2, 3, 4}) {
    EXPECT_EQ(forgotten(), 0u);
    put(number, 0);
    file->flush();
  }
  EXPECT_EQ(file->figures().failures, 4u);
  EXPECT_EQ(file->figures().pauses, 1u);
  EXPECT_EQ(
      file->firstOfPauses()->text(),
      "error E1522: " + options.path +
          ": 4 blocks in a row could not be written: the next 256 are forgotten, then it is tried again, and twice "
          "as many if it fails again");
  EXPECT_EQ(forgotten(), 256u);
  put(5, 0);
  file->flush();
  EXPECT_EQ(forgotten(), 512u);
  EXPECT_EQ(file->figures().dropped, 256u + 512);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  put(6, 0);
  file->flush();
  EXPECT_TRUE(there(6, 0));
  EXPECT_EQ(file->figures().failures, 5u);
  EXPECT_EQ(file->figures().pauses, 2u);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &full), 0);
  for (int number : {7, 8, 9, 10}) { // from the beginning again; the slot of 6 is the last to be taken
    put(number, 1);
    file->flush();
  }
  EXPECT_EQ(forgotten(), 256u);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
}

} // namespace
