// Prompt lookup: what followed the same tokens the last time may follow them again. Good where an answer repeats parts
// of its prompt or of itself: summaries, quotes, code that is changed, tables.
#pragma once
#include "runtime/Speculation/Drafter.h"
#include <unordered_map>

namespace stepdown {

class NgramDrafter final : public Drafter {
public:
  static constexpr size_t usual = 4, limit = 16;
  /// Looks for the last `longest` tokens (1 to `limit`), then for fewer, down to two.
  explicit NgramDrafter(size_t longest) : longest(longest), ends(longest) {}
  void read(const int32_t *ids, size_t count) override;
  void heard(int32_t id) override;
  Status draft(size_t most, std::vector<int32_t> &guesses) override;

private:
  /// The `length` tokens that end with the last one.
  uint64_t hash(size_t length) const;
  const size_t longest;
  std::vector<int32_t> text;
  /// [longest]: of runs of 1, 2, ... tokens, where in the text the latest ended that something follows.
  std::vector<std::unordered_map<uint64_t, uint32_t>> ends;
};

/// Prompt lookup for every answer.
class NgramSpeculator final : public Speculator {
public:
  explicit NgramSpeculator(size_t longest = NgramDrafter::usual) : longest(longest) {}
  Result<std::unique_ptr<Drafter>> drafter(const GenerationOptions &) const override {
    return std::unique_ptr<Drafter>(new NgramDrafter(longest));
  }

private:
  const size_t longest;
};

} // namespace stepdown
