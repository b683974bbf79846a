#include "lib/Driver/Compile.h"
#include "lib/Artifact/ArtifactWriter.h"
#include "lib/Artifact/CodeGenerator.h"
#include "lib/Checkpoint/Gguf.h"
#include "lib/Checkpoint/ModelParameters.h"
#include "lib/Driver/Provenance.h"
#include "lib/Explain/Report.h"
#include "lib/Frontend/Frontend.h"
#include "lib/Pipeline/Phases.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "llvm/Support/ThreadPool.h"
#include <chrono>
#include <filesystem>
#include <fstream>
#include <future>
#include <thread>

using namespace mlir;

namespace stepdown {
namespace {

/// Rotary tables have a row for every 64 positions, and positions are 32-bit.
constexpr uint64_t kMaxContext = 1 << 24;

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// One checkpoint on its way through the phases.
class Compilation {
public:
  Compilation(const std::string &path, const CompileOptions &options)
      : path(path), options(options),
        jobs(options.jobs > 0 ? options.jobs : std::max(1u, std::thread::hardware_concurrency())),
        pool(llvm::hardware_concurrency(jobs)), context(makeRegistry(), MLIRContext::Threading::DISABLED) {
    if (jobs > 1)
      context.setThreadPool(pool);
    levels.assign(options.levels.begin(), options.levels.end());
    if (levels.empty())
      for (const Level &level : stepdown::levels())
        levels.push_back(&level);
  }

  Status open() {
    const double begin = now();
    Result<Gguf> file = Gguf::open(path);
    if (!file)
      return file.error();
    checkpoint.emplace(std::move(*file));
    if (Status status = checkContext(); !status)
      return status;
    FrontendOptions frontend;
    frontend.context = options.maxContext;
    frontend.float32Cache = options.exact || options.float32Cache;
    Result<OwningOpRef<ModuleOp>> built = buildModule(context, *checkpoint, frontend);
    if (!built)
      return built.error();
    module = std::move(*built);
    report.seconds.push_back({"transformer", now() - begin});
    return dump("transformer", *module);
  }

  Status checkContext() {
    if (options.maxContext > kMaxContext)
      return fail(ErrorCode::CompileOption, "%s: expects --max-context of at most %llu positions, but got %llu",
                  path.c_str(), (unsigned long long)kMaxContext, (unsigned long long)options.maxContext);
    Result<ModelParameters> parameters = readParameters(*checkpoint);
    if (!parameters)
      return parameters.error();
    if (options.warn && options.maxContext > parameters->context)
      options.warn(path + ": --max-context=" + std::to_string(options.maxContext) +
                   " is more than the checkpoint declares (" + std::to_string(parameters->context) +
                   "): what the model says beyond that is not what it was trained for");
    return Done{};
  }

  /// Lowers as far as the levels do not matter, and tells what came of it on the way.
  Result<Program> plan() {
    for (const Phase &phase : phases()) {
      if (phase.perLevel)
        break;
      if (!phase.build)
        continue;
      if (Status status = run(phase, *module, nullptr); !status)
        return status.error();
      if (StringRef(phase.name) == "fusion") {
        fusion = explainFusion(*module);
        measureKernels(*module, fusion);
      } else if (StringRef(phase.name) == "linalg") {
        nameKernels(*module, fusion);
      }
    }
    Result<Program> program = buildProgram(*module, options.maxStepTokens, options.exact);
    if (!program)
      return program;
    Result<PackedWeights> weights = planProgramWeights(*checkpoint, program->weights);
    if (!weights)
      return weights.error();
    memory = memoryPlan(*program, weights->bytes);
    report.explain = toText(fusion, memory);
    report.explainJson = toJson(fusion, memory);
    return program;
  }

  /// Runs `phase` on `target`, with what it says kept as the error.
  Status run(const Phase &phase, ModuleOp target, const Level *level) {
    const double begin = now();
    if (options.progress)
      options.progress(phase.name, 0, 0);
    std::string said;
    ScopedDiagnosticHandler keep(&context, [&](Diagnostic &diagnostic) {
      if (diagnostic.getSeverity() == DiagnosticSeverity::Error && said.empty())
        llvm::raw_string_ostream(said) << diagnostic.getLocation() << ": " << diagnostic;
      return success();
    });
    PassManager manager(&context);
    PhaseOptions chosen;
    chosen.exact = options.exact;
    chosen.activations = options.activations;
    chosen.level = level;
    buildPhase(phase, manager, chosen);
    LogicalResult result = manager.run(target);
    std::string name = phase.name;
    if (phase.perLevel)
      name += std::string(".") + level->name;
    if (failed(result))
      return fail(ErrorCode::PhaseFailed, "%s: phase '%s': %s", path.c_str(), name.c_str(), said.c_str());
    report.seconds.push_back({name, now() - begin});
    return dump(name, target);
  }

