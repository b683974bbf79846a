#include "tools/stepdown-run/WrittenArray.h"

#include "include/stepdown/Artifact.h"
#include "runtime/Functions/FunctionLibrary.h"
#include "runtime/Sampler/Philox.h"
#include <algorithm>
#include <cerrno>
#include <cfenv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <unistd.h>

namespace stepdown::run {
namespace {

constexpr char randomly[] = "random:";

std::optional<uint32_t> elementNamed(const std::string &name) {
  for (uint32_t element = 0; element <= STEPDOWN_F8E5M2; ++element)
    if (name == elementName(element))
      return element;
  return std::nullopt;
}

template <typename T> uint64_t bitsOf(T value) {
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value); // little-endian
  return bits;
}

/// A float of 16 bits or 8: `fraction` bits of it are stored, and normal numbers begin at 2^`least`. Without infinities
/// only the code of all digits is NaN.
struct SmallFloat {
  int fraction, least;
  uint64_t magnitude = 0x7fff; ///< all bits but the sign
  bool infinities = true;
};
constexpr SmallFloat half = {10, -14}, bfloat = {7, -126}, e4m3 = {3, -6, 0x7f, false}, e5m2 = {2, -14, 0x7f};

SmallFloat smallFloat(uint32_t element) {
  return element == STEPDOWN_F16        ? half
         : element == STEPDOWN_BF16     ? bfloat
         : element == STEPDOWN_F8E4M3FN ? e4m3
                                        : e5m2;
}

/// The bits of the nearest number, ties to even; infinity, or NaN where there is none, beyond the largest.
uint64_t roundTo(SmallFloat type, double value) {
  const uint64_t sign = std::signbit(value) ? type.magnitude + 1 : 0;
  const uint64_t infinity = type.infinities ? type.magnitude >> type.fraction << type.fraction : type.magnitude;
  if (std::isnan(value))
    return sign | (type.infinities ? infinity | uint64_t(1) << (type.fraction - 1) : type.magnitude);
  if (value == 0)
    return sign;
  if (std::isinf(value))
    return sign | infinity;
  const int exponent = std::max(std::ilogb(value), type.least);
  const double units = std::nearbyint(std::ldexp(std::fabs(value), type.fraction - exponent));
  // Units that carry into the next power of two carry into the exponent, which lies above them.
  const uint64_t bits = (uint64_t(exponent - type.least) << type.fraction) + static_cast<uint64_t>(units);
  return sign | std::min(bits, infinity);
}

double parseDouble(const std::string &text, int rounding) {
  std::fesetround(rounding);
  const double value = std::strtod(text.c_str(), nullptr);
  std::fesetround(FE_TONEAREST);
  return value;
}

/// `text` rounded to odd: of the two doubles around it the one whose last bit is set. What is then rounded to the
/// nearest number of 16 bits is what rounding the text itself to the nearest gives, where rounding twice to the nearest
/// is not.
double parseToOdd(const std::string &text) {
  const double low = parseDouble(text, FE_DOWNWARD), high = parseDouble(text, FE_UPWARD);
  return bitsOf(low) & 1 ? low : high;
}

/// The bits of a number; none for what is no number of the type.
std::optional<uint64_t> parseFloat(const std::string &text, uint32_t element) {
  char *end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (end == text.c_str() || *end)
    return std::nullopt;
  uint64_t bits = 0;
  bool infinite = false;
  if (element == STEPDOWN_F64) {
    bits = bitsOf(value);
    infinite = std::isinf(value);
  } else if (element == STEPDOWN_F32) {
    const float rounded = std::strtof(text.c_str(), nullptr);
    bits = bitsOf(rounded);
    infinite = std::isinf(rounded);
  } else {
    const SmallFloat type = smallFloat(element);
    bits = roundTo(type, std::isfinite(value) ? parseToOdd(text) : value);
    infinite = (bits & type.magnitude) == roundTo(type, INFINITY);
    if (!type.infinities)
      return std::isnan(value) || !infinite ? std::optional(bits) : std::nullopt;
  }
  const bool said = text.find_first_of("iI") != std::string::npos; // "inf"
  return infinite == said ? std::optional(bits) : std::nullopt;
}

std::optional<uint64_t> parseWhole(const std::string &text, uint32_t element) {
  if (element == STEPDOWN_I1 && (text == "true" || text == "false"))
    return text == "true";
  const bool negative = text[0] == '-';
  const std::string digits = text.substr(negative || text[0] == '+');
  if (digits.empty() || digits.find_first_not_of("0123456789") != std::string::npos)
    return std::nullopt;
  errno = 0;
  const uint64_t magnitude = std::strtoull(digits.c_str(), nullptr, 10);
  const int width = static_cast<int>(8 * elementBytes(element));
  uint64_t most = ~uint64_t(0) >> (64 - width), least = uint64_t(1) << (width - 1);
  if (element == STEPDOWN_I1)
    most = 1, least = 0;
  if (element == STEPDOWN_INDEX)
    most = INT64_MAX;
  if (errno || magnitude > (negative ? least : most))
    return std::nullopt;
  return negative ? -magnitude : magnitude;
}

/// What the numbers of a type may be, for messages.
std::string rangeOf(uint32_t element) {
  switch (element) {
  case STEPDOWN_I1:
    return "true, false, 1 or 0";
  case STEPDOWN_I8:
    return "a whole number from -128 to 255";
  case STEPDOWN_I16:
    return "a whole number from -32768 to 65535";
  case STEPDOWN_I32:
    return "a whole number from -2147483648 to 4294967295";
  case STEPDOWN_I64:
    return "a whole number from -9223372036854775808 to 18446744073709551615";
  case STEPDOWN_INDEX:
    return "a whole number from -9223372036854775808 to 9223372036854775807";
  default:
    return std::string("a number that ") + elementName(element) + " holds";
  }
}

/// The bits of one random element: see parseWrittenArray.
uint64_t drawn(uint32_t element, uint64_t seed, uint64_t argument, uint64_t place) {
  const std::array<uint32_t, 4> random = philox(seed, argument, place);
  const double real = 2 * uniform(random[0], random[1]) - 1;
  switch (element) {
  case STEPDOWN_F32:
    return bitsOf(static_cast<float>(real));
  case STEPDOWN_F64:
    return bitsOf(real);
  case STEPDOWN_F16:
  case STEPDOWN_BF16:
  case STEPDOWN_F8E4M3FN:
  case STEPDOWN_F8E5M2:
    return roundTo(smallFloat(element), real);
  case STEPDOWN_I1:
    return random[0] >> 31;
  case STEPDOWN_INDEX:
    return uint64_t(random[0]) * 101 >> 32;
  default:
    return (uint64_t(random[0]) * 201 >> 32) - 100;
  }
}

std::string trimmed(const std::string &text) {
  const size_t from = text.find_first_not_of(' ');
  return from == std::string::npos ? "" : text.substr(from, text.find_last_not_of(' ') - from + 1);
}

/// The words between the commas of `text`; none for a text without any.
std::vector<std::string> separated(const std::string &text) {
  std::vector<std::string> words;
  for (size_t at = 0; !trimmed(text).empty() && at <= text.size();) {
    const size_t comma = std::min(text.find(',', at), text.size());
    words.push_back(trimmed(text.substr(at, comma - at)));
    at = comma + 1;
  }
  return words;
}

/// A long text's beginning, for messages.
std::string shown(const std::string &text) { return text.size() > 60 ? text.substr(0, 57) + "..." : text; }

Error wrong(const std::string &text, const std::string &problem) {
  return fail(ErrorCode::Usage, "call: --arg %s: %s; see stepdown-run call --help", shown(text).c_str(),
              problem.c_str());
}

/// TYPE[SIZES] or TYPE into `array`, with room for its elements.
Status parseType(const std::string &text, const std::string &type, WrittenArray &array) {
  const size_t bracket = std::min(type.find('['), type.size());
  const std::string name = trimmed(type.substr(0, bracket));
  const std::optional<uint32_t> element = elementNamed(name);
  if (!element) {
    std::string known;
    for (uint32_t e = 0; e <= STEPDOWN_F8E5M2; ++e)
      known += (e ? ", " : "") + std::string(elementName(e));
    return wrong(text, "expects one of " + known + ", but got \"" + shown(name) + "\" (a file of such a name is ./" +
                           shown(text) + ")");
  }
  array.element = *element;
  std::vector<std::string> sizes;
  if (bracket < type.size()) {
    const std::string inside = trimmed(type.substr(bracket));
    if (inside.back() != ']')
      return wrong(text, "expects sizes in brackets, but got \"" + shown(inside) + "\"");
    sizes = separated(inside.substr(1, inside.size() - 2));
  }
  if (sizes.size() > STEPDOWN_MAX_ARRAY_RANK)
    return wrong(text, "expects at most " + std::to_string(STEPDOWN_MAX_ARRAY_RANK) + " sizes, but got " +
                           std::to_string(sizes.size()));
  const uint64_t memory = uint64_t(sysconf(_SC_PHYS_PAGES)) * uint64_t(sysconf(_SC_PAGESIZE));
  // The sizes but for those of 0 bound what the elements take, and the product of no part of them overflows.
  unsigned __int128 bytes = elementBytes(array.element);
  bool empty = false, fits = true;
  for (const std::string &size : sizes) {
    if (size.empty() || size.size() > 18 || size.find_first_not_of("0123456789") != std::string::npos)
      return wrong(text, "expects whole numbers below 10^18 as sizes, but got \"" + shown(size) + "\"");
    const int64_t number = std::strtoll(size.c_str(), nullptr, 10);
    array.dims.push_back(number);
    empty |= number == 0;
    bytes *= static_cast<uint64_t>(std::max<int64_t>(number, 1));
    fits &= bytes <= memory;
    bytes = std::min<unsigned __int128>(bytes, uint64_t(1) << 62);
  }
  if (!empty && !fits)
    return fail(ErrorCode::OutOfMemory, "call: --arg %s: expects an array that fits into memory, which is %llu bytes",
                shown(text).c_str(), static_cast<unsigned long long>(memory));
  array.bytes.resize(empty ? 0 : static_cast<size_t>(bytes));
  return Done{};
}

} // namespace

