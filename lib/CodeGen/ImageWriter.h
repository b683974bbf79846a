// GPU kernels and what a launch hands them, as an image (include/stepdown/KernelImage.h).
#pragma once
#include "include/stepdown/KernelImage.h"
#include "lib/Base/Result.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "llvm/ADT/ArrayRef.h"
#include <cstdint>
#include <string>
#include <vector>

namespace stepdown {

/// What a lowered kernel is launched with, in the terms of an artifact: as its attribute `tile.launch` says, or, of a
/// kernel without it, a number in an operand of rank 0 for each of its parameters.
struct KernelInterface {
  std::string name;
  std::vector<uint32_t> ranks; ///< of its operands
  std::vector<stepdown_kernel_parameter> parameters;
  stepdown_launch launch; ///< one block; how many a grid has is its caller's to say
};

/// Of `function`, which lower-tile-to-nvvm or convert-gpu-to-nvvm made. E1000 for a parameter that no operand of a
/// dispatch holds, and for elements that no tensor map has.
Result<KernelInterface> kernelInterface(mlir::LLVM::LLVMFuncOp function);

/// The image of `kernels`, which `code` holds; of an emulated target with its table of `operations`, see
/// emulateKernels. Its size is a multiple of 8.
std::vector<uint8_t> layOutImage(llvm::ArrayRef<KernelInterface> kernels, llvm::ArrayRef<uint8_t> code,
                                 llvm::ArrayRef<uint8_t> operations = {});

} // namespace stepdown
