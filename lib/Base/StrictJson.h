// JSON that others wrote: read, or refused with the offset at which it ceases to be JSON.
#pragma once
#include "lib/Base/Result.h"
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace stepdown {

/// That `text` is JSON whose objects have each name once; E0908 "WHERE: expects JSON, but at offset N ...", where N
/// counts the bytes of the file, of which `text` begins at `begin`.
Status checkJson(std::string_view text, const std::string &where, size_t begin = 0);

/// `text` as a value of the library's type `Json`; errors of checkJson.
template <typename Json> Result<Json> parseJson(std::string_view text, const std::string &where, size_t begin = 0) {
  if (Status status = checkJson(text, where, begin); !status)
    return status.error();
  return Json::parse(text);
}

} // namespace stepdown
