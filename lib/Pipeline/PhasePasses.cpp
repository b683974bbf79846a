// The passes of each phase: what has a phase of its own in common is said once.
#include "lib/Pipeline/PhasePasses.h"
#include "lib/Pipeline/Canonicalization.h"
#include "lib/Target/Chips.h"
#include "mlir/Conversion/AffineToStandard/AffineToStandard.h"
#include "mlir/Conversion/GPUToNVVM/GPUToNVVMPass.h"
#include "mlir/Conversion/GPUToROCDL/GPUToROCDLPass.h"
#include "mlir/Conversion/ReconcileUnrealizedCasts/ReconcileUnrealizedCasts.h"
#include "mlir/Conversion/SCFToControlFlow/SCFToControlFlow.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Bufferization/Transforms/Passes.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/GPU/Transforms/Passes.h"
#include "mlir/Dialect/Linalg/Passes.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Transforms/Passes.h"
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

// What both roads to the CPU have in common.

static void addBufferization(OpPassManager &kernels, Regions regions) {
  bufferization::OneShotBufferizePassOptions bufferize;
  bufferize.bufferizeFunctionBoundaries = true;
  bufferize.functionBoundaryTypeConversion = bufferization::LayoutMapOption::IdentityLayoutMap;
  bufferize.allowReturnAllocsFromLoops = true; // functions of plain modules may; place-scratch refuses a kernel's
  kernels.addPass(bufferization::createOneShotBufferizePass(bufferize));
  kernels.addNestedPass<func::FuncOp>(createSoundCanonicalizer(regions));
  kernels.addNestedPass<func::FuncOp>(createCSEPass());
}

/// Behind the pass that gives functions their signature: no view, no affine map, no loop.
static void addBranches(OpPassManager &kernels, Regions regions) {
  kernels.addNestedPass<func::FuncOp>(memref::createExpandStridedMetadataPass());
  kernels.addNestedPass<func::FuncOp>(createLowerAffinePass());
  kernels.addNestedPass<func::FuncOp>(createSCFToControlFlowPass());
  kernels.addNestedPass<func::FuncOp>(createSoundCanonicalizer(regions));
  kernels.addNestedPass<func::FuncOp>(createCSEPass());
}

static void addLLVM(OpPassManager &kernels, Regions regions) {
  kernels.addPass(createLowerToLLVM());
  kernels.addNestedPass<LLVM::LLVMFuncOp>(createReconcileUnrealizedCastsPass());
  kernels.addNestedPass<LLVM::LLVMFuncOp>(createSoundCanonicalizer(regions));
}

// A model on the CPU.

static void fuseModel(OpPassManager &manager, const PhaseOptions &options, bool exact, bool behindProducts = false) {
  manager.addNestedPass<func::FuncOp>(createQuantizeActivations({exact, options.activations}));
  manager.addPass(createPadSizes({options.target->name}));
  manager.addPass(createHoistSelectRows());
  OpPassManager &functions = manager.nest<func::FuncOp>();
  // From the most particular to the most general: what one fusion takes, the next does not see.
  functions.addPass(createFuseGatedActivation());
  functions.addPass(createFuseSiblingLinears());
  functions.addPass(createFuseRopeAppend());
  functions.addPass(createFuseAttention());
  functions.addPass(createFuseResidualNorm({behindProducts}));
  functions.addPass(createWrapKernels());
}

void build::fuseModelOnCPU(OpPassManager &manager, const PhaseOptions &options) {
  fuseModel(manager, options, options.exact);
}

void build::lowerModel(OpPassManager &manager, const PhaseOptions &) { manager.addPass(createLowerOperations()); }

void build::packKernels(OpPassManager &manager, const PhaseOptions &options) {
  manager.addPass(createPackKernels({options.target->name}));
}

void build::tileKernels(OpPassManager &manager, const PhaseOptions &) {
  OpPassManager &kernels = manager.nest<ModuleOp>();
  kernels.addNestedPass<func::FuncOp>(createTileKernels());
  // No CSE while kernels are tensors: it would give two accumulators one zero to start from, and bufferization a copy.
  kernels.addNestedPass<func::FuncOp>(createSoundCanonicalizer(Regions::Disabled));
}

void build::bufferizeKernels(OpPassManager &manager, const PhaseOptions &) {
  OpPassManager &kernels = manager.nest<ModuleOp>();
  addBufferization(kernels, Regions::Disabled);
  kernels.addNestedPass<func::FuncOp>(createPlaceScratch());
}

