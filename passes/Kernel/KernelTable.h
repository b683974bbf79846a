// Which tile kernel computes a matrix product, and which an attention: by chip, types and sizes.
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
/// these element types on `chip`, its second operand as it is or transposed; none where it has no such row.
std::optional<SelectedKernel> selectMatmul(llvm::StringRef chip, mlir::Type element, mlir::Type result, int64_t rows,
                                           int64_t columns, bool transposeB);

/// The same of a product of fp8 with scales, whose second operand lies transposed.
std::optional<SelectedKernel> selectScaledMatmul(llvm::StringRef chip, mlir::Type element, int64_t rows,
                                                 mlir::Type result);

/// Whether sums of products of `element` on `chip` have fewer bits than float32 while its matrix unit adds them up, so
/// that long ones end behind each 128 columns and go on in registers: Hopper's of fp8, 14. That AMD's are of
/// float32, as the results of its instructions are, is taken for granted, not measured.
bool keepsFewBits(llvm::StringRef chip, mlir::Type element);

/// How many shares the sum over `k` of such a product is worth having: a power of two, 1 where a size is known later,
/// where its tiles are many, or where a share had few slots.
int64_t sharesOfSum(const MatmulParameters &parameters, int64_t rows, int64_t columns, int64_t k);

/// What the table asks of an attention; sizes that are known later are kDynamic.
struct AttentionShape {
  mlir::Type query, result; ///< elements; keys and values have the query's
  int64_t key, value;       ///< columns of a head
  int64_t queries;
  bool sinks;
};

/// The first row that takes attention of this shape on `chip`: its tiles, with elements and columns filled in. Else
/// none, and `reason` says why, in words.
std::optional<AttentionParameters> selectAttention(llvm::StringRef chip, const AttentionShape &shape,
                                                   std::string &reason);

/// Bytes that the distance of rows of a matrix that is copied from must be a multiple of (TMA).
inline constexpr int64_t kRowAlignment = 16;

} // namespace stepdown
