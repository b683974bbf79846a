// The rows stand by size, smallest first; a row takes what is at most as large. A tile of 128 x 256, of 256 x 256 where
// a compute unit of CDNA has the registers for it, has the most arithmetic for each byte that it reads; less than that
// much of a matrix would leave most of it empty.
#include "passes/Kernel/KernelTable.h"
#include "lib/Kernels/ChipLimits.h"
#include "mlir/IR/BuiltinTypes.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace stepdown {

namespace {
struct Row {
  const char *chip, *name;
  int64_t rows, columns; ///< at most
  MatmulParameters parameters;
};
constexpr int64_t kAny = std::numeric_limits<int64_t>::max();
} // namespace

static std::string nameOf(Type element) {
  std::string name;
  llvm::raw_string_ostream(name) << element;
  return name;
}

/// Whether matrix units take an element that they multiply with rows along k alone.
static bool isEight(Type element) { return element.getIntOrFloatBitWidth() == 8; }

/// Blocks of a cluster of sm_90a's largest tiles: two read B once, which is a third less for TMA to bring from L2 (of
/// each slot 128 x 64 and half of 64 x 256 numbers a block, in place of the whole). With an odd number of tiles of rows
/// one block has none at the end: not where that is more than one in nine, nor where rows are known later and may be
/// few.
static int64_t clusterOf(StringRef chip, const MatmulParameters &p, int64_t rows) {
  if (chip != "sm_90a" || p.m != 128 || p.n != 256 || ShapedType::isDynamic(rows))
    return 1;
  const int64_t tiles = llvm::divideCeil(rows, p.m);
  return tiles % 2 == 0 || tiles >= 9 ? 2 : 1;
}

std::optional<SelectedKernel> selectMatmul(StringRef chip, Type element, Type result, int64_t rows, int64_t columns,
                                           bool transposeB) {
  //                       m    n    k  stages warps registers load group register file
  static const Row table[] = {
      {"sm_90a", "64x64", 64, 64, {64, 64, 64, 8, 4, 232, 40, 8}},
      {"sm_90a", "64x128", 64, kAny, {64, 128, 64, 8, 4, 232, 40, 8}},
      {"sm_90a", "128x128", kAny, 128, {128, 128, 64, 6, 8, 232, 40, 8}},
      {"sm_90a", "128x256", kAny, kAny, {128, 256, 64, 4, 8, 232, 40, 8}},
      {"sm_80", "64x64", 64, 64, {64, 64, 64, 4, 4, 168, 40, 8}},
      {"sm_80", "64x128", 64, kAny, {64, 128, 64, 4, 4, 168, 40, 8}},
      {"sm_80", "128x128", kAny, 128, {128, 128, 64, 4, 8, 232, 40, 8}},
      {"sm_80", "128x256", kAny, kAny, {128, 256, 64, 3, 8, 232, 40, 8}},
      {"gfx90a", "64x64", 64, 64, {64, 64, 64, 2, 4, 168, 40, 8}},
      {"gfx90a", "128x128", kAny, 128, {128, 128, 64, 2, 8, 232, 40, 8}},
      {"gfx90a", "128x256", 128, kAny, {128, 256, 32, 2, 8, 232, 40, 8}},
      {"gfx90a", "256x256", kAny, kAny, {256, 256, 32, 2, 16, 232, 40, 8, 131072}},
      {"gfx942", "64x64", 64, 64, {64, 64, 64, 2, 4, 168, 40, 8}},
      {"gfx942", "128x128", kAny, 128, {128, 128, 64, 2, 8, 232, 40, 8}},
      {"gfx942", "128x256", 128, kAny, {128, 256, 32, 2, 8, 232, 40, 8}},
      {"gfx942", "256x256", kAny, kAny, {256, 256, 32, 2, 16, 232, 40, 8, 131072}},
      {"gfx950", "64x64", 64, 64, {64, 64, 64, 2, 4, 168, 40, 8}},
      {"gfx950", "128x128", kAny, 128, {128, 128, 64, 2, 8, 232, 40, 8}},
      {"gfx950", "128x256", kAny, kAny, {128, 256, 64, 2, 8, 232, 40, 8}},
      {"gfx1100", "64x64", 64, 64, {64, 64, 32, 2, 4, 168, 40, 8}},
      {"gfx1100", "128x128", kAny, kAny, {128, 128, 32, 2, 8, 232, 40, 8}},
      {"gfx1201", "64x64", 64, 64, {64, 64, 32, 2, 4, 168, 40, 8}},
      {"gfx1201", "128x128", kAny, kAny, {128, 128, 32, 2, 8, 232, 40, 8}},
  };
  const bool sums =
      element.isInteger() ? result.isSignlessInteger(32) : result.isF32() || result.isBF16() || result.isF16();
  if (!multiplies(chip, element) || !sums || (isEight(element) && !transposeB))
    return std::nullopt;
  auto fits = [](int64_t size, int64_t most) { return most == kAny || (!ShapedType::isDynamic(size) && size <= most); };
  for (const Row &row : table) {
    if (chip != row.chip || !fits(rows, row.rows) || !fits(columns, row.columns))
      continue;
    SelectedKernel kernel = {"", row.parameters};
    kernel.parameters.element = nameOf(element);
    kernel.parameters.result = nameOf(result);
    kernel.parameters.transposeB = transposeB;
    kernel.parameters.cluster = clusterOf(chip, row.parameters, rows);
    if (isEight(element))
      kernel.parameters.k *= 2; // the same bytes
    kernel.name = "matmul_" + std::string(kernel.parameters.cluster == 2 ? "2x" : "") + row.name +
                  (transposeB ? "_transposed_" : "_") + kernel.parameters.element + "_" + kernel.parameters.result;
    return kernel;
  }
  return std::nullopt;
}

