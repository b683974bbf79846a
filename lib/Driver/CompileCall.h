// What a call of the compiler's C API asks for, so that it means the same here and in another process.
#pragma once
#include "lib/Base/Result.h"
#include <cstdint>
#include <functional>
#include <string>

namespace stepdown {

/// With what is being done, and how much of how much; one call at a time.
using CompileProgress = std::function<void(const std::string &what, uint64_t done, uint64_t total)>;

/// The arguments of stepdown_compile or stepdown_compile_module, and the options as Compiler.h has them.
struct CompileCall {
  bool isText = false;     ///< a plain module from memory, else a checkpoint or module in a file
  std::string input;       ///< the path; of a text what messages call it
  std::string text;        ///< text or bytecode of the module
  std::string output;      ///< path of the artifact
  std::string targets;     ///< "cpu", or names with commas between
  std::string activations; ///< "q8o2", "q8x2", "q8"; empty: q8o2
  std::string kvType;      ///< "f16", "f32", "q8_0", "fp8_e4m3"; empty: f16, or f32 with `exact`
  std::string adapters;    ///< a line each, "FILE" or "FILE=SCALE": merged into the checkpoint's weights in their order
  std::string quantize;    ///< "q4_k_m", ...: what float weights become; empty: they stay as they are
  uint64_t maxContext = 0; ///< 0: the checkpoint's
  int32_t jobs = 0;        ///< 0: one a core
  bool exact = false;      ///< activations and cache stay float32
  bool checkWeights = false; ///< refuse weights that are NaN or infinite
};

/// Does what `call` says, in this process; E0832 for an option without such a value, else what compileModel and
/// compilePlainText say. Nothing is thrown.
Status compileHere(const CompileCall &call, const CompileProgress &progress);

} // namespace stepdown
