// The order of the compiler. Only this folder knows it: stages know dialects and lib/Target, never each other.
#include "lib/Pipeline/Phases.h"
#include "dialects/Tile/IR/TileBufferization.h"
#include "dialects/Tile/IR/TileDialect.h"
#include "dialects/Transformer/IR/TransformerDialect.h"
#include "lib/Base/Suggestion.h"
#include "lib/Pipeline/Contract.h"
#include "lib/Pipeline/PhasePasses.h"
#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/IndexToLLVM/IndexToLLVM.h"
#include "mlir/Conversion/MathToLLVM/MathToLLVM.h"
#include "mlir/Conversion/MemRefToLLVM/MemRefToLLVM.h"
#include "mlir/Conversion/UBToLLVM/UBToLLVM.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Bufferization/Transforms/FuncBufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/Func/Extensions/InlinerExtension.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/Linalg/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/SCF/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Tensor/Transforms/BufferizableOpInterfaceImpl.h"
#include "passes/AMD/Passes.h"
#include "passes/Buffer/Passes.h"
#include "passes/CPU/Passes.h"
#include "passes/Fusion/Passes.h"
#include "passes/Kernel/Passes.h"
#include "passes/Linalg/Passes.h"
#include "passes/NVIDIA/Passes.h"
#include "passes/Packing/Passes.h"
#include "passes/Tiling/Passes.h"
#include "passes/Vector/Passes.h"

using namespace mlir;

