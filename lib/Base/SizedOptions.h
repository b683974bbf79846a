// Structures of the C APIs begin with the size that the caller's version of them has, so that both a library and the
// programs that use it may be the newer one: an older program's missing fields are zero, and a newer program may set
// what this library knows, but is not left to believe that the rest was heard.
#pragma once
#include "lib/Base/Result.h"
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace stepdown {

/// No structure is near it: a size above is one that nobody set.
constexpr size_t maxOptionSize = 4096;

inline Status checkOptionSize(size_t size, const char *name) {
  if (size < sizeof(size_t) || size > maxOptionSize)
    return fail(ErrorCode::OptionSize, "%s: size: expects sizeof(%s), but got %zu; was it set?", name, name, size);
  return Done{};
}

/// What the caller gave as this library knows it; all zero for NULL. E0613.
template <typename T> Result<T> takeOptions(const T *given, const char *name) {
  T known = {};
  if (!given)
    return known;
  const size_t size = given->size;
  if (Status ok = checkOptionSize(size, name); !ok)
    return ok.error();
  const uint8_t *bytes = reinterpret_cast<const uint8_t *>(given);
  for (size_t i = sizeof(T); i < size; ++i)
    if (bytes[i])
      return fail(ErrorCode::OptionSize, "%s: expects the %zu bytes that this library knows, but byte %zu is set", name,
                  sizeof(T), i);
  std::memcpy(&known, given, std::min(size, sizeof(T)));
  return known;
}

/// Gives `value` to the caller as far as its structure reaches; what it has beyond is zero. E0613.
template <typename T> Status giveResult(T *to, T value, const char *name) {
  const size_t size = to->size;
  if (Status ok = checkOptionSize(size, name); !ok)
    return ok;
  value.size = size;
  std::memset(static_cast<void *>(to), 0, size);
  std::memcpy(static_cast<void *>(to), &value, std::min(size, sizeof(T)));
  return Done{};
}

} // namespace stepdown
