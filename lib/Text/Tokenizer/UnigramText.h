// What a tokenizer.json does to a text before a Unigram model cuts it, as the package tokenizers 0.23.3 does: its
// normalizers (Precompiled, Strip, Replace of runs of spaces), then WhitespaceSplit and Metaspace. The steps are named
// in tokenizer.folder.pre_tokenizer, in order.
#pragma once
#include "lib/Text/Tokenizer/CharsMap.h"
#include <string>
#include <vector>

namespace stepdown {

class Vocabulary;

class UnigramText {
public:
  /// E1421 for a step that is none of these.
  static Result<UnigramText> create(const Metadata &metadata, const Vocabulary &vocabulary, CharsMap map);
  /// The words of `fragment`, each with "▁" for spaces. What is no UTF-8 becomes U+FFFD.
  std::vector<std::string> words(std::string_view fragment, uint64_t &steps) const;

private:
  std::string mapped(std::string_view text, uint64_t &steps) const;

  CharsMap map;
  bool maps = false, stripsRight = false, splits = false; ///< splits: at white space
  std::string spaces;                                     ///< what two spaces or more become; empty: they stay
  bool prefixes = false, cutsAtMarks = false;             ///< Metaspace
};

} // namespace stepdown
