#include "lib/CodeGen/ObjectLinker.h"
#include "lib/CodeGen/Relocation.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Object/ELFObjectFile.h"
#include "llvm/Support/LEB128.h"
#include "llvm/Support/MemoryBuffer.h"

using namespace llvm;
using namespace llvm::object;

namespace stepdown {
namespace {
using Elf = ELFObjectFile<ELF64LE>;
constexpr uint64_t kAlignment = 64;         // a cache line, and the widest vector constant
constexpr uint64_t kOutside = ~uint64_t(0); // a section that is not laid out

struct Input {
  std::string name, symbol; // of messages; of the function that has that name outside, or empty
  std::unique_ptr<MemoryBuffer> buffer;
  std::unique_ptr<Elf> object;
  std::map<uint64_t, uint64_t> placed; // section index -> offset in the block
};

std::string reason(llvm::Error error) { return toString(std::move(error)); }
} // namespace

struct ObjectLinker::Layout {
  std::vector<Input> inputs;
  Triple::ArchType architecture = Triple::UnknownArch; // of all inputs
  NativeCode code;
  StringMap<uint64_t> globals; // defined global symbol -> offset in the block

  static bool isAllocated(SectionRef section) {
    ELFSectionRef elf(section);
    // Unwind tables are allocated too; kernels never throw and nobody registers these.
    return (elf.getFlags() & ELF::SHF_ALLOC) && elf.getSize() > 0 && elf.getType() != ELF::SHT_X86_64_UNWIND &&
           cantFail(section.getName()) != ".eh_frame";
  }

  void place(bool text) {
    for (Input &input : inputs)
      for (SectionRef section : input.object->sections()) {
        if (!isAllocated(section) || section.isText() != text)
          continue;
        code.bytes.resize(alignTo(code.bytes.size(), kAlignment), text ? trapByte(architecture) : 0);
        input.placed[section.getIndex()] = code.bytes.size();
        StringRef contents = cantFail(section.getContents());
        code.bytes.insert(code.bytes.end(), contents.bytes_begin(), contents.bytes_end());
      }
  }

  /// Where `symbol` of `input` lies, or kOutside when it is defined by nobody.
  uint64_t find(const Input &input, ELFSymbolRef symbol) const {
    section_iterator section = cantFail(symbol.getSection());
    if (section == input.object->section_end()) {
      auto global = globals.find(cantFail(symbol.getName()));
      return global == globals.end() ? kOutside : global->second;
    }
    auto at = input.placed.find(section->getIndex());
    return at == input.placed.end() ? kOutside : at->second + cantFail(symbol.getValue());
  }

