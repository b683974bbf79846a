// Prompt lookup: what followed the same tokens the last time may follow them again. Good where an answer repeats parts
// of its prompt or of itself: summaries, quotes, code that is changed, tables.
//
// Answers to one prompt share what is known of it.
#pragma once
#include "runtime/Speculation/Drafter.h"
#include <algorithm>
#include <mutex>
#include <unordered_map>

namespace stepdown {

/// Tokens, and where runs of them ended.
class NgramText {
public:
  /// Of runs of 1 to `longest` tokens, behind those of `before`, or of none.
  explicit NgramText(size_t longest, std::shared_ptr<const NgramText> before = nullptr)
      : before(std::move(before)), ends(longest) {}
  void add(int32_t id);
  size_t size() const { return (before ? before->size() : 0) + own.size(); }
  int32_t operator[](size_t i) const;
  /// Where the latest run of the same tokens as the last `length` ended that something follows; 0 for none.
  size_t find(size_t length) const;
  /// Whether these are its tokens, and there is nothing before them.
  bool is(const int32_t *ids, size_t count) const {
    return !before && own.size() == count && std::equal(own.begin(), own.end(), ids);
  }
  const NgramText *shared() const { return before.get(); }

private:
  using Ends = std::unordered_map<uint64_t, uint32_t>;
  /// The `length` tokens that end with the last one.
  uint64_t hash(size_t length) const;
  bool endsAlike(size_t end, size_t length) const;
  std::shared_ptr<const NgramText> before;
  std::vector<int32_t> own;
  std::vector<Ends> ends; ///< [longest]
};

class NgramDrafter final : public Drafter {
public:
  static constexpr size_t usual = 4, limit = 16;
  /// What the drafters of a speculator share: the prompt that was read last, while one of them has it.
  struct Latest {
    std::mutex mutex;
    std::weak_ptr<const NgramText> prompt;
  };
  /// Looks for the last `longest` tokens (1 to `limit`), then for fewer, down to two.
  explicit NgramDrafter(size_t longest, std::shared_ptr<Latest> latest = nullptr)
      : longest(longest), latest(std::move(latest)), text(longest) {}
  void read(const int32_t *ids, size_t count) override;
  void heard(int32_t id) override { text.add(id); }
  Status draft(size_t most, std::vector<int32_t> &guesses) override;
  /// What it shares, or null.
  const NgramText *shared() const { return text.shared(); }

private:
  const size_t longest;
  const std::shared_ptr<Latest> latest;
  NgramText text;
};

/// Prompt lookup for every answer.
class NgramSpeculator final : public Speculator {
public:
  explicit NgramSpeculator(size_t longest = NgramDrafter::usual)
      : longest(longest), latest(std::make_shared<NgramDrafter::Latest>()) {}
  Result<std::unique_ptr<Drafter>> drafter(const GenerationOptions &) const override {
    return std::unique_ptr<Drafter>(new NgramDrafter(longest, latest));
  }

private:
  const size_t longest;
  const std::shared_ptr<NgramDrafter::Latest> latest;
};

} // namespace stepdown