std::optional<SelectedKernel> selectScaledMatmul(StringRef chip, Type element, int64_t rows, Type result) {
  // A slot is 128 columns, which share a scale, as 128 rows of B do. AMD's chips have sums twice, those of a slot and
  // those of all, in registers that waves have once and for all.
  static const Row table[] = {
      {"sm_90a", "64x128", 64, kAny, {64, 128, 128, 8, 4, 168, 40, 8}},
      {"sm_90a", "128x128", kAny, kAny, {128, 128, 128, 6, 8, 232, 40, 8}},
      {"gfx942", "64x128", 64, kAny, {64, 128, 128, 2, 4, 168, 40, 8}},
      {"gfx942", "128x128", kAny, kAny, {128, 128, 128, 2, 8, 232, 40, 8}},
      {"gfx950", "64x128", 64, kAny, {64, 128, 128, 2, 4, 168, 40, 8}},
      {"gfx950", "128x128", kAny, kAny, {128, 128, 128, 2, 8, 232, 40, 8}},
      {"gfx1201", "64x64", 64, kAny, {64, 64, 128, 2, 4, 168, 40, 8}},
      {"gfx1201", "128x128", kAny, kAny, {128, 128, 128, 2, 8, 232, 40, 8}},
  };
  if (!multiplies(chip, element) || !isEight(element) || element.isInteger())
    return std::nullopt;
  for (const Row &row : table) {
    if (chip != row.chip || (row.rows != kAny && (ShapedType::isDynamic(rows) || rows > row.rows)))
      continue;
    SelectedKernel kernel = {"scaled_matmul_" + std::string(row.name) + "_", row.parameters};
    kernel.parameters.element = nameOf(element);
    kernel.parameters.transposeB = true;
    kernel.parameters.result = nameOf(result);
    kernel.name += kernel.parameters.element + "_" + kernel.parameters.result;
    return kernel;
  }
  return std::nullopt;
}

bool keepsFewBits(StringRef chip, Type element) { return chip == "sm_90a" && isEight(element) && !element.isInteger(); }

int64_t sharesOfSum(const MatmulParameters &p, int64_t rows, int64_t columns, int64_t k) {
  // Both are a choice, not measured: blocks that nearly every machine of these chips has units for, and a loop over a
  // share that is longer than what stands around it.
  constexpr int64_t kUnits = 60, kSlots = 8, kMost = 8;
  if (ShapedType::isDynamic(rows) || ShapedType::isDynamic(columns) || ShapedType::isDynamic(k) || p.cluster != 1)
    return 1;
  const int64_t tiles = llvm::divideCeil(rows, p.m) * llvm::divideCeil(columns, p.n), slots = llvm::divideCeil(k, p.k);
  if (tiles == 0) // nothing to share out
    return 1;
  int64_t shares = 1;
  while (2 * shares <= kMost && tiles * 2 * shares <= kUnits && slots >= 2 * shares * kSlots)
    shares *= 2;
  return shares; // of as many slots each, but the last, which has one at least: of 8 s slots or more, 8 shares at most
}

