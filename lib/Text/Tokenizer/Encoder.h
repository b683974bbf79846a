// What the five algorithms have in common: a raw fragment of text (no special tokens in it) becomes ids.
#pragma once
#include "lib/Base/Result.h"
#include "lib/Checkpoint/Metadata.h"
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace stepdown {

class Vocabulary;

class Encoder {
public:
  virtual ~Encoder() = default;
  /// Appends the ids of `fragment` to `ids` and the elementary steps taken to `steps`. Any bytes are accepted.
  virtual Status encode(std::string_view fragment, std::vector<int32_t> &ids, uint64_t &steps) const = 0;
};

/// `fragment` with every space as "▁", and one more in front when `prefix` and there is any text.
std::string markSpaces(std::string_view fragment, bool prefix);

/// Each keeps a reference to the vocabulary. E03xx for what only that algorithm reads: merges, pre-tokenizer, charsmap.
Result<std::unique_ptr<Encoder>> createSpm(const Metadata &metadata, const Vocabulary &vocabulary);
Result<std::unique_ptr<Encoder>> createBpe(const Metadata &metadata, const Vocabulary &vocabulary);
Result<std::unique_ptr<Encoder>> createWordPiece(const Metadata &metadata, const Vocabulary &vocabulary);
Result<std::unique_ptr<Encoder>> createUnigram(const Metadata &metadata, const Vocabulary &vocabulary);

} // namespace stepdown