void build::vectorizeKernels(OpPassManager &manager, const PhaseOptions &options) {
  OpPassManager &kernels = manager.nest<ModuleOp>();
  kernels.addNestedPass<func::FuncOp>(createSelectBlockDot({options.target->name}));
  kernels.addNestedPass<func::FuncOp>(createSelectTileOps({options.target->name}));
  kernels.addNestedPass<func::FuncOp>(createExpandMath());
  kernels.addNestedPass<func::FuncOp>(createSoundCanonicalizer(Regions::Disabled));
  kernels.addNestedPass<func::FuncOp>(createCSEPass());
}

void build::bindKernels(OpPassManager &manager, const PhaseOptions &) {
  OpPassManager &kernels = manager.nest<ModuleOp>();
  kernels.addNestedPass<func::FuncOp>(createBindOperands());
  addBranches(kernels, Regions::Disabled);
  addLLVM(kernels, Regions::Disabled);
}

// A model on a GPU: the same step program, each of whose dispatches is a kernel of it.

/// Threads read activations in float32.
void build::fuseModelOnDevice(OpPassManager &manager, const PhaseOptions &options) {
  fuseModel(manager, options, /*exact=*/true, /*behindProducts=*/true);
}

void build::threadKernels(OpPassManager &manager, const PhaseOptions &options) {
  manager.addPass(createThreadKernels({options.target->name, options.exact}));
}

void build::simplifyKernels(OpPassManager &manager, const PhaseOptions &) {
  OpPassManager &kernels = manager.nest<ModuleOp>();
  kernels.addNestedPass<func::FuncOp>(createSoundCanonicalizer(Regions::Disabled));
  kernels.addNestedPass<func::FuncOp>(createCSEPass());
}

void build::unpackKernels(OpPassManager &manager, const PhaseOptions &options) {
  OpPassManager &kernels = manager.nest<ModuleOp>();
  kernels.addNestedPass<func::FuncOp>(createUnpackBlocks({options.target->name}));
  kernels.addNestedPass<func::FuncOp>(createExpandMath());
  kernels.addNestedPass<func::FuncOp>(createSoundCanonicalizer(Regions::Disabled));
  kernels.addNestedPass<func::FuncOp>(createCSEPass());
}

// Functions of a plain module on the CPU.

void build::lowerFunctions(OpPassManager &manager, const PhaseOptions &) {
  OpPassManager &functions = manager.nest<ModuleOp>();
  functions.addPass(createLowerOperations());
  functions.addPass(createDecomposeOperations());
  // What they call becomes part of them.
  functions.addPass(createInlinerPass(llvm::StringMap<OpPassManager>(), [](OpPassManager &callees) {
    callees.addPass(createSoundCanonicalizer()); // the inliner brings the whole one of its own
  }));
  functions.addPass(createSymbolDCEPass());
  functions.addNestedPass<func::FuncOp>(createConvertElementwiseToLinalgPass());
  functions.addNestedPass<func::FuncOp>(createCheckSizes());
  functions.addNestedPass<func::FuncOp>(createFuseElementwise());
}

void build::simplifyFunctions(OpPassManager &manager, const PhaseOptions &) {
  manager.nest<ModuleOp>().addNestedPass<func::FuncOp>(createSoundCanonicalizer());
}

void build::bufferizeFunctions(OpPassManager &manager, const PhaseOptions &) {
  OpPassManager &functions = manager.nest<ModuleOp>();
  functions.addNestedPass<func::FuncOp>(createDropEmpty());
  addBufferization(functions, Regions::Aggressive);
  functions.addNestedPass<func::FuncOp>(createPlaceArrays());
}

void build::vectorizeFunctions(OpPassManager &manager, const PhaseOptions &options) {
  OpPassManager &functions = manager.nest<ModuleOp>();
  functions.addNestedPass<func::FuncOp>(createVectorizeStructured({options.target->name}));
  functions.addNestedPass<func::FuncOp>(createConvertLinalgToLoopsPass()); // what has no lane
  functions.addNestedPass<func::FuncOp>(createExpandElementary());
  functions.addNestedPass<func::FuncOp>(createSoundCanonicalizer());
  functions.addNestedPass<func::FuncOp>(createCSEPass());
}

void build::bindFunctions(OpPassManager &manager, const PhaseOptions &) {
  OpPassManager &functions = manager.nest<ModuleOp>();
  functions.addNestedPass<func::FuncOp>(createBindArrays());
  addBranches(functions, Regions::Aggressive);
  functions.addPass(createLowerAssertions());
  functions.addPass(createCarryBFloat16());
  addLLVM(functions, Regions::Aggressive);
}

