// The emulator's fragments, swizzles, tiles and number formats against the vendor's own tables, all rows.
#include "runtime/emulated/MatrixLayout.h"
#include "runtime/emulated/Products.h"
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <map>
#include <random>
#include <sstream>

using namespace stepdown::emulated;
namespace fs = std::filesystem;

namespace {

fs::path vectorsFolder() {
  const char *named = std::getenv("STEPDOWN_VECTORS");
  return named ? fs::path(named) : fs::path(STEPDOWN_SOURCE_DIR) / ".." / "shared" / "vectors";
}

/// The rows of a table behind its heading, cut at commas; of a .gz through gzip.
std::vector<std::vector<std::string>> readTable(const fs::path &path) {
  std::string text;
  if (path.extension() == ".gz") {
    FILE *pipe = popen(("gzip -dc '" + path.string() + "'").c_str(), "r");
    char buffer[65536];
    for (size_t n; pipe && (n = fread(buffer, 1, sizeof buffer, pipe)) > 0;)
      text.append(buffer, n);
    if (pipe)
      pclose(pipe);
  } else {
    std::ifstream file(path);
    text.assign(std::istreambuf_iterator<char>(file), {});
  }
  std::vector<std::vector<std::string>> rows;
  std::istringstream lines(text);
  std::string line;
  std::getline(lines, line);
  while (std::getline(lines, line)) {
    std::istringstream cells(line);
    std::vector<std::string> row;
    for (std::string cell; std::getline(cells, cell, ',');)
      row.push_back(cell);
    rows.push_back(row);
  }
  return rows;
}

uint32_t mode(const std::string &name) { return name == "128B" ? 3 : name == "64B" ? 2 : name == "32B" ? 1 : 0; }

class VendorTable : public testing::Test {
protected:
  void SetUp() override {
    folder = vectorsFolder() / "nvidia-layouts";
    if (!fs::exists(folder))
      GTEST_SKIP() << "no layout vectors at " << folder;
  }
  fs::path folder;
};

} // namespace

TEST_F(VendorTable, FragmentsOfEveryInstruction) {
  const auto rows = readTable(folder / "fragments.csv");
  ASSERT_GT(rows.size(), 14000u);
  for (const auto &row : rows) {
    const std::string &name = row[0];
    const std::string type = name.substr(name.rfind('.') + 1);
    const uint32_t bytes = type == "tf32" ? 4 : type == "bf16" || type == "f16" ? 2 : 1;
    const uint32_t thread = std::stoul(row[2]), value = std::stoul(row[3]);
    const Place place = row[1] == "A"   ? placeA(thread, value, bytes)
                        : row[1] == "B" ? placeB(thread, value, bytes)
                                        : placeC(thread, value);
    ASSERT_EQ(place.row, std::stoul(row[4])) << name << " " << row[1] << " thread " << thread << " value " << value;
    ASSERT_EQ(place.column, std::stoul(row[5])) << name << " " << row[1] << " thread " << thread << " value " << value;
  }
}

TEST_F(VendorTable, Swizzles) {
  const auto rows = readTable(folder / "swizzle.csv");
  ASSERT_EQ(rows.size(), 192u);
  for (const auto &row : rows)
    ASSERT_EQ(swizzle(std::stoul(row[1]), mode(row[0])), std::stoul(row[2])) << row[0] << " " << row[1];
}

TEST_F(VendorTable, TilesThroughTheirDescriptors) {
  // What a wgmma reads through the descriptor that the vendor's code derives is the element that its tile has there.
  std::map<std::string, MatrixDescriptor> descriptors;
  for (const auto &row : readTable(folder / "descriptors.csv")) {
    const uint64_t bits = std::stoull(row[1]) << 62 | std::stoull(row[2]) / 16 << 16 | std::stoull(row[3]) / 16 << 32;
    descriptors[row[0]] = MatrixDescriptor::decode(bits);
    const std::string swizzled = row[0].substr(row[0].find('.', row[0].find('.') + 1) + 1); // "128B.64x64"
    ASSERT_EQ(descriptors[row[0]].mode, mode(swizzled.substr(0, swizzled.find('.')))) << row[0];
  }
  ASSERT_EQ(descriptors.size(), 9u);
  const auto rows = readTable(folder / "tiles.csv.gz");
  ASSERT_EQ(rows.size(), 30720u) << "gzip is needed to read them";
  size_t compared = 0;
  for (const auto &row : rows) {
    const std::string &name = row[0];
    const uint32_t bytes = name.substr(0, 4) == "e4m3" ? 1 : 2, at = std::stoul(row[1]), k = std::stoul(row[2]);
    MatrixDescriptor descriptor = descriptors.at(name);
    uint32_t got;
    if (name.find(".MN.") != std::string::npos) {
      got = descriptor.alongMN(k, at * bytes);
    } else {
      // An instruction reads 32 bytes of k; further ones begin 32 bytes on, inside the swizzled rows.
      descriptor.start = k * bytes / 32 * 32;
      if (descriptor.mode == 0)
        descriptor.start = 0;
      got = descriptor.alongK(at, k * bytes % 32);
    }
    ASSERT_EQ(got, std::stoul(row[3])) << name << " row " << at << " k " << k;
    ++compared;
  }
  EXPECT_EQ(compared, 30720u);
}

