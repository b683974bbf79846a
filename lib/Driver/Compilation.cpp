#include "lib/Driver/Compilation.h"
#include "dialects/Transformer/IR/CachedRows.h"
#include "dialects/Transformer/IR/TransformerOps.h"
#include "lib/Artifact/ArtifactWriter.h"
#include "lib/Base/PartFile.h"
#include "lib/Base/Suggestion.h"
#include "lib/Checkpoint/ModelParameters.h"
#include "lib/CodeGen/CodeGenerator.h"
#include "lib/CodeGen/KernelModule.h"
#include "lib/Driver/Verification.h"
#include "lib/Driver/WorkNotes.h"
#include "lib/Frontend/Frontend.h"
#include "lib/Frontend/ModuleLimits.h"
#include "lib/Frontend/PlainModule.h"
#include "lib/Kernels/ChipLimits.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include <chrono>
#include <cstdlib>
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
  registerKernelDialects(registry);
  return registry;
}

Compilation::Compilation(const std::string &path, const CompileOptions &options)
    : path(path), options(options),
      jobs(options.jobs > 0 ? options.jobs : std::max(1u, std::thread::hardware_concurrency())),
      pool(llvm::hardware_concurrency(jobs)), context(makeRegistry(), MLIRContext::Threading::DISABLED) {
  if (jobs > 1)
    context.setThreadPool(pool);
  remarks.listenTo(context);
  notePatterns(context);
  targets = options.targets.empty() ? targetsNamed("cpu") : options.targets;
}

Status Compilation::openCheckpoint() {
  Status opened = readCheckpoint(path);
  if (opened)
    opened = buildCheckpoint();
  return opened ? checkText() : opened; // after what a model without text needs as well
}

Status Compilation::checkText() { return forArtifact ? verifyText(*checkpoint, options.warn) : Done{}; }

Status Compilation::readCheckpoint(const std::string &name) {
  Result<Checkpoint> file = Checkpoint::open(name);
  if (!file && file.error().code == ErrorCode::GgufMagic && name == path)
    return fail(ErrorCode::GgufMagic,
                "%s; a plain MLIR module is the other input, and its name ends in .mlir or .mlirbc",
                file.error().message.c_str());
  if (!file)
    return file.error();
  checkpoint.emplace(std::move(*file));
  if (Status status = checkContext(); !status)
    return status;
  if (Status status = mergeAdapters(); !status)
    return status;
  if (Status status = quantise(); !status)
    return status;
  return checkWeights(); // last, since it reads all of the file
}

Status Compilation::buildAdapted() {
  const auto device = llvm::find_if(targets, [](const Target *target) { return target->chip; });
  if (device != targets.end())
    return fail(ErrorCode::AdapterTarget, "%s: expects a processor as target of a model with --adapters, but got %s",
                path.c_str(), (*device)->name);
  Result<ModelParameters> parameters = readParameters(*checkpoint);
  if (!parameters)
    return parameters.error();
  if (parameters->family->encoder)
    return fail(ErrorCode::AdapterTarget, "%s: expects a model that continues texts for --adapters, but got an encoder",
                path.c_str());
  return buildCheckpoint(options.adapterSlots);
}

