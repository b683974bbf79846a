// Fragments and tiles written as text, as they print; descriptors read off a tile and then compared with it.
#include "lib/Layout/NvidiaLayouts.h"

namespace stepdown::nvidia {

static std::string str(int64_t value) { return std::to_string(value); }

LinearLayout wgmmaAccumulator(int n) {
  return LinearLayout::of("register[2:column 2:8*row " + str(n / 8) +
                          ":8*column] lane[4:2*column 8:row] warp[4:16*row]" + " -> row[64] column[" + str(n) + "]");
}

/// A lane holds `packed` columns a register, of rows 8 apart, then of columns 4 registers apart.
static std::string fragmentA(int packed, int k, const char *warps, int rows) {
  return "register[" + str(packed) + ":column 2:8*row " + str(k / packed / 4) + ":" + str(4 * packed) +
         "*column] lane[4:" + str(packed) + "*column 8:row]" + warps + " -> row[" + str(rows) + "] column[" + str(k) +
         "]";
}

LinearLayout wgmmaA(int elementBits) {
  return LinearLayout::of(fragmentA(32 / elementBits, 256 / elementBits, " warp[4:16*row]", 64));
}

LinearLayout mmaA(int elementBits, int k) { return LinearLayout::of(fragmentA(32 / elementBits, k, "", 16)); }

LinearLayout mmaB(int elementBits, int k) {
  const int packed = 32 / elementBits;
  return LinearLayout::of("register[" + str(packed) + ":column " + str(k / packed / 4) + ":" + str(4 * packed) +
                          "*column] lane[4:" + str(packed) + "*column 8:row] -> row[8] column[" + str(k) + "]");
}

LinearLayout mmaC() {
  return LinearLayout::of("register[2:column 2:8*row] lane[4:2*column 8:row] -> row[16] column[8]");
}

int swizzleBytes(Swizzle swizzle) { return 16 << static_cast<int>(swizzle); }

LinearLayout swizzled(Swizzle swizzle, int64_t bytes) {
  const int bits = static_cast<int>(swizzle);
  std::string text = "offset[16:offset";
  for (int b = 0; b < 3; ++b)
    text += " 2^" + str(16 << b) + "*offset";
  for (int b = 0; b < bits; ++b)
    text += " 2^" + str(128 << b | 16 << b) + "*offset";
  // Below 128 bytes there is nothing to swizzle; the rest of the bytes repeats.
  const int64_t period = int64_t(128) << bits;
  if (bits == 0)
    return LinearLayout::identity("offset", bytes, "offset");
  return LinearLayout::of(text + " " + str(bytes / period) + ":" + str(period) + "*offset] -> offset[" + str(bytes) +
                          "]");
}

std::optional<LinearLayout> sharedTile(int elementBits, Major major, Swizzle swizzle, int64_t rows, int64_t columns) {
  const int64_t bytes = elementBits / 8, width = swizzleBytes(swizzle),
                held = width / bytes; // elements of an atom's row
  const bool isK = major == Major::K;
  if (rows % (isK ? 8 : held) || columns % (isK ? held : 8))
    return std::nullopt;
  std::string text;
  if (isK)
    text = "row[8:" + str(width) + "*offset " + str(rows / 8) + ":" + str(8 * width) + "*offset] column[" + str(held) +
           ":" + str(bytes) + "*offset " + str(columns / held) + ":" + str(rows * width) + "*offset]";
  else
    text = "row[" + str(held) + ":" + str(bytes) + "*offset " + str(rows / held) + ":" + str(8 * width) +
           "*offset] column[8:" + str(width) + "*offset " + str(columns / 8) + ":" + str(8 * rows * bytes) + "*offset]";
  const int64_t all = rows * columns * bytes;
  return compose(swizzled(swizzle, all), LinearLayout::of(text + " -> offset[" + str(all) + "]"));
}

int MatrixDescriptor::layoutType() const { return swizzle == Swizzle::None ? 0 : 4 - static_cast<int>(swizzle); }

uint64_t MatrixDescriptor::encoded() const {
  auto field = [](int64_t bytes) { return static_cast<uint64_t>(bytes >> 4) & 0x3fff; };
  return field(start) | field(leadingOffset) << 16 | field(strideOffset) << 32 |
         static_cast<uint64_t>(baseOffset & 7) << 49 | static_cast<uint64_t>(layoutType()) << 62;
}

/// Where an element lies, from the start, as the PTX ISA computes it from a descriptor.
static int64_t byDescriptor(const MatrixDescriptor &descriptor, int64_t bytes, Major major, int64_t row,
                            int64_t column) {
  const int64_t width = swizzleBytes(descriptor.swizzle), chunk = 16 / bytes;
  int64_t at;
  if (major == Major::K && descriptor.swizzle == Swizzle::None)
    at = row % 8 * 16 + row / 8 * descriptor.strideOffset + column % chunk * bytes +
         column / chunk * descriptor.leadingOffset;
  else if (major == Major::K)
    at = row % 8 * width + row / 8 * descriptor.strideOffset + column * bytes;
  else if (descriptor.swizzle == Swizzle::None)
    at = row % chunk * bytes + row / chunk * descriptor.strideOffset + column % 8 * 16 +
         column / 8 * descriptor.leadingOffset;
  else
    at = row * bytes % width + row * bytes / width * descriptor.leadingOffset + column % 8 * width +
         column / 8 * descriptor.strideOffset;
  const int64_t chunks = (int64_t(1) << static_cast<int>(descriptor.swizzle)) - 1;
  return at ^ ((at >> 7 & chunks) << 4);
}

std::optional<MatrixDescriptor> descriptorOf(const LinearLayout &tile, int elementBits, Major major, Swizzle swizzle) {
  const int64_t bytes = elementBits / 8, chunk = 16 / bytes, width = swizzleBytes(swizzle), held = width / bytes;
  const int64_t rows = tile.inputSize("row"), columns = 256 / elementBits;
  if (tile.inputs().size() != 2 || tile.inputs()[0].name != "row" || tile.outputs().size() != 1 ||
      tile.inputSize("column") < columns)
    return std::nullopt;
  auto at = [&](int64_t row, int64_t column) {
    return row < rows && column < columns ? tile.apply({row, column})[0] : 0;
  };
  MatrixDescriptor descriptor;
  descriptor.swizzle = swizzle;
  if (major == Major::K) {
    descriptor.leadingOffset = swizzle == Swizzle::None ? at(0, chunk) : 16;
    descriptor.strideOffset = at(8, 0);
  } else {
    descriptor.leadingOffset = swizzle == Swizzle::None ? at(0, 8) : at(held, 0);
    descriptor.strideOffset = swizzle == Swizzle::None ? at(chunk, 0) : at(0, 8);
  }
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t column = 0; column < columns; ++column)
      if (byDescriptor(descriptor, bytes, major, row, column) != at(row, column))
        return std::nullopt;
  if (descriptor.leadingOffset % 16 || descriptor.strideOffset % 16 || descriptor.leadingOffset >> 18 ||
      descriptor.strideOffset >> 18)
    return std::nullopt;
  return descriptor;
}

} // namespace stepdown::nvidia
