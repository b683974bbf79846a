// The kernels beside a function's code: of each gpu.module an image, as the device of the target takes it.
#pragma once
#include "lib/CodeGen/ImageWriter.h"
#include "lib/CodeGen/ObjectLinker.h"
#include "lib/Target/Target.h"
#include "mlir/IR/BuiltinOps.h"
#include <functional>

namespace stepdown {

/// A kernel that functions launch, and the entry of the code where its image stands.
struct LaunchedKernel {
  std::string image;
  KernelInterface interface;
};

/// The entry of the code where the image of the gpu.module `module` stands.
std::string imageName(llvm::StringRef module);

/// Appends an image for each gpu.module of `kernels`, in their order, to `code`; nothing for a target without a chip.
/// `progress` is called after each, `warn` with what that assembler has against a kernel (E0564). An emulated chip's
/// image holds code of the processor, an NVIDIA chip's PTX, which the driver assembles, with the chip's machine code
/// where findPtxas finds an assembler, an AMD chip's a code object. What was made for an emulated chip before is taken
/// from the folder that STEPDOWN_CODE_STORE names (CodeStore.h), with the same bytes. E1000 to E1002, E0563 and E0565
/// for what cannot be made code of the chip, E0903 where that folder cannot be written.
Result<std::vector<LaunchedKernel>> addKernelImages(mlir::ModuleOp kernels, const Target &target, NativeCode &code,
                                                    const std::function<void(int done, int total)> &progress = {},
                                                    const std::function<void(const std::string &text)> &warn = {});

} // namespace stepdown
