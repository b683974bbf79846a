// Where MODEL leads: an artifact, or a checkpoint that is compiled once into the cache and then run from there.
#pragma once
#include "lib/Checkpoint/Checkpoint.h"
#include "lib/CommandLine/CommandLine.h"
#include "lib/Text/Tokenizer/Tokenizer.h"
#include "runtime/Load/ArtifactFile.h"
#include "runtime/Load/Model.h"
#include <optional>
#include <string>

namespace stepdown::run {

/// Loads the MODEL of a command line for running, with its --exact, --verbose and --isa: compiled where needed, and
/// again where the cache's artifact is damaged. E0909 when they ask for more than an artifact can do.
Result<std::shared_ptr<const Model>> loadModel(const commandline::Arguments &arguments);
/// The same for one of several.
Result<std::shared_ptr<const Model>> loadModel(const commandline::Arguments &arguments, const std::string &model);

/// Files that the command line has it read, whose place no output takes: of its models and of `other` (a checkpoint, a
/// file, or empty), the text, and what it has to be.
std::vector<std::string> inputsOf(const commandline::Arguments &arguments, const std::string &other = "");

/// A model with its tokenizer.
struct TextModel {
  std::shared_ptr<const Model> model;
  Tokenizer tokenizer;
  /// As loadModel() and openTokenizer() do.
  static Result<std::unique_ptr<TextModel>> open(const commandline::Arguments &arguments);
  static Result<std::unique_ptr<TextModel>> open(const commandline::Arguments &arguments, const std::string &model);
};

/// The metadata of a checkpoint or an artifact; compiles nothing. A file without model tensors will do.
class MetadataSource {
public:
  static Result<MetadataSource> open(const std::string &model);
  const Metadata &metadata() const { return checkpoint ? checkpoint->metadata() : *pairs; }

private:
  std::optional<Checkpoint> checkpoint;
  std::optional<ArtifactFile> artifact;
  std::optional<Metadata> pairs;
};

/// Whether the compiler has the family of `checkpoint`, and every key and tensor is one that it reads: E02xx.
Status checkModel(const Checkpoint &checkpoint);

/// The tokenizer of a model; what its file leaves to be guessed is told on stderr.
Result<Tokenizer> openTokenizer(const Metadata &metadata);

} // namespace stepdown::run
