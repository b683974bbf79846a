#include "lib/Checkpoint/KeyReader.h"
#include "lib/Checkpoint/GgufShard.h"

#include <cmath>
#include <cstdio>

namespace stepdown {

bool KeyRange::holds(double number) const {
  return (orZero && number == 0) || (number >= least && number <= most); // neither holds for NaN
}

std::string KeyRange::text() const {
  char text[96];
  std::snprintf(text, sizeof text, "%sa number from %g to %g", orZero ? "0 or " : "", least, most);
  return text;
}

Error KeyReader::refuse(ErrorCode code, const std::string &key, const std::string &expectation) const {
  const GgufValue *value = meta.find(key);
  std::string where = value ? "offset " + std::to_string(value->offset) + ": " : "";
  return fail(code, "%s: %skey '%s': %s", meta.file().c_str(), where.c_str(), printable(key).c_str(),
              expectation.c_str());
}

Status KeyReader::count(const char *name, uint64_t most, uint32_t &value) const {
  Result<uint64_t> number = meta.unsignedInteger(key(name));
  if (!number)
    return number.error();
  if (*number == 0 || *number > most)
    return refuse(ErrorCode::ModelRange, key(name),
                  "expects 1 to " + std::to_string(most) + ", but got " + std::to_string(*number));
  value = static_cast<uint32_t>(*number);
  return Done{};
}

Status KeyReader::countOr(const char *name, uint64_t most, uint32_t fallback, uint32_t &value) const {
  value = fallback;
  return has(name) ? count(name, most, value) : Done{};
}

Status KeyReader::perLayer(const char *name, uint64_t most, uint32_t layers, const std::vector<uint32_t> *fallback,
                           std::vector<uint32_t> &values) const {
  const GgufValue *stored = meta.find(key(name));
  if (!stored && fallback) {
    values = *fallback;
    return Done{};
  }
  if (!stored || stored->type != GgufType::Array) {
    uint32_t value;
    if (Status read = count(name, most, value); !read)
      return read;
    values.assign(layers, value);
    return Done{};
  }
  if (stored->count != layers)
    return refuse(ErrorCode::ModelLayerArray, key(name),
                  "expects an array of " + std::to_string(layers) + " elements, one a layer, but got " +
                      std::to_string(stored->count));
  Result<std::vector<int64_t>> numbers = meta.integers(key(name));
  if (!numbers)
    return numbers.error();
  for (size_t i = 0; i < numbers->size(); ++i) {
    int64_t number = (*numbers)[i];
    if (number <= 0 || static_cast<uint64_t>(number) > most)
      return refuse(ErrorCode::ModelRange, key(name),
                    "element " + std::to_string(i) + ": expects 1 to " + std::to_string(most) + ", but got " +
                        std::to_string(number));
    values.push_back(static_cast<uint32_t>(number));
  }
  return Done{};
}

Status KeyReader::real(ErrorCode code, const char *name, const KeyRange &range, double fallback, double &value) const {
  value = fallback;
  if (!has(name))
    return Done{};
  Result<double> number = meta.real(key(name));
  if (!number)
    return number.error();
  if (!range.holds(*number)) {
    char got[32];
    std::snprintf(got, sizeof got, "%g", *number);
    return refuse(std::isfinite(*number) && *number > range.most ? ErrorCode::ModelRange : code, key(name),
                  "expects " + range.text() + ", but got " + got);
  }
  value = *number;
  return Done{};
}

Status KeyReader::same(const char *name, uint64_t expected, const char *what) const {
  if (!has(name))
    return Done{};
  Result<uint64_t> number = meta.unsignedInteger(key(name));
  if (!number)
    return number.error();
  if (*number != expected)
    return refuse(ErrorCode::ModelFeature, key(name),
                  std::string("expects ") + what + ", " + std::to_string(expected) + ", but got " +
                      std::to_string(*number));
  return Done{};
}

} // namespace stepdown