bool isWrittenArray(const std::string &text) {
  if (text.compare(0, sizeof randomly - 1, randomly) == 0)
    return true;
  const auto end = std::find_if_not(text.begin(), text.end(), [](unsigned char c) { return std::isalnum(c); });
  const std::string word(text.begin(), end);
  const size_t next = text.find_first_not_of(' ', word.size());
  if (word.empty() || next == std::string::npos)
    return false;
  return text[next] == '=' || (text[next] == '[' && (elementNamed(word) || text.find('=') != std::string::npos));
}

Result<WrittenArray> parseWrittenArray(const std::string &text, uint64_t seed, uint64_t argument) {
  const bool random = text.compare(0, sizeof randomly - 1, randomly) == 0;
  const size_t from = random ? sizeof randomly - 1 : 0;
  const size_t equals = random ? text.size() : std::min(text.find('='), text.size());
  WrittenArray array;
  if (Status type = parseType(text, text.substr(from, equals - from), array); !type)
    return type.error();
  const size_t size = elementBytes(array.element), count = array.bytes.size() / size;
  if (random) {
    for (size_t i = 0; i < count; ++i) {
      const uint64_t bits = drawn(array.element, seed, argument, i);
      std::memcpy(array.bytes.data() + i * size, &bits, size);
    }
    return array;
  }
  if (equals == text.size())
    return wrong(text, "expects = and values behind the type");
  const std::vector<std::string> values = separated(text.substr(equals + 1));
  if (values.size() != count)
    return wrong(text, "expects " + std::to_string(count) + " values, but got " + std::to_string(values.size()));
  const bool real = array.element <= STEPDOWN_F64 || array.element >= STEPDOWN_F8E4M3FN;
  for (size_t i = 0; i < count; ++i) {
    const auto bits = real ? parseFloat(values[i], array.element) : parseWhole(values[i], array.element);
    if (!bits)
      return wrong(text, "expects " + rangeOf(array.element) + " as value " + std::to_string(i) + ", but got \"" +
                             shown(values[i]) + "\"");
    std::memcpy(array.bytes.data() + i * size, &*bits, size);
  }
  return array;
}

} // namespace stepdown::run
