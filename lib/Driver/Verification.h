// What the runtime asks of a file before it uses it, asked by the compiler: of the tables as soon as they are known,
// and of the whole file before it gets its name. The checks are the loader's own
// (docs/decisions/the-loaders-checks.md), so nothing is written that they would refuse, and what they would refuse
// costs no code generation first.
#pragma once
#include "lib/Artifact/ArtifactWriter.h"

namespace stepdown {

/// The checkpoint has a tokenizer that the runtime opens; E02xx, E03xx. Warns of a chat template that it cannot read.
Status verifyText(const Checkpoint &checkpoint, const std::function<void(const std::string &)> &warn);

/// A FUNCTIONS section of `functions` for `targets` passes, whatever code they get; E0507. `input` is for messages.
Status verifyFunctions(const std::string &input, const std::vector<FunctionSignature> &functions,
                       const std::vector<const Target *> &targets);

/// The same for the PROGRAM section of `program` with the packed weights `plan`; E0560, too.
Status verifyProgram(const std::string &input, const BuiltProgram &program, const PackedWeights &plan,
                     const std::vector<const Target *> &targets);

/// The whole file at `path`, which is written but for its name; E0501 to E0507, E0560. `output` is that name, for
/// messages.
Status verifyArtifact(const std::string &path, const std::string &output);

} // namespace stepdown
