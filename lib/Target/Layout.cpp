// Interleaves rows; see the header for the layout.
#include "lib/Target/Layout.h"

#include <cstring>

namespace stepdown {

static const Layout *const kLayouts[] = {&kTiles16};

const Layout *layoutOfRows(int rows) {
  for (const Layout *layout : kLayouts)
    if (layout->rows == rows)
      return layout;
  return nullptr;
}

std::string layoutRows() {
  std::string text;
  for (const Layout *layout : kLayouts)
    text += (text.empty() ? "" : " or ") + std::to_string(layout->rows);
  return text;
}

/// Bits of the planes that codes of so many bits are cut into, the low ones first; 0 where there is no second plane.
static void planeBits(int bits, int planes[2]) {
  planes[0] = bits, planes[1] = 0;
  if (bits == 5 || bits == 6)
    planes[0] = 4, planes[1] = bits - 4;
  else if (bits == 3)
    planes[0] = 2, planes[1] = 1;
}

PackedBlock packedBlock(const Layout &layout, const BlockFormat &format) {
  PackedBlock p{};
  p.format = &format;
  p.rows = layout.rows;
  auto place = [&](PackedField &field, int bytes, int count) {
    field.offset = p.bytes;
    field.bytes = bytes;
    field.stride = bytes * layout.rows;
    p.bytes += field.stride * count;
  };
  if (!format.isQuantised()) {
    p.columns = kCodeColumns;
    place(p.values, format.bytes, p.columns);
    return p;
  }
  p.columns = format.elements;
  place(p.d, format.storage == Storage::MXFP4 ? 4 : 2, 1);
  if (format.minimum != BlockFormat::None)
    place(p.m, 2, 1);
  if (format.groupScales)
    place(p.scales, 1, format.groups());
  if (format.minimum == BlockFormat::Grouped)
    place(p.minimums, 1, format.groups());
  p.codesOffset = p.bytes;
  int bits[2], low = 0;
  planeBits(format.bits, bits);
  for (; p.planes < 2 && bits[p.planes]; ++p.planes) {
    PackedPlane &plane = p.plane[p.planes];
    plane = {p.codeBytes, bits[p.planes], low, kQuadColumns * layout.rows};
    p.codeBytes += plane.vectors() * plane.vectorBytes;
    low += plane.bits;
  }
  p.bytes += p.codeBytes * (p.columns / kCodeColumns);
  return p;
}

size_t packedBytes(const Layout &layout, const BlockFormat &format, size_t rows, size_t columns) {
  const PackedBlock p = packedBlock(layout, format);
  return tilesOf(layout, rows) * (columns / p.columns) * p.bytes;
}

/// Scatters one row's codes into the planes of the packed block.
static void packCodes(const PackedBlock &p, const uint8_t *codes, int row, uint8_t *block) {
  for (int sub = 0; sub < p.columns / kCodeColumns; ++sub) {
    uint8_t *base = block + p.codesOffset + sub * p.codeBytes;
    for (int i = 0; i < p.planes; ++i) {
      const PackedPlane &plane = p.plane[i];
      const uint8_t mask = plane.bits == 8 ? 0xff : (1u << plane.bits) - 1;
      for (int quad = 0; quad < kQuads; ++quad) {
        uint8_t *vector = base + plane.vectorOf(quad) + PackedPlane::byteOf(row, 0);
        const uint8_t *from = codes + kCodeColumns * sub + kQuadColumns * quad;
        for (int e = 0; e < kQuadColumns; ++e)
          vector[e] |= static_cast<uint8_t>(((from[e] >> plane.low) & mask) << plane.shiftOf(quad));
      }
    }
  }
}

void packTiles(const Layout &layout, const BlockFormat &format, const uint8_t *source, size_t rows, size_t columns,
               size_t firstTile, size_t lastTile, uint8_t *out, const WeightPadding &padding) {
  const PackedBlock p = packedBlock(layout, format);
  const size_t blocks = (padding.columns ? padding.columns : columns) / p.columns, all = padding.rows(rows);
  const size_t rowBytes = columns / format.elements * format.bytes, tileRows = layout.rows;
  std::memset(out, 0, (lastTile - firstTile) * blocks * p.bytes);
  BlockFields fields;
  for (size_t tile = firstTile; tile < lastTile; ++tile)
    for (size_t r = 0; r < tileRows && tile * tileRows + r < all; ++r) {
      const size_t at = tile * tileRows + r;
      if (!padding.isStored(at))
        continue;
      const uint8_t *row = source + padding.storedBefore(at) * rowBytes;
      uint8_t *block = out + (tile - firstTile) * blocks * p.bytes;
      for (size_t b = 0; b < blocks; ++b, block += p.bytes) {
        if (!format.isQuantised()) {
          for (size_t c = 0; c < size_t(p.columns) && b * p.columns + c < columns; ++c)
            std::memcpy(block + p.values.at(r, c), row + (b * p.columns + c) * format.bytes, format.bytes);
          continue;
        }
        readFields(format, row + b * format.bytes, fields);
        if (p.d.bytes == 4)
          std::memcpy(block + p.d.at(r), &fields.d, 4);
        else
          std::memcpy(block + p.d.at(r), &fields.dBits, 2);
        if (p.m.exists())
          std::memcpy(block + p.m.at(r), &fields.mBits, 2);
        for (int g = 0; g < format.groups(); ++g) {
          if (p.scales.exists())
            block[p.scales.at(r, g)] = static_cast<uint8_t>(fields.scales[g]);
          if (p.minimums.exists())
            block[p.minimums.at(r, g)] = fields.minimums[g];
        }
        packCodes(p, fields.codes, r, block);
      }
    }
}

} // namespace stepdown
