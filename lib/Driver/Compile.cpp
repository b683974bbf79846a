#include "lib/Driver/Compile.h"
#include "lib/Artifact/ArtifactWriter.h"
#include "lib/Artifact/FunctionTable.h"
#include "lib/Base/Suggestion.h"
#include "lib/Driver/Compilation.h"
#include "lib/Driver/Provenance.h"
#include "lib/Driver/Verification.h"
#include "lib/Frontend/PlainModule.h"
#include "llvm/ADT/SetVector.h"
#include <future>

using namespace mlir;

namespace stepdown {

Status checkNumbers(bool exact, const std::string &activations, const std::string &kvType) {
  if (!activations.empty() && activations != "q8o2" && activations != "q8x2" && activations != "q8")
    return fail(ErrorCode::CompileOption, "activations: expects q8o2, q8x2 or q8, but got '%s'", activations.c_str());
  if (!kvType.empty() && kvType != "f16" && kvType != "f32" && kvType != "q8_0" && kvType != "fp8_e4m3")
    return fail(ErrorCode::CompileOption, "kv_type: expects f16, f32, q8_0 or fp8_e4m3, but got '%s'", kvType.c_str());
  if (exact && !activations.empty())
    return fail(ErrorCode::CompileOption,
                "exact: expects activations that nobody chose, since they stay float32, but got %s",
                activations.c_str());
  if (exact && !kvType.empty() && kvType != "f32")
    return fail(ErrorCode::CompileOption, "exact: expects a KV cache of f32, but got %s", kvType.c_str());
  return Done{};
}

Status checkQuantize(const std::string &name) {
  if (name.empty() || quantisationNamed(name))
    return Done{};
  std::vector<std::string> names;
  for (const Quantisation &each : quantisations())
    names.push_back(each.name);
  return fail(ErrorCode::CompileOption, "quantize: expects %s, but got '%s'%s", alternatives(names).c_str(),
              name.c_str(), suggestion(name, names).c_str());
}

std::vector<std::string> inputFiles(const std::string &model, const CompileOptions &options) {
  std::vector<std::string> files = checkpointFiles(model);
  if (!options.weights.empty())
    for (std::string &file : checkpointFiles(options.weights))
      files.push_back(std::move(file));
  for (const AdapterChoice &adapter : options.adapters)
    for (std::string &file : adapterFiles(adapter.path))
      files.push_back(std::move(file));
  return files;
}

/// Gives `file` its name, once it is one that the runtime loads.
static Status finish(Compilation &c, PartFile &file) {
  const double begin = compileClock();
  Status good = verifyArtifact(file.partPath(), file.path());
  if (good)
    good = file.commit();
  c.report.seconds.push_back({"verify", compileClock() - begin});
  return good;
}

/// A plain module that was opened, through the same phases; the artifact holds its functions. `inputs`: files that the
/// output must not replace.
static Result<CompileReport> compilePlain(Compilation &c, const std::string &output,
                                          const std::vector<std::string> &inputs) {
  std::vector<FunctionSignature> functions;
  for (const auto &[name, type] : c.functions)
    functions.push_back(signatureOf(name, type));
  if (Status status = verifyFunctions(c.path, functions, c.targets); !status)
    return status.error();
  if (Status known = c.options.explain ? c.checkExplained() : Done{}; !known)
    return known.error();
  Result<PartFile> file = PartFile::create(output, inputs);
  if (!file)
    return file.error();
  const std::string origin = plainProvenance(c.source, c.targets, c.edited);
  std::vector<TargetCode> code;
  const std::vector<const Target *> targets = c.targets;
  const std::vector<const Road *> roads = c.targetRoads();
  OwningOpRef<ModuleOp> start(cast<ModuleOp>(c.module.get()->clone()));
  const Phase *done = c.done;
  for (const Road *road : roads) {
    if (road != roads.front()) {
      c.module = cast<ModuleOp>(start.get()->clone());
      c.done = done;
      c.targets = targets;
    }
    c.take(*road);
    if (Status status = c.options.explain ? c.explainFunctions() : c.lower(c.road->phases.back()); !status)
      return status.error();
    Result<std::vector<TargetCode>> own = c.generate();
    if (!own)
      return own.error();
    std::move(own->begin(), own->end(), std::back_inserter(code));
  }
  const double begin = compileClock();
  Status written = writeFunctions(*file, functions, code, origin);
  if (!written)
    return written.error();
  c.report.seconds.push_back({"write", compileClock() - begin});
  if (Status status = finish(c, *file); !status)
    return status.error();
  return std::move(c.report);
}

Result<CompileReport> compilePlainText(const std::string &text, const std::string &name, const std::string &output,
                                       const CompileOptions &options) {
  Compilation c(name, options);
  if (Status status = c.openPlainModule(&text); !status)
    return status.error();
  return compilePlain(c, output, {});
}

/// Whatever the input is, with the checkpoint of a model.
static Status open(Compilation &c) {
  if (c.options.from.empty())
    return isPlainModule(c.path) ? c.openPlainModule(nullptr) : c.openCheckpoint();
  Status read = c.openPrinted();
  return read ? c.openWeights() : read;
}

/// Takes the module of a model, as it is now, to each device of its targets: `with` has the targets of that one alone.
static Status eachDevice(Compilation &c, llvm::function_ref<Status()> with) {
  const std::vector<const Target *> targets = c.targets;
  llvm::SmallSetVector<StringRef, 4> devices;
  for (const Target *target : targets)
    devices.insert(target->device);
  OwningOpRef<ModuleOp> start(devices.size() > 1 ? cast<ModuleOp>(c.module.get()->clone()) : ModuleOp());
  const Phase *done = c.done;
  for (StringRef device : devices) {
    if (device != devices.front()) {
      c.module = cast<ModuleOp>(start.get()->clone());
      c.done = done;
      c.targets = targets;
    }
    llvm::erase_if(c.targets, [&](const Target *target) { return device != target->device; });
    c.take(*c.targetRoads().front());
    if (Status status = with(); !status)
      return status;
  }
  c.targets = targets;
  return Done{};
}

Result<CompileReport> compileModel(const std::string &model, const std::string &output, const CompileOptions &options) {
  Compilation c(model, options);
  c.forArtifact = true;
  if (Status status = open(c); !status)
    return status.error();
  if (!c.checkpoint)
    return compilePlain(c, output, {model});
  // Before the work, so that a folder that cannot be written is known at once.
  Result<PartFile> file = PartFile::create(output, inputFiles(model, options));
  if (!file)
    return file.error();
  std::future<std::string> hash = std::async(c.jobs > 1 ? std::launch::async : std::launch::deferred,
                                             [&] { return checkpointHash(*c.checkpoint); });
  ArtifactParts parts;
  parts.checkpoint = &*c.checkpoint;
  auto make = [&](const char *behind) {
    return eachDevice(c, [&]() -> Status {
      Result<BuiltProgram> program = c.plan();
      if (!program)
        return program.error();
      Result<std::vector<TargetCode>> code = c.generate();
      if (!code)
        return code.error();
      parts.targets.push_back({std::string(c.targets.front()->device) + behind, std::move(*program), std::move(*code)});
      return Done{};
    });
  };
  Status made = make("");
  const MemoryPlan memory = c.memory; // of the model without adapters
  if (made && options.adapterSlots.slots)
    made = c.buildAdapted();
  if (made && options.adapterSlots.slots)
    made = make(STEPDOWN_ADAPTED);
  if (!made)
    return made.error();
  double begin = compileClock();
  parts.provenance = provenance(*c.checkpoint, hash.get(), c.merged.get(), c.options, c.targets, memory, c.edited);
  c.report.seconds.push_back({"hash", compileClock() - begin});
  begin = compileClock();
  Status written = writeArtifact(*file, std::move(parts), c.jobs, [&](uint64_t done, uint64_t total) {
    if (options.progress)
      options.progress("packing weights", done, total);
  });
  if (!written)
    return written.error();
  if (Status sound = c.merged ? c.merged->check() : Status(Done{}); !sound) // of every row that was written
    return sound.error();
  if (Status sound = c.quantised ? c.quantised->check() : Status(Done{}); !sound)
    return sound.error();
  c.report.seconds.push_back({"write", compileClock() - begin});
  if (Status status = finish(c, *file); !status)
    return status.error();
  return std::move(c.report);
}

Result<CompileReport> explainModel(const std::string &model, const CompileOptions &options) {
  Compilation c(model, options);
  if (Status status = open(c); !status)
    return status.error();
  if (!c.checkpoint) {
    Status told = c.checkExplained();
    if (told)
      told = c.explainFunctions();
    return told ? Result<CompileReport>(std::move(c.report)) : told.error();
  }
  if (options.from == "linalg" || options.from == "packing")
    return fail(ErrorCode::CompileOption,
                "%s: expects IR of fusion or an earlier phase for --explain: what %s "
                "leaves no longer tells what was fused",
                model.c_str(), options.from.c_str());
  Status told = eachDevice(c, [&]() -> Status {
    Result<BuiltProgram> program = c.plan();
    return program ? Status(Done{}) : program.error();
  });
  return told ? Result<CompileReport>(std::move(c.report)) : told.error();
}

Result<std::string> compileTo(const std::string &model, const std::string &phase, const CompileOptions &options) {
  if (!llvm::is_contained(phaseNames(), phase))
    return fail(ErrorCode::CompileOption, "expects a phase of --compile-to=help, but got '%s'%s", phase.c_str(),
                suggestion(phase, phaseNames()).c_str());
  Compilation c(model, options);
  // No weights are needed to print.
  if (Status status = options.from.empty() ? open(c) : c.openPrinted(); !status)
    return status.error();
  c.take(*c.targetRoads().back());
  const Phase *last = c.road->find(phase);
  if (!last)
    return fail(ErrorCode::CompileOption, "%s: expects --compile-to of a phase that a %s goes through, but got '%s'",
                model.c_str(), c.road->unit, phase.c_str());
  if (!options.from.empty() && c.done >= last)
    return fail(ErrorCode::CompileOption, "expects --compile-to of a phase after '%s', but got '%s'",
                options.from.c_str(), phase.c_str());
  return c.print(*last);
}

} // namespace stepdown
