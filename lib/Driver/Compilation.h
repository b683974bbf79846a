// One checkpoint, or one plain module, on its way through the phases: what both roads of the driver share.
#pragma once
#include "lib/Artifact/FunctionTable.h"
#include "lib/Artifact/ProgramBuilder.h"
#include "lib/Checkpoint/Gguf.h"
#include "lib/Driver/Compile.h"
#include "lib/Explain/Report.h"
#include "lib/Pipeline/Phases.h"
#include "llvm/Support/ThreadPool.h"
#include <optional>

namespace stepdown {

class Compilation {
public:
  /// `path` is what messages call the input.
  Compilation(const std::string &path, const CompileOptions &options);

  /// Reads the checkpoint and builds its module.
  Status openCheckpoint();
  /// Reads a plain module from the file, or from `text` where given.
  Status openPlainModule(const std::string *text);

  /// Lowers a checkpoint's module as far as all targets share, and tells what came of it on the way.
  Result<Program> plan();
  /// Runs the phases after the frontend up to `last` (all where empty), as far as all targets share them.
  Status lower(llvm::StringRef last);
  /// The phases of one target up to `last` (all where empty), on a copy.
  Result<mlir::OwningOpRef<mlir::ModuleOp>> lowerFor(const Target &target, llvm::StringRef last);
  /// Native code of every target.
  Result<std::vector<TargetCode>> generate();

  std::string path;
  const CompileOptions &options;
  const int jobs;
  llvm::DefaultThreadPool pool; ///< outlives the context
  mlir::MLIRContext context;
  std::vector<const Target *> targets; ///< of one layout and one list of buckets, as lib/Target says
  std::optional<Gguf> checkpoint;
  std::string source; ///< text or bytecode of the plain module
  mlir::OwningOpRef<mlir::ModuleOp> module;
  FusionReport fusion;
  MemoryPlan memory;
  CompileReport report;

private:
  Status checkWeights();
  Status checkContext();
  /// Runs `phase` on `lowered`, with what it says kept as the error.
  Status run(const Phase &phase, mlir::ModuleOp lowered, const Target &target);
  Status dump(const std::string &name, mlir::ModuleOp target);
  int dumped = 0;
};

/// Seconds on a clock that only moves forward.
double compileClock();

} // namespace stepdown
