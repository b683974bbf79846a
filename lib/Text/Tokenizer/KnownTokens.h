// Tokens that published models know by their text. GGUF has a type for each token, and converters get it wrong: an
// "<|im_end|>" typed as normal text neither ends an answer nor is one token of a prompt. What these texts mean is
// therefore told by the texts, as llama.cpp does, whose list this follows (src/llama-vocab.cpp).
#pragma once
#include <cstddef>
#include <string_view>

namespace stepdown {

struct KnownToken {
  enum Role {
    Ends,           ///< ends an answer
    EndsWhereTyped, ///< ends an answer, but only where the file types it as control or user-defined
    FillPrefix,     ///< marks the parts of a text with a hole (fill in the middle); ends nothing
    FillSuffix,
    FillMiddle,
    FillPad, ///< these three end an answer, since what would follow is another file
    FillRepository,
    FillSeparator
  };
  std::string_view text;
  Role role;
};

struct KnownTokens {
  const KnownToken *first;
  size_t count;
  const KnownToken *begin() const { return first; }
  const KnownToken *end() const { return first + count; }
};

/// Each text once.
KnownTokens knownTokens();

inline bool endsAnswer(KnownToken::Role role) {
  return role != KnownToken::FillPrefix && role != KnownToken::FillSuffix && role != KnownToken::FillMiddle;
}

} // namespace stepdown
