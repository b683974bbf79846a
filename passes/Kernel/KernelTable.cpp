// The rows stand by size, smallest first; a row takes what is at most as large. A tile of 128 x 256 has the most
// arithmetic for each byte that it reads; less than that much of a matrix would leave most of it empty.
#include "passes/Kernel/KernelTable.h"
#include "mlir/IR/BuiltinTypes.h"

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

std::optional<SelectedKernel> selectMatmul(StringRef chip, Type element, Type result, int64_t rows, int64_t columns) {
  //                       m    n    k  stages warps registers load group
  static const Row table[] = {
      {"sm_90a", "64x64", 64, 64, {64, 64, 64, 8, 4, 168, 40, 8}},
      {"sm_90a", "64x128", 64, kAny, {64, 128, 64, 8, 4, 168, 40, 8}},
      {"sm_90a", "128x128", kAny, 128, {128, 128, 64, 6, 8, 232, 40, 8}},
      {"sm_90a", "128x256", kAny, kAny, {128, 256, 64, 4, 8, 232, 40, 8}},
  };
  if ((!element.isBF16() && !element.isF16()) || (!result.isF32() && !result.isBF16()))
    return std::nullopt;
  auto fits = [](int64_t size, int64_t most) { return most == kAny || (!ShapedType::isDynamic(size) && size <= most); };
  for (const Row &row : table) {
    if (chip != row.chip || !fits(rows, row.rows) || !fits(columns, row.columns))
      continue;
    SelectedKernel kernel = {"", row.parameters};
    kernel.parameters.element = element.isBF16() ? "bf16" : "f16";
    kernel.parameters.result = result.isF32() ? "f32" : "bf16";
    kernel.name = "matmul_" + std::string(row.name) + "_" + kernel.parameters.element + "_" + kernel.parameters.result;
    return kernel;
  }
  return std::nullopt;
}

} // namespace stepdown
