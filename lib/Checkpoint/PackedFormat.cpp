// Interleaves 16 rows; see the header for the layout.
#include "lib/Checkpoint/PackedFormat.h"

#include <cstring>

namespace stepdown {

PackedFormat packedFormat(const BlockFormat &format) {
  PackedFormat p{};
  p.format = &format;
  p.dOffset = p.mOffset = p.scalesOffset = p.minimumsOffset = -1;
  if (!format.isQuantised()) {
    p.columns = 32;
    p.codesOffset = 0;
    p.codeBytes = p.bytes = 32 * kPackedRows * format.bytes;
    return p;
  }
  p.columns = format.elements;
  p.scaleBytes = format.storage == Storage::MXFP4 ? 4 : 2;
  int at = 0;
  auto place = [&](int bytes) {
    int offset = at;
    at += bytes;
    return offset;
  };
  p.dOffset = place(kPackedRows * p.scaleBytes);
  if (format.minimum != BlockFormat::None)
    p.mOffset = place(kPackedRows * 2);
  if (format.groupScales)
    p.scalesOffset = place(format.groups() * kPackedRows);
  if (format.minimum == BlockFormat::Grouped)
    p.minimumsOffset = place(format.groups() * kPackedRows);
  p.codesOffset = at;
  switch (format.bits) {
  case 6:
    p.planes = 2, p.planeBits[0] = 4, p.planeBits[1] = 2;
    break;
  case 5:
    p.planes = 2, p.planeBits[0] = 4, p.planeBits[1] = 1;
    break;
  case 3:
    p.planes = 2, p.planeBits[0] = 2, p.planeBits[1] = 1;
    break;
  default:
    p.planes = 1, p.planeBits[0] = format.bits;
  }
  p.codeBytes = 64 * format.bits;
  p.bytes = at + p.codeBytes * (p.columns / 32);
  return p;
}

size_t packedBytes(const BlockFormat &format, size_t rows, size_t columns) {
  PackedFormat p = packedFormat(format);
  return (rows + kPackedRows - 1) / kPackedRows * (columns / p.columns) * p.bytes;
}

/// Scatters one row's codes into the planes of the packed block.
static void packCodes(const PackedFormat &p, const uint8_t *codes, int row, uint8_t *block) {
  for (int sub = 0; sub < p.columns / 32; ++sub) {
    uint8_t *plane = block + p.codesOffset + sub * p.codeBytes;
    int low = 0;
    for (int i = 0; i < p.planes; ++i) {
      const int bits = p.planeBits[i];
      const uint8_t mask = bits == 8 ? 0xff : (1u << bits) - 1;
      for (int quad = 0; quad < 8; ++quad) {
        uint8_t *vector = plane + 64 * (quad % bits) + 4 * row;
        const uint8_t *from = codes + 32 * sub + 4 * quad;
        for (int e = 0; e < 4; ++e)
          vector[e] |= static_cast<uint8_t>(((from[e] >> low) & mask) << (quad / bits * bits));
      }
      plane += 64 * bits;
      low += bits;
    }
  }
}

void packTiles(const BlockFormat &format, const uint8_t *source, size_t rows, size_t columns, size_t firstTile,
               size_t lastTile, uint8_t *out, const WeightPadding &padding) {
  const PackedFormat p = packedFormat(format);
  const size_t blocks = (padding.columns ? padding.columns : columns) / p.columns, all = padding.rows(rows);
  const size_t rowBytes = columns / format.elements * format.bytes;
  std::memset(out, 0, (lastTile - firstTile) * blocks * p.bytes);
  BlockFields fields;
  for (size_t tile = firstTile; tile < lastTile; ++tile)
    for (int r = 0; r < kPackedRows && tile * kPackedRows + r < all; ++r) {
      const size_t at = tile * kPackedRows + r;
      if (!padding.isStored(at))
        continue;
      const uint8_t *row = source + padding.storedBefore(at) * rowBytes;
      uint8_t *block = out + (tile - firstTile) * blocks * p.bytes;
      for (size_t b = 0; b < blocks; ++b, block += p.bytes) {
        if (!format.isQuantised()) {
          for (size_t c = 0; c < 32 && b * 32 + c < columns; ++c)
            std::memcpy(block + (c * kPackedRows + r) * format.bytes, row + (b * 32 + c) * format.bytes, format.bytes);
          continue;
        }
        readFields(format, row + b * format.bytes, fields);
        if (p.scaleBytes == 4)
          std::memcpy(block + p.dOffset + 4 * r, &fields.d, 4);
        else
          std::memcpy(block + p.dOffset + 2 * r, &fields.dBits, 2);
        if (p.mOffset >= 0)
          std::memcpy(block + p.mOffset + 2 * r, &fields.mBits, 2);
        for (int g = 0; g < format.groups(); ++g) {
          if (p.scalesOffset >= 0)
            block[p.scalesOffset + g * kPackedRows + r] = static_cast<uint8_t>(fields.scales[g]);
          if (p.minimumsOffset >= 0)
            block[p.minimumsOffset + g * kPackedRows + r] = fields.minimums[g];
        }
        packCodes(p, fields.codes, r, block);
      }
    }
}

} // namespace stepdown
