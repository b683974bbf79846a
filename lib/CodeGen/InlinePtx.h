// Reads the inline PTX that kernels have: one instruction, and what LLVM and nvvm wrap around one (a predicate made of
// an operand, braces, a loop that waits).
#pragma once
#include "llvm/ADT/StringRef.h"
#include <optional>
#include <string>
#include <vector>

namespace stepdown {

/// One operand: a number ($3 or 16), or several in braces.
struct PtxOperand {
  struct Element {
    bool immediate;
    int64_t value; ///< of the immediate, or the number of the assembly's operand
  };
  std::vector<Element> elements;
  bool group = false;
};

struct PtxInstruction {
  std::string name; ///< with its modifiers: "wgmma.mma_async.sync.aligned.m64n256k16.f32.bf16.bf16"
  std::vector<PtxOperand> operands;
};

/// The instruction of `text`; without one, `unknown` is the first instruction that has no place here.
std::optional<PtxInstruction> readInlinePtx(llvm::StringRef text, std::string &unknown);

} // namespace stepdown
