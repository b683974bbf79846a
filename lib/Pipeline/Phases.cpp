// The order of the compiler. Only this file knows it: stages know dialects and lib/Target, never each other.
#include "lib/Pipeline/Phases.h"
#include "dialects/Tile/IR/TileBufferization.h"
#include "dialects/Tile/IR/TileDialect.h"
#include "dialects/Transformer/IR/TransformerDialect.h"
#include "lib/Pipeline/Canonicalization.h"
#include "lib/Pipeline/Contract.h"
#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Bufferization/Transforms/FuncBufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Bufferization/Transforms/Passes.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/Func/Extensions/InlinerExtension.h"
#include "mlir/Dialect/Linalg/Passes.h"
#include "mlir/Dialect/Linalg/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Dialect/SCF/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Tensor/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Transforms/Passes.h"
#include "passes/Buffer/Passes.h"
#include "passes/CPU/Passes.h"
#include "passes/Fusion/Passes.h"
#include "passes/Linalg/Passes.h"
#include "passes/Tiling/Passes.h"
#include "passes/Vector/Passes.h"

using namespace mlir;

namespace stepdown {

static void buildFusion(OpPassManager &manager, const PhaseOptions &options) {
  manager.addNestedPass<func::FuncOp>(createQuantizeActivations({options.exact, options.activations}));
  manager.addPass(createPadSizes({options.target->name}));
  OpPassManager &functions = manager.nest<func::FuncOp>();
  // From the most particular to the most general: what one fusion takes, the next does not see.
  functions.addPass(createFuseGatedActivation());
  functions.addPass(createFuseSiblingLinears());
  functions.addPass(createFuseRopeAppend());
  functions.addPass(createFuseAttention());
  functions.addPass(createFuseResidualNorm());
  functions.addPass(createWrapKernels());
}

static void buildLinalg(OpPassManager &manager, const PhaseOptions &options) {
  manager.addPass(createDecomposeOperations());
  manager.addPass(createLowerKernels({options.target->name}));
  // Functions of a plain module: what they call becomes part of them.
  OpPassManager &functions = manager.nest<ModuleOp>();
  functions.addPass(createInlinerPass(llvm::StringMap<OpPassManager>(), [](OpPassManager &callees) {
    callees.addPass(createSoundCanonicalizer()); // the inliner brings the whole one of its own
  }));
  functions.addPass(createSymbolDCEPass());
  functions.addNestedPass<func::FuncOp>(createConvertElementwiseToLinalgPass());
  functions.addNestedPass<func::FuncOp>(createCheckSizes());
  functions.addNestedPass<func::FuncOp>(createFuseElementwise());
}

static void buildTiles(OpPassManager &manager, const PhaseOptions &) {
  OpPassManager &kernels = manager.nest<ModuleOp>();
  kernels.addNestedPass<func::FuncOp>(createTileKernels());
  // No CSE while kernels are tensors: it would give two accumulators one zero to start from, and bufferization a copy.
  kernels.addNestedPass<func::FuncOp>(createSoundCanonicalizer());
}

static void buildBuffers(OpPassManager &manager, const PhaseOptions &) {
  OpPassManager &kernels = manager.nest<ModuleOp>();
  bufferization::OneShotBufferizePassOptions bufferize;
  bufferize.bufferizeFunctionBoundaries = true;
  bufferize.functionBoundaryTypeConversion = bufferization::LayoutMapOption::IdentityLayoutMap;
  bufferize.allowReturnAllocsFromLoops = true; // functions of plain modules may; a kernel's would be refused below
  kernels.addPass(bufferization::createOneShotBufferizePass(bufferize));
  kernels.addNestedPass<func::FuncOp>(createSoundCanonicalizer());
  kernels.addNestedPass<func::FuncOp>(createCSEPass());
  kernels.addNestedPass<func::FuncOp>(createPlaceScratch());
  kernels.addNestedPass<func::FuncOp>(createPlaceArrays());
}

static void buildVector(OpPassManager &manager, const PhaseOptions &options) {
  OpPassManager &kernels = manager.nest<ModuleOp>();
  kernels.addNestedPass<func::FuncOp>(createSelectBlockDot({options.target->name}));
  kernels.addNestedPass<func::FuncOp>(createSelectTileOps({options.target->name}));
  kernels.addNestedPass<func::FuncOp>(createVectorizeStructured({options.target->name}));
  kernels.addNestedPass<func::FuncOp>(createConvertLinalgToLoopsPass());
  kernels.addNestedPass<func::FuncOp>(createExpandElementary());
  kernels.addNestedPass<func::FuncOp>(createExpandMath());
  kernels.addNestedPass<func::FuncOp>(createSoundCanonicalizer());
  kernels.addNestedPass<func::FuncOp>(createCSEPass());
}

static void buildCPU(OpPassManager &manager, const PhaseOptions &) {
  OpPassManager &kernels = manager.nest<ModuleOp>();
  kernels.addNestedPass<func::FuncOp>(createBindOperands());
  kernels.addNestedPass<func::FuncOp>(createBindArrays());
  kernels.addNestedPass<func::FuncOp>(memref::createExpandStridedMetadataPass());
  kernels.addNestedPass<func::FuncOp>(createLowerAffinePass());
  kernels.addNestedPass<func::FuncOp>(createSCFToControlFlowPass());
  kernels.addNestedPass<func::FuncOp>(createSoundCanonicalizer());
  kernels.addNestedPass<func::FuncOp>(createCSEPass());
  kernels.addPass(createLowerAssertions());
  kernels.addPass(createLowerToLLVM());
  kernels.addNestedPass<LLVM::LLVMFuncOp>(createReconcileUnrealizedCastsPass());
  kernels.addNestedPass<LLVM::LLVMFuncOp>(createSoundCanonicalizer());
}

static const char *const kProgram[] = {"transformer", "func"};
static const char *const kTensors[] = {"tile", "func", "linalg", "tensor", "arith", "math", "vector"};
static const char *const kTiles[] = {"tile", "func", "linalg", "tensor", "arith", "math", "vector", "scf"};
static const char *const kBuffers[] = {"tile", "func", "linalg", "memref", "arith", "math", "vector", "scf"};
static const char *const kVectors[] = {"tile", "func", "memref", "arith", "math", "vector", "scf", "llvm"};
static const char *const kNative[] = {"llvm"};
// Functions of plain modules: what people write, then the same without transformer, then buffers, vectors, LLVM.
static const char *const kPlain[] = {"func", "linalg", "tensor", "arith", "math", "scf", "affine", "cf", "transformer"};
static const char *const kPlainTensors[] = {
    "func", "linalg", "tensor", "arith", "math", "scf", "affine", "cf", "transformer.elementary"};
static const char *const kPlainBuffers[] = {
    "func", "linalg", "memref", "arith", "math", "scf", "affine", "cf", "transformer.elementary"};
static const char *const kPlainVectors[] = {"func", "memref", "arith", "math", "vector", "scf", "affine", "cf"};

static const Phase kPhases[] = {
    {"transformer",
     "what the model computes: whole-layer operations, one function for each kind of layer",
     nullptr,
     kProgram,
     {},
     kPlain,
     false},
    {"fusion", "operations that share memory traffic join in kernels", buildFusion, kProgram, {}, kPlain, false},
    {"linalg",
     "kernels become functions of linalg and tile operations on packed tensors, one for each token-count bucket",
     buildLinalg, kProgram, kTensors, kPlainTensors, false},
    {"tiles", "kernels are cut into the tiles that threads share out", buildTiles, kProgram, kTiles, kPlainTensors,
     false},
    {"buffers", "tensors become memrefs in place, scratch goes to the stack", buildBuffers, kProgram, kBuffers,
     kPlainBuffers, false},
    {"vector", "tiles become vectors of 16 lanes and the target's dot products", buildVector, kProgram, kVectors,
     kPlainVectors, true},
    {"cpu", "kernels become LLVM functions with the runtime's kernel ABI", buildCPU, kProgram, kNative, kNative, true},
};

ArrayRef<Phase> phases() { return kPhases; }

const Phase *findPhase(StringRef name) {
  for (const Phase &phase : kPhases)
    if (name == phase.name)
      return &phase;
  return nullptr;
}

std::vector<std::string> phaseNames() {
  std::vector<std::string> names;
  for (const Phase &phase : kPhases)
    names.push_back(phase.name);
  return names;
}

void buildPhase(const Phase &phase, OpPassManager &manager, const PhaseOptions &options) {
  if (phase.build)
    phase.build(manager, options);
  manager.addPass(createContractCheck(phase));
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
}

void registerPhases() {
  registerFusionPasses();
  registerLinalgPasses();
  registerTilingPasses();
  registerBufferPasses();
  registerVectorPasses();
  registerCPUPasses();
  struct Options : PassPipelineOptions<Options> {
    PassOptions::Option<bool> exact{*this, "exact", llvm::cl::desc("Keep activations in float32"),
                                    llvm::cl::init(false)};
    PassOptions::Option<std::string> activations{*this, "activations", llvm::cl::desc("Element of activation blocks"),
                                                 llvm::cl::init("q8o2")};
    PassOptions::Option<std::string> target{*this, "target", llvm::cl::desc("Target of lib/Base/Targets.def"),
                                            llvm::cl::init("x86-64-v4-vnni")};
  };
  for (const Phase &phase : kPhases)
    PassPipelineRegistration<Options>(
        (Twine("phase-") + phase.name).str(), phase.sentence, [&phase](OpPassManager &manager, const Options &options) {
          const Target *target = findTarget(options.target);
          PhaseOptions chosen{options.exact, options.activations, target ? target : &targets().back()};
          buildPhase(phase, manager, chosen);
        });
}

} // namespace stepdown
