// JSON that a user wrote: read, or refused with the offset at which it ceases to be JSON.
#pragma once
#include "lib/Base/Result.h"
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace stepdown::run {

/// `text` as a value of the library's type `Json`; E0908 "WHERE: expects JSON, but at offset N ...", where N counts the
/// bytes of the file, of which `text` begins at `begin`.
template <typename Json> Result<Json> parseJson(std::string_view text, const std::string &where, size_t begin = 0) {
  size_t offset = text.size();
  std::string problem;
  try {
    return Json::parse(text);
  } catch (const typename Json::parse_error &found) { // `byte` counts from 1 and has read the wrong one
    offset = std::min(offset, found.byte ? found.byte - 1 : 0);
    problem = found.what();
  } catch (const typename Json::exception &) { // a number that no double holds: the library tells no place
    return fail(ErrorCode::JsonSyntax, "%s: expects JSON from offset %zu on, but got a number that is too large",
                where.c_str(), begin);
  }
  // "[json.exception...] parse error at line 1, column 9: syntax error while parsing value - WHAT; last read: 'TEXT'"
  if (size_t at = problem.find(" - "); at != std::string::npos)
    problem = problem.substr(at + 3);
  std::string expected;
  if (size_t at = problem.rfind("; expected "); at != std::string::npos)
    expected = problem.substr(at);
  problem = problem.substr(0, std::min(problem.find("; last read"), problem.find("; expected "))) + expected;
  return fail(ErrorCode::JsonSyntax, "%s: expects JSON, but at offset %zu: %s", where.c_str(), begin + offset,
              problem.substr(0, 160).c_str());
}

} // namespace stepdown::run
