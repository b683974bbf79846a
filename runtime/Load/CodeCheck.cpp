// Verifies the index in front of a CODE section, so that programs and functions may refer to its entries.
#include "runtime/Load/ArtifactFile.h"

#include <cstring>

namespace stepdown {
namespace {

using ull = unsigned long long;

bool inside(uint64_t first, uint64_t count, uint64_t limit) { return first <= limit && count <= limit - first; }

Error bad(const std::string &file, const char *table, uint32_t index, const char *field, uint64_t value, ull low,
          ull high) {
  return fail(ErrorCode::ArtifactTable, "%s: code: %s %u: %s: expects from %llu to %llu, but got %llu", file.c_str(),
              table, index, field, low, high, (ull)value);
}

} // namespace

Result<CodeIndex> locateCode(const std::string &file, const uint8_t *bytes, size_t size, bool functions) {
  stepdown_code head;
  if (size < sizeof head)
    return fail(ErrorCode::ArtifactTable, "%s: code: expects an index of %zu bytes, but the section has %zu",
                file.c_str(), sizeof head, size);
  std::memcpy(&head, bytes, sizeof head);
  if (head.instructions % STEPDOWN_PAGE || head.instructions > size)
    return fail(ErrorCode::ArtifactTable,
                "%s: code: expects instructions from a whole page inside %zu bytes, but they begin at %llu",
                file.c_str(), size, (ull)head.instructions);
  CodeIndex index;
  Status failed = Done{};
  auto locate = [&](const char *name, const stepdown_table &at, auto &records) {
    using Record = std::remove_const_t<std::remove_pointer_t<decltype(records.first)>>;
    if (at.offset % alignof(Record) || !inside(at.offset, uint64_t(at.count) * sizeof(Record), head.instructions)) {
      if (failed)
        failed = fail(ErrorCode::ArtifactTable,
                      "%s: code: %s: expects %u aligned records before the instructions, but they begin at %u",
                      file.c_str(), name, at.count, at.offset);
      return;
    }
    records.first = reinterpret_cast<const Record *>(bytes + at.offset);
    records.count = at.count;
  };
  locate("entries", head.entries, index.entries);
  locate("parameters", head.parameters, index.parameters);
  locate("values", head.values, index.values);
  if (!failed)
    return failed.error();
  const uint32_t limit = functions ? index.values.count : index.parameters.count;
  for (uint32_t i = 0; i < index.entries.count; ++i) {
    const stepdown_entry &e = index.entries[i];
    if (e.offset < head.instructions || e.offset >= size)
      return bad(file, "entry", i, "offset", e.offset, head.instructions, size - 1);
    if (!functions && e.results)
      return bad(file, "entry", i, "results", e.results, 0, 0);
    if (!inside(e.first, uint64_t(e.count) + e.results, limit))
      return bad(file, "entry", i, "first", e.first, 0, limit);
  }
  for (uint32_t i = 0; i < index.parameters.count; ++i)
    if (index.parameters[i].rank > STEPDOWN_MAX_RANK)
      return bad(file, "parameter", i, "rank", index.parameters[i].rank, 0, STEPDOWN_MAX_RANK);
  for (uint32_t i = 0; i < index.values.count; ++i)
    if (index.values[i].rank > STEPDOWN_MAX_ARRAY_RANK)
      return bad(file, "value", i, "rank", index.values[i].rank, 0, STEPDOWN_MAX_ARRAY_RANK);
  return index;
}

} // namespace stepdown
