// Writes one artifact: metadata of the checkpoint, step program, code of every level, packed weights, provenance.
#pragma once
#include "lib/Artifact/ObjectLinker.h"
#include "lib/Artifact/ProgramBuilder.h"
#include "lib/Checkpoint/Gguf.h"
#include <functional>
#include <string>
#include <vector>

namespace stepdown {

struct LevelCode {
  const Level *level;
  NativeCode code;
};

struct ArtifactParts {
  const Gguf *checkpoint;
  Program program;
  std::vector<LevelCode> code;
  std::string provenance; ///< JSON
};

/// Writes `parts` to a temporary file beside `path` and renames it: `path` is whole or untouched. `jobs` threads pack
/// the weights. `progress` gets bytes packed and bytes in all. E0220 for a tensor the checkpoint lacks, E0903 where the
/// disk is full or the folder cannot be written.
Status writeArtifact(const std::string &path, ArtifactParts parts, int jobs,
                     const std::function<void(uint64_t, uint64_t)> &progress);

} // namespace stepdown
