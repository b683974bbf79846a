// How an answer is drawn, and what ends it: the same for the command line, the C API and chats.
#pragma once
#include "runtime/Sampler/SamplingOptions.h"
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace stepdown {

class Constraint;
class Speculator;

struct GenerationOptions {
  int64_t maxTokens = 256;                ///< that are drawn at most; 0: none, and the prompt is not computed
  std::vector<std::string> stops;         ///< texts that end the answer and are no part of it
  bool ignoreEnd = false;                 ///< tokens that end a text are text like others
  bool logProbabilities = false;          ///< are kept, of every token
  SamplingOptions sampling;               ///< as asked for; what the vocabulary adds (CompleteSampling.h) comes later
  std::shared_ptr<Constraint> constraint; ///< what the answer has to be, or none; made for the model that draws it
  std::shared_ptr<const Speculator> speculator; ///< what guesses ahead, or none; changes no answer
  std::string adapter;                          ///< by its name in the session, or empty: none
  uint64_t answer = 0; ///< which of several to one prompt: the random numbers are a function of it, seed and position
};

} // namespace stepdown