  Status collect(Input &input);
  Status relocate(const Input &input, uint64_t base, const ELFRelocationRef &relocation);
  void readStackSizes(const Input &input, SectionRef section, SectionRef relocations);
};

ObjectLinker::ObjectLinker() : layout(std::make_unique<Layout>()) {}
ObjectLinker::~ObjectLinker() = default;

Status ObjectLinker::add(const std::string &name, std::unique_ptr<MemoryBuffer> buffer, const std::string &symbol) {
  Expected<Elf> object = Elf::create(buffer->getMemBufferRef());
  if (!object)
    return fail(ErrorCode::ObjectMalformed, "%s: expects a 64-bit object: %s", name.c_str(),
                reason(object.takeError()).c_str());
  const Triple::ArchType architecture = object->getArch();
  if ((architecture != Triple::x86_64 && architecture != Triple::aarch64) || !object->isRelocatableObject())
    return fail(ErrorCode::ObjectMalformed,
                "%s: expects an object of x86-64 or AArch64, but got another kind of ELF file", name.c_str());
  if (!layout->inputs.empty() && architecture != layout->architecture)
    return fail(ErrorCode::ObjectMalformed, "%s: expects an object of the architecture of %s, but got another",
                name.c_str(), layout->inputs.front().name.c_str());
  layout->architecture = architecture;
  for (SectionRef section : object->sections()) {
    if (!Layout::isAllocated(section))
      continue;
    StringRef title = cantFail(section.getName());
    if (ELFSectionRef(section).getFlags() & ELF::SHF_WRITE)
      return fail(ErrorCode::CodeWritable,
                  "%s: expects code and constants alone, but section %s of %llu bytes is written to", name.c_str(),
                  title.str().c_str(), static_cast<unsigned long long>(section.getSize()));
    if (section.getAlignment().value() > kAlignment)
      return fail(ErrorCode::ObjectMalformed, "%s: expects sections aligned to at most %llu bytes, but %s wants %llu",
                  name.c_str(), static_cast<unsigned long long>(kAlignment), title.str().c_str(),
                  static_cast<unsigned long long>(section.getAlignment().value()));
    if (Expected<StringRef> contents = section.getContents(); !contents)
      return fail(ErrorCode::ObjectMalformed, "%s: section %s: %s", name.c_str(), title.str().c_str(),
                  reason(contents.takeError()).c_str());
  }
  layout->inputs.push_back({name, symbol, std::move(buffer), std::make_unique<Elf>(std::move(*object)), {}});
  return Done{};
}

Status ObjectLinker::Layout::collect(Input &input) {
  for (ELFSymbolRef symbol : input.object->symbols()) {
    section_iterator section = cantFail(symbol.getSection());
    if (symbol.getBinding() == ELF::STB_LOCAL || section == input.object->section_end() ||
        !input.placed.count(section->getIndex()))
      continue;
    StringRef name = cantFail(symbol.getName());
    if (!input.symbol.empty() && name == input.symbol)
      name = input.name;
    const uint64_t offset = find(input, symbol);
    if (!globals.try_emplace(name, offset).second)
      return fail(ErrorCode::CodeDuplicate,
                  "%s: expects every global symbol to be defined once, but %s is defined again", input.name.c_str(),
                  name.str().c_str());
    if (symbol.getELFType() != ELF::STT_FUNC)
      continue;
    code.entries[name.str()] = offset;
    code.statistics[name.str()].codeBytes = symbol.getSize();
  }
  return Done{};
}

Status ObjectLinker::Layout::relocate(const Input &input, uint64_t base, const ELFRelocationRef &relocation) {
  const uint64_t place = base + relocation.getOffset();
  SmallString<32> kind;
  relocation.getTypeName(kind);
  symbol_iterator symbol = relocation.getSymbol();
  std::string title = "an absolute address";
  uint64_t target = kOutside;
  if (symbol != input.object->symbol_end()) {
    title = cantFail(symbol->getName()).str();
    if (!input.symbol.empty() && title == input.symbol)
      title = input.name;
    target = find(input, *symbol);
  }
  if (target == kOutside)
    return fail(ErrorCode::CodeUndefined,
                "%s: expects code that calls and reads nothing outside itself, but it uses %s", input.name.c_str(),
                title.c_str());
  const int64_t address = static_cast<int64_t>(target) + cantFail(relocation.getAddend());
  switch (resolve(architecture, relocation.getType(), code.bytes, place, relocation.getOffset(), address)) {
  case Resolved::Yes:
    return Done{};
  case Resolved::Outside:
    return fail(ErrorCode::ObjectMalformed, "%s: expects relocations inside their section, but one is at %llu",
                input.name.c_str(), static_cast<unsigned long long>(relocation.getOffset()));
  case Resolved::Far:
    return fail(
        ErrorCode::CodeRelocation, "%s: expects references that reach, but %s is %lld bytes away, and is reached by %s",
        input.name.c_str(), title.c_str(), static_cast<long long>(address - static_cast<int64_t>(place)), kind.c_str());
  case Resolved::Absolute:
    break;
  }
  return fail(ErrorCode::CodeRelocation,
              "%s: expects references that do not depend on where the code is mapped, but %s is reached by %s",
              input.name.c_str(), title.c_str(), kind.c_str());
}

/// .stack_sizes is a list of (8 bytes for the function's address, unsigned LEB128 of its frame); the relocations of the
/// addresses tell the functions.
void ObjectLinker::Layout::readStackSizes(const Input &input, SectionRef section, SectionRef relocations) {
  StringRef contents = cantFail(section.getContents());
  for (ELFRelocationRef relocation : relocations.relocations()) {
    symbol_iterator symbol = relocation.getSymbol();
    if (symbol == input.object->symbol_end() || relocation.getOffset() + 8 >= contents.size())
      continue;
    const uint64_t at = find(input, *symbol) + cantFail(relocation.getAddend());
    const uint64_t size =
        decodeULEB128(contents.bytes_begin() + relocation.getOffset() + 8, nullptr, contents.bytes_end());
    for (auto &[name, offset] : code.entries)
      if (offset == at)
        code.statistics[name].stackBytes = size;
  }
}

Result<NativeCode> ObjectLinker::link() {
  layout->place(/*text=*/true);
  layout->place(/*text=*/false);
  for (Input &input : layout->inputs)
    if (Status status = layout->collect(input); !status)
      return status.error();
  for (Input &input : layout->inputs)
    for (SectionRef section : input.object->sections()) {
      section_iterator relocated = cantFail(section.getRelocatedSection());
      if (relocated == input.object->section_end())
        continue;
      const SectionRef target = *relocated;
      if (cantFail(target.getName()) == ".stack_sizes")
        layout->readStackSizes(input, target, section);
      auto at = input.placed.find(target.getIndex());
      if (at == input.placed.end())
        continue;
      for (ELFRelocationRef relocation : section.relocations())
        if (Status status = layout->relocate(input, at->second, relocation); !status)
          return status.error();
    }
  return std::move(layout->code);
}

} // namespace stepdown
