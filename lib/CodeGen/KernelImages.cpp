#include "lib/CodeGen/KernelImages.h"
#include "lib/CodeGen/CodeObject.h"
#include "lib/CodeGen/CodeStore.h"
#include "lib/CodeGen/Emulation.h"
#include "lib/CodeGen/KernelModule.h"
#include "lib/CodeGen/Ptx.h"
#include "lib/Target/Chips.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace stepdown {

/// Of a newer assembler than the driver may have, where one is at hand; empty where it has anything to say, which
/// `warn` is told: the driver makes its own of the PTX then.
static std::string machineCodeOf(const std::string &ptx, StringRef chip, const std::string &kernel,
                                 const std::function<void(const std::string &text)> &warn) {
  const std::string ptxas = findPtxas("");
  if (ptxas.empty())
    return "";
  Result<AssembledPtx> assembled = assemblePtx(ptx, chip, ptxas);
  if (!assembled && warn)
    warn("kernel " + kernel + " is left to the driver's assembler: " + assembled.error().text());
  return assembled ? std::move(assembled->cubin) : "";
}

/// All that imageOf makes an emulated chip's image of, the lines that the emulator tells included.
static std::string textOf(gpu::GPUModuleOp module) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  module.print(stream, OpPrintingFlags().enableDebugInfo().printGenericOpForm().useLocalScope());
  return text;
}

/// The image of the one kernel of `module`.
static Result<std::vector<uint8_t>> imageOf(gpu::GPUModuleOp module, const Target &target,
                                            const KernelInterface &interface,
                                            const std::function<void(const std::string &text)> &warn) {
  Result<KernelModule> kernels = translateKernels(module, target.chip);
  if (!kernels)
    return kernels.error();
  if (kernels->kernels.size() != 1 || interface.name != kernels->kernels.front())
    return fail(ErrorCode::KernelTranslation, "%s: expects one kernel in a gpu.module, but got %zu",
                module.getName().str().c_str(), kernels->kernels.size());
  if (StringRef(target.name) != factsOfChip(target.chip)->emulated) {
    if (StringRef(target.road) == "amd") {
      Result<CodeObject> object = writeCodeObject(*kernels->module, target.chip, findLld());
      if (!object)
        return object.error();
      return layOutImage(interface, {reinterpret_cast<const uint8_t *>(object->bytes.data()), object->bytes.size()},
                         {});
    }
    Result<std::string> ptx = writePtx(*kernels->module, target.chip);
    if (!ptx)
      return ptx.error();
    const auto *text = reinterpret_cast<const uint8_t *>(ptx->c_str());
    const std::string machineCode = machineCodeOf(*ptx, target.chip, interface.name, warn);
    return layOutImage(interface, {text, ptx->size() + 1},
                       {reinterpret_cast<const uint8_t *>(machineCode.data()), machineCode.size()});
  }
  Result<EmulatedCode> code = emulateKernels(*kernels->module);
  if (!code)
    return code.error();
  return layOutImage(interface, code->code, code->table);
}

/// The same, where one may have been made before; `interface` becomes the kernel's.
static Result<std::vector<uint8_t>> takeImage(gpu::GPUModuleOp module, const Target &target, const CodeStore &store,
                                              KernelInterface &interface,
                                              const std::function<void(const std::string &text)> &warn) {
  for (auto function : module.getOps<LLVM::LLVMFuncOp>()) {
    Result<KernelInterface> read = kernelInterface(function);
    if (!read)
      return read.error();
    interface = std::move(*read);
  }
  if (!store.isOpen())
    return imageOf(module, target, interface, warn);
  const std::string text = textOf(module);
  if (StringRef(text).contains("dense_resource")) // whose contents are elsewhere
    return imageOf(module, target, interface, warn);
  const std::string key = store.keyOf({"image", target.name, text});
  if (std::optional<SmallVector<char, 0>> kept = store.find(key))
    return std::vector<uint8_t>(kept->begin(), kept->end());
  Result<std::vector<uint8_t>> image = imageOf(module, target, interface, warn);
  if (!image)
    return image;
  store.keep(key, {reinterpret_cast<const char *>(image->data()), image->size()});
  return image;
}

std::string imageName(llvm::StringRef module) { return "image of " + module.str(); } // no function has such a name

Result<std::vector<LaunchedKernel>> addKernelImages(ModuleOp kernels, const Target &target, NativeCode &code,
                                                    const std::function<void(int done, int total)> &progress,
                                                    const std::function<void(const std::string &text)> &warn) {
  std::vector<LaunchedKernel> launched;
  if (!target.chip)
    return launched;
  const auto modules = llvm::to_vector(kernels.getOps<gpu::GPUModuleOp>());
  const bool emulated = StringRef(target.name) == factsOfChip(target.chip)->emulated;
  const CodeStore store = emulated ? CodeStore::ofEnvironment() : CodeStore("");
  if (Status opened = store.open(); !opened)
    return opened.error();
  for (gpu::GPUModuleOp module : modules) {
    LaunchedKernel kernel;
    Result<std::vector<uint8_t>> image = takeImage(module, target, store, kernel.interface, warn);
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
