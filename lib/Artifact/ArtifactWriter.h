// Writes one artifact: metadata of the checkpoint, step program, code of every target, packed weights, provenance; or
// the functions of a plain module, their code and provenance.
#pragma once
#include "lib/Artifact/FunctionTable.h"
#include "lib/Artifact/ObjectLinker.h"
#include "lib/Artifact/ProgramBuilder.h"
#include "lib/Base/PartFile.h"
#include "lib/Checkpoint/Gguf.h"
#include <functional>
#include <string>
#include <vector>

namespace stepdown {

struct ArtifactParts {
  const Gguf *checkpoint;
  Program program;
  std::vector<TargetCode> code;
  std::string provenance; ///< JSON
};

/// planWeights, where vectors are declared without the storage type that the checkpoint has them in.
Result<PackedWeights> planProgramWeights(const Gguf &checkpoint, std::vector<WeightEntry> weights, uint64_t alignment);

/// Writes `parts` to `file` and commits it: its path is whole or untouched. `jobs` threads pack the weights. `progress`
/// gets bytes packed and bytes in all. E0220 for a tensor the checkpoint lacks, E0818 for one that does not fit, E0903
/// where the disk is full.
Status writeArtifact(PartFile file, ArtifactParts parts, int jobs,
                     const std::function<void(uint64_t, uint64_t)> &progress);

/// Writes functions, their code and `provenance` to `file` and commits it. E0903.
Status writeFunctions(PartFile file, const std::vector<FunctionSignature> &functions,
                      const std::vector<TargetCode> &code, const std::string &provenance);

} // namespace stepdown
