// A quantised weight as a file has it, as it means, and as matrix units take it: rounded to binary16 as tile.unpack
// says, by arithmetic that is written down here once more.
#pragma once
#include "lib/Checkpoint/BlockFormat.h"
#include "lib/Target/Layout.h"
#include "test/device/TileKernel.h"
#include "test/unit/RandomBlocks.h"

namespace stepdown::test {

inline double round16(double value) { return f16ToF32(f32ToF16(float(value))); }

/// W [rows, columns] of one storage type: as a file has it, as it means, and as registers hold it.
struct Weight {
  const BlockFormat &format;
  const uint32_t rows, columns;
  std::vector<uint8_t> stored;
  std::vector<double> meant, rounded, bound; ///< [rows, columns]; how far `rounded` may be from `meant`

  Weight(const char *type, uint32_t rows, uint32_t columns)
      : format(*blockFormat(type, std::strlen(type))), rows(rows), columns(columns) {
    const size_t count = size_t(rows) * columns / format.elements;
    std::vector<float> values(format.elements);
    for (uint32_t seed = 1, made = 0; made < count; ++seed) {
      const std::vector<uint8_t> block = randomBlocks(format, 1, seed);
      decode(format, block.data(), 1, values.data());
      if (std::any_of(values.begin(), values.end(), [](float v) { return std::fabs(v) > 100; }))
        continue; // sums would be of a few values
      stored.insert(stored.end(), block.begin(), block.end());
      append(block.data(), values);
      ++made;
    }
  }

  std::vector<uint8_t> packed() const {
    std::vector<uint8_t> bytes(packedBytes(kTiles16, format, rows, columns));
    packTiles(kTiles16, format, stored.data(), rows, columns, 0, tilesOf(kTiles16, rows), bytes.data());
    return bytes;
  }

private:
  void append(const uint8_t *block, const std::vector<float> &values) {
    BlockFields f;
    readFields(format, block, f);
    const double unit = 0x1p-11; // of binary16, and half of its least number
    for (int i = 0; i < format.elements; ++i) {
      const int group = i / format.group;
      // Types with minimums are counted from the middle of their codes.
      const double centre = format.minimum == BlockFormat::None ? 0 : 1 << (format.bits - 1);
      const double code = (format.table ? format.table[f.codes[i]] : f.codes[i] - format.offset) - centre;
      const double scaled = double(f.d) * f.scales[group], scale = round16(scaled), product = round16(scale * code);
      double value = product, error = 2 * unit * std::fabs(product);
      if (format.minimum != BlockFormat::None) {
        const double given = format.minimum == BlockFormat::Plain ? double(f.m) : -double(f.m) * f.minimums[group];
        const double moved = round16(scaled * centre + given);
        value = round16(product + moved);
        error += unit * (std::fabs(value) + 2 * std::fabs(moved));
      }
      meant.push_back(values[i]), rounded.push_back(value), bound.push_back(error + 3 * 0x1p-25);
    }
  }
};

} // namespace stepdown::test
