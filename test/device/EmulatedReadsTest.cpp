// What a map behind a product reads of other matrices: a tile of one column is that column for all of the map's, one of
// one row that row, one of both a number; on chips that hold tiles in different ways, against float64.
#include "test/device/TileKernel.h"
#include <gtest/gtest.h>
#include <random>

using namespace stepdown;
using namespace stepdown::test;

namespace {
// Three tiles of rows, two of columns: so reads are of tiles in both directions.
constexpr uint32_t kRows = 131, kColumns = 67, kDepth = 71;
/// The row that all rows read, and the column that all columns do.
constexpr uint32_t kRow = 3, kColumn = 5;

/// The product with the map c (the product) * column + row * number behind it, which reads %column, %row and %number.
std::string textOf(const std::string &product) {
  auto put = [](std::string text, llvm::StringRef at, const std::string &more) {
    const size_t place = text.find(at.str());
    EXPECT_NE(place, std::string::npos) << at.str();
    return text.insert(place, more);
  };
  const std::string read = R"(
      %third = arith.constant 3 : index
      %fifth = arith.constant 5 : index
      %x = tile.read %column[%i, %fifth] : memref<?x?xf32> -> vector<64x1xf32>
      %y = tile.read %row[%third, %j] : memref<?x?xf32> -> vector<1x64xf32>
      %z = tile.read %number[%third, %fifth] : memref<?x?xf32> -> vector<1x1xf32>
      %mapped = tile.map (%p = %value, %q = %x, %d = %y, %e = %z)
          : vector<64x64xf32>, vector<64x1xf32>, vector<1x64xf32>, vector<1x1xf32> -> vector<64x64xf32> {
        %t = arith.mulf %p, %q : f32
        %u = arith.mulf %d, %e : f32
        %v = arith.addf %t, %u : f32
        tile.yield %v : f32
      }
      )";
  std::string text = put(product, "tile.store", read);
  text.replace(text.find("tile.store %value"), std::strlen("tile.store %value"), "tile.store %mapped");
  return put(text, "%c: ", "%column: memref<?x?xf32>, %row: memref<?x?xf32>, %number: memref<?x?xf32>, ");
}

struct OfChip {
  const char *chip, *attributes;
  uint32_t blocks;
};
class EmulatedReads : public testing::TestWithParam<OfChip> {};
} // namespace

TEST_P(EmulatedReads, OfOneRowOrColumnAreForAll) {
  const std::string chip = GetParam().chip;
  mlir::DialectRegistry registry;
  registerKernelDialects(registry);
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  constexpr const char text[] =
#include "lib/Kernels/Matmul.mlir.inc"
      ;
  auto module = parseKernel(context, textOf(text), "k.mlir",
                            {{"attributes", GetParam().attributes},
                             {"m", "64"},
                             {"n", "64"},
                             {"k", "64"},
                             {"stages", "2"},
                             {"warps", "4"},
                             {"registers", "168"},
                             {"load_registers", "40"},
                             {"group", "1"},
                             {"b_tile", "64x64"},
                             {"b_place", "%l, %j"},
                             {"transpose_b", ""},
                             {"element", "bf16"},
                             {"sum", "f32"},
                             {"result", "f32"}});
  ASSERT_TRUE(module) << module.error().text();
  TileKernel lowered(**module, true, chip);
  ASSERT_EQ(lowered.error, "");
  Matrix a(kRows, kDepth, 72, true), b(kDepth, kColumns, 72, true), column(kRows, 11, 13, false),
      row(7, kColumns, kColumns, false), number(7, 11, 11, false), out(kRows, kColumns, kColumns, false);
  std::vector<Matrix *> matrices = {&a, &b, &column, &row, &number, &out};
  std::mt19937 random(7);
  std::uniform_real_distribution<float> uniform(-1, 1);
  for (Matrix *matrix : matrices)
    for (uint32_t r = 0; r < matrix->rows && matrix != &out; ++r)
      for (uint32_t x = 0; x < matrix->columns; ++x)
        matrix->set(r, x, uniform(random));
  Launch launch(lowered.launch(), matrices);
  launch.shape.grid = {GetParam().blocks, 1, 1};
  const Status status = launch.run(lowered.code->emulator, "matmul");
  ASSERT_TRUE(status) << status.error().text();
  for (uint32_t r = 0; r < kRows; ++r)
    for (uint32_t c = 0; c < kColumns; ++c) {
      double sum = 0, magnitude = 0;
      for (uint32_t x = 0; x < kDepth; ++x)
        sum += a.get(r, x) * b.get(x, c), magnitude += std::fabs(a.get(r, x) * b.get(x, c));
      const double meant = sum * column.get(r, kColumn) + row.get(kRow, c) * number.get(kRow, kColumn);
      // Of magnitudes below 1, as the column's and the number's are: kDepth roundings of the sum of products, one of
      // each product of the map and one of its sum, each 2^-24 of no more than the magnitude, or 1.
      ASSERT_NEAR(out.get(r, c), meant, (magnitude + 1) * (kDepth + 3) * 0x1p-24) << r << ", " << c;
    }
}

INSTANTIATE_TEST_SUITE_P(Chips, EmulatedReads,
                         testing::Values(OfChip{"sm_80", "", 3}, OfChip{"sm_90a", "", 3}, OfChip{"gfx90a", "", 3},
                                         OfChip{"gfx942", "", 3}, OfChip{"gfx950", "", 3}, OfChip{"gfx1100", "", 3},
                                         OfChip{"gfx1201", "", 3}),
                         [](const auto &info) { return info.param.chip; });
// Of three tiles of rows the second pair of blocks has one: the other block reads and stores nothing there.
INSTANTIATE_TEST_SUITE_P(InPairs, EmulatedReads,
                         testing::Values(OfChip{"sm_90a", " attributes {tile.cluster = 2 : i64}", 4}),
                         [](const auto &info) { return info.param.chip; });