// Functions of a plain module on a GPU: the processor counts and launches, the GPU computes.

/// Operations on caches are taken apart with all others, so attention is selected before.
void build::lowerFunctionsForDevice(OpPassManager &manager, const PhaseOptions &options) {
  manager.nest<ModuleOp>().addPass(createSelectAttention({options.target->chip}));
  lowerFunctions(manager, options);
}

void build::selectKernels(OpPassManager &manager, const PhaseOptions &options) {
  manager.nest<ModuleOp>().addPass(createSelectKernels({options.target->chip}));
}

void build::bufferizeForDevice(OpPassManager &manager, const PhaseOptions &) {
  OpPassManager &functions = manager.nest<ModuleOp>();
  functions.addNestedPass<func::FuncOp>(createDropEmpty());
  addBufferization(functions, Regions::Aggressive);
  functions.addNestedPass<func::FuncOp>(createPlaceArrays({/*stack=*/false}));
}

void build::mapFunctions(OpPassManager &manager, const PhaseOptions &) {
  OpPassManager &functions = manager.nest<ModuleOp>();
  functions.addNestedPass<func::FuncOp>(createMapThreads());
  functions.addNestedPass<func::FuncOp>(createExpandElementary());
  functions.addNestedPass<func::FuncOp>(createSoundCanonicalizer());
  functions.addNestedPass<func::FuncOp>(createCSEPass());
  functions.addPass(createGpuLaunchSinkIndexComputationsPass()); // constants need not be handed in
  functions.addPass(createGpuKernelOutliningPass());
}

/// Kernels that are not of tiles become operations of numbers, and of math by LLVM's names.
static OpPassManager &lowerThreads(OpPassManager &functions) {
  OpPassManager &kernels = functions.nest<gpu::GPUModuleOp>();
  kernels.addPass(memref::createExpandStridedMetadataPass());
  kernels.addPass(createLowerAffinePass());
  kernels.addPass(createSCFToControlFlowPass());
  kernels.addPass(createSoundCanonicalizer());
  kernels.addPass(createCSEPass());
  kernels.addPass(createNameIntrinsics());
  return kernels;
}

void build::lowerToNVIDIA(OpPassManager &manager, const PhaseOptions &options) {
  OpPassManager &functions = manager.nest<ModuleOp>();
  functions.addPass(createLowerTileToNVVM({options.target->chip}));
  GpuNVVMAttachTargetOptions target;
  target.chip = options.target->chip;
  target.features = factsOfChip(target.chip)->features;
  functions.addPass(createGpuNVVMAttachTarget(target));
  OpPassManager &kernels = lowerThreads(functions);
  kernels.addPass(createConvertGpuOpsToNVVMOps());
  kernels.addPass(createReconcileUnrealizedCastsPass());
}

void build::lowerToAMD(OpPassManager &manager, const PhaseOptions &options) {
  OpPassManager &functions = manager.nest<ModuleOp>();
  functions.addPass(createLowerTileToROCDL({options.target->chip}));
  GpuROCDLAttachTargetOptions target;
  target.chip = options.target->chip;
  target.wave64Flag = factsOfChip(target.chip)->lanes == 64;
  functions.addPass(createGpuROCDLAttachTarget(target));
  OpPassManager &kernels = lowerThreads(functions);
  ConvertGpuOpsToROCDLOpsOptions conversion;
  conversion.chipset = options.target->chip;
  kernels.addPass(createConvertGpuOpsToROCDLOps(conversion));
  kernels.addPass(createReconcileUnrealizedCastsPass());
}

void build::launchOnNVIDIA(OpPassManager &manager, const PhaseOptions &options) {
  manager.nest<ModuleOp>().addPass(createLaunchKernels());
  lowerToNVIDIA(manager, options);
}

void build::launchOnAMD(OpPassManager &manager, const PhaseOptions &options) {
  manager.nest<ModuleOp>().addPass(createLaunchKernels());
  lowerToAMD(manager, options);
}

void build::bindHost(OpPassManager &manager, const PhaseOptions &) {
  OpPassManager &functions = manager.nest<ModuleOp>();
  functions.addNestedPass<func::FuncOp>(createBindArrays());
  functions.addPass(createBindLaunches());
  addBranches(functions, Regions::Aggressive);
  functions.addPass(createLowerAssertions());
  functions.addPass(createCarryBFloat16());
  addLLVM(functions, Regions::Aggressive);
}

} // namespace stepdown