TEST(AmdTable, FragmentsOfEveryInstruction) {
  const fs::path path = vectorsFolder() / "amd-layouts" / "layouts.csv.gz";
  if (!fs::exists(path))
    GTEST_SKIP() << "no vectors at " << path;
  std::map<std::string, size_t> compared; // by architecture
  for (const auto &row : readTable(path)) {
    int n = 0, m = 0, k = 0;
    const std::string &chip = row[0], &name = row[1];
    const size_t sizes = std::min(name.find("_16x"), name.find("_32x"));
    ASSERT_NE(sizes, name.npos) << name;
    ASSERT_EQ(std::sscanf(name.c_str() + sizes, "_%dx%dx%d", &m, &n, &k), 3) << name;
    const uint32_t high = std::stoul(row[6]), low = std::stoul(row[6].substr(row[6].find(':') + 1)),
                   bits = high - low + 1, lane = std::stoul(row[7]),
                   value = std::stoul(row[5]) * (32 / bits) + low / bits;
    const bool sum = row[2] == "C" || row[2] == "D";
    Place place;
    if (chip == "rdna3")
      place = sum ? placeWmmaSumGfx11(lane, value) : placeWmmaOperandGfx11(lane, value);
    else if (chip == "rdna4")
      place = sum ? placeWmmaSumGfx12(lane, value) : placeWmmaOperandGfx12(lane, value, bits / 8);
    else
      place = sum ? placeMfmaSum(lane, value, m) : placeMfmaOperand(lane, value, m, k);
    uint32_t first = std::stoul(row[3]), second = std::stoul(row[4]);
    if (row[2] == "B") // theirs is k x n
      std::swap(first, second);
    ASSERT_EQ(place.row, first) << chip << " " << name << " " << row[2] << " lane " << lane << " value " << value;
    ASSERT_EQ(place.column, second) << chip << " " << name << " " << row[2] << " lane " << lane << " value " << value;
    ++compared[chip];
  }
  EXPECT_EQ(compared.size(), 4u);
  for (const auto &[chip, count] : compared)
    EXPECT_GT(count, 4000u) << chip;
}

TEST(NumberFormat, EightBitFloatsDecodeAsTheTablesSay) {
  const fs::path path = vectorsFolder() / "fp8" / "decode.csv";
  if (!fs::exists(path))
    GTEST_SKIP() << "no vectors at " << path;
  int compared = 0;
  for (const auto &row : readTable(path)) {
    if (row[0] != "e4m3fn" && row[0] != "e5m2")
      continue;
    const uint8_t code = uint8_t(std::stoul(row[1]));
    float got;
    toFloats(row[0] == "e5m2" ? ElementType::E5M2 : ElementType::E4M3, &code, 1, &got);
    const double expected = std::strtod(row[2].c_str(), nullptr);
    ++compared;
    if (std::isnan(expected))
      EXPECT_TRUE(std::isnan(got)) << row[0] << " " << row[1];
    else
      EXPECT_EQ(double(got), expected) << row[0] << " " << row[1];
  }
  EXPECT_EQ(compared, 512);
}

TEST(NumberFormat, ProductsEqualFloat64WithinTheirRoundings) {
  std::mt19937 random(3);
  std::uniform_real_distribution<float> uniform(-1, 1);
  constexpr uint32_t rows = 64, n = 40, k = 32; // five vectors of eight columns
  std::vector<float> a(rows * k), b(k * n), sums(rows * n);
  for (auto *v : {&a, &b, &sums})
    for (float &x : *v)
      x = uniform(random);
  std::vector<float> got = sums;
  multiply(got.data(), a.data(), b.data(), rows, n, k);
  for (uint32_t r = 0; r < rows; ++r)
    for (uint32_t c = 0; c < n; ++c) {
      double sum = sums[r * n + c], magnitude = std::fabs(sum);
      for (uint32_t i = 0; i < k; ++i) {
        sum += double(a[r * k + i]) * b[i * n + c];
        magnitude += std::fabs(double(a[r * k + i]) * b[i * n + c]);
      }
      EXPECT_NEAR(got[r * n + c], sum, magnitude * k * 0x1p-24);
    }
}
