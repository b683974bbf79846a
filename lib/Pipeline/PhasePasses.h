// What the phases of lib/Pipeline/Phases.cpp run: each adds the passes of one phase.
#pragma once
#include "lib/Pipeline/Phases.h"

namespace stepdown::build {

// A model on the CPU.
void fuseModelOnCPU(mlir::OpPassManager &manager, const PhaseOptions &options);
void lowerModel(mlir::OpPassManager &manager, const PhaseOptions &options);
void packKernels(mlir::OpPassManager &manager, const PhaseOptions &options);
void tileKernels(mlir::OpPassManager &manager, const PhaseOptions &options);
void bufferizeKernels(mlir::OpPassManager &manager, const PhaseOptions &options);
void vectorizeKernels(mlir::OpPassManager &manager, const PhaseOptions &options);
void bindKernels(mlir::OpPassManager &manager, const PhaseOptions &options);

// A model on a GPU.
void fuseModelOnDevice(mlir::OpPassManager &manager, const PhaseOptions &options);
void threadKernels(mlir::OpPassManager &manager, const PhaseOptions &options);
void simplifyKernels(mlir::OpPassManager &manager, const PhaseOptions &options);
void unpackKernels(mlir::OpPassManager &manager, const PhaseOptions &options);
void launchOnNVIDIA(mlir::OpPassManager &manager, const PhaseOptions &options);
void launchOnAMD(mlir::OpPassManager &manager, const PhaseOptions &options);

// Functions of a plain module on the CPU.
void lowerFunctions(mlir::OpPassManager &manager, const PhaseOptions &options);
void simplifyFunctions(mlir::OpPassManager &manager, const PhaseOptions &options);
void bufferizeFunctions(mlir::OpPassManager &manager, const PhaseOptions &options);
void vectorizeFunctions(mlir::OpPassManager &manager, const PhaseOptions &options);
void bindFunctions(mlir::OpPassManager &manager, const PhaseOptions &options);

// Functions of a plain module on a GPU.
void lowerFunctionsForDevice(mlir::OpPassManager &manager, const PhaseOptions &options);
void selectKernels(mlir::OpPassManager &manager, const PhaseOptions &options);
void bufferizeForDevice(mlir::OpPassManager &manager, const PhaseOptions &options);
void mapFunctions(mlir::OpPassManager &manager, const PhaseOptions &options);
void lowerToNVIDIA(mlir::OpPassManager &manager, const PhaseOptions &options);
void lowerToAMD(mlir::OpPassManager &manager, const PhaseOptions &options);
void bindHost(mlir::OpPassManager &manager, const PhaseOptions &options);

} // namespace stepdown::build
