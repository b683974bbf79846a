// Errors are values: a numbered code of ErrorCodes.def and one text that names file, field, offset and value.
#pragma once
#include <cstdarg>
#include <string>
#include <utility>
#include <variant>

namespace stepdown {

/// One number per refusal, as listed in lib/Base/ErrorCodes.def and docs/errors.md.
enum class ErrorCode : int {
#define STEPDOWN_ERROR(NUMBER, NAME, SUMMARY, CAUSE, REMEDY) NAME = NUMBER,
#include "lib/Base/ErrorCodes.def"
#undef STEPDOWN_ERROR
};

struct Error {
  ErrorCode code;
  std::string message;
  /// "error E0102: model.gguf: ..." as the tools print it.
  std::string text() const;
};

/// "E0102".
std::string codeText(ErrorCode code);

/// printf-style construction: fail(ErrorCode::GgufMagic, "%s: offset 0: ...", path).
Error fail(ErrorCode code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/// The one-line summary of a code in ErrorCodes.def.
const char *summary(ErrorCode code);

/// A value or an Error. `if (!r) return r.error();`
template <typename T> class [[nodiscard]] Result {
public:
  Result(T value) : state(std::move(value)) {}
  Result(Error error) : state(std::move(error)) {}
  explicit operator bool() const { return state.index() == 0; }
  T &operator*() { return std::get<0>(state); }
  const T &operator*() const { return std::get<0>(state); }
  T *operator->() { return &std::get<0>(state); }
  const T *operator->() const { return &std::get<0>(state); }
  const Error &error() const { return std::get<1>(state); }

private:
  std::variant<T, Error> state;
};

/// Success without a value, or an Error.
struct Done {};
using Status = Result<Done>;

} // namespace stepdown
