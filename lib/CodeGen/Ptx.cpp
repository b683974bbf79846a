// PTX is LLVM's text; nothing is added to it. ptxas is a program, not a library, so its verdict is read from what it
// prints with -v.
#include "lib/CodeGen/Ptx.h"
#include "lib/CodeGen/ChipCode.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FileUtilities.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/Regex.h"
#include "llvm/Support/raw_ostream.h"

namespace stepdown {

Result<std::string> writePtx(const llvm::Module &module, llvm::StringRef chip) {
  Result<std::string> text = emitForChip(module, chip, llvm::CodeGenFileType::AssemblyFile, ErrorCode::PtxCode);
  if (!text)
    return text.error();
  const std::string name = module.getName().str();
  const llvm::StringRef ptx = *text;
  for (size_t at = 0; (at = ptx.find(".extern ", at)) != llvm::StringRef::npos; ++at)
    if (!ptx.drop_front(at).starts_with(".extern .shared ")) // which is memory that a launch gives
      return fail(ErrorCode::PtxCode, "%s: expects kernels that need nothing from elsewhere, but got %s", name.c_str(),
                  ptx.drop_front(at).take_until([](char c) { return c == ';'; }).str().c_str());
  return ptx.str();
}

/// Whether `ptxas` says that it is of release 13.1 or later.
static bool isRecent(llvm::StringRef ptxas) {
  std::string text, reason;
  llvm::SmallVector<llvm::StringRef> groups;
  if (runProgram({ptxas, "--version"}, text, reason) != 0 ||
      !llvm::Regex("release ([0-9]+)\\.([0-9]+)").match(text, &groups))
    return false;
  unsigned major = 0, minor = 0;
  if (groups[1].getAsInteger(10, major) || groups[2].getAsInteger(10, minor))
    return false;
  return std::pair(major, minor) >= std::pair(13u, 1u);
}

std::string findPtxas(const std::string &folder) {
  if (const char *named = std::getenv("STEPDOWN_PTXAS"))
    return isRecent(named) ? std::string(named) : std::string();
  const std::string fetched = folder + "/ptxas";
  if (!folder.empty() && llvm::sys::fs::can_execute(fetched))
    return fetched;
  llvm::ErrorOr<std::string> found = llvm::sys::findProgramByName("ptxas");
  return found && isRecent(*found) ? *found : std::string();
}

/// The first group of `pattern` in `line`, as a number; `otherwise` where there is none.
static int numberIn(llvm::StringRef line, const char *pattern, int otherwise) {
  llvm::SmallVector<llvm::StringRef> groups;
  int number = otherwise;
  if (llvm::Regex(pattern).match(line, &groups))
    (void)groups[1].getAsInteger(10, number);
  return number;
}

Result<AssembledPtx> assemblePtx(const std::string &ptx, llvm::StringRef chip, const std::string &ptxas) {
  llvm::SmallString<128> input, output;
  for (auto [path, suffix] : {std::pair(&input, "ptx"), std::pair(&output, "cubin")})
    if (std::error_code error = llvm::sys::fs::createTemporaryFile("stepdown", suffix, *path))
      return fail(ErrorCode::PtxAssembly, "expects a temporary file for ptxas, but %s", error.message().c_str());
  llvm::FileRemover removeInput(input), removeOutput(output);
  {
    std::error_code error;
    llvm::raw_fd_ostream stream(input, error);
    stream << ptx;
  }
  const std::string arch = ("-arch=" + chip).str();
  std::string said, reason;
  const int status = runProgram({ptxas, "-v", arch, "-o", output, input}, said, reason);
  const llvm::StringRef text = said;
  if (status != 0)
    return fail(ErrorCode::PtxAssembly, "%s: expects PTX that it takes, but %s%s", ptxas.c_str(), reason.c_str(),
                text.trim().str().c_str());
  AssembledPtx result;
  for (llvm::StringRef line : llvm::split(text, '\n')) {
    if (line.contains_insensitive("warning") || line.contains("(C75"))
      return fail(ErrorCode::PtxAssembly, "%s: expects no warning, but got %s", ptxas.c_str(), line.str().c_str());
    llvm::SmallVector<llvm::StringRef> groups;
    if (llvm::Regex("Compiling entry function '([^']*)'").match(line, &groups))
      result.kernels.push_back({groups[1].str(), 0, 0});
    if (result.kernels.empty())
      continue;
    AssembledKernel &kernel = result.kernels.back();
    if (numberIn(line, "([0-9]+) bytes spill stores", 0) > 0 || numberIn(line, "([0-9]+) bytes spill loads", 0) > 0)
      return fail(ErrorCode::PtxAssembly, "%s: %s: expects no spilled register, but got %s", ptxas.c_str(),
                  kernel.name.c_str(), line.trim().str().c_str());
    kernel.registers = numberIn(line, "Used ([0-9]+) registers", kernel.registers);
    kernel.sharedBytes = numberIn(line, "([0-9]+) bytes smem", kernel.sharedBytes);
  }
  auto cubin = llvm::MemoryBuffer::getFile(output, /*IsText=*/false, /*RequiresNullTerminator=*/false);
  if (!cubin || result.kernels.empty())
    return fail(ErrorCode::PtxAssembly, "%s: expects it to write machine code, but it said %s", ptxas.c_str(),
                text.trim().str().c_str());
  result.cubin = (*cubin)->getBuffer().str();
  return result;
}

} // namespace stepdown
