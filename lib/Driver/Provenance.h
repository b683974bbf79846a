// What an artifact was made from and by: JSON, kept in the artifact.
#pragma once
#include "lib/Checkpoint/Checkpoint.h"
#include "lib/Driver/Compile.h"
#include "lib/Explain/Report.h"

namespace stepdown {
/// The SHA-256 of the checkpoint, in hexadecimal; reads all of it.
std::string checkpointHash(const Checkpoint &checkpoint);
/// A file that something was made from: its name without folders, its size, its SHA-256 in hexadecimal.
struct PlainSource {
  std::string file;
  uint64_t bytes = 0;
  std::string sha256;
};
PlainSource sourceOf(const std::string &path, const std::string &bytes);

/// IR that somebody changed between two phases, and the phase that it was printed after; empty where nobody did.
struct EditedIr {
  std::string phase;
  PlainSource file;
};

/// Compiler, LLVM and ABI version, options, targets, the name, size and hash of the checkpoint, and the memory plan.
/// `merged`: the same of each adapter in the weights, with its scale; or null.
std::string provenance(const Checkpoint &checkpoint, const std::string &hash, const MergedWeights *merged,
                       const CompileOptions &options, const std::vector<const Target *> &targets,
                       const MemoryPlan &plan, const EditedIr &edited);
/// The same for a plain module.
std::string plainProvenance(const PlainSource &source, const std::vector<const Target *> &targets,
                            const EditedIr &edited);
/// "stepdown 0.1.0, LLVM 22.1.8, artifact ABI 1"
std::string versionText();
} // namespace stepdown