std::optional<AttentionParameters> selectAttention(StringRef chip, const AttentionShape &shape, std::string &reason) {
  struct AttentionRow {
    const char *chip;
    int64_t head, queries;          ///< columns of a head; queries at most
    AttentionParameters parameters; ///< m, n, d, stages, warps, registers, loadRegisters
  };
  static const AttentionRow table[] = {
      {"sm_80", 64, 64, {64, 64, 64, 2, 4, 240, 24}},        {"sm_80", 64, kAny, {128, 64, 64, 2, 8, 240, 24}},
      {"sm_80", 128, 64, {64, 64, 128, 2, 4, 240, 24}},      {"sm_80", 128, kAny, {128, 64, 128, 2, 8, 240, 24}},
      {"sm_80", 256, kAny, {128, 32, 256, 2, 8, 240, 24}},   {"sm_90a", 64, 64, {64, 64, 64, 2, 4, 240, 24}},
      {"sm_90a", 64, kAny, {192, 128, 64, 2, 12, 160, 32}},  {"sm_90a", 128, 64, {64, 128, 128, 2, 4, 240, 24}},
      {"sm_90a", 128, kAny, {128, 128, 128, 2, 8, 240, 24}}, {"sm_90a", 256, kAny, {128, 80, 256, 2, 8, 240, 32}},
      {"gfx90a", 64, 64, {64, 64, 64, 2, 4, 240, 24}},       {"gfx90a", 64, kAny, {128, 64, 64, 2, 8, 240, 24}},
      {"gfx90a", 128, kAny, {128, 64, 128, 2, 8, 240, 24}},  {"gfx90a", 256, kAny, {128, 32, 256, 2, 8, 240, 24}},
      {"gfx942", 64, 64, {64, 64, 64, 2, 4, 240, 24}},       {"gfx942", 64, kAny, {128, 64, 64, 2, 8, 240, 24}},
      {"gfx942", 128, kAny, {128, 64, 128, 2, 8, 240, 24}},  {"gfx942", 256, kAny, {128, 32, 256, 2, 8, 240, 24}},
      {"gfx950", 64, 64, {64, 64, 64, 2, 4, 240, 24}},       {"gfx950", 64, kAny, {128, 64, 64, 2, 8, 240, 24}},
      {"gfx950", 128, kAny, {128, 64, 128, 2, 8, 240, 24}},  {"gfx950", 256, kAny, {128, 32, 256, 2, 8, 240, 24}},
      {"gfx1100", 64, 64, {64, 32, 64, 2, 4, 240, 24}},      {"gfx1100", 64, kAny, {128, 64, 64, 2, 8, 240, 24}},
      {"gfx1100", 128, kAny, {128, 32, 128, 2, 8, 240, 24}}, {"gfx1100", 256, kAny, {64, 16, 256, 2, 4, 240, 24}},
      {"gfx1201", 64, 64, {64, 64, 64, 2, 4, 240, 24}},      {"gfx1201", 64, kAny, {128, 64, 64, 2, 8, 240, 24}},
      {"gfx1201", 128, kAny, {128, 32, 128, 2, 8, 240, 24}}, {"gfx1201", 256, kAny, {64, 16, 256, 2, 4, 240, 24}},
  };
  auto no = [&](const Twine &text) {
    reason = text.str();
    return std::nullopt;
  };
  if (!multiplies(chip, shape.query) || isEight(shape.query))
    return no("expects queries of bf16 or f16, but got " + nameOf(shape.query));
  if (shape.key != shape.value)
    return no("expects keys and values of one size, but got " + Twine(shape.key) + " and " + Twine(shape.value));
  std::string heads;
  bool known = false;
  for (const AttentionRow &row : table) {
    if (chip != row.chip)
      continue;
    known = true;
    if (row.queries == kAny)
      heads += (heads.empty() ? "" : ", ") + std::to_string(row.head);
    if (shape.key != row.head ||
        (row.queries != kAny && (ShapedType::isDynamic(shape.queries) || shape.queries > row.queries)))
      continue;
    AttentionParameters parameters = row.parameters;
    parameters.element = nameOf(shape.query);
    parameters.result = nameOf(shape.result);
    parameters.sinks = shape.sinks;
    return parameters;
  }
  if (!known)
    return no("there is no kernel for " + chip);
  return no("expects heads of one of " + heads + " columns, but got " + Twine(shape.key));
}

} // namespace stepdown
