// Our layouts beside the vendors' own tables, every row of them: NVIDIA's CuTe evaluated on the host, AMD's matrix
// instruction calculator. They lie outside the repository ($STEPDOWN_VECTORS, or shared/vectors beside it); a few rows
// are written here as well.
#include "lib/Layout/AmdLayouts.h"
#include "lib/Layout/NvidiaLayouts.h"
#include "lib/Layout/SharedAccess.h"
#include "lib/Target/WarpFragments.h"
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <gtest/gtest.h>
#include <map>
#include <set>
#include <zlib.h>

using namespace stepdown;
using nvidia::Major;
using nvidia::Swizzle;

namespace {

std::string folder() {
  const char *set = std::getenv("STEPDOWN_VECTORS");
  return set ? set : STEPDOWN_SOURCE_DIR "/../shared/vectors";
}

/// The fields of every line but the first, of a file that may be compressed; empty where it is not there.
std::vector<std::vector<std::string>> rowsOf(const std::string &path) {
  std::vector<std::vector<std::string>> rows;
  gzFile file = gzopen(path.c_str(), "rb");
  if (!file)
    return rows;
  char line[512];
  while (gzgets(file, line, sizeof line)) {
    rows.emplace_back(1);
    for (const char *c = line; *c && *c != '\n'; ++c)
      if (*c == ',')
        rows.back().emplace_back();
      else
        rows.back().back() += *c;
  }
  gzclose(file);
  rows.erase(rows.begin());
  return rows;
}

using Point = std::vector<int64_t>;
/// Instruction and operand -> (register, lane, warp of its warpgroup) -> row, column, as a table lists them.
using Table = std::map<std::string, std::map<Point, std::set<Point>>>;

void expectTable(const std::string &name, const LinearLayout &layout, const std::map<Point, std::set<Point>> &table) {
  EXPECT_EQ(layout.points(), static_cast<int64_t>(table.size())) << name;
  const size_t inputs = layout.inputs().size();
  for (const auto &[at, to] : table) {
    Point from(at.begin(), at.begin() + inputs);
    ASSERT_EQ(to.size(), 1u) << name;
    ASSERT_EQ(layout.apply(from), *to.begin()) << name << ": " << layout.str();
  }
}

const std::map<std::string, LinearLayout> &nvidiaFragments() {
  using namespace nvidia;
  static const std::map<std::string, LinearLayout> fragments = {
      {"mma.m16n8k16.bf16,A", mmaA(16, 16)},  {"mma.m16n8k16.bf16,B", mmaB(16, 16)},
      {"mma.m16n8k16.bf16,C", mmaC()},        {"mma.m16n8k8.f16,A", mmaA(16, 8)},
      {"mma.m16n8k8.f16,B", mmaB(16, 8)},     {"mma.m16n8k8.f16,C", mmaC()},
      {"mma.m16n8k8.tf32,A", mmaA(32, 8)},    {"mma.m16n8k8.tf32,B", mmaB(32, 8)},
      {"mma.m16n8k8.tf32,C", mmaC()},         {"mma.m16n8k32.s8,A", mmaA(8, 32)},
      {"mma.m16n8k32.s8,B", mmaB(8, 32)},     {"mma.m16n8k32.s8,C", mmaC()},
      {"wgmma.m64n8k16.bf16,A", wgmmaA(16)},  {"wgmma.m64n8k16.bf16,C", wgmmaAccumulator(8)},
      {"wgmma.m64n64k16.bf16,A", wgmmaA(16)}, {"wgmma.m64n64k16.bf16,C", wgmmaAccumulator(64)},
      {"wgmma.m64n8k32.e4m3,A", wgmmaA(8)},   {"wgmma.m64n8k32.e4m3,C", wgmmaAccumulator(8)},
      {"wgmma.m64n8k32.s8,A", wgmmaA(8)},     {"wgmma.m64n8k32.s8,C", wgmmaAccumulator(8)},
      {"wgmma.m64n8k8.tf32,A", wgmmaA(32)},   {"wgmma.m64n8k8.tf32,C", wgmmaAccumulator(8)},
  };
  return fragments;
}

TEST(VendorLayouts, NvidiaFragments) {
  const auto rows = rowsOf(folder() + "/nvidia-layouts/fragments.csv");
  if (rows.empty())
    GTEST_SKIP() << "no nvidia-layouts in " << folder() << " (set STEPDOWN_VECTORS)";
  Table tables;
  for (const auto &row : rows) {
    const int64_t thread = std::stoi(row[2]);
    tables[row[0] + "," + row[1]][{std::stoi(row[3]), thread % 32, thread / 32}].insert(
        {std::stoi(row[4]), std::stoi(row[5])});
  }
  EXPECT_EQ(tables.size(), nvidiaFragments().size());
  for (const auto &[name, table] : tables) {
    ASSERT_TRUE(nvidiaFragments().count(name)) << name;
    expectTable(name, nvidiaFragments().at(name), table);
  }
}

/// Of the tables, by hand.
TEST(VendorLayouts, NvidiaFragmentsByHand) {
  EXPECT_EQ(nvidia::mmaA(16, 16).apply({6, 2}), (Point{8, 12}));
  EXPECT_EQ(nvidia::mmaB(8, 32).apply({5, 9}), (Point{2, 21}));
  EXPECT_EQ(nvidia::wgmmaA(8).apply({13, 5, 2}), (Point{41, 21}));
  // The n8 pattern repeats: register 4 j + i of n176 is register i of n8, eight j columns on.
  for (int64_t r : {0, 1, 43, 86, 87})
    EXPECT_EQ(nvidia::wgmmaAccumulator(176).apply({r, 30, 3}), (Point{48 + 7 + r / 2 % 2 * 8, 4 + r % 2 + r / 4 * 8}));
}

const std::map<std::string, Swizzle> kSwizzles = {
    {"128B", Swizzle::B128}, {"64B", Swizzle::B64}, {"32B", Swizzle::B32}, {"none", Swizzle::None}};

TEST(VendorLayouts, Swizzles) {
  EXPECT_EQ(nvidia::swizzled(Swizzle::B128, 1024).apply({0x1f4}), Point{0x1f4 ^ 0x30});
  EXPECT_EQ(nvidia::swizzled(Swizzle::B64, 1024).apply({0x1f4}), Point{0x1f4 ^ 0x30});
  EXPECT_EQ(nvidia::swizzled(Swizzle::B32, 1024).apply({0x1f4}), Point{0x1f4 ^ 0x10});
  const auto rows = rowsOf(folder() + "/nvidia-layouts/swizzle.csv");
  if (rows.empty())
    GTEST_SKIP() << "no nvidia-layouts in " << folder() << " (set STEPDOWN_VECTORS)";
  for (const auto &row : rows)
    for (int64_t byte = 0; byte < 16; ++byte)
      ASSERT_EQ(nvidia::swizzled(kSwizzles.at(row[0]), 1024).apply({std::stoi(row[1]) + byte}),
                Point{std::stoi(row[2]) + byte});
}

/// A tile by its name in the tables: type.major.swizzle.rows x columns.
struct NamedTile {
  int bits;
  Major major;
  Swizzle swizzle;
  LinearLayout layout;
};
NamedTile tileNamed(const std::string &name) {
  std::vector<std::string> parts(1);
  for (char c : name)
    if (c == '.')
      parts.emplace_back();
    else
      parts.back() += c;
  const int rows = std::stoi(parts[3]), columns = std::stoi(parts[3].substr(parts[3].find('x') + 1));
  NamedTile tile{parts[0] == "bf16" ? 16 : 8, parts[1] == "K" ? Major::K : Major::MN, kSwizzles.at(parts[2]), {}};
  tile.layout = nvidia::sharedTile(tile.bits, tile.major, tile.swizzle, rows, columns).value();
  return tile;
}

TEST(VendorLayouts, SharedTiles) {
  const auto rows = rowsOf(folder() + "/nvidia-layouts/tiles.csv.gz");
  if (rows.empty())
    GTEST_SKIP() << "no nvidia-layouts in " << folder() << " (set STEPDOWN_VECTORS)";
  std::map<std::string, int64_t> seen;
  std::map<std::string, NamedTile> tiles;
  for (const auto &row : rows) {
    if (!seen[row[0]]++)
      tiles[row[0]] = tileNamed(row[0]);
    const LinearLayout &layout = tiles[row[0]].layout;
    ASSERT_EQ(layout.apply({std::stoi(row[1]), std::stoi(row[2])}), Point{std::stoi(row[3])})
        << row[0] << ": " << layout.str();
  }
  EXPECT_EQ(seen.size(), 9u);
  for (const auto &[name, count] : seen)
    EXPECT_EQ(count, tiles[name].layout.points()) << name;
}

TEST(VendorLayouts, Descriptors) {
  const auto rows = rowsOf(folder() + "/nvidia-layouts/descriptors.csv");
  if (rows.empty())
    GTEST_SKIP() << "no nvidia-layouts in " << folder() << " (set STEPDOWN_VECTORS)";
  EXPECT_EQ(rows.size(), 9u);
  for (const auto &row : rows) {
    const NamedTile tile = tileNamed(row[0]);
    auto descriptor = nvidia::descriptorOf(tile.layout, tile.bits, tile.major, tile.swizzle);
    ASSERT_TRUE(descriptor) << row[0];
    EXPECT_EQ(descriptor->layoutType(), std::stoi(row[1])) << row[0];
    EXPECT_EQ(descriptor->leadingOffset, std::stoi(row[2])) << row[0];
    EXPECT_EQ(descriptor->strideOffset, std::stoi(row[3])) << row[0];
  }
}

TEST(VendorLayouts, DescriptorsByHand) {
  // 176 rows of 64 bf16 K-major, and the same as 176 columns (keys) of 128 values MN-major: no power of two.
  auto k = nvidia::sharedTile(16, Major::K, Swizzle::B128, 176, 128),
       mn = nvidia::sharedTile(16, Major::MN, Swizzle::B128, 128, 176);
  ASSERT_TRUE(k && mn);
  EXPECT_EQ(k->str(), "row[2^144*offset 2^288*offset 2^576*offset 22:1024*offset] column[8:2*offset 2^16*offset "
                      "2^32*offset 2^64*offset 2:22528*offset] -> offset[45056]");
  auto descriptor = nvidia::descriptorOf(*k, 16, Major::K, Swizzle::B128);
  ASSERT_TRUE(descriptor);
  descriptor->start = 0x2400;
  EXPECT_EQ(descriptor->encoded(), 1ull << 62 | 64ull << 32 | 1ull << 16 | 0x240);
  descriptor = nvidia::descriptorOf(*mn, 16, Major::MN, Swizzle::B128);
  ASSERT_TRUE(descriptor);
  EXPECT_EQ(descriptor->encoded(), 1ull << 62 | 128ull << 32 | 64ull << 16);
  // A tile is not what another swizzle's descriptor says; nor is a plain row-major one.
  EXPECT_FALSE(nvidia::descriptorOf(*k, 16, Major::K, Swizzle::B64));
  EXPECT_FALSE(nvidia::descriptorOf(LinearLayout::of("row[64:256*offset] column[128:2*offset] -> offset[16384]"), 16,
                                    Major::K, Swizzle::B128));
  EXPECT_FALSE(nvidia::sharedTile(16, Major::K, Swizzle::B128, 176, 80));
}

const std::map<std::string, std::function<LinearLayout(bool accumulator, int bits, int rows, int k)>> kAmd = {
    {"cdna2", [](bool c, int, int rows, int k) { return c ? amd::mfmaAccumulator(rows) : amd::mfmaOperand(rows, k); }},
    {"cdna3", [](bool c, int, int rows, int k) { return c ? amd::mfmaAccumulator(rows) : amd::mfmaOperand(rows, k); }},
    {"rdna3", [](bool c, int, int, int) { return c ? amd::wmmaAccumulatorGfx11() : amd::wmmaOperandGfx11(); }},
    {"rdna4",
     [](bool c, int bits, int, int) { return c ? amd::wmmaAccumulatorGfx12() : amd::wmmaOperandGfx12(bits); }}};

TEST(VendorLayouts, AmdFragments) {
  const auto rows = rowsOf(folder() + "/amd-layouts/layouts.csv.gz");
  if (rows.empty())
    GTEST_SKIP() << "no amd-layouts in " << folder() << " (set STEPDOWN_VECTORS)";
  Table tables;
  std::map<std::string, int> bitsOf;
  for (const auto &row : rows) {
    const std::string name = row[0] + "," + row[1] + "," + row[2];
    const int high = std::stoi(row[6]), low = std::stoi(row[6].substr(row[6].find(':') + 1)), bits = high - low + 1;
    bitsOf[name] = bits;
    Point to = {std::stoi(row[3]), std::stoi(row[4])};
    if (row[2] == "B") // theirs is k x n, ours n x k
      std::swap(to[0], to[1]);
    tables[name][{std::stoi(row[5]) * (32 / bits) + low / bits, std::stoi(row[7])}].insert(to);
  }
  EXPECT_EQ(tables.size(), 88u);
  for (const auto &[name, table] : tables) {
    const size_t size = name.find("_", name.find("mma_") != name.npos ? name.find("mma_") + 4 : name.find("mfma_") + 5);
    int m = 0, n = 0, k = 0;
    ASSERT_EQ(std::sscanf(name.c_str() + size, "_%dx%dx%d", &m, &n, &k), 3) << name;
    const char matrix = name.back();
    const LinearLayout layout = kAmd.at(name.substr(0, 5))(matrix == 'C' || matrix == 'D', bitsOf[name], m, k);
    expectTable(name, layout, table);
  }
}

TEST(VendorLayouts, AmdFragmentsByHand) {
  EXPECT_EQ(amd::mfmaOperand(32, 16).apply({5, 40}), (Point{8, 13}));
  EXPECT_EQ(amd::mfmaAccumulator(32).apply({13, 37}), (Point{29, 5}));
  EXPECT_EQ(amd::wmmaOperandGfx11().apply({9, 21}), (Point{5, 9}));
  EXPECT_EQ(amd::wmmaOperandGfx12(16).apply({5, 17}), (Point{1, 13}));
  EXPECT_EQ(amd::wmmaAccumulatorGfx12().apply({3, 18}), (Point{11, 2}));
}

/// Places of elements of `chip`'s fragments beside those of the instructions' operands and sums, [register, lane].
static void expectFragments(const char *chip, const LinearLayout &a, const LinearLayout &right, const LinearLayout &sum,
                            int64_t instructions) {
  const auto found = WarpFragments::of(*factsOfChip(chip));
  ASSERT_TRUE(found) << chip;
  const WarpFragments &w = *found;
  const int64_t part = w.held / instructions; // elements of the sum that one has
  const int64_t partOfB = w.factors / instructions;
  ASSERT_EQ(a.points(), w.factors * w.lanes) << chip;
  ASSERT_EQ(right.points(), partOfB * w.lanes) << chip;
  ASSERT_EQ(sum.points(), part * w.lanes) << chip;
  for (int64_t lane = 0; lane < w.lanes; ++lane) {
    const int64_t high = lane / w.apart(), low = lane % w.apart();
    auto at = [&](WarpFragments::Place place) {
      const int64_t outer = w.innerIsLow() ? high : low, inner = w.innerIsLow() ? low : high;
      return outer * place.outer + inner * place.inner + place.constant;
    };
    // Instruction i has every so manieth row of B from the i-th on, which are the sum's columns.
    for (int64_t e = 0; e < w.factors; ++e) {
      SCOPED_TRACE(std::string(chip) + ", element " + std::to_string(e) + " of lane " + std::to_string(lane));
      EXPECT_EQ(a.apply({e, lane}), (Point{at(w.rowOfA(e)), at(w.columnOfA(e))}));
      const Point b = right.apply({e % partOfB, lane});
      EXPECT_EQ((Point{b[0] * instructions + e / partOfB, b[1]}), (Point{at(w.rowOfB(e)), at(w.columnOfB(e))}));
    }
    for (int64_t e = 0; e < w.held; ++e) {
      SCOPED_TRACE(std::string(chip) + ", sum " + std::to_string(e) + " of lane " + std::to_string(lane));
      const Point c = sum.apply({e % part, lane});
      EXPECT_EQ((Point{c[0], c[1] * instructions + e / part}), (Point{at(w.rowOfSum(e)), at(w.columnOfSum(e))}));
    }
  }
}

TEST(VendorLayouts, WarpFragmentsOfNvidia) {
  for (const char *chip : {"sm_80", "sm_90a"})
    expectFragments(chip, nvidia::mmaA(16, 16), nvidia::mmaB(16, 16), nvidia::mmaC(), 2);
}

TEST(VendorLayouts, WarpFragmentsOfAmd) {
  for (const char *chip : {"gfx90a", "gfx942", "gfx950"})
    expectFragments(chip, amd::mfmaOperand(16, 16), amd::mfmaOperand(16, 16), amd::mfmaAccumulator(16), 1);
  expectFragments("gfx1100", amd::wmmaOperandGfx11(), amd::wmmaOperandGfx11(), amd::wmmaAccumulatorGfx11(), 1);
  expectFragments("gfx1201", amd::wmmaOperandGfx12(16), amd::wmmaOperandGfx12(16), amd::wmmaAccumulatorGfx12(), 1);
}

/// Each lane of an ldmatrix reads one row of 16 bytes; phases are 8 lanes: 128 bytes.
TEST(SharedAccess, LdmatrixOfSwizzledRowsHasNoConflict) {
  const LinearLayout lanes =
      LinearLayout::of("register[8:column] lane[8:row 2:8*row 2:8*column] -> row[16] column[16]");
  auto waysOf = [&](Swizzle swizzle, int64_t columns) {
    const LinearLayout tile = nvidia::sharedTile(16, Major::K, swizzle, 16, columns).value();
    return sharedAccess(compose(tile, lanes).value(), 2, 16).value();
  };
  EXPECT_EQ(waysOf(Swizzle::B128, 64).ways, 1);
  EXPECT_EQ(waysOf(Swizzle::B64, 32).ways, 1);
  EXPECT_EQ(waysOf(Swizzle::B32, 16).ways, 1);
  EXPECT_EQ(waysOf(Swizzle::B128, 64).wavefronts, 4);
  const LinearLayout plain = LinearLayout::of("row[16:128*offset] column[64:2*offset] -> offset[2048]");
  const SharedAccess bad = sharedAccess(compose(plain, lanes).value(), 2, 16).value();
  EXPECT_EQ(bad.ways, 8);
  EXPECT_EQ(bad.wavefronts, 32);
  EXPECT_EQ(bad.least, 4);
}

TEST(SharedAccess, StridesAndBroadcasts) {
  auto cost = [](const std::string &text, int element, int access) {
    return sharedAccess(LinearLayout::of(text), element, access);
  };
  EXPECT_EQ(cost("lane[32:4*offset] -> offset[128]", 4, 4)->ways, 1);
  EXPECT_EQ(cost("lane[32:8*offset] -> offset[256]", 4, 4)->ways, 2);
  EXPECT_EQ(cost("lane[32:12*offset] -> offset[384]", 4, 4)->ways, 1);
  EXPECT_EQ(cost("lane[32:128*offset] -> offset[4096]", 4, 4)->ways, 32);
  EXPECT_EQ(cost("lane[32:132*offset] -> offset[4224]", 4, 4)->ways, 1);
  EXPECT_EQ(cost("lane[32:0] -> offset[4]", 4, 4)->ways, 1);
  EXPECT_EQ(cost("lane[32:2*offset] -> offset[64]", 2, 2)->ways, 1); // two lanes share a word
  EXPECT_EQ(cost("register[4:4*offset] lane[32:16*offset] warp[4:512*offset] -> offset[2048]", 4, 16)->instructions, 4);
  EXPECT_EQ(cost("register[4:4*offset] lane[32:16*offset] -> offset[512]", 4, 16)->wavefronts, 4);
  EXPECT_EQ(widestAccess(LinearLayout::of("register[4:4*offset] lane[32:16*offset] -> offset[512]"), 4), 16);
  EXPECT_EQ(widestAccess(LinearLayout::of("register[4:4*offset] lane[32:20*offset] -> offset[636]"), 4), 4);
  EXPECT_FALSE(cost("register[4:128*offset] lane[32:4*offset] -> offset[512]", 4, 8));
}

} // namespace
