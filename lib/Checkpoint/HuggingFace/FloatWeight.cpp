#include "lib/Checkpoint/HuggingFace/FloatWeight.h"

#include <cinttypes>
#include <cmath>
#include <cstring>
#include <limits>

namespace stepdown {
namespace {

/// A float's bits.
uint32_t bitsOf(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

class Float8Part : public WeightPart {
public:
  explicit Float8Part(const Float8Form &form) : WeightPart(form.rows, form.columns), f(form) {
    for (int code = 0; code < 256; ++code)
      values[code] = e4m3ToF32(static_cast<uint8_t>(code));
  }
  Status look(const std::string &where);
  Storage smallest() const override { return storage; }

  void read(Storage as, uint64_t first, uint64_t count, uint8_t *out) const override {
    float scale = 0;
    for (uint64_t r = first; r < first + count; ++r)
      for (uint64_t c = 0, end = 0; c < columns; ++c) {
        if (c == end)
          scale = scaleAt(r / f.blockRows, c / f.blockColumns), end += f.blockColumns;
        const float value = values[f.codes[r * columns + c]] * scale;
        if (as == Storage::F32) {
          std::memcpy(out, &value, sizeof value);
          out += sizeof value;
        } else { // a bfloat16, as look() saw to
          const uint32_t bits = bitsOf(value);
          *out++ = static_cast<uint8_t>(bits >> 16);
          *out++ = static_cast<uint8_t>(bits >> 24);
        }
      }
  }

private:
  uint64_t acrossRow() const { return (columns + f.blockColumns - 1) / f.blockColumns; }
  float scaleAt(uint64_t row, uint64_t column) const {
    const uint64_t at = row * acrossRow() + column;
    if (f.powers)
      return std::ldexp(1.0f, int(f.scales[at]) - 127);
    const BlockFormat &format = *blockFormat(f.scaleType);
    float value;
    decode(format, f.scales + at * format.bytes, 1, &value);
    return value;
  }

  const Float8Form f;
  float values[256];
  Storage storage = Storage::F32;
};

Status Float8Part::look(const std::string &where) {
  bool exact = true;
  for (uint64_t r = 0; r < (rows + f.blockRows - 1) / f.blockRows; ++r)
    for (uint64_t c = 0; c < acrossRow(); ++c) {
      const float scale = f.powers && f.scales[r * acrossRow() + c] == 255
                              ? std::numeric_limits<float>::quiet_NaN() // what E8M0 means by it
                              : scaleAt(r, c);
      if (!std::isfinite(scale))
        return fail(ErrorCode::QuantScale,
                    "%s: expects finite scales, but got %g for the block of rows %" PRIu64 " and columns %" PRIu64,
                    where.c_str(), double(scale), r, c);
      // A code has 4 significant bits from 2^-9 up, and a bfloat16 has 8: a scale of 4 leaves each product whole.
      const float size = std::fabs(scale);
      exact = exact && (bitsOf(scale) & 0xfffff) == 0 && (size == 0 || (size >= 0x1p-100f && size <= 0x1p100f));
    }
  storage = exact ? Storage::BF16 : Storage::F32;
  return Done{};
}

class Mxfp4Part : public WeightPart {
public:
  Mxfp4Part(const uint8_t *codes, const uint8_t *scales, uint64_t rows, uint64_t columns, uint64_t first,
            uint64_t stride)
      : WeightPart(rows, columns), codes(codes), scales(scales), first(first), stride(stride) {}
  Storage smallest() const override { return Storage::MXFP4; }

  void read(Storage, uint64_t begin, uint64_t count, uint8_t *out) const override {
    for (uint64_t r = begin; r < begin + count; ++r) {
      const uint64_t row = first + r * stride;
      for (uint64_t block = 0; block < columns / 32; ++block) {
        const uint8_t *pairs = codes + (row * (columns / 32) + block) * 16;
        *out++ = scales[row * (columns / 32) + block];
        const auto code = [&](int i) { return pairs[i / 2] >> i % 2 * 4 & 15; };
        for (int i = 0; i < 16; ++i)
          *out++ = static_cast<uint8_t>(code(i) | code(16 + i) << 4);
      }
    }
  }

private:
  const uint8_t *const codes, *const scales;
  const uint64_t first, stride;
};

} // namespace

float e4m3ToF32(uint8_t code) {
  const int exponent = code >> 3 & 15, mantissa = code & 7;
  if (exponent == 15 && mantissa == 7)
    return std::numeric_limits<float>::quiet_NaN();
  const float magnitude = exponent ? std::ldexp(float(8 + mantissa), exponent - 10) : std::ldexp(float(mantissa), -9);
  return code & 0x80 ? -magnitude : magnitude;
}

Result<std::unique_ptr<WeightPart>> float8Part(const std::string &where, const Float8Form &form) {
  auto part = std::make_unique<Float8Part>(form);
  if (Status looked = part->look(where); !looked)
    return looked.error();
  return Result<std::unique_ptr<WeightPart>>(std::move(part));
}

std::unique_ptr<WeightPart> mxfp4Part(const uint8_t *codes, const uint8_t *scales, uint64_t rows, uint64_t columns,
                                      uint64_t first, uint64_t stride) {
  return std::make_unique<Mxfp4Part>(codes, scales, rows, columns, first, stride);
}

} // namespace stepdown
