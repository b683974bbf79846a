// The figures are read from what was linked, not from what LLVM would print beside it: the note that the driver reads.
#include "lib/CodeGen/CodeObject.h"
#include "lib/CodeGen/ChipCode.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/BinaryFormat/MsgPackDocument.h"
#include "llvm/Object/ELFObjectFile.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FileUtilities.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/raw_ostream.h"

namespace stepdown {

std::string findLld() {
  if (const char *named = std::getenv("STEPDOWN_LLD"))
    return named;
  for (const char *name : {"ld.lld-22", "ld.lld"})
    if (llvm::ErrorOr<std::string> found = llvm::sys::findProgramByName(name))
      return *found;
  return "";
}

/// The note of AMD's metadata in `bytes`; empty where there is none.
static std::string metadataOf(llvm::StringRef bytes) {
  auto file = llvm::object::ELFFile<llvm::object::ELF64LE>::create(bytes);
  if (!file) {
    llvm::consumeError(file.takeError());
    return "";
  }
  auto sections = file->sections();
  if (!sections) {
    llvm::consumeError(sections.takeError());
    return "";
  }
  std::string found;
  for (const auto &section : *sections) {
    if (section.sh_type != llvm::ELF::SHT_NOTE)
      continue;
    llvm::Error error = llvm::Error::success();
    for (const auto &note : file->notes(section, error))
      if (note.getType() == llvm::ELF::NT_AMDGPU_METADATA)
        found = note.getDescAsStringRef(section.sh_addralign).str();
    if (error)
      llvm::consumeError(std::move(error));
  }
  return found;
}

static int64_t numberAt(llvm::msgpack::MapDocNode &map, llvm::StringRef key) {
  auto at = map.find(key);
  if (at == map.end())
    return 0;
  return at->second.getKind() == llvm::msgpack::Type::UInt  ? int64_t(at->second.getUInt())
         : at->second.getKind() == llvm::msgpack::Type::Int ? at->second.getInt()
                                                            : 0;
}

Result<CodeObject> writeCodeObject(const llvm::Module &module, llvm::StringRef chip, const std::string &lld) {
  const std::string name = module.getName().str();
  if (lld.empty())
    return fail(ErrorCode::CodeObject, "%s: expects ld.lld to link it, but found none", name.c_str());
  Result<std::string> object = emitForChip(module, chip, llvm::CodeGenFileType::ObjectFile, ErrorCode::CodeObject);
  if (!object)
    return object.error();
  llvm::SmallString<128> input, output;
  for (auto [path, suffix] : {std::pair(&input, "o"), std::pair(&output, "hsaco")})
    if (std::error_code error = llvm::sys::fs::createTemporaryFile("stepdown", suffix, *path))
      return fail(ErrorCode::CodeObject, "expects a temporary file for ld.lld, but %s", error.message().c_str());
  llvm::FileRemover removeInput(input), removeOutput(output);
  {
    std::error_code error;
    llvm::raw_fd_ostream stream(input, error);
    stream << *object;
  }
  std::string said, reason;
  if (runProgram({lld, "--no-undefined", "-shared", "-o", output, input}, said, reason) != 0)
    return fail(ErrorCode::CodeObject, "%s: expects an object that it links, but %s%s", lld.c_str(), reason.c_str(),
                said.c_str());
  auto linked = llvm::MemoryBuffer::getFile(output, /*IsText=*/false, /*RequiresNullTerminator=*/false);
  if (!linked)
    return fail(ErrorCode::CodeObject, "%s: expects it to write a code object, but %s", lld.c_str(),
                linked.getError().message().c_str());
  CodeObject result;
  result.bytes = (*linked)->getBuffer().str();
  const std::string metadata = metadataOf(result.bytes);
  llvm::msgpack::Document document;
  if (metadata.empty() || !document.readFromBlob(metadata, /*Multi=*/false) || !document.getRoot().isMap())
    return fail(ErrorCode::CodeObject, "%s: expects metadata in the code object, but there is none", name.c_str());
  llvm::msgpack::DocNode kernels = document.getRoot().getMap()["amdhsa.kernels"];
  for (size_t i = 0; kernels.isArray() && i < kernels.getArray().size(); ++i) {
    if (!kernels.getArray()[i].isMap())
      continue;
    llvm::msgpack::MapDocNode &map = kernels.getArray()[i].getMap();
    CodeObjectKernel kernel;
    kernel.name = map[".name"].toString();
    kernel.vectorRegisters = numberAt(map, ".vgpr_count");
    kernel.scalarRegisters = numberAt(map, ".sgpr_count");
    kernel.spilled = numberAt(map, ".vgpr_spill_count") + numberAt(map, ".sgpr_spill_count");
    kernel.ldsBytes = numberAt(map, ".group_segment_fixed_size");
    kernel.stackBytes = numberAt(map, ".private_segment_fixed_size");
    result.kernels.push_back(kernel);
  }
  if (result.kernels.empty())
    return fail(ErrorCode::CodeObject, "%s: expects metadata of its kernels in the code object, but there is none",
                name.c_str());
  return result;
}

Status checkBudget(const CodeObject &object, const KernelBudget &budget) {
  for (const CodeObjectKernel &kernel : object.kernels) {
    const std::pair<const char *, std::pair<int64_t, int64_t>> checks[] = {
        {"spilled registers", {kernel.spilled, 0}},
        {"bytes of stack", {kernel.stackBytes, 0}},
        {"vector registers", {kernel.vectorRegisters, budget.vectorRegisters}},
        {"bytes of LDS", {kernel.ldsBytes, budget.ldsBytes}}};
    for (const auto &[what, figures] : checks)
      if (figures.first > figures.second)
        return fail(ErrorCode::KernelBudget, "%s: expects at most %lld %s, but got %lld", kernel.name.c_str(),
                    static_cast<long long>(figures.second), what, static_cast<long long>(figures.first));
  }
  return Done{};
}

} // namespace stepdown
