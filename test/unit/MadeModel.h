// Checkpoints for tests, written by test/data/make_model.py when a test asks for one.
#pragma once
#include <string>

namespace stepdown {

/// The path of a checkpoint made with `options` ("--family llama --type Q8_0"), made on the first call and kept for the
/// run; the empty string, with a test failure, where it cannot be made.
std::string makeModel(const std::string &options);

} // namespace stepdown
