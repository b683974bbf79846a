// A fixed array of zeroes whose pages become resident when they are first touched: what makes a sampler with room for
// the worst case (every token of the vocabulary a candidate) cheap when a step keeps forty.
#pragma once
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

namespace stepdown {

/// `Keeps`: a copy holds the same values; otherwise only the same room (work space that no call reads before writing).
template <typename T, bool Keeps> class LazyArray {
public:
  LazyArray() = default;
  /// Throws std::bad_alloc; the owner turns it into an error value.
  explicit LazyArray(size_t count) : count(count), values(static_cast<T *>(std::calloc(count ? count : 1, sizeof(T)))) {
    if (!values)
      throw std::bad_alloc();
  }
  LazyArray(const LazyArray &other) {
    if (!other.values)
      return;
    *this = LazyArray(other.count);
    if (Keeps)
      std::memcpy(values.get(), other.values.get(), count * sizeof(T));
  }
  LazyArray &operator=(const LazyArray &other) { return *this = LazyArray(other); }
  LazyArray(LazyArray &&) noexcept = default;
  LazyArray &operator=(LazyArray &&) noexcept = default;

  T *data() { return values.get(); }
  T &operator[](size_t i) { return values.get()[i]; }
  const T &operator[](size_t i) const { return values.get()[i]; }
  size_t size() const { return count; }

private:
  struct Free {
    void operator()(T *p) const { std::free(p); }
  };
  size_t count = 0;
  std::unique_ptr<T, Free> values;
};

} // namespace stepdown
