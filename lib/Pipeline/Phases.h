// THE tables: every phase of the compiler in order, what it does in one sentence, and the dialects it leaves. There is
// one for each road: for what is compiled, and for where its targets lead.
#pragma once
#include "lib/Base/Result.h"
#include "lib/Target/Target.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/PassManager.h"

namespace stepdown {

/// What is compiled.
enum class Input {
  Model,     ///< step functions, whose kernels end in the nested module @kernels
  Functions, ///< of a plain module; they lie in @kernels from the beginning
};

struct PhaseOptions {
  bool exact = false;               ///< activations stay float32
  std::string activations = "q8o2"; ///< element of activation blocks: q8o2, q8x2 or q8
  const Target *target = &defaultTarget();
};

struct Phase {
  const char *name; ///< as --compile-to spells it
  const char *sentence;
  void (*build)(mlir::OpPassManager &manager, const PhaseOptions &options); ///< null where there is nothing to run
  llvm::ArrayRef<const char *> program; ///< dialects and operations left outside @kernels
  llvm::ArrayRef<const char *> kernels; ///< those left in it
};

struct Road {
  Input input;
  const char *target; ///< Target::road of the targets that take it
  const char *unit;   ///< one of what @kernels holds, for messages
  /// The first phase that reads more of a target than its layout and its buckets. Targets of one layout and one list of
  /// buckets go together until there, and each alone from there on; RoadsTest holds this against what the phases leave.
  const char *fork;
  llvm::ArrayRef<Phase> phases; ///< the first is what the frontend makes

  /// The phase called `name`, or null.
  const Phase *find(llvm::StringRef name) const;
  /// Whether targets go through `phase` together.
  bool isShared(const Phase &phase) const { return &phase < find(fork); }
};

llvm::ArrayRef<Road> roads();
/// The road that `input` takes to `target`, or null where none leads there yet.
const Road *roadOf(Input input, const Target &target);

/// Of all roads, in their order, for messages and tables of options.
std::vector<std::string> phaseNames();

/// Adds `phase` of `road` and the check of its contract.
void buildPhase(const Road &road, const Phase &phase, mlir::OpPassManager &manager, const PhaseOptions &options);

/// Registers the pipelines `phase-<name>` and the dialects, passes and interfaces they need.
void registerPhases();
void registerCompilerDialects(mlir::DialectRegistry &registry);

} // namespace stepdown
