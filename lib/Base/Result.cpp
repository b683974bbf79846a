#include "lib/Base/Result.h"

#include <cstdio>
#include <vector>

namespace stepdown {

std::string codeText(ErrorCode code) {
  char text[16];
  std::snprintf(text, sizeof text, "E%04d", static_cast<int>(code));
  return text;
}

std::string Error::text() const { return "error " + codeText(code) + ": " + message; }

Error fail(ErrorCode code, const char *format, ...) {
  va_list args, again;
  va_start(args, format);
  va_copy(again, args);
  int n = std::vsnprintf(nullptr, 0, format, args);
  std::vector<char> text(n > 0 ? n + 1 : 1);
  std::vsnprintf(text.data(), text.size(), format, again);
  va_end(args);
  va_end(again);
  return {code, text.data()};
}

const char *summary(ErrorCode code) {
  switch (code) {
#define STEPDOWN_ERROR(NUMBER, NAME, SUMMARY, CAUSE, REMEDY)                                                           \
  case ErrorCode::NAME:                                                                                                \
    return SUMMARY;
#include "lib/Base/ErrorCodes.def"
#undef STEPDOWN_ERROR
  }
  return "unknown error";
}

} // namespace stepdown
