// The matrix product's text, interpreted, against sums of products in long double: sizes of which none is a multiple of
// a tile, one less and one more than a tile, and one.
#include "lib/Interpret/KernelInterpreter.h"
#include "lib/Kernels/KernelText.h"
#include "mlir/IR/MLIRContext.h"
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <random>

using namespace stepdown;

namespace {
constexpr const char *ring = "!tile.channel<2 x memref<64x64xbf16, 3>>";

tile::KernelOp kernelOf(mlir::ModuleOp module) { return *module.getOps<tile::KernelOp>().begin(); }

void product(mlir::MLIRContext &context, const MatmulParameters &parameters, int64_t M, int64_t N, int64_t K) {
  SCOPED_TRACE(std::to_string(M) + " x " + std::to_string(N) + " x " + std::to_string(K));
  auto module = matmulKernel(context, parameters);
  ASSERT_TRUE(module) << module.error().text();
  std::mt19937 random(unsigned(M * 7919 + N * 31 + K));
  std::normal_distribution<double> normal;
  const int64_t lda = K + 3, ldb = N + 5, ldc = N + 2;
  std::vector<double> a(M * lda), b(K * ldb), c(M * ldc, 77.0), turned;
  for (std::vector<double> *matrix : {&a, &b})
    for (double &element : *matrix)
      element = normal(random);
  for (int64_t n = 0; n < N; ++n)
    for (int64_t k = 0; k < K; ++k)
      turned.push_back(b[k * ldb + n]);
  const auto second =
      parameters.transposeB ? InterpretedMatrix{turned.data(), N, K, K} : InterpretedMatrix{b.data(), K, N, ldb};
  Status status = interpretKernel(
      kernelOf(**module), {InterpretedMatrix{a.data(), M, K, lda}, second, InterpretedMatrix{c.data(), M, N, ldc}});
  ASSERT_TRUE(status) << status.error().text();
  for (int64_t m = 0; m < M; ++m)
    for (int64_t n = 0; n < ldc; ++n) {
      if (n >= N) {
        ASSERT_EQ(c[m * ldc + n], 77.0) << "row " << m << ": written behind the matrix";
        continue;
      }
      long double sum = 0, magnitude = 0;
      for (int64_t k = 0; k < K; ++k) {
        sum += (long double)a[m * lda + k] * b[k * ldb + n];
        magnitude += std::fabs((long double)a[m * lda + k] * b[k * ldb + n]);
      }
      ASSERT_NEAR(c[m * ldc + n], double(sum), double(magnitude) * K * 0x1p-53) << m << ", " << n;
    }
}

std::string refusal(mlir::MLIRContext &context, const std::string &roles) {
  auto module =
      parseKernel(context,
                  "tile.kernel @k(%x: memref<?x?xbf16>, %i: index) {\n%r = tile.channel : " + std::string(ring) + "\n" +
                      roles + "}",
                  "k.mlir", {});
  if (!module)
    return module.error().text();
  double element = 1;
  Status status = interpretKernel(kernelOf(**module), {InterpretedMatrix{&element, 1, 1, 1}, int64_t(0)});
  return status ? "" : status.error().text();
}
} // namespace

TEST(KernelInterpreter, MultipliesMatricesOfAnySize) {
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  MatmulParameters small;
  small.m = 64, small.n = 64, small.warps = 4, small.stages = 2;
  for (auto [M, N, K] : {std::tuple(61, 67, 71), {1, 1, 1}, {63, 65, 129}, {131, 1, 64}, {2, 191, 193}})
    product(context, small, M, N, K);
  product(context, {}, 137, 257, 67);
  small.transposeB = true;
  product(context, small, 61, 67, 71);
}

// Scales of blocks, and one number for all of B: a tile of one row, of one column and of both.
TEST(KernelInterpreter, MultipliesWithScales) {
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  MatmulParameters p;
  p.m = 64, p.n = 64, p.k = 128, p.warps = 4, p.stages = 2, p.transposeB = true, p.element = "f8E4M3FN";
  auto module = scaledMatmulKernel(context, p);
  ASSERT_TRUE(module) << module.error().text();
  constexpr int64_t M = 67, N = 131, K = 257, kBlocks = 3;
  std::mt19937 random(7);
  std::normal_distribution<double> normal;
  std::vector<double> a(M * K), b(N * K), scalesA(M * kBlocks), scalesB(2 * kBlocks), c(M * N);
  for (std::vector<double> *matrix : {&a, &b, &scalesA, &scalesB})
    for (double &element : *matrix)
      element = normal(random);
  for (bool one : {false, true}) {
    Status status =
        interpretKernel(kernelOf(**module), {InterpretedMatrix{a.data(), M, K, K}, InterpretedMatrix{b.data(), N, K, K},
                                             InterpretedMatrix{scalesA.data(), M, kBlocks, kBlocks},
                                             InterpretedMatrix{scalesB.data(), one ? 1 : 2, one ? 1 : kBlocks, kBlocks},
                                             InterpretedMatrix{c.data(), M, N, N}});
    ASSERT_TRUE(status) << status.error().text();
    for (int64_t m = 0; m < M; ++m)
      for (int64_t n = 0; n < N; ++n) {
        long double sum = 0, magnitude = 0;
        for (int64_t k = 0; k < K; ++k) {
          const long double scale =
              (long double)scalesA[m * kBlocks + k / 128] * scalesB[one ? 0 : n / 128 * kBlocks + k / 128];
          sum += scale * a[m * K + k] * b[n * K + k];
          magnitude += std::fabs(scale * a[m * K + k] * b[n * K + k]);
        }
        ASSERT_NEAR(c[m * N + n], double(sum), double(magnitude) * (K + 3) * 0x1p-53) << m << ", " << n;
      }
  }
}

