// Clients of the scheduler's random events, which hold each row of logits that they get against plainly computed sums.
#pragma once
#include "runtime/Generate/Generation.h"
#include "test/unit/ToyModel.h"
#include <algorithm>
#include <array>
#include <cstring>
#include <gtest/gtest.h>
#include <memory>

namespace stepdown::test {

constexpr size_t toyWidth = 4, toyVocabulary = 41; // of ToyModel
using Column = std::array<int64_t, toyWidth>;

/// The toy model for one sequence, token by token: each layer keeps the sum over what the next token sees.
class Plain {
public:
  explicit Plain(const ToyModel &toy) : table(std::make_shared<std::vector<float>>(toy.embedding())) {
    for (uint32_t layer = 0; layer < toy.layers; ++layer)
      layers.push_back({toy.windowOf(layer), {}, {}});
  }
  void add(int32_t token) {
    for (size_t w = 0; w < toyWidth; ++w)
      x[w] = static_cast<int64_t>((*table)[static_cast<size_t>(token) * toyWidth + w]);
    for (size_t l = 0; l < layers.size(); ++l) {
      Layer &layer = layers[l];
      Column seen;
      for (size_t w = 0; w < toyWidth; ++w) {
        seen[w] = x[w] * static_cast<int64_t>(l + 1) * (1 + x[w] % 5);
        layer.sum[w] += seen[w];
      }
      layer.seen.push_back(seen);
      if (layer.window && layer.seen.size() > layer.window)
        for (size_t w = 0; w < toyWidth; ++w)
          layer.sum[w] -= layer.seen[layer.seen.size() - 1 - layer.window][w];
      for (size_t w = 0; w < toyWidth; ++w)
        x[w] = (x[w] + layer.sum[w]) % 1021;
    }
  }
  /// After the last token; all values are whole and below 2^24, so exact.
  std::array<float, toyVocabulary> logits() const {
    std::array<float, toyVocabulary> out = {};
    for (size_t v = 0; v < toyVocabulary; ++v)
      for (size_t w = 0; w < toyWidth; ++w)
        out[v] += static_cast<float>(x[w]) * (*table)[v * toyWidth + w];
    return out;
  }

private:
  struct Layer {
    uint32_t window;
    std::vector<Column> seen;
    Column sum;
  };
  std::shared_ptr<const std::vector<float>> table;
  std::vector<Layer> layers;
  Column x = {};
};

struct Counts {
  uint64_t events = 0, arrived = 0, answered = 0, cancelled = 0, refused = 0, forks = 0, rows = 0, different = 0;
  uint64_t generations = 0, guessed = 0, ends[7] = {};
};

/// Holds its rows against Plain.
struct Party : RequestClient {
  Plain plain;
  Counts &counts;
  std::vector<int32_t> given;
  bool begun = false, over = false;
  std::string problem;
  Party(const Plain &plain, Counts &counts) : plain(plain), counts(counts) {}
  void failed(const Error &error) override {
    EXPECT_FALSE(over);
    over = true;
    problem = error.text();
    ++counts.refused;
  }
};

/// Draws by a rule of its own, and guesses at times, rightly or not.
struct Client : Party {
  uint32_t salt;
  size_t left; ///< tokens to draw
  Client(const Plain &plain, Counts &counts, uint32_t salt, size_t left)
      : Party(plain, counts), salt(salt), left(left) {}

  int32_t chosen(const std::array<float, toyVocabulary> &row, size_t before) const {
    const auto best = std::max_element(row.begin(), row.end()) - row.begin();
    return static_cast<int32_t>((static_cast<size_t>(best) + salt * before) % 40);
  }
  size_t draw(const LogitRows &rows, std::vector<int32_t> &next) override {
    EXPECT_FALSE(over);
    EXPECT_GE(rows.count, 1u);
    EXPECT_LE(rows.count, begun ? given.size() : 1u);
    EXPECT_TRUE(next.empty());
    size_t kept = 0;
    int32_t token;
    do {
      if (begun)
        plain.add(given[kept]);
      const std::array<float, toyVocabulary> row = plain.logits();
      ++counts.rows;
      counts.different += std::memcmp(row.data(), rows[kept], sizeof row) != 0;
      token = chosen(row, left--);
      ++kept;
    } while (left && kept < rows.count && given[kept] == token);
    begun = true;
    over = left == 0;
    counts.answered += over;
    given = {token};
    Plain ahead = plain;
    for (size_t guess = 0; !over && guess < salt % 4 && guess + 1 < left; ++guess) {
      ahead.add(given.back());
      given.push_back((chosen(ahead.logits(), left - guess) + (salt + left) % 5 / 4) % 40);
    }
    if (!over)
      next = given;
    return kept;
  }
};

/// An answer as a server has it, in company; at its end it is what is drawn alone, without guesses.
struct Answer : Party {
  std::vector<int32_t> prompt;
  GenerationOptions how;
  const Tokenizer &tokenizer;
  Generation::Place place;
  std::unique_ptr<Generation> drawn;
  Plain first; ///< behind the prompt
  Answer(const Plain &plain, Counts &counts, std::vector<int32_t> tokens, const GenerationOptions &options,
         const Tokenizer &tokenizer, int32_t context)
      : Party(plain, counts), prompt(std::move(tokens)), how(options), tokenizer(tokenizer),
        place{static_cast<int32_t>(toyVocabulary), context}, first(plain) {
    drawn = std::move(*Generation::create(how, prompt, tokenizer, place));
    ++counts.generations;
  }
  size_t draw(const LogitRows &rows, std::vector<int32_t> &next) override {
    EXPECT_FALSE(over);
    Plain ahead = plain;
    for (size_t row = 0; row < rows.count; ++row) {
      if (begun)
        ahead.add(given[row]);
      ++counts.rows;
      counts.different += std::memcmp(ahead.logits().data(), rows[row], toyVocabulary * sizeof(float)) != 0;
    }
    const size_t kept = drawn->draw(rows, next);
    for (size_t i = 0; begun && i < kept; ++i)
      plain.add(given[i]);
    begun = true;
    given = next;
    over = drawn->done();
    EXPECT_EQ(over, next.empty());
    if (over)
      expectAsAlone();
    return kept;
  }
  void expectAsAlone() {
    ++counts.answered;
    ++counts.ends[static_cast<size_t>(drawn->finish())];
    if (const Speculation *guesses = drawn->speculation())
      counts.guessed += guesses->figures().accepted;
    how.speculator = nullptr;
    auto alone = std::move(*Generation::create(how, prompt, tokenizer, place));
    Plain behind = first;
    for (std::vector<int32_t> next; !alone->done(); next.clear()) {
      const std::array<float, toyVocabulary> row = behind.logits();
      alone->draw({row.data(), 1, toyVocabulary}, next);
      for (int32_t token : next)
        behind.add(token);
    }
    EXPECT_EQ(drawn->tokens(), alone->tokens());
    EXPECT_EQ(drawn->text(), alone->text());
    EXPECT_EQ(drawn->finish(), alone->finish());
  }
};

} // namespace stepdown::test
