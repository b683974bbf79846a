#include "runtime/CompleteSampling.h"

#include <algorithm>
#include <limits>

namespace stepdown {

void completeSampling(SamplingOptions &sampling, const Tokenizer &tokenizer, int32_t vocabulary) {
  for (int32_t id : tokenizer.suppressed())
    if (id < vocabulary)
      sampling.logitBias.emplace_back(id, -std::numeric_limits<float>::infinity());
  if (sampling.dryMultiplier == 0)
    return;
  for (int32_t id = 0; id < std::min(vocabulary, tokenizer.vocabularySize()); ++id)
    if (tokenizer.piece(id).find_first_of("\n:\"*") != std::string::npos)
      sampling.dryBreakers.push_back(id);
}

} // namespace stepdown
