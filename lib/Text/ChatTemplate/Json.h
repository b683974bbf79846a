// JSON text <-> values, as Python's json module reads and writes it.
#pragma once
#include "lib/Text/ChatTemplate/Value.h"
#include <string>
#include <string_view>

namespace stepdown::jinja {

/// Key order is kept; of equal keys the last value wins; large integers stay exact. E0409 with the byte offset; E0404,
/// E0407: more than the default RenderLimits allow.
Result<Value> readJson(std::string_view text, const std::string &file);

struct JsonStyle {
  bool ensureAscii = false, sortKeys = false;
  bool lines = false; ///< each item on a line of its own, indented
  String indent, itemSeparator = ", ", keySeparator = ": ";
};

/// "Object of type Undefined is not JSON serializable" for what JSON has no form for.
String writeJson(const Value &value, const JsonStyle &style);

} // namespace stepdown::jinja
