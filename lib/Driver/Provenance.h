// What an artifact was made from and by: JSON, kept in the artifact.
#pragma once
#include "lib/Checkpoint/Gguf.h"
#include "lib/Driver/Compile.h"

namespace stepdown {
/// Compiler, LLVM and ABI version, options, levels, and the name, size and SHA-256 of the checkpoint.
std::string provenance(const Gguf &checkpoint, const CompileOptions &options, const std::vector<const Level *> &levels);
/// "stepdown 0.1.0, LLVM 22.1.8, artifact ABI 1"
std::string versionText();
} // namespace stepdown
