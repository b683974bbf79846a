// Artifacts of made checkpoints, and what the compiler and stepdown-run say of them.
#pragma once
#include <string>

namespace stepdown::test {

/// Standard output of a command; a test failure, and nothing, where it fails.
std::string outputOf(const std::string &command);

/// An artifact of the checkpoint that test/data/make_model.py makes with `model`, compiled with `options`; made once.
std::string compiledModel(const std::string &model, const std::string &options);

} // namespace stepdown::test