  /// Runs the phases after the frontend up to `last`, as far as they do not depend on the level.
  Status lower(StringRef last) {
    for (const Phase &phase : phases()) {
      if (phase.perLevel)
        break;
      if (phase.build)
        if (Status status = run(phase, *module, nullptr); !status)
          return status;
      if (last == phase.name)
        break;
    }
    return Done{};
  }

  /// The phases of one level, on a copy.
  Result<OwningOpRef<ModuleOp>> lowerFor(const Level &level, StringRef last) {
    OwningOpRef<ModuleOp> copy(cast<ModuleOp>(module.get()->clone()));
    for (const Phase &phase : phases()) {
      if (!phase.perLevel)
        continue;
      if (Status status = run(phase, *copy, &level); !status)
        return status.error();
      if (last == phase.name)
        break;
    }
    return std::move(copy);
  }

  Status dump(const std::string &name, ModuleOp target) {
    if (options.dump.empty())
      return Done{};
    std::error_code code;
    std::filesystem::create_directories(options.dump, code);
    const std::string file =
        options.dump + "/" + (dumped < 10 ? "0" : "") + std::to_string(dumped) + "-" + name + ".mlir";
    ++dumped;
    std::string text;
    llvm::raw_string_ostream(text) << target;
    return writeText(file, text);
  }

  static Status writeText(const std::string &file, const std::string &text) {
    std::ofstream out(file, std::ios::binary);
    out << text;
    out.flush();
    if (!out)
      return fail(ErrorCode::FileWrite, "%s: cannot write %zu bytes", file.c_str(), text.size());
    return Done{};
  }

  static DialectRegistry makeRegistry() {
    DialectRegistry registry;
    registerCompilerDialects(registry);
    registerBuiltinDialectTranslation(registry);
    registerLLVMDialectTranslation(registry);
    return registry;
  }

  std::string path;
  const CompileOptions &options;
  const int jobs;
  llvm::DefaultThreadPool pool; // outlives the context
  MLIRContext context;
  std::vector<const Level *> levels;
  int dumped = 0;
  std::optional<Gguf> checkpoint;
  OwningOpRef<ModuleOp> module;
  FusionReport fusion;
  MemoryPlan memory;
  CompileReport report;
};

} // namespace

Result<CompileReport> compileModel(const std::string &model, const std::string &output, const CompileOptions &options) {
  Compilation c(model, options);
  if (Status status = c.open(); !status)
    return status.error();
  // Before the work, so that a folder that cannot be written is known at once.
  Result<PartFile> file = PartFile::create(output);
  if (!file)
    return file.error();
  std::future<std::string> hash = std::async(c.jobs > 1 ? std::launch::async : std::launch::deferred,
                                             [&] { return checkpointHash(*c.checkpoint); });
  Result<Program> program = c.plan();
  if (!program)
    return program.error();
  ArtifactParts parts;
  parts.checkpoint = &*c.checkpoint;
  parts.program = std::move(*program);
  for (const Level *level : c.levels) {
    Result<OwningOpRef<ModuleOp>> native = c.lowerFor(*level, "");
    if (!native)
      return native.error();
    const double begin = now();
    auto kernels = (*native)->lookupSymbol<ModuleOp>("kernels");
    Result<NativeCode> code = generateCode(
        kernels, *level, c.jobs,
        [&](int done, int total) {
          if (options.progress)
            options.progress(std::string("code for ") + level->name, done, total);
        },
        options.dump);
    if (!code)
      return code.error();
    c.report.seconds.push_back({std::string("code.") + level->name, now() - begin});
    parts.code.push_back({level, std::move(*code)});
  }
  double begin = now();
  parts.provenance = provenance(*c.checkpoint, hash.get(), options, c.levels, c.memory);
  c.report.seconds.push_back({"hash", now() - begin});
  begin = now();
  Status written = writeArtifact(std::move(*file), std::move(parts), c.jobs, [&](uint64_t done, uint64_t total) {
    if (options.progress)
      options.progress("packing weights", done, total);
  });
  if (!written)
    return written.error();
  c.report.seconds.push_back({"write", now() - begin});
  return std::move(c.report);
}

Result<CompileReport> explainModel(const std::string &model, const CompileOptions &options) {
  Compilation c(model, options);
  if (Status status = c.open(); !status)
    return status.error();
  if (Result<Program> program = c.plan(); !program)
    return program.error();
  return std::move(c.report);
}

Result<std::string> compileTo(const std::string &model, const std::string &phase, const CompileOptions &options) {
  const Phase *last = findPhase(phase);
  if (!last)
    return fail(ErrorCode::CompileOption, "expects a phase of --compile-to=help, but got '%s'", phase.c_str());
  Compilation c(model, options);
  if (Status status = c.open(); !status)
    return status.error();
  std::string text;
  llvm::raw_string_ostream stream(text);
  if (last->build)
    if (Status status = c.lower(phase); !status)
      return status.error();
  if (!last->perLevel) {
    stream << *c.module;
    return text;
  }
  Result<OwningOpRef<ModuleOp>> native = c.lowerFor(*c.levels.back(), phase);
  if (!native)
    return native.error();
  stream << **native;
  return text;
}

} // namespace stepdown
