#include "lib/Checkpoint/HuggingFace/IntegerWeight.h"

#include <algorithm>
#include <cinttypes>
#include <cmath>
#include <cstring>

namespace stepdown {
namespace {

constexpr uint64_t blockColumns = 32;
constexpr uint64_t panelRows = 64; // of codes that lie by columns: a few lines of the cache of each column
constexpr uint8_t placeOf[8] = {0, 4, 1, 5, 2, 6, 3, 7}; // of code i among the interleaved eight

uint32_t word(const uint8_t *at) {
  return at[0] | uint32_t(at[1]) << 8 | uint32_t(at[2]) << 16 | uint32_t(at[3]) << 24;
}

class IntegerPart : public WeightPart {
public:
  explicit IntegerPart(const IntegerForm &form) : WeightPart(form.rows, form.columns), f(form) {}
  Status look(const std::string &where);
  Storage smallest() const override { return storage; }
  void read(Storage as, uint64_t first, uint64_t count, uint8_t *out) const override;

private:
  uint64_t groupAt(uint64_t column) const { return f.groupOf ? word(f.groupOf + 4 * column) : column / f.group; }
  int zeroAt(uint64_t row, uint64_t group) const {
    return f.zeroBytes     ? f.zeroBytes[row * f.groups + group] + f.zero
           : f.zeros.words ? int(f.zeros.at(group, row)) + f.zero
                           : f.zero;
  }
  float scaleAt(uint64_t row, uint64_t group) const {
    const BlockFormat &format = *blockFormat(f.scaleType);
    float value;
    decode(format, f.scales + (row * f.scaleRowStep + group * f.scaleGroupStep) * format.bytes, 1, &value);
    return value;
  }
  int codeAt(uint64_t row, uint64_t column) const {
    return f.bytes      ? f.bytes[row * columns + column]
           : f.byColumn ? int(f.codes.at(column, row))
                        : int(f.codes.at(row, column));
  }

  void codesAt(uint64_t row, uint64_t column, int lift, uint8_t *codes) const;

