// One checkpoint, or one plain module, on its way through the phases: what both roads of the driver share.
#pragma once
#include "lib/Artifact/FunctionTable.h"
#include "lib/Artifact/ProgramBuilder.h"
#include "lib/Checkpoint/Checkpoint.h"
#include "lib/Driver/Compile.h"
#include "lib/Driver/Provenance.h"
#include "lib/Explain/Dispatches.h"
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
  /// Builds the module of the open checkpoint anew, with room for `options.adapterSlots` beside its linears. E1476.
  Status buildAdapted();
  /// Reads a plain module from the file, or from `text` where given.
  Status openPlainModule(const std::string *text);
  /// Reads IR that the phase `options.from` left, and takes over the options that it was made with. E0833, E0855.
  Status openPrinted();
  /// Reads the checkpoint of printed IR, whose artifact is wanted; E0832 where `options.weights` names none.
  Status openWeights();

  /// Lowers a checkpoint's module to the fork of its road, and tells what came of it on the way.
  Result<BuiltProgram> plan();
  /// Lowers the module to the fork of its road, where its targets part, or through `last` where that is before.
  Status lower(const Phase &last);
  /// A copy of the module, lowered for `target` alone through `last`.
  Result<mlir::OwningOpRef<mlir::ModuleOp>> lowerFor(const Target &target, const Phase &last);
  /// The IR after `phase`, for the highest of the targets where they have parted, as text that openPrinted takes.
  Result<std::string> print(const Phase &phase);
  /// E0832 where explainFunctions() cannot tell: of targets of several roads, or of printed IR behind the linalg phase.
  Status checkExplained() const;
  /// Tells of each function of a plain module what it became, and lowers the module to the fork of its road.
  Status explainFunctions();
  /// Native code of every target of the road.
  Result<std::vector<TargetCode>> generate();

  /// The roads of the targets, in their order; the module is on the first until another is taken.
  std::vector<const Road *> targetRoads() const;
  /// Goes on along `other` with its targets alone. The module has passed no phase that the two do not share.
  void take(const Road &other);

  std::string path;
  CompileOptions options;
  const int jobs;
  llvm::DefaultThreadPool pool; ///< outlives the context
  FusionRemarks remarks;        ///< outlives the context, too
  mlir::MLIRContext context;
  std::vector<const Target *> targets; ///< those of one road have one layout and one list of buckets (lib/Target)
  const Road *road = nullptr;          ///< which the module takes, once there is one
  const Phase *done = nullptr;         ///< the phase of the road that the module is through
  std::optional<Checkpoint> checkpoint;
  std::shared_ptr<const MergedWeights> merged;                       ///< adapters in its weights, or null
  std::shared_ptr<const QuantisedWeights> quantised;                 ///< blocks of its weights, or null
  PlainSource source;                                                ///< of a plain module
  std::vector<std::pair<std::string, mlir::FunctionType>> functions; ///< of a plain module, as callers see them
  EditedIr edited;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  FusionReport fusion;
  std::vector<DispatchReport> devices; ///< of each device that was planned for
  MemoryPlan memory;
  CompileReport report;
  bool forArtifact = false; ///< the checkpoint must be one that the runtime can use, tokenizer included

private:
  using After = llvm::function_ref<Status(const Phase &)>;
  /// The module is what the frontend makes of `input`; E0832 for a target that no road leads to.
  Status enter(Input input);
  /// Adds what `cpu` stands for where weights are bfloat16, behind the processors that are there.
  void addTargetsOfBFloats();
  /// E1515 where a device would have to read keys and values that are no numbers, E1428 where it would have to run an
  /// encoder.
  Status checkDevices();
  /// Runs the phases behind `from` and before `end`, each followed by `after`.
  Status run(const Phase *from, const Phase *end, mlir::ModuleOp lowered, const Target &target, After after);
  Status lowerTo(const Phase *end, After after);
  Status readCheckpoint(const std::string &file);
  Status buildCheckpoint(const AdapterSlots &adapters = {});
  Status checkText();
  Status takeKernels();
  Status checkWeights();
  Status mergeAdapters();
  Status quantise();
  Status checkContext();
  /// Runs `phase` on `lowered`, with what it says kept as the error.
  Status run(const Phase &phase, mlir::ModuleOp lowered, const Target &target);
  Status dump(const std::string &name, mlir::ModuleOp target);
  std::optional<std::pair<FusionReport, MemoryPlan>> explained;
  const Phase *from = nullptr;               ///< the phase that left printed IR
  mlir::OwningOpRef<mlir::ModuleOp> resumed; ///< printed IR of a model behind the packing phase
  int dumped = 0;
};

/// Seconds on a clock that only moves forward.
double compileClock();

} // namespace stepdown
