// Verifies every record of a FUNCTIONS section, so that a call may follow any index in it.
#include "runtime/Load/TableReader.h"

#include <cstring>
#include <unordered_set>
#include <utility>

namespace stepdown {
namespace {

using ull = unsigned long long;

/// Keeps the array of operands of one call small, whatever a table says.
constexpr uint32_t maxValues = 1024;
/// Names that overlap in a hostile file, each the end of the one before, take no longer than this allows to compare.
constexpr size_t maxName = 1024;

Error bad(const std::string &file, const char *table, uint32_t index, const char *field, int64_t value,
          const std::string &expected) {
  return fail(ErrorCode::ArtifactTable, "%s: %s %u: %s: expects %s, but got %lld", file.c_str(), table, index, field,
              expected.c_str(), (long long)value);
}

} // namespace

Result<FunctionTable> locateFunctions(const std::string &file, const uint8_t *bytes, size_t size) {
  stepdown_functions head;
  FunctionTable table;
  if (size < sizeof head)
    return fail(ErrorCode::ArtifactTable, "%s: functions: expects %zu bytes, but the section has %zu", file.c_str(),
                sizeof head, size);
  std::memcpy(&head, bytes, sizeof head);
  TableReader tables(file, "functions", bytes, size, "within " + std::to_string(size) + " bytes");
  tables.read("functions", head.functions, table.functions);
  tables.read("values", head.values, table.values);
  tables.read("code", head.code, table.code);
  tables.read("strings", head.strings, table.strings);
  if (!tables.status())
    return tables.status().error();
  return table;
}

/// Code reads its arguments by rank, and as many bytes as element and sizes say: they are those of its entry.
static Status checkEntry(const std::string &file, const FunctionTable &table, uint32_t function, const CodeIndex &code,
                         uint32_t number) {
  const stepdown_function &f = table.functions[function];
  const stepdown_entry &entry = code.entries[number];
  if (entry.count != f.argument_count || entry.results != f.result_count)
    return fail(ErrorCode::ArtifactOperand,
                "%s: function %s: expects %u arguments and %u results, as its code does, but got %u and %u",
                file.c_str(), table.string(f.name), entry.count, entry.results, f.argument_count, f.result_count);
  for (uint32_t i = 0; i < f.argument_count + f.result_count; ++i) {
    const stepdown_value &value = table.values[f.first_value + i], &compiled = code.values[entry.first + i];
    bool same = value.element == compiled.element && value.rank == compiled.rank;
    for (uint32_t d = 0; same && d < value.rank; ++d)
      same = value.dims[d] == compiled.dims[d];
    if (!same)
      return fail(ErrorCode::ArtifactOperand,
                  "%s: function %s: value %u: expects element, rank and sizes that its code was compiled for, but got "
                  "element %u, rank %u",
                  file.c_str(), table.string(f.name), i, value.element, value.rank);
  }
  return Done{};
}

Status checkFunctions(const std::string &file, const FunctionTable &table, const std::vector<CodeIndex> &codes) {
  if (table.strings.count == 0 || table.strings[table.strings.count - 1] != 0)
    return fail(ErrorCode::ArtifactTable, "%s: functions: strings: expects a last byte of 0", file.c_str());
  for (uint32_t i = 0; i < table.values.count; ++i) {
    const stepdown_value &v = table.values[i];
    if (v.element > STEPDOWN_F8E5M2)
      return bad(file, "value", i, "element", v.element, "at most " + std::to_string(STEPDOWN_F8E5M2));
    if (v.rank > STEPDOWN_MAX_ARRAY_RANK)
      return bad(file, "value", i, "rank", v.rank, "at most " + std::to_string(STEPDOWN_MAX_ARRAY_RANK));
    for (uint32_t d = 0; d < v.rank; ++d)
      if (v.dims[d] < -1)
        return bad(file, "value", i, "dims", v.dims[d], "a size, or -1");
  }
  std::unordered_set<std::string_view> names;
  for (uint32_t i = 0; i < table.functions.count; ++i) {
    const stepdown_function &f = table.functions[i];
    if (f.name >= table.strings.count)
      return bad(file, "function", i, "name", f.name, "below " + std::to_string(table.strings.count));
    const size_t length = strnlen(table.string(f.name), maxName + 1);
    if (length > maxName)
      return bad(file, "function", i, "name", static_cast<int64_t>(std::strlen(table.string(f.name))),
                 "at most " + std::to_string(maxName) + " bytes");
    if (!names.insert({table.string(f.name), length}).second)
      return bad(file, "function", i, "name", f.name, "a name of its own");
    for (auto [kind, count] : {std::pair{"arguments", f.argument_count}, {"results", f.result_count}})
      if (count > maxValues)
        return bad(file, "function", i, kind, count, "at most " + std::to_string(maxValues));
    if (!inside(f.first_value, uint64_t(f.argument_count) + f.result_count, table.values.count))
      return bad(file, "function", i, "first_value", f.first_value,
                 std::to_string(uint64_t(f.argument_count) + f.result_count) + " values below " +
                     std::to_string(table.values.count));
  }
  if (table.code.count != uint64_t(table.functions.count) * codes.size())
    return bad(file, "functions", 0, "code entries", table.code.count, "one for each function and level");
  for (uint32_t i = 0; i < table.code.count; ++i) {
    const CodeIndex &code = codes[i / table.functions.count];
    if (table.code[i] >= code.entries.count)
      return bad(file, "code", i, "entry", table.code[i], "below " + std::to_string(code.entries.count));
    if (Status same = checkEntry(file, table, i % table.functions.count, code, table.code[i]); !same)
      return same;
  }
  return Done{};
}

} // namespace stepdown
