#include "lib/Frontend/ModuleLimits.h"
#include "lib/Frontend/PlainModule.h"
#include "mlir/Bytecode/BytecodeReader.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/MemoryBuffer.h"

using namespace mlir;

namespace stepdown {
namespace {

using ull = unsigned long long;

/// Walks over a text once, as far as it takes to know where brackets are: strings and comments are passed over, and ->,
/// >= and <= are no brackets. Text that is no module may be counted in any way: the parser refuses it.
class TextScanner {
public:
  TextScanner(StringRef text, StringRef name) : text(text), name(name) {}

  Status scan() {
    for (; at < text.size(); ++at) {
      const char c = text[at];
      if (c == '\n')
        ++line, lineStart = at + 1;
      if (c == '"')
        skipString();
      else if (c == '/' && next() == '/')
        skipComment();
      else if (Status status = step(c); !status)
        return status;
    }
    return Done{};
  }

private:
  char next() const { return at + 1 < text.size() ? text[at + 1] : 0; }

  void skipString() { // strings end on their line
    while (++at < text.size() && text[at] != '"' && text[at] != '\n')
      at += text[at] == '\\';
    if (at < text.size() && text[at] == '\n')
      --at;
  }
  void skipComment() {
    while (at + 1 < text.size() && text[at + 1] != '\n')
      ++at;
  }

  Status step(char c) {
    signs = c == '-' && next() != '>' ? signs + 1 : isspace(static_cast<unsigned char>(c)) ? signs : 0;
    if (signs > kMostNesting)
      return tooDeep();
    if (c == '(' || c == '[' || c == '{' || (c == '<' && next() != '=')) {
      open.push_back(c);
      if (c == '<' && text.substr(0, at).ends_with("dense"))
        literal = open.size(), elements = 1;
      return open.size() > kMostNesting ? tooDeep() : Status(Done{});
    }
    const bool arrow = c == '>' && ((at && text[at - 1] == '-') || next() == '=');
    const char opener = c == ')' ? '(' : c == ']' ? '[' : c == '}' ? '{' : c == '>' && !arrow ? '<' : 0;
    if (opener && opener != '<') // a < that was none is closed with what it stands in
      while (!open.empty() && open.back() == '<')
        open.pop_back();
    if (opener && !open.empty() && open.back() == opener)
      open.pop_back();
    if (open.size() < literal)
      literal = 0;
    if (c == ',' && literal && ++elements > kMostListed)
      return fail(ErrorCode::ModuleConstants,
                  "%s: expects a constant of at most %llu elements written one by one, but there are more",
                  here().c_str(), (ull)kMostListed);
    return Done{};
  }

  std::string here() const {
    return name.str() + ":" + std::to_string(line) + ":" + std::to_string(at - lineStart + 1);
  }
  Status tooDeep() const {
    return fail(ErrorCode::ModuleDepth,
                "%s: expects at most %llu brackets and signs inside each other, but there are more", here().c_str(),
                (ull)kMostNesting);
  }

  StringRef text, name;
  size_t at = 0, line = 1, lineStart = 0;
  std::string open; ///< brackets
  uint64_t signs = 0, elements = 0;
  size_t literal = 0; ///< depth of the dense< that is open, or 0
};

/// Bytes of the elements of `attribute`, where it is a constant that becomes data.
uint64_t bytesOf(Attribute attribute) {
  auto elements = dyn_cast<ElementsAttr>(attribute);
  auto type = elements ? elements.getShapedType() : ShapedType();
  if (!type || !type.hasStaticShape())
    return 0;
  Type element = type.getElementType();
  uint64_t bytes = element.isIntOrFloat() ? llvm::divideCeil(element.getIntOrFloatBitWidth(), 8) : 8;
  for (int64_t size : type.getShape())
    bytes = llvm::SaturatingMultiply<uint64_t>(bytes, uint64_t(size));
  return bytes;
}

} // namespace

Status checkModuleBytes(uint64_t bytes, StringRef name) {
  if (bytes <= kMostModuleBytes)
    return Done{};
  return fail(ErrorCode::ModuleBytes, "%s: expects a module of at most %llu bytes, but got %llu", name.str().c_str(),
              (ull)kMostModuleBytes, (ull)bytes);
}

Status checkModuleText(StringRef text, StringRef name) {
  if (Status status = checkModuleBytes(text.size(), name); !status)
    return status;
  if (isBytecode(llvm::MemoryBufferRef(text, name)))
    return Done{};
  return TextScanner(text, name).scan();
}

Status checkModuleSize(ModuleOp module, StringRef name) {
  // By hand: the walks of MLIR recurse.
  SmallVector<std::pair<Operation *, uint64_t>> work = {{module, 0}};
  llvm::DenseSet<Attribute> seen;
  uint64_t operations = 0, bytes = 0;
  while (!work.empty()) {
    auto [op, depth] = work.pop_back_val();
    if (++operations > kMostOperations)
      return fail(ErrorCode::ModuleOperations, "%s: expects at most %llu operations, but there are more",
                  name.str().c_str(), (ull)kMostOperations);
    if (depth > kMostNesting + 2) // the module, and what stands in the innermost
      return fail(ErrorCode::ModuleDepth, "%s: expects at most %llu operations inside each other, but there are more",
                  placeOf(op->getLoc()).c_str(), (ull)kMostNesting);
    for (NamedAttribute attribute : op->getAttrs())
      if (seen.insert(attribute.getValue()).second)
        bytes = llvm::SaturatingAdd(bytes, bytesOf(attribute.getValue()));
    if (bytes > kMostConstantBytes)
      return fail(ErrorCode::ModuleConstants, "%s: expects constants of at most %llu bytes in all, but there are more",
                  placeOf(op->getLoc()).c_str(), (ull)kMostConstantBytes);
    for (Region &region : op->getRegions())
      for (Block &block : region)
        for (Operation &inner : block)
          work.push_back({&inner, depth + 1});
  }
  return Done{};
}

} // namespace stepdown
