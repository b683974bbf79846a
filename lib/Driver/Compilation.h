// One checkpoint, or one plain module, on its way through the phases: what both roads of the driver share.
#pragma once
#include "lib/Artifact/FunctionTable.h"
#include "lib/Artifact/ProgramBuilder.h"
#include "lib/Checkpoint/Gguf.h"
#include "lib/Driver/Compile.h"
#include "lib/Driver/Provenance.h"
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
  /// Reads IR that the phase `options.from` left, and takes over the options that it was made with. E0833, E0855.
  Status openPrinted();
  /// Reads the checkpoint of printed IR, whose artifact is wanted; E0832 where `options.weights` names none.
  Status openWeights();

  /// Lowers a checkpoint's module as far as all targets share, and tells what came of it on the way.
  Result<BuiltProgram> plan();
  /// Runs the phases after the frontend up to `last` (all where empty), as far as all targets share them.
  Status lower(llvm::StringRef last);
  /// The phases of one target up to `last` (all where empty), on a copy.
  Result<mlir::OwningOpRef<mlir::ModuleOp>> lowerFor(const Target &target, llvm::StringRef last);
  /// `lowered` after `phase` as text that openPrinted takes.
  std::string printed(const Phase &phase, mlir::ModuleOp lowered, const Target *only) const;
  /// Native code of every target.
  Result<std::vector<TargetCode>> generate();

  std::string path;
  CompileOptions options;
  const int jobs;
  llvm::DefaultThreadPool pool; ///< outlives the context
  mlir::MLIRContext context;
  std::vector<const Target *> targets; ///< of one layout and one list of buckets, as lib/Target says
  std::optional<Gguf> checkpoint;
  PlainSource source;                                                ///< of a plain module
  std::vector<std::pair<std::string, mlir::FunctionType>> functions; ///< of a plain module, as callers see them
  EditedIr edited;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  FusionReport fusion;
  MemoryPlan memory;
  CompileReport report;
  bool forArtifact = false; ///< the checkpoint must be one that the runtime can use, tokenizer included

private:
  /// Whether the module has not been through `phase`.
  bool isAhead(const Phase &phase) const { return !done || &phase > done; }
  Status readCheckpoint(const std::string &file);
  Status buildCheckpoint();
  Status checkText();
  Status takeKernels();
  Status checkWeights();
  Status checkContext();
  /// Runs `phase` on `lowered`, with what it says kept as the error.
  Status run(const Phase &phase, mlir::ModuleOp lowered, const Target &target);
  Status dump(const std::string &name, mlir::ModuleOp target);
  const Phase *from = nullptr;               ///< the phase that left printed IR
  const Phase *done = nullptr;               ///< the last phase of printed IR, of a row of phases()
  mlir::OwningOpRef<mlir::ModuleOp> resumed; ///< printed IR of a model behind the linalg phase
  int dumped = 0;
};

/// Seconds on a clock that only moves forward.
double compileClock();

} // namespace stepdown
