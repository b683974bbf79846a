#include "lib/CodeGen/KernelImages.h"
#include "lib/CodeGen/CodeObject.h"
#include "lib/CodeGen/Emulation.h"
#include "lib/CodeGen/KernelModule.h"
#include "lib/CodeGen/Ptx.h"
#include "lib/Target/Chips.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace stepdown {

/// What a driver loads for `chip`: a code object of AMD's, or PTX with the zero behind it.
static Result<std::string> driverCode(const llvm::Module &module, StringRef chip) {
  if (StringRef(factsOfChip(chip)->road) == "amd") {
    Result<CodeObject> object = writeCodeObject(module, chip, findLld());
    if (!object)
      return object.error();
    return std::move(object->bytes);
  }
  Result<std::string> ptx = writePtx(module, chip);
  if (ptx)
    ptx->push_back('\0');
  return ptx;
}

/// The image of the one kernel of `module`.
static Result<std::vector<uint8_t>> imageOf(gpu::GPUModuleOp module, const Target &target, KernelInterface &interface) {
  const auto functions = module.getOps<LLVM::LLVMFuncOp>();
  for (LLVM::LLVMFuncOp function : functions) {
    Result<KernelInterface> read = kernelInterface(function);
    if (!read)
      return read.error();
    interface = std::move(*read);
  }
  Result<KernelModule> kernels = translateKernels(module, target.chip);
  if (!kernels)
    return kernels.error();
  if (kernels->kernels.size() != 1 || interface.name != kernels->kernels.front())
    return fail(ErrorCode::KernelTranslation, "%s: expects one kernel in a gpu.module, but got %zu",
                module.getName().str().c_str(), kernels->kernels.size());
  if (StringRef(target.name) != factsOfChip(target.chip)->emulated) {
    Result<std::string> code = driverCode(*kernels->module, target.chip);
    if (!code)
      return code.error();
    return layOutImage(interface, {reinterpret_cast<const uint8_t *>(code->data()), code->size()}, {});
  }
  Result<EmulatedCode> code = emulateKernels(*kernels->module);
  if (!code)
    return code.error();
  return layOutImage(interface, code->code, code->table);
}

std::string imageName(llvm::StringRef module) { return "image of " + module.str(); } // no function has such a name

Result<std::vector<LaunchedKernel>> addKernelImages(ModuleOp kernels, const Target &target, NativeCode &code,
                                                    const std::function<void(int done, int total)> &progress) {
  std::vector<LaunchedKernel> launched;
  if (!target.chip)
    return launched;
  const auto modules = llvm::to_vector(kernels.getOps<gpu::GPUModuleOp>());
  for (gpu::GPUModuleOp module : modules) {
    LaunchedKernel kernel;
    Result<std::vector<uint8_t>> image = imageOf(module, target, kernel.interface);
    if (!image)
      return image.error();
    kernel.image = imageName(module.getName());
    code.bytes.resize(llvm::alignTo(code.bytes.size(), 64));
    code.entries[kernel.image] = code.bytes.size();
    code.bytes.insert(code.bytes.end(), image->begin(), image->end());
    launched.push_back(std::move(kernel));
    if (progress)
      progress(int(launched.size()), int(modules.size()));
  }
  return launched;
}

} // namespace stepdown
