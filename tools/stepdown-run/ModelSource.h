// Where MODEL leads: an artifact, or a checkpoint that is compiled once into the cache and then run from there.
#pragma once
#include "lib/Checkpoint/Gguf.h"
#include "runtime/Load/ArtifactFile.h"
#include "runtime/Load/Model.h"
#include "runtime/Tokenizer/Tokenizer.h"
#include <optional>
#include <string>

namespace stepdown::run {

/// What a compilation depends on beside the checkpoint and the compiler.
struct CompileOptions {
  bool exact = false;
  bool verbose = false; ///< not what it depends on: tells on stderr what is being done
};

/// The path of an artifact of `model`: itself, or the cache's, compiled now where it is missing, or in any case where
/// `again`; E0901, E0903, E0906.
Result<std::string> artifactOf(const std::string &model, const CompileOptions &options, bool again = false);

/// Loads `model` for running, compiled where needed, and again where the cache's artifact is damaged. E0909 when
/// `options` ask for more than an artifact can do.
Result<std::shared_ptr<const Model>> loadModel(const std::string &model, const CompileOptions &options,
                                               const char *isa);

/// The metadata of a checkpoint or an artifact; compiles nothing. A file without model tensors will do.
class MetadataSource {
public:
  static Result<MetadataSource> open(const std::string &model);
  const Metadata &metadata() const { return checkpoint ? checkpoint->metadata() : *pairs; }

private:
  std::optional<Gguf> checkpoint;
  std::optional<ArtifactFile> artifact;
  std::optional<Metadata> pairs;
};

/// The tokenizer of a model; what its file leaves to be guessed is told on stderr.
Result<Tokenizer> openTokenizer(const Metadata &metadata);

} // namespace stepdown::run
