// THE table: every phase of the compiler in order, what it does in one sentence, and the dialects it leaves.
#pragma once
#include "lib/Base/Result.h"
#include "lib/Target/Target.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/PassManager.h"

namespace stepdown {

struct PhaseOptions {
  bool exact = false;               ///< activations stay float32
  std::string activations = "q8o2"; ///< element of activation blocks: q8o2, q8x2 or q8
  /// Fusion and linalg read its layout and buckets, vector all of it.
  const Target *target = &targets().back();
};

struct Phase {
  const char *name; ///< as --compile-to spells it
  const char *sentence;
  void (*build)(mlir::OpPassManager &manager, const PhaseOptions &options); ///< null for the first
  llvm::ArrayRef<const char *> program;                                     ///< dialects left in the program functions
  llvm::ArrayRef<const char *> kernels;                                     ///< dialects left in the kernels' module
  llvm::ArrayRef<const char *> callable; ///< dialects left in functions of a plain module, which lie beside kernels
  bool perLevel;                         ///< runs once for each instruction-set level
};

llvm::ArrayRef<Phase> phases();
const Phase *findPhase(llvm::StringRef name);
/// In their order, for messages and tables of options.
std::vector<std::string> phaseNames();

/// Adds `phase` and the check of its contract.
void buildPhase(const Phase &phase, mlir::OpPassManager &manager, const PhaseOptions &options);

/// Registers the pipelines `phase-<name>` and the dialects, passes and interfaces they need.
void registerPhases();
void registerCompilerDialects(mlir::DialectRegistry &registry);

} // namespace stepdown
