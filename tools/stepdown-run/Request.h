// One request for text: what generate's options and the lines of a JSONL file can say.
#pragma once
#include "lib/CommandLine/CommandLine.h"
#include "lib/Grammar/Rules.h"
#include "lib/Text/Tokenizer/Tokenizer.h"
#include "runtime/Generate/GenerationOptions.h"
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

namespace stepdown::run {

using commandline::Arguments;
using commandline::Option;

struct Request;

/// Limits that options of the command line and fields of JSON share with each other; those of numbers that say how
/// tokens are drawn are in SamplingOptions.def.
struct RequestField {
  const char *name;   ///< "max_tokens", in JSON
  const char *option; ///< "max-tokens"
  int64_t Request::*field;
  int64_t low, high;
};

struct Request : GenerationOptions {
  Request() { sampling.temperature = 0; } // the likeliest token, where nothing else is said
  std::string id;
  std::optional<std::string> prompt;
  std::optional<std::vector<int32_t>> tokens; ///< in place of the prompt
  int64_t answers = 1;                        ///< drawn from one prompt
  int64_t probabilities = -1; ///< of how many tokens beside the chosen log-probabilities are wanted; -1: none
  std::shared_ptr<const grammar::Network> grammar; ///< what the answer has to be, or null; `constraint` follows from it
};

const std::vector<RequestField> &requestFields();
/// `option` with the limits of its field.
Option limited(Option option);
/// A seed, from -2^63 to 2^64 - 1: negative ones are those of two's complement. None for another text.
std::optional<uint64_t> parseSeed(const std::string &text);

/// The sampling options of a command's table, which begins with `defaults`: a heading, then one entry for each.
std::vector<Option> samplingOptions(const SamplingOptions &defaults);
/// Reads them, --max-tokens, --answers, --logprobs and --stop as far as the command has them, and what the answer has
/// to be, into `request`; E0905, E0701, E13xx.
Status readRequest(const Arguments &arguments, Request &request);
/// Reads `object` over what `request` says already; E0611, E0701, E13xx naming `where` and the field. The id is read
/// first.
Status readRequest(const nlohmann::json &object, Request &request, const std::string &where);

/// A line of a file of requests: a request, or why it is none.
struct RequestLine {
  Request request;   ///< with its id in any case: the line's own, or, where it has none, how many came before
  std::string where; ///< "FILE: line 3"
  std::optional<Error> refusal; ///< E0611, E0701, E0908, E13xx; begins with `where`
};
/// The lines of a JSONL text that are not blank, each beginning with what `defaults` say. A refused one does not keep
/// the others from being read. An id that came before is refused. E0611 where there is no line.
Result<std::vector<RequestLine>> readRequests(const std::string &text, const Request &defaults,
                                              const std::string &file);

/// The ids of the request's prompt, checked; `addSpecial`: with the tokens around a text that the model asks for.
/// E03xx.
Result<std::vector<int32_t>> promptOf(const Request &request, const Tokenizer &tokenizer, bool addSpecial = true);

} // namespace stepdown::run
