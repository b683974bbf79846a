// The filters, by what they work on; Filters.cpp has their names.
#pragma once
#include "lib/Text/ChatTemplate/Interpreter.h"
#include "lib/Text/ChatTemplate/Members.h"

namespace stepdown::jinja::filters {

// clang-format off: the formatter never comes to rest on a list without commas.
#define STEPDOWN_FILTERS(X)                                                                                            \
  X(absolute)                                                                                                          \
  X(attr)                                                                                                              \
  X(batch)                                                                                                             \
  X(capitalized)                                                                                                       \
  X(centered)                                                                                                          \
  X(defaulted)                                                                                                         \
  X(dictsort)                                                                                                          \
  X(escape) X(filesize) X(first) X(toFloat) X(forceEscape) X(formatted) X(groupby) X(indented) X(toInt) X(joined)      \
      X(last) X(length) X(toList) X(lowered) X(items) X(mapped) X(smallest) X(largest) X(reject) X(rejectattr)         \
          X(replaced) X(reversed) X(rounded) X(safe) X(select) X(selectattr) X(sliced) X(sorted) X(string)             \
              X(striptags) X(sum) X(titled) X(trimmed) X(truncated) X(unique) X(uppered) X(urlencode) X(wordcount)     \
                  X(wordwrap) X(xmlattr) X(tojson) X(pprint)
// clang-format on
#define STEPDOWN_DECLARE(NAME) Value NAME(Interpreter &, const Value &input, const Arguments &given);
STEPDOWN_FILTERS(STEPDOWN_DECLARE)
#undef STEPDOWN_DECLARE

} // namespace stepdown::jinja::filters