namespace stepdown {

static const char *const kProgram[] = {"transformer", "func"};
static const char *const kRows[] = {"transformer", "func", "linalg", "tensor", "arith", "math"};
static const char *const kTensors[] = {"tile", "func", "linalg", "tensor", "arith", "math", "vector"};
static const char *const kTiles[] = {"tile", "func", "linalg", "tensor", "arith", "math", "vector", "scf"};
static const char *const kBuffers[] = {"tile", "func", "linalg", "memref", "arith", "math", "vector", "scf"};
static const char *const kVectors[] = {"tile", "func", "memref", "arith", "math", "vector", "scf", "llvm"};
static const char *const kNative[] = {"llvm"};

static const ArrayRef<const char *> kNothing;

static const Phase kModelOnCPU[] = {
    {"transformer", "what the model computes: whole-layer operations, one function for each kind of layer", nullptr,
     kProgram, kNothing},
    {"fusion", "operations that share memory traffic join in kernels", build::fuseModelOnCPU, kProgram, kNothing},
    {"linalg", "operations on rows become linalg, in their kernels", build::lowerModel, kRows, kNothing},
    {"packing",
     "kernels become functions of linalg and tile operations on packed tensors, one for each token-count bucket",
     build::packKernels, kProgram, kTensors},
    {"tiles", "kernels are cut into the tiles that threads share out", build::tileKernels, kProgram, kTiles},
    {"buffers", "tensors become memrefs in place, scratch goes to the stack", build::bufferizeKernels, kProgram,
     kBuffers},
    {"vector", "tiles become vectors of 16 lanes and the target's dot products", build::vectorizeKernels, kProgram,
     kVectors},
    {"cpu", "kernels become LLVM functions with the runtime's kernel ABI", build::bindKernels, kProgram, kNative},
};

static const char *const kWritten[] = {"func", "linalg", "tensor", "arith",      "math",
                                       "scf",  "affine", "cf",     "transformer"};
static const char *const kArrays[] = {
    "func", "linalg", "tensor", "arith", "math", "scf", "affine", "cf", "transformer.elementary"};
static const char *const kPlaced[] = {
    "func", "linalg", "memref", "arith", "math", "scf", "affine", "cf", "transformer.elementary"};
static const char *const kLanes[] = {"func", "memref", "arith", "math", "vector", "scf", "affine", "cf"};

// Phases have the names that they have for models, so that --compile-to means the same place on either road.
static const Phase kFunctionsOnCPU[] = {
    {"transformer", "what was written: functions on tensors", nullptr, kNothing, kWritten},
    {"fusion", "nothing yet: what fuses in functions is linalg", nullptr, kNothing, kWritten},
    {"linalg", "calls are inlined, operations become linalg with its sizes checked, and elementwise ones join",
     build::lowerFunctions, kNothing, kArrays},
    {"packing", "nothing: functions work on arrays as they are given", nullptr, kNothing, kArrays},
    {"tiles", "nothing is cut, since one thread runs a function; what sizes say is simplified",
     build::simplifyFunctions, kNothing, kArrays},
    {"buffers", "tensors become memrefs, copies are written out, small arrays go to the stack",
     build::bufferizeFunctions, kNothing, kPlaced},
    {"vector", "structured operations become loops over the target's vectors, elementary functions series",
     build::vectorizeFunctions, kNothing, kLanes},
    {"cpu", "functions become LLVM functions with the runtime's signature, arrays lie in the call's arena",
     build::bindFunctions, kNothing, kNative},
};

static const char *const kLaunches[] = {
    "func", "linalg", "tensor", "arith", "math", "scf", "affine", "cf", "tile", "memref", "transformer.elementary"};
static const char *const kThreads[] = {"func", "memref", "arith", "math", "scf", "affine", "cf", "tile", "gpu"};
static const char *const kChip[] = {"func", "memref",      "arith", "math", "scf",  "affine",
                                    "cf",   "tile.launch", "gpu",   "llvm", "nvvm", "rocdl"};
static const char *const kHost[] = {"llvm", "gpu.module", "nvvm", "rocdl"};

/// A road to a device beside the processor; `lowering` is what its chips differ in.
static std::vector<Phase> functionsOnDevice(const Phase &lowering) {
  return {
      {"transformer", "what was written: functions on tensors", nullptr, kNothing, kWritten},
      {"fusion", "nothing yet: what fuses in functions is linalg", nullptr, kNothing, kWritten},
      {"linalg",
       "attention becomes launches of the chip's tile kernels, calls are inlined, other operations become linalg with "
       "its sizes checked, and elementwise ones join",
       build::lowerFunctionsForDevice, kNothing, kLaunches},
      {"packing", "products become launches of the chip's tile kernels", build::selectKernels, kNothing, kLaunches},
      {"tiles", "what sizes say is simplified", build::simplifyFunctions, kNothing, kLaunches},
      {"buffers", "tensors become memrefs of the device, copies are written out", build::bufferizeForDevice, kNothing,
       kLaunches},
      {"vector", "all other operations become kernels of a thread for each element", build::mapFunctions, kNothing,
       kThreads},
      lowering,
      {"cpu", "what is left of functions becomes the processor's, which takes arrays and launches kernels",
       build::bindHost, kNothing, kHost},
  };
}

static const std::vector<Phase> kFunctionsOnNVIDIA =
    functionsOnDevice({"nvidia", "kernels become functions of nvvm and llvm", build::lowerToNVIDIA, kNothing, kChip});
static const std::vector<Phase> kFunctionsOnAMD = functionsOnDevice(
    {"amd", "kernels become functions of rocdl and llvm, with AMD's intrinsics", build::lowerToAMD, kNothing, kChip});

static const char *const kTurns[] = {"tile", "func", "memref", "arith", "math", "scf", "vector", "gpu.barrier"};
static const char *const kReads[] = {"tile", "func", "memref", "arith", "math", "scf", "llvm", "gpu.barrier"};
static const char *const kImages[] = {"gpu.module", "gpu.func", "llvm", "nvvm", "rocdl"};

/// A model's road to a device; `lowering` is what its chips differ in.
static std::vector<Phase> modelOnDevice(const Phase &lowering) {
  return {
      kModelOnCPU[0],
      {"fusion", "operations that share memory traffic join in kernels; activations stay float32",
       build::fuseModelOnDevice, kProgram, kNothing},
      kModelOnCPU[2],
      {"packing", "kernels become dispatches of functions that compute a number for each token and column",
       build::threadKernels, kProgram, kTurns},
      {"tiles", "what sizes say is simplified: a thread computes one number", build::simplifyKernels, kProgram, kTurns},
      {"buffers", "nothing: the functions of kernels take memory", nullptr, kProgram, kTurns},
      {"vector", "blocks of weights become loads and arithmetic", build::unpackKernels, kProgram, kReads},
      lowering,
      {"cpu", "nothing: the runtime launches the kernels", nullptr, kProgram, kImages},
  };
}

static const std::vector<Phase> kModelOnNVIDIA =
    modelOnDevice({"nvidia", "functions become kernels of nvvm and llvm, with a thread for each token and column",
                   build::launchOnNVIDIA, kProgram, kImages});
static const std::vector<Phase> kModelOnAMD =
    modelOnDevice({"amd", "functions become kernels of rocdl and llvm, with a thread for each token and column",
                   build::launchOnAMD, kProgram, kImages});

// Functions part early for devices: select-attention reads the chip.
static const Road kRoads[] = {
    {Input::Model, "cpu", "kernel", "vector", kModelOnCPU},
    {Input::Model, "nvidia", "kernel", "nvidia", kModelOnNVIDIA},
    {Input::Model, "amd", "kernel", "amd", kModelOnAMD},
    {Input::Functions, "cpu", "function", "vector", kFunctionsOnCPU},
    {Input::Functions, "nvidia", "function", "linalg", kFunctionsOnNVIDIA},
    {Input::Functions, "amd", "function", "linalg", kFunctionsOnAMD},
};

ArrayRef<Road> roads() { return kRoads; }

const Road *roadOf(Input input, const Target &target) {
  for (const Road &road : kRoads)
    if (road.input == input && StringRef(road.target) == target.road)
      return &road;
  return nullptr;
}

const Phase *Road::find(StringRef name) const {
  for (const Phase &phase : phases)
    if (name == phase.name)
      return &phase;
  return nullptr;
}

std::vector<std::string> phaseNames() {
  std::vector<std::string> names;
  for (const Road &road : kRoads) {
    auto place = names.begin(); // behind the phase before
    for (const Phase &phase : road.phases) {
      auto known = llvm::find(names, phase.name);
      place = std::next(known == names.end() ? names.insert(place, phase.name) : known);
    }
  }
  return names;
}

void buildPhase(const Road &road, const Phase &phase, OpPassManager &manager, const PhaseOptions &options) {
  if (phase.build)
    phase.build(manager, options);
  manager.addPass(createContractCheck(road, phase));
}

void registerCompilerDialects(DialectRegistry &registry) {
  registry.insert<transformer::TransformerDialect, tile::TileDialect, affine::AffineDialect, arith::ArithDialect,
                  bufferization::BufferizationDialect, cf::ControlFlowDialect, func::FuncDialect, linalg::LinalgDialect,
                  LLVM::LLVMDialect, math::MathDialect, memref::MemRefDialect, scf::SCFDialect, tensor::TensorDialect,
                  vector::VectorDialect>();
  arith::registerBufferizableOpInterfaceExternalModels(registry);
  linalg::registerBufferizableOpInterfaceExternalModels(registry);
  scf::registerBufferizableOpInterfaceExternalModels(registry);
  tensor::registerBufferizableOpInterfaceExternalModels(registry);
  bufferization::func_ext::registerBufferizableOpInterfaceExternalModels(registry);
  tile::registerTileBufferization(registry);
  func::registerInlinerExtension(registry);
  // convert-gpu-to-nvvm asks each dialect of a kernel.
  arith::registerConvertArithToLLVMInterface(registry);
  cf::registerConvertControlFlowToLLVMInterface(registry);
  registerConvertMemRefToLLVMInterface(registry);
  registerConvertMathToLLVMInterface(registry);
  index::registerConvertIndexToLLVMInterface(registry);
  ub::registerConvertUBToLLVMInterface(registry);
}

using PipelineError = llvm::function_ref<LogicalResult(const Twine &)>;

namespace {
struct PipelineOptions : PassPipelineOptions<PipelineOptions> {
  Option<bool> exact{*this, "exact", llvm::cl::desc("Keep activations in float32"), llvm::cl::init(false)};
  Option<std::string> activations{*this, "activations", llvm::cl::desc("Element of activation blocks"),
                                  llvm::cl::init("q8o2")};
  Option<std::string> input{*this, "input", llvm::cl::desc("What is compiled: model or functions"),
                            llvm::cl::init("model")};
  Option<std::string> target{*this, "target", llvm::cl::desc("Target of lib/Base/Targets.def"),
                             llvm::cl::init(defaultTarget().name)};
};
} // namespace

/// The phase `name` of the road that the options name; a value that none has is refused with the values there are.
static LogicalResult buildPipeline(StringRef name, OpPassManager &manager, StringRef text, PipelineError refuse) {
  PipelineOptions options;
  if (failed(options.parseFromString(text)))
    return failure();
  const std::vector<std::string> inputs = {"model", "functions"}; // in the order of Input
  const auto input = llvm::find(inputs, options.input.getValue());
  if (input == inputs.end())
    return refuse("phase-" + name + ": expects an input of " + alternatives(inputs) + ", but got '" +
                  options.input.getValue() + "'" + suggestion(options.input, inputs));
  const Target *target = findTarget(options.target);
  if (!target) {
    std::vector<std::string> names;
    for (const Target &each : targets())
      names.push_back(each.name);
    return refuse("phase-" + name + ": expects a target of " + alternatives(names) + ", but got '" +
                  options.target.getValue() + "'" + suggestion(options.target, names));
  }
  const Road *road = roadOf(Input(input - inputs.begin()), *target);
  const Phase *phase = road ? road->find(name) : nullptr;
  if (!phase)
    return refuse("phase-" + name + ": expects a phase of " + *input + " on " + target->road);
  buildPhase(*road, *phase, manager, {options.exact, options.activations, target});
  return success();
}

void registerPhases() {
  registerFusionPasses();
  registerLinalgPasses();
  registerPackingPasses();
  registerTilingPasses();
  registerBufferPasses();
  registerVectorPasses();
  registerCPUPasses();
  registerKernelPasses();
  registerNVIDIAPasses();
  registerAMDPasses();
  for (const std::string &name : phaseNames()) {
    const Phase *first = nullptr;
    for (const Road &road : kRoads)
      first = first ? first : road.find(name);
    registerPassPipeline(
        "phase-" + name, first->sentence,
        [name](OpPassManager &manager, StringRef options, PipelineError refuse) {
          return buildPipeline(name, manager, options, refuse);
        },
        [](llvm::function_ref<void(const mlir::detail::PassOptions &)> take) { take(PipelineOptions()); });
  }
}

} // namespace stepdown
