#include "lib/Base/MappedFile.h"
#include "lib/Base/MappingGuard.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace stepdown {

Result<MappedFile> MappedFile::open(const std::string &path) {
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
    void *map = mmap(nullptr, file.length, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
      int reason = errno;
      ::close(fd);
      file.length = 0;
      return fail(ErrorCode::FileRead, "%s: cannot map %lld bytes: %s", path.c_str(), (long long)info.st_size,
                  std::strerror(reason));
    }
    file.bytes = static_cast<const uint8_t *>(map);
    noteMapping(map, file.length, path.c_str());
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
