// Shared memory is laid out, kernels are rewritten one by one, and the module is compiled for the host and linked.
#include "lib/CodeGen/Emulation.h"
#include "lib/CodeGen/Backend.h"
#include "lib/CodeGen/KernelRewriter.h"
#include "lib/CodeGen/ObjectLinker.h"
#include "llvm/IR/DebugInfo.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/ReplaceConstant.h"
#include "llvm/IR/Verifier.h"
#include "llvm/Support/SmallVectorMemoryBuffer.h"

using namespace llvm;

namespace stepdown {
namespace {

constexpr uint64_t kStack = 192 << 10; // of a lane's 260 KiB or more

Result<NativeCode> compile(Module &module, TargetMachine &machine) {
  module.setTargetTriple(machine.getTargetTriple());
  module.setDataLayout(machine.createDataLayout());
  module.setPICLevel(PICLevel::BigPIC);
  for (GlobalValue &value : module.global_values())
    value.setDSOLocal(true);
  std::string reason;
  raw_string_ostream stream(reason);
  if (verifyModule(module, &stream))
    return fail(ErrorCode::KernelEmulation, "expects valid LLVM of the host: %s", reason.c_str());
  SmallVector<char, 0> object;
  raw_svector_ostream out(object);
  legacy::PassManager passes;
  if (machine.addPassesToEmitFile(passes, out, nullptr, CodeGenFileType::ObjectFile))
    return fail(ErrorCode::KernelEmulation, "expects a host that objects are written for");
  passes.run(module);
  ObjectLinker linker;
  if (Status added =
          linker.add("emulated kernels", std::make_unique<SmallVectorMemoryBuffer>(std::move(object), false));
      !added)
    return added.error();
  return linker.link();
}

} // namespace

Result<EmulatedCode> emulateKernels(Module &module, bool quickly) {
  Result<std::unique_ptr<TargetMachine>> machine = nativeMachine(
      "emulated kernels", "x86_64", "x86-64-v3", "", quickly ? CodeGenOptLevel::None : CodeGenOptLevel::Less);
  if (!machine)
    return machine.error();
  const DataLayout chip = module.getDataLayout();
  // Variables in shared memory lie one after another, dynamic memory behind them.
  uint64_t sharedBytes = 0;
  SmallVector<std::pair<GlobalVariable *, uint64_t>> variables;
  SmallVector<Constant *> constants;
  SmallVector<GlobalVariable *> dynamic;
  for (GlobalVariable &variable : module.globals()) {
    if (variable.getAddressSpace() != 3) {
      if (!variable.isConstant() && !variable.use_empty())
        return fail(ErrorCode::KernelEmulation, "expects variables in shared memory or constants, but got @%s",
                    variable.getName().str().c_str());
      continue;
    }
    constants.push_back(&variable);
    const uint64_t size = chip.getTypeAllocSize(variable.getValueType());
    if (variable.isDeclaration() || size == 0) {
      dynamic.push_back(&variable);
      continue;
    }
    sharedBytes = alignTo(sharedBytes, std::max<uint64_t>(16, variable.getAlign().valueOrOne().value()));
    variables.push_back({&variable, sharedBytes});
    sharedBytes += size;
  }
  if (sharedBytes)
    sharedBytes = alignTo(sharedBytes, 1024);
  for (GlobalVariable *variable : dynamic)
    variables.push_back({variable, sharedBytes});
  convertUsersOfConstantsToInstructions(constants);

  EmulationTable table;
  SmallVector<Function *> kernels;
  for (Function &function : module)
    if (!function.isDeclaration() && (function.getCallingConv() == CallingConv::PTX_Kernel ||
                                      function.getCallingConv() == CallingConv::AMDGPU_KERNEL))
      kernels.push_back(&function);
  for (Function *kernel : kernels) {
    const uint32_t number = table.addKernel(*kernel, sharedBytes);
    if (std::optional<Error> error = rewriteKernel(*kernel, table, number, chip, variables))
      return *error;
    kernel->eraseFromParent();
  }
  StripDebugInfo(module);
  for (Function &function : make_early_inc_range(module)) {
    if (function.isDeclaration() && function.use_empty()) {
      function.eraseFromParent();
      continue;
    }
    if (!function.isIntrinsic())
      function.setAttributes(AttributeList());
    function.setCallingConv(CallingConv::C);
    if (!function.isDeclaration()) {
      function.setDoesNotThrow();
      function.addFnAttr("no-builtins");
    }
  }
  for (auto [variable, offset] : variables)
    if (variable->use_empty())
      variable->eraseFromParent();
  if (NamedMDNode *flags = module.getModuleFlagsMetadata())
    flags->eraseFromParent();
  Result<NativeCode> native = compile(module, **machine);
  if (!native)
    return fail(ErrorCode::KernelEmulation, "%s", native.error().message.c_str());
  for (auto &[name, figures] : native->statistics)
    if (figures.stackBytes > kStack)
      return fail(ErrorCode::KernelEmulation, "%s: expects at most %llu bytes of stack, but a lane needs %llu",
                  name.c_str(), static_cast<unsigned long long>(kStack),
                  static_cast<unsigned long long>(figures.stackBytes));
  table.place(native->entries);
  return EmulatedCode{std::move(native->bytes), table.bytes()};
}

} // namespace stepdown
