// Whether a file is one of spilled blocks, ours, and of this model; and what is in it.
#include "lib/Base/Sha256.h"
#include "runtime/Checksum.h"
#include "runtime/PrefixTree/SpillLayout.h"
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace stepdown {

using namespace SpillLayout;

namespace {

constexpr char spillMagic[8] = {'S', 'T', 'E', 'P', 'D', 'S', 'P', 'L'};
constexpr uint32_t spillVersion = 1;

struct FileHeader {
  char magic[8];
  uint32_t version, length;
  char digest[64]; ///< SHA-256 of the whole text, in hexadecimal
  char text[page - 88];
  uint64_t checksum; ///< XXH3 of what is before
};
static_assert(sizeof(FileHeader) == page);

std::string digestOf(const std::string &text) {
  Sha256 sum;
  sum.add(text.data(), text.size());
  return sum.finish();
}

/// What a file or an artifact says, for a message: in printable ASCII, the rest as \xHH, and not all of a long one.
std::string shown(const std::string &text) {
  constexpr size_t longest = 400;
  std::string out;
  for (char c : text.substr(0, longest)) {
    char hex[5];
    std::snprintf(hex, sizeof hex, "\\x%02x", static_cast<unsigned char>(c));
    out += c >= 0x20 && c < 0x7f ? std::string(1, c) : hex;
  }
  return text.size() > longest ? out + "..." : out;
}

} // namespace

Status SpillFile::openFile() {
  const char *path = options.path.c_str();
  // A pipe does not wait for its other end.
  fd = ::open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW, 0600);
  if (fd < 0 && errno == ELOOP)
    return stepdown::fail(ErrorCode::SpillOwner, "%s: expects a file, but it is a symbolic link", path);
  if (fd < 0)
    return stepdown::fail(ErrorCode::FileOpen, "%s: cannot open: %s", path, std::strerror(errno));
  struct stat info;
  if (::fstat(fd, &info) != 0)
    return stepdown::fail(ErrorCode::FileRead, "%s: cannot read: %s", path, std::strerror(errno));
  if (!S_ISREG(info.st_mode))
    return stepdown::fail(ErrorCode::SpillFormat, "%s: expects a regular file for spilled blocks", path);
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0)
    return errno == EWOULDBLOCK
               ? stepdown::fail(ErrorCode::SpillInUse, "%s: expects a file that no other program spills to", path)
               : stepdown::fail(ErrorCode::FileOpen, "%s: cannot lock: %s", path, std::strerror(errno));
  if (::fstat(fd, &info) != 0) // as it is now that nobody else writes
    return stepdown::fail(ErrorCode::FileRead, "%s: cannot read: %s", path, std::strerror(errno));
  const auto size = static_cast<uint64_t>(info.st_size);
  if (Status ours = size ? expectHeader(size) : Done{}; !ours)
    return ours;
  // Who can write to it can make blocks whose checksums are right, and who can read it reads texts.
  if (info.st_uid != ::geteuid() || info.st_mode & 077)
    return stepdown::fail(ErrorCode::SpillOwner,
                          "%s: expects a file of user %u with mode 0600, but it is that of user %u with mode %04o",
                          path, static_cast<unsigned>(::geteuid()), static_cast<unsigned>(info.st_uid),
                          static_cast<unsigned>(info.st_mode & 07777));
  if (!size)
    return writeHeader();
  readSlots(size);
  // Of a larger one what is beyond goes.
  if (size > page + most * slotSize && ::ftruncate(fd, static_cast<off_t>(page + most * slotSize)) != 0)
    return stepdown::fail(ErrorCode::FileWrite, "%s: cannot cut: %s", path, std::strerror(errno));
  return Done{};
}

Status SpillFile::writeHeader() {
  FileHeader header = {};
  std::memcpy(header.magic, spillMagic, sizeof spillMagic);
  header.version = spillVersion;
  header.length = static_cast<uint32_t>(std::min(options.holds.size(), sizeof header.text));
  std::memcpy(header.digest, digestOf(options.holds).data(), sizeof header.digest);
  std::memcpy(header.text, options.holds.data(), header.length);
  header.checksum = checksumOf(&header, offsetof(FileHeader, checksum));
  Status written = writeAt(&header, sizeof header, 0);
  if (!written)
    (void)!::ftruncate(fd, 0); // as it was
  return written;
}

Status SpillFile::expectHeader(uint64_t size) {
  const char *path = options.path.c_str();
  FileHeader header = {};
  const ssize_t got = readAt(fd, &header, sizeof header, 0);
  if (got < 0)
    return stepdown::fail(ErrorCode::FileRead, "%s: cannot read: %s", path, std::strerror(errno));
  if (std::memcmp(header.magic, spillMagic, sizeof spillMagic) != 0)
    return stepdown::fail(ErrorCode::SpillFormat,
                          "%s: expects an empty file, or one of spilled blocks, which begins with "
                          "\"%.8s\"; what it holds is left as it is",
                          path, spillMagic);
  if (size < page || header.version != spillVersion || header.length > sizeof header.text ||
      header.checksum != checksumOf(&header, offsetof(FileHeader, checksum)))
    return stepdown::fail(ErrorCode::SpillFormat,
                          "%s: expects a header of version %u that is whole, but got version %u and %llu bytes, or "
                          "another checksum",
                          path, spillVersion, header.version, static_cast<unsigned long long>(size));
  const std::string held(header.digest, sizeof header.digest), expected = digestOf(options.holds);
  if (held != expected)
    return stepdown::fail(ErrorCode::SpillModel,
                          "%s: expects blocks of %s (%.8s of SHA-256); but it has those of %s (%s)", path,
                          shown(options.holds).c_str(), expected.c_str(),
                          shown(std::string(header.text, header.length)).c_str(), shown(held.substr(0, 8)).c_str());
  return Done{};
}

// What was begun last is what is given up last. What is not whole is not there. Headers are far apart: the system is to
// read no blocks along with them, and some headers ahead at once.
void SpillFile::readSlots(uint64_t size) {
  const uint64_t count = std::min(most, (size - page + slotSize - 1) / slotSize);
  std::vector<std::pair<uint64_t, int32_t>> order; // number, slot
  slots.resize(count);
  constexpr uint64_t ahead = 256;
  ::posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
  for (uint64_t i = 0, asked = 0; i < count; ++i) {
    for (; asked < std::min(count, i + ahead) && (i % (ahead / 2) == 0); ++asked)
      ::posix_fadvise(fd, static_cast<off_t>(offsetOf(static_cast<int32_t>(asked))), sizeof(SlotHeader),
                      POSIX_FADV_WILLNEED);
    SlotHeader header = {};
    const auto slot = static_cast<int32_t>(i);
    const bool whole = readAt(fd, &header, sizeof header, offsetOf(slot)) == static_cast<ssize_t>(sizeof header) &&
                       header.checksum == checksumOf(&header, offsetof(SlotHeader, checksum)) && header.parts &&
                       header.parts >> options.parts.size() == 0 && find(header.key) == none;
    if (!whole) {
      unused.push_back(slot);
      continue;
    }
    insert(slot, header.key);
    slots[i].parts = header.parts;
    order.push_back({header.number, slot});
    begun = std::max(begun, header.number + 1);
  }
  ::posix_fadvise(fd, 0, 0, POSIX_FADV_NORMAL);
  std::sort(order.begin(), order.end());
  for (const auto &[number, slot] : order)
    moveToEnd(slot);
}

} // namespace stepdown
