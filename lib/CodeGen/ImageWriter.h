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

/// What the attribute `tile.launch` of a lowered kernel says, in the terms of an artifact.
struct KernelInterface {
  std::string name;
  std::vector<uint32_t> ranks; ///< of its operands
  std::vector<stepdown_kernel_parameter> parameters;
  stepdown_launch launch; ///< one block; how many a grid has is its caller's to say
};

/// Of `function`, which lower-tile-to-nvvm made. E1000 for a parameter that no operand of a dispatch holds (a number by
/// value) and for elements that no tensor map has.
Result<KernelInterface> kernelInterface(mlir::LLVM::LLVMFuncOp function);

/// The image of `kernels`, which `code` holds; of an emulated target with its table of `operations`, see
/// emulateKernels. Its size is a multiple of 8.
std::vector<uint8_t> layOutImage(llvm::ArrayRef<KernelInterface> kernels, llvm::ArrayRef<uint8_t> code,
                                 llvm::ArrayRef<uint8_t> operations = {});

} // namespace stepdown
