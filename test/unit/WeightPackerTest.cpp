// Packs tiny tensors of every storage type and reads them back by the words of lib/Target/Layout.h, one value
// at a time; what comes out must be what decode() gives, bit for bit.
#include "lib/Artifact/WeightPacker.h"
#include "runtime/Checksum.h"
#include "test/unit/GgufBytes.h"
#include "test/unit/RandomBlocks.h"
#include <cmath>
#include <fcntl.h>
#include <fstream>
#include <gtest/gtest.h>
#include <random>

using namespace stepdown;
using test::kTypes;
using test::randomBlocks;

namespace {
const BlockFormat &formatOf(const std::string &name) { return *blockFormat(name.c_str(), name.size()); }

std::vector<float> decoded(const BlockFormat &format, const std::vector<uint8_t> &bytes) {
  std::vector<float> values(bytes.size() / format.bytes * format.elements);
  decode(format, bytes.data(), bytes.size() / format.bytes, values.data());
  return values;
}

template <typename T> T at(const uint8_t *bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

/// The value in `row` (of `rows`) and `column` (of the block) of a packed block.
float unpack(const BlockFormat &format, const uint8_t *block, int row, int column, int rows = 16) {
  if (!format.isQuantised()) {
    const uint8_t *value = block + (column * rows + row) * format.bytes;
    if (format.storage == Storage::F32)
      return at<float>(value);
    if (format.storage == Storage::F16)
      return f16ToF32(at<uint16_t>(value));
    const uint32_t bits = static_cast<uint32_t>(at<uint16_t>(value)) << 16; // bf16
    return at<float>(reinterpret_cast<const uint8_t *>(&bits));
  }
  const std::string name = format.name;
  const bool wideScale =
      name == "mxfp4" || name == "nvfp4" || name == "iq3_xxs" || name.rfind("iq2", 0) == 0 || name.rfind("iq1", 0) == 0;
  const int group = column / format.group;
  const float d = wideScale ? at<float>(block + 4 * row) : f16ToF32(at<uint16_t>(block + 2 * row));
  block += (wideScale ? 4 : 2) * rows;
  float m = 0, scale = 1, minimum = 0;
  if (format.minimum != BlockFormat::None) {
    m = f16ToF32(at<uint16_t>(block + 2 * row));
    block += 2 * rows;
  }
  if (format.groupScales) {
    const uint8_t byte = block[group * rows + row], exponent = byte >> 3, mantissa = byte & 7;
    scale =
        name != "nvfp4" ? static_cast<int8_t>(byte) : std::ldexp(exponent ? 8 + mantissa : 2 * mantissa, exponent - 11);
    block += format.groups() * rows;
  }
  if (format.minimum == BlockFormat::Grouped) {
    minimum = block[group * rows + row];
    block += format.groups() * rows;
  }
  block += column / 32 * 4 * rows * format.bits;
  const int quad = column % 32 / 4, byte = 4 * row + column % 4;
  const std::vector<int> planes = format.bits == 6   ? std::vector<int>{4, 2}
                                  : format.bits == 5 ? std::vector<int>{4, 1}
                                  : format.bits == 3 ? std::vector<int>{2, 1}
                                                     : std::vector<int>{format.bits};
  int code = 0, low = 0;
  for (int bits : planes) {
    const int inByte = quad / bits * bits;
    code |= ((block[4 * rows * (quad % bits) + byte] >> inByte) & ((1 << bits) - 1)) << low;
    block += 4 * rows * bits;
    low += bits;
  }
  const float number = format.table ? format.table[code] : static_cast<float>(code - format.offset);
  const float scaled = d * scale;
  const float product = scaled * number;
  switch (format.minimum) {
  case BlockFormat::None:
    return product;
  case BlockFormat::Plain:
    return product + m;
  case BlockFormat::Grouped:
    break;
  }
  const float lift = m * minimum;
  return product - lift;
}

class Packing {
public:
  explicit Packing(const GgufBytes &made) : file(made.bytes()), gguf(Checkpoint::open(file.path)) {
    EXPECT_TRUE(gguf) << gguf.error().text();
  }

  Result<PackedWeights> plan(std::vector<WeightEntry> entries, uint64_t alignment = 64) {
    return planWeights(*gguf, std::move(entries), alignment);
  }

  /// The bytes of the section, written behind a page of other bytes.
  std::vector<uint8_t> write(const PackedWeights &plan, int jobs = 1, uint64_t *checksum = nullptr,
                             std::function<void(uint64_t, uint64_t)> progress = {}) {
    GgufBytes::File out(std::string(4096, 'x'));
    const int fd = open(out.path.c_str(), O_RDWR);
    uint64_t sum = 0;
    Status status = writeWeights(plan, out.path, fd, 4096, jobs, progress, checksum ? checksum : &sum);
    close(fd);
    EXPECT_TRUE(status) << status.error().text();
    std::ifstream in(out.path, std::ios::binary);
    std::vector<uint8_t> all{std::istreambuf_iterator<char>(in), {}};
    EXPECT_EQ(all.size(), 4096 + plan.bytes);
    EXPECT_EQ(std::count(all.begin(), all.begin() + 4096, 'x'), 4096);
    return {all.begin() + 4096, all.end()};
  }

private:
  GgufBytes::File file;
  Result<Checkpoint> gguf;
};

WeightEntry entry(const std::string &tensor, std::vector<int64_t> dims, const char *type, const Layout *layout,
                  int64_t firstRow = 0) {
  return {tensor, firstRow, std::move(dims), static_cast<uint32_t>(formatOf(type).storage), layout, {}};
}

uint32_t bits(float value) { return at<uint32_t>(reinterpret_cast<const uint8_t *>(&value)); }

class WeightPacker : public testing::TestWithParam<const char *> {
protected:
  /// Packs `rows` rows from `firstRow` on of a matrix of 40 rows of 512 columns and compares every value.
  void check(int64_t firstRow, int64_t rows) {
    const BlockFormat &format = formatOf(GetParam());
    const std::vector<uint8_t> source = randomBlocks(format, 40 * 512 / format.elements, 7);
    Packing packing(GgufBytes().stored("w", {512, 40}, format.storage, source));
    Result<PackedWeights> plan = packing.plan({entry("w", {512, rows}, GetParam(), &kTiles16, firstRow)});
    ASSERT_TRUE(plan) << plan.error().text();
    const std::vector<uint8_t> section = packing.write(*plan);
    const std::vector<float> expected = decoded(format, source);
    const int columns = std::max(format.elements, 32);
    const int64_t tiles = (rows + 15) / 16, blocks = 512 / columns;
    ASSERT_EQ(plan->places[0].bytes % (tiles * blocks), 0u);
    const size_t blockBytes = plan->places[0].bytes / (tiles * blocks);
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t column = 0; column < 512; ++column) {
        const uint8_t *block =
            section.data() + plan->places[0].offset + (row / 16 * blocks + column / columns) * blockBytes;
        ASSERT_EQ(bits(unpack(format, block, row % 16, column % columns)),
                  bits(expected[(firstRow + row) * 512 + column]))
            << "row " << row << " column " << column;
      }
    for (int64_t row = rows; row < tiles * 16; ++row) // scales of rows that are not there
      for (int64_t b = 0; b < blocks; ++b) {
        const uint8_t *block = section.data() + ((tiles - 1) * blocks + b) * blockBytes;
        ASSERT_EQ(unpack(format, block, row % 16, 0), 0.0f);
      }
  }
};
} // namespace

