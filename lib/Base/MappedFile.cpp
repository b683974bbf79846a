#include "lib/Base/MappedFile.h"
#include "lib/Base/MappingGuard.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace stepdown {
namespace {

/// Fills `to` from the beginning of `fd`; false, with errno 0 where the file ends before.
bool readAll(int fd, uint8_t *to, size_t bytes) {
  for (size_t done = 0; done < bytes;) {
    const ssize_t some = pread(fd, to + done, bytes - done, static_cast<off_t>(done));
    if (some < 0 && errno == EINTR)
      continue;
    if (some <= 0) {
      errno = some ? errno : 0;
      return false;
    }
    done += static_cast<size_t>(some);
  }
  return true;
}

} // namespace

Result<MappedFile> MappedFile::open(const std::string &path) { return take(path, false); }
Result<MappedFile> MappedFile::copy(const std::string &path) { return take(path, true); }

Result<MappedFile> MappedFile::take(const std::string &path, bool isCopy) {
  // Without O_NONBLOCK a pipe would be waited for before it could be refused.
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0)
    return fail(ErrorCode::FileOpen, "%s: cannot open: %s", path.c_str(), std::strerror(errno));
  struct stat info;
  if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    ::close(fd);
    return fail(ErrorCode::FileOpen, "%s: expects a regular file", path.c_str());
  }
  MappedFile file;
  file.name = path;
  file.length = static_cast<size_t>(info.st_size);
  if (file.length) {
    void *map = isCopy ? mmap(nullptr, file.length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                       : mmap(nullptr, file.length, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
      int reason = errno;
      ::close(fd);
      file.length = 0;
      return fail(ErrorCode::FileRead, "%s: cannot map %lld bytes: %s", path.c_str(), (long long)info.st_size,
                  std::strerror(reason));
    }
    file.bytes = static_cast<const uint8_t *>(map);
    if (!isCopy)
      noteMapping(map, file.length, path.c_str());
    else if (!readAll(fd, static_cast<uint8_t *>(map), file.length)) {
      const int reason = errno;
      ::close(fd);
      return fail(ErrorCode::FileRead, "%s: cannot read %lld bytes: %s", path.c_str(), (long long)info.st_size,
                  reason ? std::strerror(reason) : "it was cut");
    }
  }
  ::close(fd);
  return file;
}

MappedFile::MappedFile(MappedFile &&other) noexcept
    : bytes(std::exchange(other.bytes, nullptr)), length(std::exchange(other.length, 0)), name(std::move(other.name)) {}

MappedFile &MappedFile::operator=(MappedFile &&other) noexcept {
  std::swap(bytes, other.bytes);
  std::swap(length, other.length);
  std::swap(name, other.name);
  return *this;
}

MappedFile::~MappedFile() {
  if (!bytes)
    return;
  forgetMapping(bytes);
  munmap(const_cast<uint8_t *>(bytes), length);
}

void leavePages(const uint8_t *begin, uint64_t bytes) {
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t from = (reinterpret_cast<uintptr_t>(begin) + page - 1) / page * page;
  const uintptr_t to = (reinterpret_cast<uintptr_t>(begin) + bytes) / page * page;
  if (from < to)
    madvise(reinterpret_cast<void *>(from), to - from, MADV_DONTNEED);
}

} // namespace stepdown
