// The transformer dialect with its types and attributes, and the questions its operations ask of a tensor's type.
#pragma once
#include "lib/Checkpoint/BlockFormat.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpImplementation.h"

namespace stepdown {
struct Layout;
}

#include "dialects/Transformer/IR/TransformerDialect.h.inc"
#include "dialects/Transformer/IR/TransformerEnums.h.inc"
#define GET_ATTRDEF_CLASSES
#include "dialects/Transformer/IR/TransformerAttrs.h.inc"
#define GET_TYPEDEF_CLASSES
#include "dialects/Transformer/IR/TransformerTypes.h.inc"

namespace stepdown::transformer {

/// The module attribute that holds a ModelAttr.
inline constexpr llvm::StringLiteral modelAttrName = "transformer.model";
/// The attribute of a layer kind whose attention sees a window of so many positions.
inline constexpr llvm::StringLiteral kWindowAttr = "transformer.window";

/// The attribute of a module that was a plain one: its functions lie in the nested module @kernels. Callers of the
/// artifact name the public ones: arrays in, arrays out.
inline constexpr llvm::StringLiteral kPlainAttr = "transformer.plain";
/// What a `cf.assert` of such a function says where an array is larger than any memory: its caller lacks room, and no
/// check of the program failed.
inline constexpr llvm::StringLiteral kTooLargeCheck = "stepdown: the array is too large";
/// The attribute of a printed module: what the phases before it knew and those after it do not find in the IR.
inline constexpr llvm::StringLiteral kCompiledAttr = "transformer.compiled";

/// tensor<T x N x f32>, T of any size, N static.
bool isRows(mlir::Type type);
/// The same of f16 or bf16: what attention of plain modules takes, too.
bool isNarrowRows(mlir::Type type);
/// tensor<T x B x !transformer.activation<...>>, B static: quantised rows.
bool isActivations(mlir::Type type);
/// tensor<R x i32>.
bool isIndices(mlir::Type type);
/// tensor<T x K x i32>, K static: a number for each token and rank.
bool isChoices(mlir::Type type);
/// tensor<SxMxNxf16>: a matrix of every adapter's slot, all sizes static and at least 1.
bool isAdapter(mlir::Type type);
/// tensor<N x f32>, static.
bool isVector(mlir::Type type);
/// tensor<R x 2 x F x f32>, F static: cosines, then sines, of F angles for each of R positions.
bool isAngles(mlir::Type type);
/// tensor<O x B x !transformer.block<..., rows = 1>>, static.
bool isMatrix(mlir::Type type);

/// Columns of a Rows, Activations or Matrix type: for blocks their number times the values of one.
int64_t columns(mlir::Type type);

/// Whether two dimensions can be equal: the same size, or one of them dynamic.
bool mayBeEqual(int64_t a, int64_t b);

} // namespace stepdown::transformer
