// Tables of a section, located once they are known to lie in it.
#pragma once
#include "runtime/Load/ArtifactFile.h"

namespace stepdown {

/// Whether `first` ... `first + count` lie inside `limit` records.
inline bool inside(uint64_t first, uint64_t count, uint64_t limit) { return first <= limit && count <= limit - first; }

class TableReader {
public:
  /// Of `section` of `file`, whose tables lie in `bytes` [limit]; `where` says so in a message.
  TableReader(const std::string &file, const char *section, const uint8_t *bytes, uint64_t limit, std::string where)
      : file(file), section(section), where(std::move(where)), bytes(bytes), limit(limit) {}

  /// `records` of the table `at`, called `name`, or E0507 in status(), which keeps the first.
  template <typename T> void read(const char *name, const stepdown_table &at, Records<T> &records) {
    if (at.offset % alignof(T) || !inside(at.offset, uint64_t(at.count) * sizeof(T), limit)) {
      if (good)
        good = fail(ErrorCode::ArtifactTable, "%s: %s: %s: expects %u aligned records %s, but they begin at %u",
                    file.c_str(), section, name, at.count, where.c_str(), at.offset);
      return;
    }
    records.first = reinterpret_cast<const T *>(bytes + at.offset);
    records.count = at.count;
  }
  const Status &status() const { return good; }

private:
  const std::string &file;
  const char *section;
  const std::string where;
  const uint8_t *bytes;
  const uint64_t limit;
  Status good = Done{};
};

} // namespace stepdown