TEST(KernelInterpreter, ReadsTheLastRowAndColumnInPlaceOfThoseBehind) {
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  auto module = parseKernel(context, R"(tile.kernel @k(%b: memref<?x?xf32>, %c: memref<?x?xf32>, %i: index) {
    tile.role "fill" warps 4 registers 40 {
      %r = tile.read %b[%i, %i] : memref<?x?xf32> -> vector<64x64xf32>
      %s = tile.map (%x = %r) : vector<64x64xf32> -> vector<64x64xf32> { tile.yield %x : f32 }
      tile.store %s to %c[%i, %i] : vector<64x64xf32> to memref<?x?xf32>
    }
  })",
                            "k.mlir", {});
  ASSERT_TRUE(module) << module.error().text();
  double row[] = {1, 2, 3, 4, 5}, made[3 * 7] = {};
  const Status status = interpretKernel(
      kernelOf(**module), {InterpretedMatrix{row, 1, 5, 5}, InterpretedMatrix{made, 3, 7, 7}, int64_t(1)});
  ASSERT_TRUE(status) << status.error().text();
  for (int64_t r = 0; r < 3; ++r)
    for (int64_t c = 0; c < 7; ++c)
      EXPECT_EQ(made[r * 7 + c], r == 0 || c == 0 ? 0 : row[std::min<int64_t>(c, 4)]) << r << ", " << c;
}

TEST(KernelInterpreter, RefusesASlotThatNobodyFills) {
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  const std::string fill =
      std::string("tile.role \"load\" warps 4 registers 40 { %s = tile.acquire %r : ") + ring +
      " -> memref<64x64xbf16, 3>\n tile.copy %x[%i, %i] to %s : memref<?x?xbf16> to memref<64x64xbf16, 3>\n"
      "tile.commit %r : " +
      ring + "\n}\n";
  const std::string take =
      std::string("%t = tile.wait %r : ") + ring + " -> memref<64x64xbf16, 3>\n tile.release %r : " + ring + "\n";
  const std::string once = "tile.role \"read\" warps 4 registers 40 {" + take + "}\n";
  EXPECT_EQ(refusal(context, fill + once), "");
  std::string twice = take;
  twice.replace(twice.find("%t"), 2, "%u");
  const std::string more = refusal(context, fill + "tile.role \"read\" warps 4 registers 40 {" + take + twice + "}\n");
  EXPECT_NE(more.find("error E0562: k.mlir:9: tile.wait: expects a slot that a role before this one has filled"),
            std::string::npos)
      << more;
  EXPECT_NE(refusal(context, fill + "tile.role \"read\" warps 4 registers 40 { scf.for %l = %i to %i step %i {\n" +
                                 take + "}}\n")
                .find("expects as many slots taken as filled"),
            std::string::npos);
}

TEST(KernelInterpreter, RefusesArgumentsOfAnotherKernel) {
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  auto module = matmulKernel(context, {});
  ASSERT_TRUE(module);
  EXPECT_FALSE(interpretKernel(kernelOf(**module), {int64_t(1)}));
  EXPECT_FALSE(interpretKernel(kernelOf(**module), {int64_t(1), int64_t(1), int64_t(1)}));
}

TEST(KernelText, RefusesParametersThatMakeNoKernel) {
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  auto missing = parseKernel(context, "\n// $(depth)\n", "k.mlir", {});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().text(), "error E0561: k.mlir:2: expects a parameter 'depth', but there is none");
  MatmulParameters large;
  large.stages = 5; // 5 * 48 KiB
  auto kernel = matmulKernel(context, large);
  ASSERT_FALSE(kernel);
  EXPECT_NE(kernel.error().message.find("expects channels of at most 232448 bytes (C2), but got 245840"),
            std::string::npos)
      << kernel.error().text();
}

/// One kernel is one text that can be read at a sitting.
TEST(KernelText, TextsAreShort) {
  int texts = 0;
  for (const auto &entry : std::filesystem::directory_iterator(STEPDOWN_SOURCE_DIR "/lib/Kernels")) {
    if (entry.path().extension() != ".mlir")
      continue;
    ++texts;
    std::ifstream file(entry.path());
    const std::string text((std::istreambuf_iterator<char>(file)), {});
    EXPECT_LE(std::count(text.begin(), text.end(), '\n'), 150) << entry.path();
  }
  EXPECT_EQ(texts, 4);
}
