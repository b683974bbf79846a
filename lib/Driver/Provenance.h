// What an artifact was made from and by: JSON, kept in the artifact.
#pragma once
#include "lib/Checkpoint/Gguf.h"
#include "lib/Driver/Compile.h"
#include "lib/Explain/Report.h"

namespace stepdown {
/// The SHA-256 of the checkpoint, in hexadecimal; reads all of it.
std::string checkpointHash(const Gguf &checkpoint);
/// Compiler, LLVM and ABI version, options, targets, the name, size and hash of the checkpoint, and the memory plan.
std::string provenance(const Gguf &checkpoint, const std::string &hash, const CompileOptions &options,
                       const std::vector<const Target *> &targets, const MemoryPlan &plan);
/// The same for a plain module, `source` its bytes.
std::string plainProvenance(const std::string &path, const std::string &source,
                            const std::vector<const Target *> &targets);
/// "stepdown 0.1.0, LLVM 22.1.8, artifact ABI 1"
std::string versionText();
} // namespace stepdown
