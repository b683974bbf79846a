// A plain MLIR module instead of a checkpoint: functions on arrays, as people write them for any MLIR compiler. Its
// functions move into the nested module @kernels, where the phases find them beside what kernels of models become.
#pragma once
#include "lib/Base/Result.h"
#include "mlir/IR/BuiltinOps.h"
#include <string>

namespace stepdown {

/// Whether `path` names a plain module (.mlir, or .mlirbc for bytecode) and not a checkpoint.
bool isPlainModule(llvm::StringRef path);

/// "program.mlir:3:5", or "?" where no line is known.
std::string placeOf(mlir::Location loc);

/// The module of `text`, which messages call `name`, with its public functions ready to be called from outside: every
/// argument and result is a tensor (a scalar becomes one of rank 0). E0833: `text` does not parse or verify, or names a
/// dialect that the compiler lacks. E0834: an operation, type or function that no artifact can hold. Both name file,
/// line and column.
Result<mlir::OwningOpRef<mlir::ModuleOp>> parsePlainModule(mlir::MLIRContext &context, llvm::StringRef text,
                                                           llvm::StringRef name);

} // namespace stepdown
