#include "lib/CodeGen/InlinePtx.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringExtras.h"
#include <map>

using llvm::StringRef;

namespace stepdown {
namespace {

/// Operands apart by commas, those in braces together.
std::vector<StringRef> splitOperands(StringRef text) {
  std::vector<StringRef> parts;
  size_t from = 0;
  int depth = 0;
  for (size_t i = 0; i <= text.size(); ++i) {
    if (i < text.size() && text[i] == '{')
      ++depth;
    else if (i < text.size() && text[i] == '}')
      --depth;
    if (i == text.size() || (text[i] == ',' && depth == 0)) {
      if (StringRef part = text.slice(from, i).trim(); !part.empty())
        parts.push_back(part);
      from = i + 1;
    }
  }
  return parts;
}

using Predicates = std::map<std::string, PtxOperand::Element>;

bool readElement(StringRef text, const Predicates &predicates, PtxOperand::Element &element) {
  text = text.trim();
  if (text.consume_front("[")) {
    if (!text.consume_back("]"))
      return false;
    text = text.trim();
  }
  if (auto named = predicates.find(text.str()); named != predicates.end()) {
    element = named->second;
    return true;
  }
  element.immediate = !text.consume_front("$");
  return !text.getAsInteger(0, element.value);
}

} // namespace

std::optional<PtxInstruction> readInlinePtx(StringRef text, std::string &unknown) {
  StringRef body = text.trim();
  if (body.consume_front("{") && !body.consume_back("}")) {
    unknown = text.str();
    return std::nullopt;
  }
  llvm::SmallVector<StringRef> lines;
  body.split(lines, ';', -1, false);
  Predicates predicates;
  std::optional<PtxInstruction> found;
  for (StringRef line : lines) {
    line = line.trim();
    if (line.empty() || line.starts_with(".reg"))
      continue;
    auto [name, rest] = line.split(' ');
    unknown = name.trim().str();
    std::vector<StringRef> operands = splitOperands(rest);
    if (name.starts_with("setp.ne.") && operands.size() == 3 && operands[2] == "0") {
      if (PtxOperand::Element element; readElement(operands[1], predicates, element)) {
        predicates[operands[0].str()] = element;
        continue;
      }
      return std::nullopt;
    }
    if (found || name.starts_with("@") || name.ends_with(":"))
      return std::nullopt;
    PtxInstruction instruction{name.trim().str(), {}};
    for (StringRef operand : operands) {
      PtxOperand read;
      read.group = operand.consume_front("{");
      if (read.group)
        operand.consume_back("}");
      for (StringRef part : splitOperands(operand)) {
        PtxOperand::Element element;
        if (!readElement(part, predicates, element))
          return std::nullopt;
        read.elements.push_back(element);
      }
      instruction.operands.push_back(std::move(read));
    }
    found = std::move(instruction);
  }
  return found;
}

} // namespace stepdown
