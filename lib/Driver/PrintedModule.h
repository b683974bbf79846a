// IR of a phase as text that can be given back: --compile-to prints it, --compile-from reads it. Beside the IR stands
// the attribute transformer.compiled, with what the phases before knew and the phases after do not find in the IR.
#pragma once
#include "lib/Driver/Provenance.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/BuiltinTypes.h"
#include <string>
#include <utility>
#include <vector>

namespace stepdown {

struct PrintedRecord {
  std::string phase;
  bool plain = false; ///< a plain module, which has `source` and `functions`; else a model, which has the options
  PlainSource source;
  std::vector<std::pair<std::string, mlir::FunctionType>> functions; ///< as callers see them, in order
  bool exact = false;
  std::string activations, kvType;
  uint64_t maxContext = 0;
  std::string target;  ///< of a phase that runs for each target; else empty
  bool edited = false; ///< read: the text is not what was printed
};

/// `module` with its places and `record` as text.
std::string printModule(mlir::ModuleOp module, const PrintedRecord &record);

/// The record of a module that was read, taken off it. E0855, beginning with `place`: there is none, it lacks
/// something, or it is of another phase than `phase`.
Result<PrintedRecord> takeRecord(mlir::ModuleOp module, llvm::StringRef phase, const std::string &place);

} // namespace stepdown
