// Verifies the index in front of a CODE section, so that programs and functions may refer to its entries.
#include "runtime/Load/TableReader.h"

#include <cstring>
#include <utility>

namespace stepdown {
namespace {

using ull = unsigned long long;

Error bad(const std::string &file, const char *table, uint32_t index, const char *field, uint64_t value, ull low,
          ull high) {
  return fail(ErrorCode::ArtifactTable, "%s: code: %s %u: %s: expects from %llu to %llu, but got %llu", file.c_str(),
              table, index, field, low, high, (ull)value);
}

Status checkLaunch(const std::string &file, uint32_t i, const stepdown_launch &launch) {
  for (int d = 0; d < 3; ++d) {
    const stepdown_grid &grid = launch.grid[d];
    if (grid.size < 1 && grid.size != STEPDOWN_DIM_TOKENS && grid.size != STEPDOWN_DIM_ROWS &&
        grid.size != STEPDOWN_DIM_SEQUENCES)
      return fail(ErrorCode::ArtifactTable,
                  "%s: code: launch %u: grid[%d]: expects a size of at least 1, tokens, rows or sequences, but got %d",
                  file.c_str(), i, d, grid.size);
    for (auto [field, value] :
         {std::pair{"divisor", grid.divisor}, {"block", launch.block[d]}, {"cluster", launch.cluster[d]}})
      if (value < 1)
        return bad(file, "launch", i, field, value, 1, UINT32_MAX);
  }
  return Done{};
}

/// A kernel's grid is one of what it is dispatched by, so that it is empty where there is nothing to do; a function is
/// called once.
Status checkGrid(const std::string &file, uint32_t i, const stepdown_entry &entry, const stepdown_launch &launch,
                 bool functions) {
  const int32_t extent = entry.extent == STEPDOWN_BY_ROWS ? STEPDOWN_DIM_ROWS : STEPDOWN_DIM_TOKENS;
  bool overExtent = false, constant = true;
  for (const stepdown_grid &grid : launch.grid) {
    overExtent |= grid.size == extent;
    constant &= grid.size > 0;
  }
  if (functions ? !constant : !overExtent)
    return fail(ErrorCode::ArtifactTable, "%s: code: entry %u: launch: expects a grid of %s, but launch %u has none",
                file.c_str(), i,
                functions                          ? "constants"
                : entry.extent == STEPDOWN_BY_ROWS ? "rows"
                                                   : "tokens",
                entry.launch);
  return Done{};
}

} // namespace

Result<CodeIndex> locateCode(const std::string &file, const uint8_t *bytes, size_t size, bool functions) {
  stepdown_code head;
  CodeIndex index;
  if (size < sizeof head)
    return fail(ErrorCode::ArtifactTable, "%s: code: expects an index of %zu bytes, but the section has %zu",
                file.c_str(), sizeof head, size);
  std::memcpy(&head, bytes, sizeof head);
  index.alignment = head.alignment;
  if (head.instructions % STEPDOWN_PAGE || head.instructions > size)
    return fail(ErrorCode::ArtifactTable,
                "%s: code: expects instructions from a whole page inside %zu bytes, but they begin at %llu",
                file.c_str(), size, (ull)head.instructions);
  TableReader tables(file, "code", bytes, head.instructions, "before the instructions");
  tables.read("entries", head.entries, index.entries);
  tables.read("parameters", head.parameters, index.parameters);
  tables.read("values", head.values, index.values);
  tables.read("launches", head.launches, index.launches);
  tables.read("strings", head.strings, index.strings);
  if (!tables.status())
    return tables.status().error();
  if (index.strings.count && index.strings[index.strings.count - 1] != 0)
    return fail(ErrorCode::ArtifactTable, "%s: code: strings: expects a last byte of 0", file.c_str());
  for (uint32_t i = 0; i < index.launches.count; ++i)
    if (Status good = checkLaunch(file, i, index.launches[i]); !good)
      return good.error();
  const uint32_t limit = functions ? index.values.count : index.parameters.count;
  for (uint32_t i = 0; i < index.entries.count; ++i) {
    const stepdown_entry &e = index.entries[i];
    if (e.offset < head.instructions || e.offset >= size)
      return bad(file, "entry", i, "offset", e.offset, head.instructions, size - 1);
    if (!functions && e.results)
      return bad(file, "entry", i, "results", e.results, 0, 0);
    if (!inside(e.first, uint64_t(e.count) + e.results, limit))
      return bad(file, "entry", i, "first", e.first, 0, limit);
    if (e.launch >= index.launches.count)
      return fail(ErrorCode::ArtifactTable, "%s: code: entry %u: launch: expects one of %u launches, but got %u",
                  file.c_str(), i, index.launches.count, e.launch);
    if (e.name != STEPDOWN_NO_NAME && e.name >= index.strings.count)
      return fail(ErrorCode::ArtifactTable,
                  "%s: code: entry %u: name: expects a place in %u bytes of names, but got %u", file.c_str(), i,
                  index.strings.count, e.name);
    if (Status good = checkGrid(file, i, e, index.launches[e.launch], functions); !good)
      return good.error();
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
