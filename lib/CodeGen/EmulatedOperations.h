// Which operation of include/stepdown/Emulation.def an instruction is, and its modifiers.
#pragma once
#include "include/stepdown/Emulation.h"
#include "llvm/ADT/StringRef.h"
#include <array>
#include <optional>

namespace stepdown {

struct EmulatedOperation {
  stepdown_emulated kind;
  std::array<int32_t, 8> modifiers = {};
};

/// Element types, as modifiers number them.
enum class EmulatedType : int32_t { F32, F16, BF16, TF32, E4M3, E5M2, S8, U8, S32, E4M3FNUZ, None };

/// Of an intrinsic without "llvm.nvvm." or, of AMD, without "llvm.", or of a PTX instruction with its modifiers; none
/// where it is not known.
std::optional<EmulatedOperation> emulatedOperation(llvm::StringRef instruction);

} // namespace stepdown