  const IntegerForm f;
  Storage storage = Storage::F32;
};

Status IntegerPart::look(const std::string &where) {
  bool blocks = columns % blockColumns == 0 && (f.groups == 1 || f.group % blockColumns == 0);
  if (f.groupOf)
    for (uint64_t c = 0; c < columns; ++c) {
      if (const uint64_t group = groupAt(c); group >= f.groups)
        return fail(ErrorCode::QuantGroupIndex,
                    "%s: g_idx: expects groups below %" PRIu64 ", but got %" PRId32 " for column %" PRIu64,
                    where.c_str(), f.groups, static_cast<int32_t>(group), c);
      blocks = blocks && groupAt(c) == groupAt(c - c % blockColumns); // one scale for a block
    }
  bool halves = true; // whether each scale is a binary16
  int least = INT32_MAX, most = INT32_MIN;
  // In the order in which scales lie.
  const bool groupsOuter = f.scaleRowStep == 1 && f.groups > 1;
  const uint64_t outer = groupsOuter ? f.groups : rows, inner = groupsOuter ? rows : f.groups;
  for (uint64_t o = 0; o < outer; ++o)
    for (uint64_t i = 0; i < inner; ++i) {
      const uint64_t r = groupsOuter ? i : o, g = groupsOuter ? o : i;
      const float scale = scaleAt(r, g);
      if (!std::isfinite(scale))
        return fail(ErrorCode::QuantScale,
                    "%s: expects finite scales, but got %g for row %" PRIu64 " and group %" PRIu64, where.c_str(),
                    double(scale), r, g);
      halves = halves && f16ToF32(f32ToF16(scale)) == scale;
      const int zero = zeroAt(r, g);
      least = std::min(least, zero), most = std::max(most, zero);
    }
  const int lowest = f.bytes ? -128 : 0, highest = f.bytes ? 127 : (1 << f.codes.bits) - 1;
  const auto fits = [&](int half) { return lowest - most >= -half && highest - least < half; };
  if (blocks && halves)
    storage = fits(8) ? Storage::Q4_0 : fits(16) ? Storage::Q5_0 : fits(128) ? Storage::Q8_0 : Storage::F32;
  return Done{};
}

/// A block of codes, whose values are codes - `offset` of the type.
void writeBlock(Storage as, uint16_t scale, const uint8_t *codes, uint8_t *out) {
  *out++ = static_cast<uint8_t>(scale);
  *out++ = static_cast<uint8_t>(scale >> 8);
  if (as == Storage::Q8_0) {
    for (uint64_t i = 0; i < blockColumns; ++i)
      *out++ = codes[i] ^ 0x80;
    return;
  }
  if (as == Storage::Q5_0) {
    for (int byte = 0; byte < 4; ++byte, ++out) {
      *out = 0;
      for (int bit = 0; bit < 8; ++bit)
        *out = static_cast<uint8_t>(*out | (codes[8 * byte + bit] >> 4 & 1) << bit);
    }
  }
  for (int i = 0; i < 16; ++i)
    *out++ = static_cast<uint8_t>((codes[i] & 15) | codes[16 + i] << 4);
}

/// The codes of a block, each with `lift` added. A word is read once where it holds whole codes.
void IntegerPart::codesAt(uint64_t row, uint64_t column, int lift, uint8_t *codes) const {
  const PackedCodes &p = f.codes;
  if (f.bytes || 32 % p.bits != 0 || (p.interleaved && !f.byColumn)) {
    for (uint64_t i = 0; i < blockColumns; ++i)
      codes[i] = static_cast<uint8_t>(codeAt(row, column + i) + lift);
    return;
  }
  const uint32_t mask = (1u << p.bits) - 1;
  const uint64_t each = 32 / uint64_t(p.bits);
  if (f.byColumn) {
    const uint64_t at = p.interleaved ? row / 8 * 8 + placeOf[row % 8] : row, shift = at % each * uint64_t(p.bits);
    const uint8_t *from = p.words + 4 * (column * p.streamStep + at / each * p.wordStep);
    for (uint64_t i = 0; i < blockColumns; ++i, from += 4 * p.streamStep)
      codes[i] = static_cast<uint8_t>(int(word(from) >> shift & mask) + lift);
    return;
  }
  const uint8_t *from = p.words + 4 * (row * p.streamStep + column / each * p.wordStep);
  for (uint64_t i = 0; i < blockColumns; from += 4 * p.wordStep) {
    uint32_t bits = word(from);
    for (uint64_t k = 0; k < each; ++k, ++i, bits >>= p.bits)
      codes[i] = static_cast<uint8_t>(int(bits & mask) + lift);
  }
}

/// Panels of rows; of a panel block after block of columns, each for all its rows. Codes that lie by columns are read
/// in the order in which they lie then, a few lines of each column, where row after row would need all pages for each.
void IntegerPart::read(Storage as, uint64_t first, uint64_t count, uint8_t *out) const {
  const BlockFormat &format = *blockFormat(as);
  const bool floats = as == Storage::F32, byColumns = f.byColumn || f.codes.wordStep > 1;
  const uint64_t panel = byColumns ? panelRows : 1, rowBytes = columns / format.elements * format.bytes;
  const uint64_t wide = floats ? std::min(columns, blockColumns) : blockColumns;
  std::vector<float> scales(std::min(panel, count) * f.groups); // [rows of the panel, groups]
  std::vector<int> zeros(scales.size());
  std::vector<uint32_t> groupOf(floats ? columns : 0);
  for (uint64_t c = 0; c < groupOf.size(); ++c)
    groupOf[c] = static_cast<uint32_t>(groupAt(c));
  uint8_t codes[blockColumns];
  for (const uint64_t end = first + count; first < end;) {
    const uint64_t some = std::min(panel, end - first);
    for (uint64_t r = 0; r < some; ++r)
      for (uint64_t g = 0; g < f.groups; ++g)
        scales[r * f.groups + g] = scaleAt(first + r, g), zeros[r * f.groups + g] = zeroAt(first + r, g);
    for (uint64_t c = 0; c < columns; c += wide)
      for (uint64_t r = 0; r < some; ++r) {
        const float *scale = &scales[r * f.groups];
        const int *zero = &zeros[r * f.groups];
        uint8_t *to = out + r * rowBytes + c / format.elements * format.bytes;
        if (floats) {
          const bool whole = !f.bytes && c + blockColumns <= columns;
          if (whole)
            codesAt(first + r, c, 0, codes);
          for (uint64_t i = c; i < std::min(columns, c + wide); ++i, to += sizeof(float)) {
            const uint64_t g = groupOf[i];
            const int code = whole ? codes[i - c] : codeAt(first + r, i);
            const float value = scale[g] * float(code - zero[g]); // exact of 16 bits a scale
            std::memcpy(to, &value, sizeof value);
          }
          continue;
        }
        const uint64_t g = groupAt(c);
        codesAt(first + r, c, format.offset - zero[g], codes);
        writeBlock(as, f32ToF16(scale[g]), codes, to);
      }
    first += some, out += some * rowBytes;
  }
}

} // namespace

uint32_t PackedCodes::at(uint64_t stream, uint64_t i) const {
  if (interleaved)
    i = i / 8 * 8 + placeOf[i % 8];
  const uint64_t bit = i * uint64_t(bits), shift = bit % 32;
  const uint8_t *from = words + 4 * (stream * streamStep + bit / 32 * wordStep);
  uint32_t code = word(from) >> shift;
  if (shift + uint64_t(bits) > 32)
    code |= word(from + 4 * wordStep) << (32 - shift);
  return code & ((1u << bits) - 1);
}

Result<std::unique_ptr<WeightPart>> integerPart(const std::string &where, const IntegerForm &form) {
  auto part = std::make_unique<IntegerPart>(form);
  if (Status looked = part->look(where); !looked)
    return looked.error();
  return Result<std::unique_ptr<WeightPart>>(std::move(part));
}

} // namespace stepdown
