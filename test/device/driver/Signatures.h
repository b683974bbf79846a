// Whether a function of ours may be called as one of a vendor: as many parameters, of the same size and the same kind
// of register, and a number in return.
#pragma once
#include <cstddef>
#include <string>
#include <type_traits>
#include <vector>

namespace stepdown::test {

template <typename Ours, typename Theirs> constexpr bool alike() {
  if constexpr (std::is_void_v<Ours> || std::is_void_v<Theirs>) {
    return false;
  } else {
    constexpr bool ourPlain = std::is_pointer_v<Ours> || std::is_integral_v<Ours> || std::is_enum_v<Ours>;
    constexpr bool theirPlain = std::is_pointer_v<Theirs> || std::is_integral_v<Theirs> || std::is_enum_v<Theirs>;
    // A pointer or an address, an enumeration or a number.
    return sizeof(Ours) == sizeof(Theirs) && ourPlain && theirPlain;
  }
}
template <typename Ours, typename Theirs> struct SameShape : std::false_type {};
template <typename R, typename... P, typename S, typename... Q> struct SameShape<R (*)(P...), S (*)(Q...)> {
  static constexpr bool check() {
    if constexpr (sizeof...(P) != sizeof...(Q))
      return false;
    else
      return alike<R, S>() && (alike<P, Q>() && ...);
  }
  static constexpr bool value = check();
};

/// What was compared, and what differs.
struct Compared {
  size_t count = 0;
  std::vector<std::string> different;
  void add(bool same, const char *what) {
    ++count;
    if (!same)
      different.push_back(what);
  }
};
Compared compareCuda(); ///< of none where cuda.h is not installed
Compared compareHip();

} // namespace stepdown::test
