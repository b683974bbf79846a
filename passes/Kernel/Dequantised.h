// What a program says of a matrix of codes with scales: it multiplies the codes, widened, by their scales.
#pragma once
#include "mlir/IR/Builders.h"
#include <optional>
#include <string>

namespace stepdown {

/// A matrix of float32 [rows, columns] that is made of codes times scales, as a kernel takes both.
struct Dequantised {
  mlir::Value codes;   ///< [rows, columns], or [rows / 128, 128, columns / 128, 128] and [rows, columns / 128, 128]
  mlir::Value scales;  ///< f32: one, [], of rows, [rows], or of 128 columns of `rowsOfScale` rows each
  int64_t rowsOfScale; ///< 1, 128; 0 where there is one scale for all
  mlir::Type element() const;
};

/// `matrix` as that; none where it is made otherwise, and `reason` says why, in words, where it is made of widened
/// codes.
std::optional<Dequantised> dequantisedOf(mlir::Value matrix, std::string &reason);

/// The codes and the scales as matrices: [rows, columns], and [1, 1], [rows, 1] or the numbers of blocks.
mlir::Value codesOf(mlir::OpBuilder &b, mlir::Location loc, const Dequantised &matrix);
mlir::Value scalesOf(mlir::OpBuilder &b, mlir::Location loc, const Dequantised &matrix);

} // namespace stepdown
