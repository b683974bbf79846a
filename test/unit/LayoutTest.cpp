// The description of packed blocks, for every storage type: what the packer wrote is read back value by value at the
// places that the description gives, for the layout that targets have and for made-up ones, in which no size is 16.
// That the places of tiles16 are those of the words in the header is WeightPackerTest's to say, which knows no
// description.
#include "lib/Target/Layout.h"
#include "test/unit/RandomBlocks.h"
#include <cmath>
#include <cstring>
#include <gtest/gtest.h>
#include <random>
#include <string>
#include <tuple>
#include <vector>

using namespace stepdown;
using test::kTypes;
using test::randomBlocks;

namespace {
const Layout kLayouts[] = {
    kTiles16, {"tiles8", STEPDOWN_PACKING_TILES16, 8, 32}, {"tiles5", STEPDOWN_PACKING_TILES16, 5, 4}};

template <typename T> T at(const uint8_t *bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

/// The code of a row and a column, put together from the planes that hold its bits.
int codeOf(const PackedBlock &p, const uint8_t *block, int row, int column) {
  const uint8_t *codes = block + p.codesOffset + column / kCodeColumns * p.codeBytes;
  const int quad = column % kCodeColumns / kQuadColumns;
  int code = 0;
  for (int i = 0; i < p.planes; ++i) {
    const PackedPlane &plane = p.plane[i];
    const int byte = codes[plane.vectorOf(quad) + PackedPlane::byteOf(row, column % kQuadColumns)];
    code |= (byte >> plane.shiftOf(quad) & ((1 << plane.bits) - 1)) << plane.low;
  }
  return code;
}

/// The value of a row and a column of a packed block, by the formula of its storage type.
float valueOf(const PackedBlock &p, const uint8_t *block, int row, int column) {
  const BlockFormat &format = *p.format;
  if (!format.isQuantised()) {
    const uint8_t *stored = block + p.values.at(row, column);
    if (format.storage == Storage::F32)
      return at<float>(stored);
    if (format.storage == Storage::F16)
      return f16ToF32(at<uint16_t>(stored));
    const uint32_t bits = uint32_t(at<uint16_t>(stored)) << 16; // bf16
    return at<float>(reinterpret_cast<const uint8_t *>(&bits));
  }
  const int group = column / format.group, code = codeOf(p, block, row, column);
  const uint8_t *stored = block + p.d.at(row);
  float scale = format.wide ? at<float>(stored) : f16ToF32(at<uint16_t>(stored));
  if (p.scales.exists())
    scale *= scaleOf(format, static_cast<int8_t>(block[p.scales.at(row, group)]));
  const float product = scale * (format.table ? format.table[code] : float(code - format.offset));
  if (!p.m.exists())
    return product;
  const float m = f16ToF32(at<uint16_t>(block + p.m.at(row)));
  if (!p.minimums.exists())
    return product + m;
  const float lift = m * block[p.minimums.at(row, group)];
  return product - lift;
}

/// [layout, storage type]
class LayoutOf : public testing::TestWithParam<std::tuple<size_t, const char *>> {
protected:
  const Layout &layout = kLayouts[std::get<0>(GetParam())];
  const BlockFormat &format = *blockFormat(std::get<1>(GetParam()), std::strlen(std::get<1>(GetParam())));
  const PackedBlock p = packedBlock(layout, format);
};
} // namespace

TEST_P(LayoutOf, ReadsBackWhatWasPacked) {
  for (size_t rows : {1, 7, 37, 53}) {
    const size_t columns = 3 * p.columns, blocks = 3, tiles = tilesOf(layout, rows);
    const std::vector<uint8_t> source = randomBlocks(format, rows * columns / format.elements, 13);
    std::vector<float> expected(rows * columns);
    decode(format, source.data(), expected.size() / format.elements, expected.data());
    ASSERT_EQ(packedBytes(layout, format, rows, columns), tiles * blocks * p.bytes);
    std::vector<uint8_t> packed(tiles * blocks * p.bytes, 0xa5);
    for (size_t first = 0; first < tiles; first += 2) // in pieces, as the section is written
      packTiles(layout, format, source.data(), rows, columns, first, std::min(first + 2, tiles),
                packed.data() + first * blocks * p.bytes);
    for (size_t row = 0; row < tiles * layout.rows; ++row)
      for (size_t column = 0; column < columns; ++column) {
        const uint8_t *block = packed.data() + (row / layout.rows * blocks + column / p.columns) * p.bytes;
        const float value = valueOf(p, block, row % layout.rows, column % p.columns);
        if (row < rows)
          ASSERT_EQ(at<uint32_t>(reinterpret_cast<const uint8_t *>(&value)),
                    at<uint32_t>(reinterpret_cast<const uint8_t *>(&expected[row * columns + column])))
              << "row " << row << " of " << rows << ", column " << column;
        else
          ASSERT_EQ(value, 0.0f) << "row " << row << " of " << rows << ", column " << column;
      }
  }
}

TEST_P(LayoutOf, GivesEveryBitToOneValue) {
  std::vector<uint8_t> taken(p.bytes, 0);
  auto take = [&](int byte, int shift, int bits) {
    ASSERT_LT(byte, p.bytes);
    const int mask = ((1 << bits) - 1) << shift;
    ASSERT_EQ(taken[byte] & mask, 0) << "byte " << byte;
    taken[byte] |= mask;
  };
  auto takeField = [&](const PackedField &field, int count) {
    for (int row = 0; field.exists() && row < layout.rows; ++row)
      for (int i = 0; i < count; ++i)
        for (int byte = 0; byte < field.bytes; ++byte)
          take(field.at(row, i) + byte, 0, 8);
  };
  takeField(p.d, 1);
  takeField(p.m, 1);
  takeField(p.scales, format.groups());
  takeField(p.minimums, format.groups());
  takeField(p.values, p.columns);
  for (int row = 0; format.isQuantised() && row < layout.rows; ++row)
    for (int column = 0; column < p.columns; ++column)
      for (int i = 0; i < p.planes; ++i) {
        const int quad = column % kCodeColumns / kQuadColumns;
        take(p.codesOffset + column / kCodeColumns * p.codeBytes + p.plane[i].vectorOf(quad) +
                 PackedPlane::byteOf(row, column % kQuadColumns),
             p.plane[i].shiftOf(quad), p.plane[i].bits);
      }
  EXPECT_EQ(std::count(taken.begin(), taken.end(), 0xff), p.bytes);
}

INSTANTIATE_TEST_SUITE_P(Layouts, LayoutOf, testing::Combine(testing::Values(0, 1, 2), testing::ValuesIn(kTypes)),
                         [](const auto &info) {
                           return std::string(kLayouts[std::get<0>(info.param)].name) + "_" + std::get<1>(info.param);
                         });

TEST(Layout, IsFoundByItsRows) {
  EXPECT_EQ(layoutOfRows(16), &kTiles16);
  for (int rows : {0, 1, 8, 17})
    EXPECT_EQ(layoutOfRows(rows), nullptr) << rows;
  EXPECT_EQ(layoutRows(), "16");
}