TEST_P(WeightPacker, UnpacksToTheDecodedValues) { check(0, 40); }

TEST_P(WeightPacker, TakesARangeOfRows) { check(5, 21); }

TEST_P(WeightPacker, DecodesRows) {
  const BlockFormat &format = formatOf(GetParam());
  const std::vector<uint8_t> source = randomBlocks(format, 3 * 256 / format.elements, 9);
  Packing packing(GgufBytes().stored("w", {256, 3}, format.storage, source));
  Result<PackedWeights> plan = packing.plan({entry("w", {256, 2}, GetParam(), nullptr, 1)});
  ASSERT_TRUE(plan) << plan.error().text();
  const std::vector<uint8_t> section = packing.write(*plan);
  const std::vector<float> expected = decoded(format, source);
  for (int i = 0; i < 512; ++i)
    ASSERT_EQ(at<uint32_t>(&section[4 * i]), bits(expected[256 + i])) << i;
}

TEST_P(WeightPacker, PutsZerosBehindGroupsAndColumns) {
  const BlockFormat &format = formatOf(GetParam());
  const bool isFloat = !format.isQuantised();
  const int64_t rows = 39, columns = isFloat ? 37 : format.elements, room = isFloat ? 64 : columns;
  const std::vector<uint8_t> source = randomBlocks(format, 41 * columns / format.elements, 11);
  Packing packing(GgufBytes().stored("w", {uint64_t(columns), 41}, format.storage, source));
  WeightEntry padded = entry("w", {columns, rows}, GetParam(), &kTiles16, 2);
  padded.padding = {13, 29, isFloat ? size_t(room) : 0}; // groups begin and end inside tiles
  Result<PackedWeights> plan = packing.plan({padded, padded});
  ASSERT_TRUE(plan) << plan.error().text();
  const std::vector<uint8_t> section = packing.write(*plan);
  const std::vector<float> expected = decoded(format, source);
  const int64_t packedRows = rows / 13 * 29, tiles = (packedRows + 15) / 16, block = std::max(format.elements, 32);
  const size_t blockBytes = plan->places[0].bytes / (tiles * (room / block));
  for (int64_t row = 0; row < tiles * 16; ++row)
    for (int64_t column = 0; column < room; ++column) {
      const uint8_t *at = section.data() + (row / 16 * (room / block) + column / block) * blockBytes;
      const bool stored = row < packedRows && row % 29 < 13 && column < columns;
      const float value = unpack(format, at, row % 16, column % block);
      if (stored)
        ASSERT_EQ(bits(value), bits(expected[(2 + row / 29 * 13 + row % 29) * columns + column]))
            << row << " " << column;
      else
        ASSERT_EQ(value, 0.0f) << row << " " << column; // of either sign
    }
}

