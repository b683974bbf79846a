#include "lib/Driver/Compilation.h"
#include "lib/Artifact/ArtifactWriter.h"
#include "lib/Artifact/CodeGenerator.h"
#include "lib/Base/PartFile.h"
#include "lib/Checkpoint/ModelParameters.h"
#include "lib/Driver/Verification.h"
#include "lib/Frontend/Frontend.h"
#include "lib/Frontend/ModuleLimits.h"
#include "lib/Frontend/PlainModule.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include <chrono>
#include <cstring>
#include <filesystem>
#include <thread>

using namespace mlir;

namespace stepdown {

double compileClock() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

static std::string textOf(Location loc) {
  std::string text;
  llvm::raw_string_ostream(text) << loc;
  return text;
}

static DialectRegistry makeRegistry() {
  DialectRegistry registry;
  registerCompilerDialects(registry);
  registerBuiltinDialectTranslation(registry);
  registerLLVMDialectTranslation(registry);
  return registry;
}

Compilation::Compilation(const std::string &path, const CompileOptions &options)
    : path(path), options(options),
      jobs(options.jobs > 0 ? options.jobs : std::max(1u, std::thread::hardware_concurrency())),
      pool(llvm::hardware_concurrency(jobs)), context(makeRegistry(), MLIRContext::Threading::DISABLED) {
  if (jobs > 1)
    context.setThreadPool(pool);
  targets.assign(options.targets.begin(), options.targets.end());
  if (targets.empty())
    for (const Target &target : stepdown::targets())
      targets.push_back(&target);
}

Status Compilation::openCheckpoint() {
  Status opened = readCheckpoint(path);
  if (opened)
    opened = buildCheckpoint();
  return opened ? checkText() : opened; // after what a model without text needs as well
}

Status Compilation::checkText() { return forArtifact ? verifyText(*checkpoint, options.warn) : Done{}; }

Status Compilation::readCheckpoint(const std::string &name) {
  Result<Gguf> file = Gguf::open(name);
  if (!file && file.error().code == ErrorCode::GgufMagic && name == path)
    return fail(ErrorCode::GgufMagic,
                "%s; a plain MLIR module is the other input, and its name ends in .mlir or .mlirbc",
                file.error().message.c_str());
  if (!file)
    return file.error();
  checkpoint.emplace(std::move(*file));
  if (Status status = checkContext(); !status)
    return status;
  return checkWeights(); // last, since it reads all of the file
}

Status Compilation::buildCheckpoint() {
  const double begin = compileClock();
  FrontendOptions frontend;
  frontend.context = options.maxContext;
  frontend.float32Cache = options.exact || options.float32Cache;
  Result<OwningOpRef<ModuleOp>> built = buildModule(context, *checkpoint, frontend);
  if (!built)
    return built.error();
  module = std::move(*built);
  report.seconds.push_back({"transformer", compileClock() - begin});
  return dump("transformer", *module);
}

Status Compilation::openPlainModule(const std::string *text) {
  const double begin = compileClock();
  std::string bytes;
  if (text) {
    bytes = *text;
  } else {
    Result<MappedFile> file = MappedFile::open(path);
    if (!file)
      return file.error();
    if (Status status = checkModuleBytes(file->size(), path); !status)
      return status;
    bytes.assign(reinterpret_cast<const char *>(file->data()), file->size());
  }
  Result<OwningOpRef<ModuleOp>> read = parsePlainModule(context, bytes, path);
  if (!read)
    return read.error();
  module = std::move(*read);
  source = sourceOf(path, bytes);
  module->walk([&](func::FuncOp function) {
    if (function->hasAttr(transformer::kCallableAttr))
      functions.push_back({function.getName().str(), function.getFunctionType()});
  });
  report.seconds.push_back({"transformer", compileClock() - begin});
  return dump("transformer", *module);
}

Status Compilation::checkWeights() {
  if (!options.checkWeights)
    return Done{};
  if (options.progress)
    options.progress("checking weights", 0, 0);
  const double begin = compileClock();
  Status finite = checkFinite(*checkpoint);
  report.seconds.push_back({"check weights", compileClock() - begin});
  return finite;
}

Status Compilation::checkContext() {
  if (options.maxContext > STEPDOWN_MAX_CONTEXT)
    return fail(ErrorCode::CompileOption, "%s: expects --max-context of at most %llu positions, but got %llu",
                path.c_str(), (unsigned long long)STEPDOWN_MAX_CONTEXT, (unsigned long long)options.maxContext);
  Result<ModelParameters> parameters = readParameters(*checkpoint);
  if (!parameters)
    return parameters.error();
  if (!options.maxContext && parameters->context > STEPDOWN_MAX_CONTEXT)
    return fail(
        ErrorCode::ArtifactTable,
        "%s: key '%s.context_length': expects at most %u positions, as many as an artifact can have, but got %u; "
        "--max-context=N compiles it for fewer",
        path.c_str(), parameters->architecture.c_str(), STEPDOWN_MAX_CONTEXT, parameters->context);
  if (options.warn && options.maxContext > parameters->context)
    options.warn(path + ": --max-context=" + std::to_string(options.maxContext) +
                 " is more than the checkpoint declares (" + std::to_string(parameters->context) +
                 "): what the model says beyond that is not what it was trained for");
  return Done{};
}

Result<BuiltProgram> Compilation::plan() {
  std::optional<Result<BuiltProgram>> program;
  if (done && StringRef(done->name) == "fusion") {
    fusion = explainFusion(*module, *targets.front()->layout);
    measureKernels(*module, *targets.front()->layout, fusion);
  } else if (done && StringRef(done->name) == "linalg") {
    program = buildProgram(*module, *targets.front(), options.maxStepTokens, options.exact);
    if (!*program)
      return *program;
  }
  for (const Phase &phase : phases()) {
    if (phase.perLevel || (resumed && program)) // printed IR goes on from here
      break;
    if (!phase.build || !isAhead(phase))
      continue;
    if (Status status = run(phase, *module, *targets.front()); !status)
      return status.error();
    if (StringRef(phase.name) == "fusion") {
      fusion = explainFusion(*module, *targets.front()->layout);
      measureKernels(*module, *targets.front()->layout, fusion);
    } else if (StringRef(phase.name) == "linalg") {
      nameKernels(*module, fusion);
      program = buildProgram(*module, *targets.front(), options.maxStepTokens,
                             options.exact); // while kernels still take tensors
      if (!*program)
        return *program;
    }
  }
  Result<PackedWeights> weights = planProgramWeights(*checkpoint, (*program)->weights, (*program)->alignment);
  if (!weights)
    return weights.error();
  if (Status status = verifyProgram(path, **program, *weights, targets); !status)
    return status.error();
  memory = memoryPlan(**program, weights->bytes);
  report.explain = toText(fusion, memory);
  report.explainJson = toJson(fusion, memory);
  if (Status status = takeKernels(); !status)
    return status.error();
  return std::move(*program);
}

/// So that a fault inside a pass can say which one, and on what.
struct NoteWork : PassInstrumentation {
  void runBeforePass(Pass *pass, Operation *op) override {
    std::string what = pass->getArgument().str();
    if (what.empty()) // it hands its operations to other passes
      return;
    if (auto symbol = dyn_cast<SymbolOpInterface>(op); symbol && symbol.getNameAttr())
      what += " of @" + symbol.getName().str();
    if (std::string place = placeOf(op->getLoc()); place != "?" && !StringRef(place).ends_with(":0:0"))
      what += ", " + place;
    noteWork(what.c_str());
  }
  void runAfterPass(Pass *, Operation *) override { noteWork(""); }
  void runAfterPassFailed(Pass *, Operation *) override { noteWork(""); }
};

Status Compilation::run(const Phase &phase, ModuleOp lowered, const Target &target) {
  const double begin = compileClock();
  if (options.progress)
    options.progress(phase.name, 0, 0);
  std::string said;
  ScopedDiagnosticHandler keep(&context, [&](Diagnostic &diagnostic) {
    if (diagnostic.getSeverity() == DiagnosticSeverity::Error && said.empty())
      said =
          (checkpoint ? textOf(diagnostic.getLocation()) : placeOf(diagnostic.getLocation())) + ": " + diagnostic.str();
    return success();
  });
  PassManager manager(&context);
  PhaseOptions chosen;
  chosen.exact = options.exact;
  chosen.activations = options.activations;
  chosen.target = &target;
  buildPhase(phase, manager, chosen);
  manager.addInstrumentation(std::make_unique<NoteWork>());
  LogicalResult result = manager.run(lowered);
  std::string name = phase.name;
  if (phase.perLevel)
    name += std::string(".") + target.name;
  // Upstream conversions say that and no more.
  if (size_t at = said.find("failed to legalize operation "); at != std::string::npos)
    said = said.substr(0, at) + said.substr(at + std::strlen("failed to legalize operation ")) +
           ": expects an operation that has a form in machine code, but this has none";
  if (failed(result) && !checkpoint) // the place names the file
    return fail(ErrorCode::ModuleUnsupported, "%s (phase '%s')", said.c_str(), name.c_str());
  if (failed(result))
    return fail(ErrorCode::PhaseFailed, "%s: phase '%s': %s", path.c_str(), name.c_str(), said.c_str());
  report.seconds.push_back({name, compileClock() - begin});
  return dump(name, lowered);
}

Status Compilation::lower(StringRef last) {
  for (const Phase &phase : phases()) {
    if (phase.perLevel)
      break;
    if (phase.build && isAhead(phase))
      if (Status status = run(phase, *module, *targets.front()); !status)
        return status;
    if (last == phase.name)
      break;
  }
  return Done{};
}

Result<OwningOpRef<ModuleOp>> Compilation::lowerFor(const Target &target, StringRef last) {
  OwningOpRef<ModuleOp> copy(cast<ModuleOp>(module.get()->clone()));
  for (const Phase &phase : phases()) {
    if (!phase.perLevel || !isAhead(phase))
      continue;
    if (Status status = run(phase, *copy, target); !status)
      return status.error();
    if (last == phase.name)
      break;
  }
  return std::move(copy);
}

Result<std::vector<TargetCode>> Compilation::generate() {
  std::vector<TargetCode> all;
  for (const Target *target : targets) {
    Result<OwningOpRef<ModuleOp>> native = lowerFor(*target, "");
    if (!native)
      return native.error();
    const double begin = compileClock();
    auto kernels = (*native)->lookupSymbol<ModuleOp>("kernels");
    Result<NativeCode> code = generateCode(
        kernels, *target, jobs,
        [&](int done, int total) {
          if (options.progress)
            options.progress(std::string("code for ") + target->name, done, total);
        },
        options.dump);
    if (!code)
      return code.error();
    report.seconds.push_back({std::string("code.") + target->name, compileClock() - begin});
    all.push_back({target, std::move(*code)});
  }
  return all;
}

Status Compilation::dump(const std::string &name, ModuleOp target) {
  if (options.dump.empty())
    return Done{};
  std::error_code code;
  std::filesystem::create_directories(options.dump, code);
  const std::string file =
      options.dump + "/" + (dumped < 10 ? "0" : "") + std::to_string(dumped) + "-" + name + ".mlir";
  ++dumped;
  std::string text;
  llvm::raw_string_ostream(text) << target;
  return writeFile(file, text, {path});
}

} // namespace stepdown
