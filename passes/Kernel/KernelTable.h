// Which tile kernel computes a matrix product: by chip, types and sizes.
#pragma once
#include "lib/Kernels/KernelText.h"
#include "mlir/IR/Types.h"
#include <optional>

namespace stepdown {

/// A kernel of the table; `name` is that of the row, the same for the same kernel.
struct SelectedKernel {
  std::string name;
  MatmulParameters parameters;
};

/// The first row of the table that takes a product of `rows` x `columns` (kDynamic where a size is known later) of
/// these element types on `chip`; none where it has no such row.
std::optional<SelectedKernel> selectMatmul(llvm::StringRef chip, mlir::Type element, mlir::Type result, int64_t rows,
                                           int64_t columns);

/// Bytes that the distance of rows of a matrix that is copied from must be a multiple of (TMA).
inline constexpr int64_t kRowAlignment = 16;

} // namespace stepdown