// No size of the packer is 16: a layout of 8 rows, which no target has.
TEST_P(WeightPacker, PacksByAnyLayout) {
  static const Layout narrow = {"tiles8", STEPDOWN_PACKING_TILES16, 8, 32};
  const BlockFormat &format = formatOf(GetParam());
  const int64_t rows = 37, firstRow = 3, block = std::max(format.elements, 32), blocks = 512 / block;
  const std::vector<uint8_t> source = randomBlocks(format, 41 * 512 / format.elements, 17);
  Packing packing(GgufBytes().stored("w", {512, 41}, format.storage, source).tensor("a", {5}));
  Result<PackedWeights> plan = packing.plan(
      {entry("a", {5}, "f32", nullptr), entry("w", {512, rows}, GetParam(), &narrow, firstRow)}, narrow.alignment);
  ASSERT_TRUE(plan) << plan.error().text();
  EXPECT_EQ(plan->places[0].bytes, 32u);
  ASSERT_EQ(plan->places[1].offset, 32u);
  ASSERT_EQ(plan->places[1].bytes % (5 * blocks), 0u); // 37 rows are 5 tiles
  const size_t blockBytes = plan->places[1].bytes / (5 * blocks);
  const std::vector<uint8_t> section = packing.write(*plan, 2);
  const std::vector<float> expected = decoded(format, source);
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t column = 0; column < 512; ++column) {
      const uint8_t *at = section.data() + 32 + (row / 8 * blocks + column / block) * blockBytes;
      ASSERT_EQ(bits(unpack(format, at, row % 8, column % block, 8)), bits(expected[(firstRow + row) * 512 + column]))
          << "row " << row << " column " << column;
    }
}

INSTANTIATE_TEST_SUITE_P(Types, WeightPacker, testing::ValuesIn(kTypes),
                         [](const testing::TestParamInfo<const char *> &info) { return std::string(info.param); });

TEST(WeightSection, PutsZerosBehindGroupsOfAVector) {
  Packing packing(GgufBytes().tensor("a", {35}));
  WeightEntry padded = entry("a", {26}, "f32", nullptr, 3);
  padded.padding = {13, 16, 0};
  Result<PackedWeights> plan = packing.plan({padded});
  ASSERT_TRUE(plan) << plan.error().text();
  EXPECT_EQ(plan->places[0].bytes, 128u);
  Result<PackedWeights> plainPlan = packing.plan({entry("a", {26}, "f32", nullptr, 3)});
  const std::vector<uint8_t> section = packing.write(*plan), plain = packing.write(*plainPlan);
  for (int i = 0; i < 32; ++i)
    EXPECT_EQ(at<uint32_t>(&section[4 * i]), i % 16 < 13 ? at<uint32_t>(&plain[4 * (i / 16 * 13 + i % 16)]) : 0u) << i;
}

TEST(WeightSection, TellsStacksOfExperts) {
  Packing packing(GgufBytes().tensor("a.weight", {32, 16, 3}).tensor("b_exps.weight", {32, 48}));
  Result<PackedWeights> plan =
      packing.plan({entry("a.weight", {32, 48}, "f32", &kTiles16), entry("b_exps.weight", {32, 48}, "f32", &kTiles16)});
  ASSERT_TRUE(plan) << plan.error().text();
  EXPECT_TRUE(plan->places[0].isStack);
  EXPECT_FALSE(plan->places[1].isStack);
}

