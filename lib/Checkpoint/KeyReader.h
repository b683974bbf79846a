// Keys behind an architecture's prefix, each checked where it is read: what leaves here can be divided by, allocated
// from, iterated over and computed with.
#pragma once
#include "lib/Checkpoint/Metadata.h"

#include <string>
#include <vector>

namespace stepdown {

/// Numbers that a key may have; what is not finite is in none of these.
struct KeyRange {
  double least, most;
  bool orZero; ///< 0 as well, where that says that there is none

  bool holds(double number) const;
  std::string text() const; ///< "0 or a number from 1 to 8"
};

/// Of what is divided by, or whose logarithm is taken: numbers of float32 with all their digits.
constexpr KeyRange kAnyPositive = {0x1p-126, 0x1p127, false}, kAnyPositiveOrNone = {0x1p-126, 0x1p127, true};

class KeyReader {
public:
  KeyReader(const Metadata &metadata) : meta(metadata) {}

  /// `name` behind the architecture, which is set once it was read.
  std::string key(const char *name) const { return architecture + "." + name; }
  bool has(const char *name) const { return meta.has(key(name)); }
  /// An error of `code` that names file, offset and `key`, then says what is expected and what is there.
  Error refuse(ErrorCode code, const std::string &key, const std::string &expectation) const;

  /// A number from 1 to `most`; E0201, E0202 or E0205.
  Status count(const char *name, uint64_t most, uint32_t &value) const;
  Status countOr(const char *name, uint64_t most, uint32_t fallback, uint32_t &value) const;
  /// The same for each of `layers`: of one number, or an array of as many (E0206); `fallback` stands for a missing key.
  Status perLayer(const char *name, uint64_t most, uint32_t layers, const std::vector<uint32_t> *fallback,
                  std::vector<uint32_t> &values) const;
  /// A number of `range`; E0205 for one beyond it, else `code`.
  Status real(ErrorCode code, const char *name, const KeyRange &range, double fallback, double &value) const;
  /// Refuses a value of `name` other than `expected` (E0212), which is what stands for a missing one too.
  Status same(const char *name, uint64_t expected, const char *what) const;

  const Metadata &meta;
  std::string architecture;
};

} // namespace stepdown
