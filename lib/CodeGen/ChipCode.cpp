#include "lib/CodeGen/ChipCode.h"
#include "lib/CodeGen/KernelModule.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/IR/DiagnosticInfo.h"
#include "llvm/IR/DiagnosticPrinter.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FileUtilities.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Transforms/Utils/Cloning.h"

namespace stepdown {

namespace {
/// Keeps what the code generator says against a kernel.
struct Refusal : llvm::DiagnosticHandler {
  explicit Refusal(std::string &text) : text(text) {}
  bool handleDiagnostics(const llvm::DiagnosticInfo &info) override {
    if (info.getSeverity() == llvm::DS_Error) {
      llvm::raw_string_ostream stream(text);
      llvm::DiagnosticPrinterRawOStream printer(stream);
      info.print(printer);
    }
    return true;
  }
  std::string &text;
};
} // namespace

Result<std::string> emitForChip(const llvm::Module &module, llvm::StringRef chip, llvm::CodeGenFileType type,
                                ErrorCode code) {
  Result<std::unique_ptr<llvm::TargetMachine>> machine = kernelMachine(chip);
  if (!machine)
    return machine.error();
  std::unique_ptr<llvm::Module> copy = llvm::CloneModule(module);
  std::string refused;
  llvm::LLVMContext &context = copy->getContext();
  std::unique_ptr<llvm::DiagnosticHandler> before = context.getDiagnosticHandler();
  context.setDiagnosticHandler(std::make_unique<Refusal>(refused));
  llvm::SmallString<0> text;
  llvm::raw_svector_ostream stream(text);
  llvm::legacy::PassManager passes;
  const bool none = (*machine)->addPassesToEmitFile(passes, stream, nullptr, type);
  if (!none)
    passes.run(*copy);
  context.setDiagnosticHandler(std::move(before));
  if (none || !refused.empty())
    return fail(code, "%s: expects a kernel that LLVM has code of %s for, but %s", module.getName().str().c_str(),
                chip.str().c_str(), none ? "it writes none" : refused.c_str());
  return text.str().str();
}

int runProgram(llvm::ArrayRef<llvm::StringRef> command, std::string &text, std::string &reason) {
  llvm::SmallString<128> said;
  if (std::error_code error = llvm::sys::fs::createTemporaryFile("stepdown", "txt", said)) {
    reason = error.message();
    return -1;
  }
  llvm::FileRemover remove(said);
  const std::optional<llvm::StringRef> redirects[] = {llvm::StringRef(), said.str(), said.str()};
  const int status = llvm::sys::ExecuteAndWait(command[0], command, std::nullopt, redirects, 0, 0, &reason);
  if (auto log = llvm::MemoryBuffer::getFile(said))
    text = (*log)->getBuffer().str();
  return status;
}

} // namespace stepdown