TEST(WeightSection, MultipliesAnExpertByItsScale) {
  const BlockFormat &format = formatOf("nvfp4");
  const std::vector<uint8_t> source = randomBlocks(format, 3 * 16, 23);
  Packing packing(GgufBytes().stored("a.weight", {64, 16, 3}, format.storage, source).tensor("a.scale", {3}));
  constexpr int firstRow = 5;
  Result<PackedWeights> plan = packing.plan({entry("a.weight", {64, 37}, "nvfp4", &kTiles16, firstRow)});
  ASSERT_TRUE(plan) << plan.error().text();
  const std::vector<uint8_t> section = packing.write(*plan, 2);
  const std::vector<float> stored = decoded(format, source);
  for (int row = 0; row < 37; ++row)
    for (int column = 0; column < 64; ++column) {
      const int at = firstRow + row, expert = at / 16; // scales are 0, 1 and 2
      ASSERT_EQ(unpack(format, section.data() + row / 16 * (plan->places[0].bytes / 3), row % 16, column),
                stored[at * 64 + column] * expert)
          << row << " " << column;
    }
}

// IR that is compiled with --weights was printed for another file.
TEST(WeightSection, RefusesAScaleOfAnotherShape) {
  const std::vector<uint8_t> source = randomBlocks(formatOf("nvfp4"), 16, 23);
  const auto refusal = [&](std::vector<uint64_t> dims, Storage storage, size_t bytes) {
    Packing packing(GgufBytes()
                        .stored("a.weight", {64, 16}, Storage::NVFP4, source)
                        .stored("a.scale", dims, storage, std::vector<uint8_t>(bytes)));
    Result<PackedWeights> plan = packing.plan({entry("a.weight", {64, 16}, "nvfp4", &kTiles16)});
    return plan ? ErrorCode{} : plan.error().code;
  };
  EXPECT_EQ(refusal({1}, Storage::F32, 4), ErrorCode{});
  EXPECT_EQ(refusal({1}, Storage::F16, 2), ErrorCode::ModelTensorShape);
  EXPECT_EQ(refusal({2}, Storage::F32, 8), ErrorCode::ModelTensorShape);
  EXPECT_EQ(refusal({17}, Storage::F32, 68), ErrorCode::ModelTensorShape);
  EXPECT_EQ(refusal({1, 2}, Storage::F32, 8), ErrorCode::ModelTensorShape);
}

TEST(WeightSection, RefusesPaddingThatIsNone) {
  Packing packing(GgufBytes().tensor("m", {37, 26}));
  for (WeightPadding bad : {WeightPadding{12, 16, 64}, WeightPadding{13, 12, 64}, WeightPadding{13, 16, 48},
                            WeightPadding{13, 16, 32}, WeightPadding{0, 0, 64}}) {
    WeightEntry padded = entry("m", {37, 26}, "f32", &kTiles16);
    padded.padding = bad;
    Result<PackedWeights> plan = packing.plan({padded});
    ASSERT_FALSE(plan);
    EXPECT_EQ(plan.error().code, ErrorCode::WeightMismatch);
  }
}

TEST(WeightSection, AlignsEveryWeightAndEndsWithZeros) {
  Packing packing(GgufBytes().tensor("a", {5}).tensor("b", {33}).tensor("m", {32, 17}));
  WeightEntry table{"table", 0, {3, 2}, 0, nullptr, {1, 2, 3, 4, 5, 6}};
  Result<PackedWeights> plan = packing.plan({entry("a", {5}, "f32", nullptr), entry("b", {20}, "f32", nullptr, 7),
                                             table, entry("m", {32, 17}, "f32", &kTiles16)});
  ASSERT_TRUE(plan) << plan.error().text();
  ASSERT_EQ(plan->places.size(), 4u);
  const uint64_t offsets[] = {0, 64, 192, 256}, sizes[] = {64, 128, 64, 2 * 32 * 64};
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(plan->places[i].offset, offsets[i]);
    EXPECT_EQ(plan->places[i].bytes, sizes[i]);
  }
  EXPECT_EQ(plan->bytes, 256u + 4096 + 64);
  uint64_t checksum = 0;
  const std::vector<uint8_t> section = packing.write(*plan, 2, &checksum);
  EXPECT_EQ(checksum, checksumOf(section.data(), section.size()));
  for (int i = 0; i < 16; ++i)
    EXPECT_EQ(at<float>(&section[4 * i]), i < 5 ? i : 0);
  for (int i = 0; i < 32; ++i)
    EXPECT_EQ(at<float>(&section[64 + 4 * i]), i < 20 ? 7 + i : 0);
  for (int i = 0; i < 16; ++i)
    EXPECT_EQ(at<float>(&section[192 + 4 * i]), i < 6 ? 1 + i : 0);
  EXPECT_EQ(at<float>(&section[256 + 4 * (5 * 16 + 3)]), 3 * 32 + 5); // row 3, column 5
  EXPECT_EQ(std::count(section.end() - 64, section.end(), 0), 64);
}

