// Speculative editing: an answer that repeats a text with changes is guessed by that text. A place in the text moves
// with the answer; where the two part, the next tokens of the answer are looked for in the text, nearest first.
#pragma once
#include "runtime/Speculation/Drafter.h"
#include <unordered_map>

namespace stepdown {

/// A text that answers are editions of, as tokens, with the places of every pair of neighbours.
class EditedText {
public:
  explicit EditedText(std::vector<int32_t> tokens);
  const std::vector<int32_t> &tokens() const { return all; }
  /// Of the places where `first` and `second` follow each other, that of `second` nearest to `near`; size() for none.
  size_t find(int32_t first, int32_t second, size_t near) const;
  size_t size() const { return all.size(); }

private:
  static uint64_t pair(int32_t first, int32_t second) { return uint64_t(uint32_t(first)) << 32 | uint32_t(second); }
  std::vector<int32_t> all;
  std::unordered_map<uint64_t, std::vector<uint32_t>> places; ///< of second tokens, ascending
};

class EditDrafter final : public Drafter {
public:
  explicit EditDrafter(std::shared_ptr<const EditedText> text) : text(std::move(text)) {}
  void read(const int32_t *, size_t) override {} // an answer begins as the text does, whatever is before it
  void heard(int32_t id) override;
  Status draft(size_t most, std::vector<int32_t> &guesses) override;

private:
  static constexpr size_t reach = 32; ///< tokens of the text in which a single token is looked for
  std::shared_ptr<const EditedText> text;
  size_t place = 0; ///< of the token that is expected next
  int32_t last = -1;
  bool parted = false; ///< the last token was not the one expected, and is nowhere near
};

class EditSpeculator final : public Speculator {
public:
  explicit EditSpeculator(std::vector<int32_t> tokens) : text(std::make_shared<EditedText>(std::move(tokens))) {}
  Result<std::unique_ptr<Drafter>> drafter(const GenerationOptions &) const override {
    return std::unique_ptr<Drafter>(new EditDrafter(text));
  }

private:
  std::shared_ptr<const EditedText> text;
};

} // namespace stepdown
