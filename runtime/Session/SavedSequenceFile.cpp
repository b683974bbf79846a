#include "runtime/Session/SavedSequenceFile.h"

#include "lib/Base/PartFile.h"
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace stepdown {

Status saveSequenceFile(Session &session, int32_t sequence, const SavedSequence &saved, const std::string &path,
                        std::vector<std::string> inputs) {
  inputs.push_back(session.of().artifact().path());
  Result<PartFile> file = PartFile::create(path, inputs, PartFile::Order::forward);
  if (!file)
    return file.error();
  const WriteBytes append = [&](const void *bytes, size_t size) { return file->append(bytes, size); };
  if (Status ok = saveSequence(session, sequence, saved, append); !ok)
    return ok;
  return file->commit();
}

struct SequenceFile::Open {
  ~Open() { ::close(fd); }
  /// How many of `size` bytes there were.
  Result<size_t> take(void *bytes, size_t size) const {
    size_t got = 0;
    while (got < size) {
      const ssize_t some = ::read(fd, static_cast<uint8_t *>(bytes) + got, size - got);
      if (some < 0 && errno == EINTR)
        continue;
      if (some < 0)
        return fail(ErrorCode::FileRead, "%s: cannot read: %s", name.c_str(), std::strerror(errno));
      if (some == 0)
        break;
      got += static_cast<size_t>(some);
    }
    place += got;
    return got;
  }
  std::string name;
  int fd;
  mutable uint64_t place = 0; ///< bytes that were taken
};

Result<SequenceFile> SequenceFile::open(const std::string &path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return fail(ErrorCode::FileOpen, "%s: cannot open: %s", path.c_str(), std::strerror(errno));
  SequenceFile file;
  file.file = std::shared_ptr<const Open>(new Open{path, fd});
  return file;
}

ReadBytes SequenceFile::reader() const {
  return [file = file](void *bytes, size_t size) -> Status {
    Result<size_t> got = file->take(bytes, size);
    if (!got)
      return got.error();
    if (*got < size)
      return fail(ErrorCode::SavedSequenceDamaged, "%s: expects %zu bytes from byte %llu on, but got %zu",
                  file->name.c_str(), size, static_cast<unsigned long long>(file->place - *got), *got);
    return Done{};
  };
}

Status SequenceFile::expectEnd() const {
  struct stat info;
  uint8_t byte;
  if (::fstat(file->fd, &info) != 0 || !S_ISREG(info.st_mode))
    return Done{};
  Result<size_t> got = file->take(&byte, 1);
  if (!got)
    return got.error();
  if (*got)
    return fail(ErrorCode::SavedSequenceDamaged, "%s: expects the end of the file, but it goes on", file->name.c_str());
  return Done{};
}

} // namespace stepdown
