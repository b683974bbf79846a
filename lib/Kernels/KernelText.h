// Tile kernels as text with parameters: the mathematics is written once for all chips, and how large its tiles are, how
// deep its rings, how many warps its roles have comes from a table.
#pragma once
#include "lib/Base/Result.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include <map>

namespace stepdown {

/// The parameters of lib/Kernels/Matmul.mlir: C [M, N] = A [M, K] B [K, N], all with rows of neighbouring elements.
struct MatmulParameters {
  int64_t m = 128, n = 256, k = 64;            ///< elements of a tile of C, and of the reduction that a slot holds
  int64_t stages = 4;                          ///< slots
  int64_t warps = 8;                           ///< of the role that multiplies
  int64_t registers = 232, loadRegisters = 40; ///< of a thread of each role
  int64_t group = 8;                           ///< tiles of rows that run next to each other
  std::string element = "bf16", result = "f32";
};

/// A module with the tile.kernel @matmul. E0561 where the parameters do not make a kernel that verifies, with the line
/// of the text.
Result<mlir::OwningOpRef<mlir::ModuleOp>> matmulKernel(mlir::MLIRContext &context, const MatmulParameters &parameters);

/// `text` with $(name) replaced by the parameter of that name, parsed and verified; `name` stands in locations. E0561
/// for a name that has no parameter, and for what the parser and the verifier say.
Result<mlir::OwningOpRef<mlir::ModuleOp>> parseKernel(mlir::MLIRContext &context, llvm::StringRef text,
                                                      llvm::StringRef name,
                                                      const std::map<std::string, std::string> &parameters);

} // namespace stepdown
