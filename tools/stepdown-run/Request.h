// One request for text: what generate's options and the lines of a JSONL file can say.
#pragma once
#include "lib/CommandLine/CommandLine.h"
#include "runtime/CompleteSampling.h"
#include "runtime/Sampler/Sampler.h"
#include "runtime/Tokenizer/Tokenizer.h"
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

namespace stepdown::run {

using commandline::Arguments;
using commandline::Option;

struct Request {
  Request() { sampling.temperature = 0; } // the likeliest token, where nothing else is said
  std::string id;
  std::optional<std::string> prompt;
  std::optional<std::vector<int32_t>> tokens; ///< in place of the prompt
  int64_t maxTokens = 256;
  int64_t answers = 1;        ///< drawn from one prompt
  int64_t probabilities = -1; ///< of how many tokens beside the chosen log-probabilities are wanted; -1: none
  std::vector<std::string> stops;
  bool ignoreEos = false;
  SamplingOptions sampling;
};

/// The sampling options of a command's table, which begins with `defaults`: a heading, then one entry for each.
std::vector<Option> samplingOptions(const SamplingOptions &defaults);
/// Reads them into `request`; E0905.
Status readRequest(const Arguments &arguments, Request &request);
/// The request in `object`, beginning with what `defaults` say; E0611 naming `where` and the field.
Result<Request> readRequest(const nlohmann::json &object, const Request &defaults, const std::string &where);
/// The requests of a JSONL text, one object a line; E0611, E0908.
Result<std::vector<Request>> readRequests(const std::string &text, const Request &defaults, const std::string &file);

/// The ids of the request's prompt, checked; E03xx.
Result<std::vector<int32_t>> promptOf(const Request &request, const Tokenizer &tokenizer);

} // namespace stepdown::run