Status Compilation::buildCheckpoint(const AdapterSlots &adapters) {
  const double begin = compileClock();
  FrontendOptions frontend;
  frontend.adapters = adapters;
  frontend.context = options.maxContext;
  frontend.kvType = options.exact ? "f32" : options.kvType;
  Result<OwningOpRef<ModuleOp>> built = buildModule(context, *checkpoint, frontend);
  if (!built)
    return built.error();
  module = std::move(*built);
  if (!from || road->isShared(*from)) // kernels that were printed for one target are for no other
    addTargetsOfBFloats();
  if (Status entered = enter(Input::Model); !entered)
    return entered;
  if (Status known = checkDevices(); !known)
    return known;
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
  if (Status entered = enter(Input::Functions); !entered)
    return entered;
  source = sourceOf(path, bytes);
  module->walk([&](func::FuncOp function) {
    if (function.isPublic())
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

Status Compilation::mergeAdapters() {
  if (options.adapters.empty())
    return Done{};
  const double begin = compileClock();
  Result<std::shared_ptr<MergedWeights>> made = MergedWeights::merge(*checkpoint, options.adapters);
  if (!made)
    return made.error();
  merged = std::move(*made);
  report.seconds.push_back({"adapters", compileClock() - begin});
  return Done{};
}

Status Compilation::quantise() {
  if (options.quantize.empty())
    return Done{};
  Result<std::shared_ptr<QuantisedWeights>> made =
      QuantisedWeights::quantise(*checkpoint, *quantisationNamed(options.quantize));
  if (!made)
    return made.error();
  quantised = std::move(*made);
  if (!quantised->left().empty() && options.warn)
    options.warn(path + ": " + std::to_string(quantised->left().size()) +
                 " weights stay floats, since their rows are no whole blocks of 32, the first of them '" +
                 quantised->left().front() + "'");
  return Done{};
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

/// Code of these levels would be that of others, but for products with weights of bfloat16.
void Compilation::addTargetsOfBFloats() {
  bool found = false;
  module->walk([&](transformer::WeightOp weight) {
    auto tensor = dyn_cast<RankedTensorType>(weight.getType());
    auto block = tensor ? dyn_cast<transformer::BlockType>(tensor.getElementType()) : transformer::BlockType();
    found |= block && block.getFormat().storage == Storage::BF16;
  });
  if (!found || !options.cpu || options.exact)
    return;
  for (const Target *target : targetsOfBFloats())
    if (!llvm::is_contained(targets, target)) // behind the processors that are there
      targets.insert(llvm::find_if(targets, [](const Target *other) { return other->chip; }), target);
}

Status Compilation::checkDevices() {
  const auto device = llvm::find_if(targets, [](const Target *target) { return target->chip; });
  if (device == targets.end())
    return Done{};
  const char *found = nullptr;
  bool seesAll = false;
  module->walk([&](transformer::AttentionOp attention) { seesAll |= !attention.getCausal(); });
  if (seesAll)
    return fail(ErrorCode::EncoderTarget,
                "%s: expects a processor as target of a model whose attention is not causal, but got %s; --target=cpu "
                "compiles it",
                path.c_str(), (*device)->name);
  module->walk([&](func::FuncOp function) {
    for (Type type : function.getArgumentTypes())
      if (auto cache = dyn_cast<transformer::CacheType>(type))
        if (!transformer::isWide(cache))
          found = transformer::hasBlocks(cache) ? "q8_0" : "fp8_e4m3";
  });
  return found ? fail(ErrorCode::CacheTypeTarget, "%s: expects keys and values of f16 or f32 for %s, but got %s",
                      path.c_str(), (*device)->name, found)
               : Status(Done{});
}

Status Compilation::enter(Input input) {
  for (const Target *target : targets)
    if (!roadOf(input, *target)) {
      std::vector<std::string> names;
      for (const Target &each : stepdown::targets())
        if (roadOf(input, each))
          names.push_back(each.name);
      return fail(ErrorCode::CompileOption, "%s: expects %s as target of a %s, but got %s", path.c_str(),
                  alternatives(names).c_str(), input == Input::Model ? "checkpoint" : "plain module", target->name);
    }
  road = roadOf(input, *targets.front());
  done = road->phases.begin();
  return Done{};
}

std::vector<const Road *> Compilation::targetRoads() const {
  std::vector<const Road *> all;
  for (const Target *target : targets)
    if (const Road *each = roadOf(road->input, *target); !llvm::is_contained(all, each))
      all.push_back(each);
  return all;
}

void Compilation::take(const Road &other) {
  llvm::erase_if(targets, [&](const Target *target) { return roadOf(road->input, *target) != &other; });
  done = other.find(done->name);
  road = &other;
}

Result<BuiltProgram> Compilation::plan() {
  std::optional<Result<BuiltProgram>> program;
  const Phase *packing = road->find("packing");
  auto take = [&](const Phase &phase) -> Status {
    if (StringRef(phase.name) == "fusion") {
      fusion = explainFusion(*module, remarks);
      measureKernels(*module, *targets.front()->layout, fusion);
    } else if (&phase == packing) {
      if (!targets.front()->chip)
        nameKernels(*module, fusion);
      else // there a kernel may be several dispatches
        devices.push_back(explainDispatches(*module, *targets.front()));
      program = buildProgram(*module, *targets.front(), options.maxStepTokens,
                             options.exact); // while kernels still take tensors
      if (!*program)
        return program->error();
    }
    return Done{};
  };
  Status lowered = take(*done); // of printed IR
  if (lowered)
    lowered = lowerTo(resumed ? packing + 1 : road->find(road->fork), take); // printed IR goes on from there
  if (!lowered)
    return lowered.error();
  Result<PackedWeights> weights = planProgramWeights(*checkpoint, (*program)->weights, (*program)->alignment);
  if (!weights)
    return weights.error();
  if (Status status = verifyProgram(path, **program, *weights, targets); !status)
    return status.error();
  memory = memoryPlan(**program, weights->bytes);
  if (!explained) // of the first device; the others differ in their dispatches
    explained = {fusion, memory};
  report.explain = toText(explained->first, explained->second);
  std::vector<std::string> all;
  for (const DispatchReport &device : devices) {
    report.explain += toText(device);
    all.push_back(toJson(device));
  }
  report.explainJson = toJson(explained->first, explained->second, all);
  if (Status status = takeKernels(); !status)
    return status.error();
  return std::move(*program);
}

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
  buildPhase(*road, phase, manager, chosen);
  notePasses(manager);
  // What somebody wrote, nobody tried on the passes of other projects: it is checked behind each. For what the
  // frontend builds, once a phase is enough, but for tests of every family, which name the pass that breaks it.
  const bool ours = road->input == Input::Model && !from && !std::getenv("STEPDOWN_VERIFY_PASSES");
  manager.enableVerifier(!ours);
  LogicalResult result = manager.run(lowered);
  if (ours && succeeded(result))
    result = verify(lowered);
  std::string name = phase.name;
  if (!road->isShared(phase))
    name += std::string(".") + target.name;
  const ErrorCode code = numberOf(said, checkpoint ? ErrorCode::PhaseFailed : ErrorCode::ModuleUnsupported);
  if (failed(result) && !checkpoint) // the place names the file
    return fail(code, "%s (phase '%s')", said.c_str(), name.c_str());
  if (failed(result))
    return fail(code, "%s: phase '%s': %s", path.c_str(), name.c_str(), said.c_str());
  report.seconds.push_back({name, compileClock() - begin});
  return dump(name, lowered);
}

Status Compilation::run(const Phase *from, const Phase *end, ModuleOp lowered, const Target &target, After after) {
  for (const Phase *phase = from + 1; phase < end; ++phase) {
    Status status = run(*phase, lowered, target);
    if (status && after)
      status = after(*phase);
    if (!status)
      return status;
  }
  return Done{};
}

Status Compilation::lowerTo(const Phase *end, After after) {
  Status status = run(done, end, *module, *targets.front(), after);
  done = std::max(done, end - 1);
  return status;
}

Status Compilation::lower(const Phase &last) { return lowerTo(std::min(&last + 1, road->find(road->fork)), nullptr); }

Result<OwningOpRef<ModuleOp>> Compilation::lowerFor(const Target &target, const Phase &last) {
  OwningOpRef<ModuleOp> copy(cast<ModuleOp>(module.get()->clone()));
  if (Status status = run(done, &last + 1, *copy, target, nullptr); !status)
    return status.error();
  return std::move(copy);
}

Result<std::vector<TargetCode>> Compilation::generate() {
  std::vector<TargetCode> all;
  for (const Target *target : targets) {
    Result<OwningOpRef<ModuleOp>> native = lowerFor(*target, road->phases.back());
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
    auto launched = addKernelImages(
        kernels, *target, *code,
        [&](int done, int total) {
          if (options.progress)
            options.progress(std::string("kernels for ") + target->name, done, total);
        },
        options.warn);
    if (!launched)
      return launched.error();
    report.seconds.push_back({std::string("code.") + target->name, compileClock() - begin});
    // A model's program names its kernels itself.
    all.push_back({target, std::move(*code),
                   road->input == Input::Functions ? std::move(*launched) : std::vector<LaunchedKernel>()});
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
  return writeFile(file, text, inputFiles(path, options));
}

} // namespace stepdown
