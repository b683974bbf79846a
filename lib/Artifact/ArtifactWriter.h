// Writes one artifact: metadata of the checkpoint, step program and code of every target, packed weights, provenance;
// or the functions of a plain module, their code for every target and provenance.
#pragma once
#include "lib/Artifact/FunctionTable.h"
#include "lib/Artifact/ProgramBuilder.h"
#include "lib/Artifact/SharedWeights.h"
#include "lib/Base/PartFile.h"
#include "lib/Checkpoint/Checkpoint.h"
#include "lib/CodeGen/ObjectLinker.h"
#include <functional>
#include <string>
#include <vector>

namespace stepdown {

/// What one target adds to an artifact.
struct TargetParts {
  std::string name; ///< as devices know it
  BuiltProgram program;
  std::vector<TargetCode> code; ///< of each instruction-set level
};

struct ArtifactParts {
  const Checkpoint *checkpoint;
  std::vector<TargetParts> targets; ///< what devices prefer of several that they run, first
  std::string provenance;           ///< JSON
};

/// The bytes of the PROGRAM section of `program`, whose weights are entries `weights` of the packed weights `plan`;
/// `numbers` are the entries of its variants in each CODE section.
std::vector<uint8_t> layOutProgram(BuiltProgram program, const std::vector<uint32_t> &numbers,
                                   const PackedWeights &plan, const std::vector<uint32_t> &weights);

/// planWeights, where vectors are declared without the storage type that the checkpoint has them in.
Result<PackedWeights> planProgramWeights(const Checkpoint &checkpoint, std::vector<WeightEntry> weights,
                                         uint64_t alignment);

/// Writes `parts` to `file`, whose name it leaves to the caller. `jobs` threads pack the weights. `progress` gets bytes
/// packed and bytes in all. E0220 for a tensor the checkpoint lacks, E0818 for one that does not fit, E0903
/// where the disk is full.
Status writeArtifact(PartFile &file, ArtifactParts parts, int jobs,
                     const std::function<void(uint64_t, uint64_t)> &progress);

/// The same for functions, their code and `provenance`. E0903.
Status writeFunctions(PartFile &file, const std::vector<FunctionSignature> &functions,
                      const std::vector<TargetCode> &code, const std::string &provenance);

} // namespace stepdown
