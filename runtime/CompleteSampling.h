// What sampling has to know of the vocabulary, which a request does not say.
#pragma once
#include "lib/Text/Tokenizer/Tokenizer.h"
#include "runtime/Sampler/Sampler.h"

namespace stepdown {

/// Adds the tokens that end DRY's runs, and those that the file wants never drawn. `vocabulary`: columns of a row of
/// logits, which may be fewer than the tokenizer's.
void completeSampling(SamplingOptions &sampling, const Tokenizer &tokenizer, int32_t vocabulary);

} // namespace stepdown
