// A matrix product's tile text on an emulated chip: the code that the compiler makes of it, with all that the chip has,
// against the text's plain meaning in float64, from which it may differ by the roundings of float32 sums and of the
// result.
#pragma once
#include "lib/Interpret/KernelInterpreter.h"
#include "test/device/TileKernel.h"
#include <gtest/gtest.h>

namespace stepdown::test {

struct MatmulCase {
  MatmulParameters parameters;
  uint32_t m, n, k, blocks; ///< along x; along y one for each share of the sum
};

/// Fails the running test where the product of `c` on `chip` is not what its text means; adds up the bank conflicts of
/// its accesses to shared memory.
inline void expectMatmul(const MatmulCase &c, const char *chip, uint64_t *bankConflicts = nullptr) {

  mlir::DialectRegistry registry;
  registerKernelDialects(registry);
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  auto text = matmulKernel(context, c.parameters), module = matmulKernel(context, c.parameters);
  ASSERT_TRUE(text && module);
  TileKernel lowered(**module, true, chip);
  ASSERT_EQ(lowered.error, "");
  EmulatedKernel &emulated = *lowered.code;

  // Rows of A and B lie a multiple of 16 bytes apart; between them and behind C's stands NaN, or -1.
  const std::string &element = c.parameters.element;
  const bool transposed = c.parameters.transposeB, integers = element == "i8";
  const uint32_t rowsOfB = transposed ? c.n : c.k, columnsOfB = transposed ? c.k : c.n;
  auto padded = [](uint32_t columns) { return (columns + 15) / 16 * 16; };
  Matrix a(c.m, c.k, padded(c.k), true, element), b(rowsOfB, columnsOfB, padded(columnsOfB), true, element);
  std::mt19937 random(c.m * 31 + c.n * 17 + c.k);
  std::uniform_real_distribution<float> uniform(integers ? -128 : -1, integers ? 128 : 1);
  // Each share's sums are of whole slots of its own.
  const uint32_t shares = uint32_t(c.parameters.shares), slot = uint32_t(c.parameters.k);
  const uint32_t each = ((c.k + slot - 1) / slot + shares - 1) / shares * slot;
  const size_t sizeOfShare = size_t(c.m) * c.n;
  std::vector<double> wideA, wideB, meant(sizeOfShare * shares), magnitude(sizeOfShare * shares);
  for (auto [matrix, wide] : {std::pair(&a, &wideA), std::pair(&b, &wideB)})
    for (uint32_t r = 0; r < matrix->rows; ++r)
      for (uint32_t x = 0; x < matrix->columns; ++x) {
        matrix->set(r, x, uniform(random));
        wide->push_back(matrix->get(r, x));
      }
  auto kernel = *(*text)->getOps<tile::KernelOp>().begin();
  for (std::vector<double> *out : {&meant, &magnitude}) {
    for (uint32_t share = 0; share < shares; ++share) {
      std::vector<double> ofShare = wideA;
      for (size_t i = 0; i < ofShare.size(); ++i)
        if (i % c.k / each != share)
          ofShare[i] = 0;
      ASSERT_TRUE(interpretKernel(kernel, {InterpretedMatrix{ofShare.data(), c.m, c.k, c.k},
                                           InterpretedMatrix{wideB.data(), rowsOfB, columnsOfB, columnsOfB},
                                           InterpretedMatrix{out->data() + share * sizeOfShare, c.m, c.n, c.n}}));
    }
    for (std::vector<double> *wide : {&wideA, &wideB})
      for (double &element : *wide)
        element = std::fabs(element);
  }

  // Rows of C lie a multiple of 16 bytes apart, as TMA wants them, and then do not: an odd number of elements, or even.
  const bool narrow = c.parameters.result == "bf16" || c.parameters.result == "f16";
  const std::string made = integers ? "i32" : c.parameters.result == "f16" ? "f16" : "";
  for (uint64_t seed : {0, 3}) {
    Matrix result(c.m * shares, c.n, padded(c.n) + (seed ? 1 + c.m % 4 / 2 : 0), narrow, made);
    Launch launch(lowered.launch(), {&a, &b, &result});
    launch.shape.grid = {c.blocks, shares, 1};
    emulated::Options options;
    options.seed = seed;
    const Status status = launch.run(emulated.emulator, "matmul", options);
    ASSERT_TRUE(status) << status.error().text();
    if (bankConflicts)
      *bankConflicts += emulated.emulator.statistics().bankConflicts;
    for (uint32_t r = 0; r < c.m * shares; ++r)
      for (uint32_t x = 0; x < result.stride; ++x) {
        const double got = result.get(r, x);
        if (x >= c.n) {
          ASSERT_TRUE(integers ? got == -1 : std::isnan(got)) << r << ", " << x << " lies outside, but was written";
          continue;
        }
        const double rounding = made == "f16" ? 0x1p-11 : narrow ? 0x1p-8 : 0, sum = meant[size_t(r) * c.n + x];
        const double sums = integers ? 0 : magnitude[size_t(r) * c.n + x] * c.k * 0x1p-24; // of float32
        ASSERT_LE(std::fabs(got - sum), std::fabs(sum) * rounding + sums)
            << r << ", " << x << ", seed " << seed << ": expects " << sum << ", but got " << got;
      }
  }
}

} // namespace stepdown::test
