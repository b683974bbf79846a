// Interleaves rows; see the header for the layout.
#include "lib/Target/Layout.h"

#include <cstring>
#include <vector>

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
  place(p.d, format.wide ? 4 : 2, 1);
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

/// A row's codes of 32 columns, four neighbours a word: a plane's words hold bits [low, low + bits) of each, shifted to
/// where a quad has its bits. No bit leaves its byte.
template <int bits> static void packPlane(const PackedPlane &plane, const uint8_t *codes, int row, uint8_t *base) {
  constexpr int vectors = kQuads * bits / 8;
  constexpr uint32_t mask = 0x01010101u * ((1u << bits) - 1);
  uint32_t quads[kQuads], words[vectors] = {};
  std::memcpy(quads, codes, sizeof quads);
  for (int quad = 0; quad < kQuads; ++quad)
    words[quad % vectors] |= (quads[quad] >> plane.low & mask) << quad / vectors * bits;
  for (int v = 0; v < vectors; ++v)
    std::memcpy(base + plane.vectorOf(v) + PackedPlane::byteOf(row, 0), &words[v], sizeof words[v]);
}

/// Scatters one row's codes into the planes of the packed block.
static void packCodes(const PackedBlock &p, const uint8_t *codes, int row, uint8_t *block) {
  for (int sub = 0; sub < p.columns / kCodeColumns; ++sub, codes += kCodeColumns) {
    uint8_t *base = block + p.codesOffset + sub * p.codeBytes;
    for (int i = 0; i < p.planes; ++i)
      switch (p.plane[i].bits) {
      case 1:
        packPlane<1>(p.plane[i], codes, row, base);
        break;
      case 2:
        packPlane<2>(p.plane[i], codes, row, base);
        break;
      case 4:
        packPlane<4>(p.plane[i], codes, row, base);
        break;
      default:
        packPlane<8>(p.plane[i], codes, row, base);
      }
  }
}

/// One row's part of a packed block of a quantised format.
static void packBlock(const PackedBlock &p, const uint8_t *source, float scale, int row, uint8_t *block) {
  BlockFields fields;
  readFields(*p.format, source, fields);
  fields.d *= scale;
  if (p.format->wide)
    std::memcpy(block + p.d.at(row), &fields.d, 4);
  else
    std::memcpy(block + p.d.at(row), &fields.dBits, 2);
  if (p.m.exists())
    std::memcpy(block + p.m.at(row), &fields.mBits, 2);
  const int groups = p.format->groups();
  for (int g = 0; p.scales.exists() && g < groups; ++g)
    block[p.scales.at(row, g)] = static_cast<uint8_t>(fields.scales[g]);
  for (int g = 0; p.minimums.exists() && g < groups; ++g)
    block[p.minimums.at(row, g)] = fields.minimums[g];
  packCodes(p, fields.codes, row, block);
}

void packTiles(const Layout &layout, const BlockFormat &format, const uint8_t *source, size_t rows, size_t columns,
               size_t firstTile, size_t lastTile, uint8_t *out, const WeightPadding &padding) {
  packTilesFrom(layout, format, source, 0, rows, columns, firstTile, lastTile, out, padding);
}

void packTilesFrom(const Layout &layout, const BlockFormat &format, const uint8_t *source, size_t skipped, size_t rows,
                   size_t columns, size_t firstTile, size_t lastTile, uint8_t *out, const WeightPadding &padding,
                   const float *scales) {
  const PackedBlock p = packedBlock(layout, format);
  const size_t blocks = (padding.columns ? padding.columns : columns) / p.columns, all = padding.rows(rows);
  const size_t rowBytes = columns / format.elements * format.bytes, tileRows = layout.rows;
  std::vector<const uint8_t *> from(tileRows); // [rows of a tile] null where nothing is stored
  std::vector<float> factor(tileRows, 1);
  for (size_t tile = firstTile; tile < lastTile; ++tile) {
    bool whole = padding.columns == 0;
    for (size_t r = 0; r < tileRows; ++r) {
      const size_t at = tile * tileRows + r;
      const bool stored = at < all && padding.isStored(at);
      from[r] = stored ? source + (padding.storedBefore(at) - skipped) * rowBytes : nullptr;
      whole &= stored;
      if (stored && scales)
        factor[r] = scales[padding.storedBefore(at)];
    }
    uint8_t *block = out + (tile - firstTile) * blocks * p.bytes;
    if (!whole) // every bit of a whole one is written below
      std::memset(block, 0, blocks * p.bytes);
    for (size_t b = 0; b < blocks; ++b, block += p.bytes) // all rows of a block, so that it stays in the cache
      for (size_t r = 0; r < tileRows; ++r) {
        if (!from[r])
          continue;
        if (format.isQuantised()) {
          packBlock(p, from[r] + b * format.bytes, factor[r], r, block);
          continue;
        }
        for (size_t c = 0; c < size_t(p.columns) && b * p.columns + c < columns; ++c)
          std::memcpy(block + p.values.at(r, c), from[r] + (b * p.columns + c) * format.bytes, format.bytes);
      }
  }
}

} // namespace stepdown