TEST(WeightSection, IsTheSameWithAnyJobs) {
  // Several chunks each, which begin and end anywhere in the pieces of the file: 12 MiB of rows, 13 MiB of tiles.
  const std::vector<uint8_t> source = randomBlocks(formatOf("q8_0"), 12288 * 32, 3);
  Packing packing(GgufBytes()
                      .tensor("rows", {1024, 3083})
                      .stored("tiles", {1024, 12288}, Storage::Q8_0, source)
                      .tensor("end", {1}));
  Result<PackedWeights> plan =
      packing.plan({entry("rows", {1024, 3083}, "f32", nullptr), entry("tiles", {1024, 12288}, "q8_0", &kTiles16),
                    entry("end", {1}, "f32", nullptr)});
  ASSERT_TRUE(plan) << plan.error().text();
  uint64_t one = 0, three = 0, last = 0, calls = 0;
  const std::vector<uint8_t> first = packing.write(*plan, 1, &one);
  const std::vector<uint8_t> second = packing.write(*plan, 3, &three, [&](uint64_t done, uint64_t total) {
    EXPECT_GT(done, last);
    EXPECT_EQ(total, plan->bytes);
    last = done;
    ++calls;
  });
  EXPECT_EQ(first, second);
  EXPECT_EQ(one, three);
  EXPECT_EQ(one, checksumOf(first.data(), first.size()));
  EXPECT_EQ(last, plan->bytes);
  EXPECT_GT(calls, 6u);
}

TEST(WeightSection, SaysWhereAFullDiskStoppedIt) {
  Packing packing(GgufBytes().tensor("rows", {1024, 3000}));
  Result<PackedWeights> plan = packing.plan({entry("rows", {1024, 3000}, "f32", nullptr)});
  ASSERT_TRUE(plan);
  const int fd = open("/dev/full", O_WRONLY);
  if (fd < 0)
    GTEST_SKIP() << "there is no /dev/full";
  for (int jobs : {1, 3}) {
    uint64_t checksum = 0;
    Status status = writeWeights(*plan, "model.stepdown", fd, 8192, jobs, {}, &checksum);
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, ErrorCode::FileWrite);
    EXPECT_EQ(status.error().message, // up to a multiple of 2 MiB in the file
              "model.stepdown: offset 8192: expects to write 4186112 bytes of weights, but: No space left on device");
  }
  close(fd);
}

TEST(WeightSection, RefusesWhatTheCheckpointDoesNotHold) {
  const BlockFormat &format = formatOf("q4_0");
  Packing packing(GgufBytes()
                      .tensor("norm", {64})
                      .stored("w", {32, 8}, Storage::Q4_0, randomBlocks(format, 8, 1))
                      .tensor("odd", {20, 4}));
  auto refusal = [&](WeightEntry wrong) {
    Result<PackedWeights> plan = packing.plan({entry("norm", {64}, "f32", nullptr), std::move(wrong)});
    EXPECT_FALSE(plan);
    return plan ? Error{ErrorCode::FileOpen, ""} : plan.error();
  };
  EXPECT_EQ(refusal(entry("gone", {64}, "f32", nullptr)).code, ErrorCode::ModelTensorMissing);
  const WeightEntry wrong[] = {
      entry("w", {32, 8}, "q4_1", &kTiles16),     // another type
      entry("w", {32, 9}, "q4_0", &kTiles16),     // more rows
      entry("w", {32, 4}, "q4_0", &kTiles16, 5),  // a range past the end
      entry("w", {32, 4}, "q4_0", &kTiles16, -1), // or before the beginning
      entry("w", {64, 4}, "q4_0", &kTiles16),     // longer rows
      entry("odd", {20, 4}, "f32", &kTiles16),    // rows that are not whole packed blocks
      entry("w", {16}, "q4_0", nullptr),          // half a block
      entry("norm", {64, 0}, "f32", nullptr),     // nothing
      {"table", 0, {4}, 0, nullptr, {1, 2, 3}},   // a table of other dimensions
  };
  for (const WeightEntry &w : wrong) {
    Error error = refusal(w);
    EXPECT_EQ(error.code, ErrorCode::WeightMismatch) << error.message;
    EXPECT_NE(error.message.find("'" + w.tensor + "'"), std::string::npos) << error.message;
  }
}
