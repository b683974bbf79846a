// A file mapped for reading, or its bytes in memory; given back when it goes out of scope.
#pragma once
#include "lib/Base/Result.h"
#include <cstddef>
#include <cstdint>
#include <string>

namespace stepdown {

class MappedFile {
public:
  /// Maps the whole of `path`; E0901 or E0902. An empty file maps to no bytes.
  static Result<MappedFile> open(const std::string &path);
  /// The bytes of `path` in memory, whatever becomes of the file; else the same. For files that are small beside what
  /// is made of them, and that others may write while this process goes on.
  static Result<MappedFile> copy(const std::string &path);
  MappedFile(MappedFile &&other) noexcept;
  MappedFile &operator=(MappedFile &&other) noexcept;
  MappedFile(const MappedFile &) = delete;
  ~MappedFile();

  const uint8_t *data() const { return bytes; }
  size_t size() const { return length; }
  const std::string &path() const { return name; }

private:
  MappedFile() = default;
  static Result<MappedFile> take(const std::string &path, bool isCopy);
  const uint8_t *bytes = nullptr;
  size_t length = 0;
  std::string name;
};

/// Tells the system that the pages inside the `bytes` from `begin` on, of a mapped file, need not stay in this process.
void leavePages(const uint8_t *begin, uint64_t bytes);

} // namespace stepdown
