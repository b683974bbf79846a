// Floats to blocks: what a block decodes to is as close as its type allows, whatever the values are. That blocks of 32
// are gguf's bits is test/run/quantize.py's to say.
#include "lib/Checkpoint/BlockEncoder.h"
#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <random>
#include <vector>

using namespace stepdown;

namespace {
const Storage kAll[] = {Storage::Q4_0, Storage::Q4_1, Storage::Q5_0, Storage::Q5_1,
                        Storage::Q8_0, Storage::Q4_K, Storage::Q5_K, Storage::Q6_K};

std::vector<float> throughBlocks(Storage storage, const std::vector<float> &values) {
  const BlockFormat &format = *blockFormat(storage);
  std::vector<uint8_t> blocks(values.size() / format.elements * format.bytes);
  encode(storage, values.data(), values.size() / format.elements, blocks.data());
  std::vector<float> out(values.size());
  decode(format, blocks.data(), values.size() / format.elements, out.data());
  return out;
}

/// The root of the squares of what is off over those of the values.
double errorOf(Storage storage, const std::vector<float> &values) {
  const std::vector<float> got = throughBlocks(storage, values);
  double off = 0, all = 0;
  for (size_t i = 0; i < values.size(); ++i)
    off += std::pow(double(got[i]) - values[i], 2), all += std::pow(double(values[i]), 2);
  return std::sqrt(off / all);
}

enum class Spread { Normal, Exponential, Uniform, Shifted };

std::vector<float> drawn(Spread spread) {
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::exponential_distribution<float> exponential;
  std::vector<float> values(256 * 401);
  for (float &value : values)
    value = spread == Spread::Normal        ? normal(random)
            : spread == Spread::Exponential ? (random() & 1 ? 1.0f : -1.0f) * exponential(random)
            : spread == Spread::Uniform     ? uniform(random)
                                            : 0.7f + 0.2f * normal(random);
  return values;
}
} // namespace

// What ggml's own encoders leave of these values, without weights (ggml_quantize_chunk of llama-cpp-python 0.3.36,
// 2026-12-01: docs/checkpoints.md), is the bound of blocks of 256.
TEST(BlockEncoder, LeavesNoMoreThanGgml) {
  struct Left {
    Storage storage;
    double normal, exponential, uniform, shifted;
  };
  for (const Left &left :
       {Left{Storage::Q4_K, 0.0713, 0.0843, 0.0546, 0.0265}, Left{Storage::Q5_K, 0.0360, 0.0427, 0.0275, 0.0131},
        Left{Storage::Q6_K, 0.0177, 0.0216, 0.0132, 0.0114}}) {
    const double bounds[] = {left.normal, left.exponential, left.uniform, left.shifted};
    for (int spread = 0; spread < 4; ++spread) {
      const double error = errorOf(left.storage, drawn(Spread(spread)));
      EXPECT_LE(error, bounds[spread]) << blockFormat(left.storage)->name << ", spread " << spread;
      EXPECT_GE(error, bounds[spread] / 2) << "a bound this wide would find nothing";
    }
  }
}

TEST(BlockEncoder, KeepsWhatABlockCanSay) {
  for (Storage storage : kAll) {
    const BlockFormat &format = *blockFormat(storage);
    SCOPED_TRACE(format.name);
    std::vector<float> values(format.elements, 0.0f);
    EXPECT_EQ(throughBlocks(storage, values), values) << "zeros";
    // Powers of two, where all steps are exact: multiples of a scale from the least to the largest code.
    const int below = format.minimum == BlockFormat::None ? 1 << (format.bits - 1) : 0, codes = 1 << format.bits;
    for (float scale : {0.5f, 1.0f, 4.0f}) {
      for (int i = 0; i < format.elements; ++i)
        values[i] = scale * static_cast<float>(i % codes - below);
      if (storage == Storage::Q8_0) // -127 to 127
        for (int i = 0; i < format.elements; ++i)
          values[i] = scale * static_cast<float>(i == 0 ? -127 : i * 7 % 255 - 127);
      const std::vector<float> got = throughBlocks(storage, values);
      // Scales of groups, of 6 bits or 8, are of the largest one, and are not exact.
      const float off = format.elements == 256 ? scale * static_cast<float>(codes) / 120 : 0;
      for (int i = 0; i < format.elements; ++i)
        ASSERT_LE(std::fabs(got[i] - values[i]), off) << i << " of scale " << scale;
    }
  }
}

TEST(BlockEncoder, TakesValuesOfEverySize) {
  std::mt19937 random(11);
  std::normal_distribution<float> normal;
  for (Storage storage : kAll)
    for (float size : {std::numeric_limits<float>::denorm_min(), 1e-41f, 1e-38f, 1e-8f, 1e-4f, 1e4f}) {
      std::vector<float> values(256 * 3);
      for (float &value : values)
        value = normal(random) * size;
      for (float got : throughBlocks(storage, values)) {
        ASSERT_TRUE(std::isfinite(got)) << blockFormat(storage)->name << " of " << size;
        ASSERT_LE(std::fabs(got), 6 * size + 1e-3f) << blockFormat(storage)->name << " of " << size;
      }
    }
  for (Storage storage : kAll) { // one value far from the others
    std::vector<float> values(256, 0x1p-20f);
    values[97] = -3000;
    EXPECT_NEAR(throughBlocks(storage, values)[97], -3000, 24) << blockFormat(storage)->name;
  }
}
