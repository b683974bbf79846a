// What guesses how an answer goes on. Guesses change no answer: each token is drawn from its own row of logits, with
// the random numbers of its position, and guesses say only which rows a step computes beside the one that is needed.
#pragma once
#include "lib/Base/Result.h"
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace stepdown {

struct GenerationOptions;

/// Guesses for one answer. It hears every token of the text once, in order, and never a guess.
class Drafter {
public:
  virtual ~Drafter() = default;
  /// `count` tokens before the answer: of the prompt, and of what is before it.
  virtual void read(const int32_t *ids, size_t count) = 0;
  /// A token of the answer.
  virtual void heard(int32_t id) = 0;
  /// Appends to `guesses` at most `most` tokens that may follow; none is no error. After an error it is asked no more.
  virtual Status draft(size_t most, std::vector<int32_t> &guesses) = 0;
  /// Whether the last draft() had much to read that came before, so that its time tells nothing of later ones.
  virtual bool reads() const { return false; }
};

/// Makes the drafters of answers. Drafters may outlive it.
class Speculator {
public:
  virtual ~Speculator() = default;
  /// For an answer that is drawn as `options` say. E07xx.
  virtual Result<std::unique_ptr<Drafter>> drafter(const GenerationOptions &options) const = 0;
  /// Guesses of one step at most; Speculation::limit too.
  size_t most = SIZE_MAX;
  bool adapts = true; ///< else each step has as many as it may have, whether that pays or not
};

} // namespace stepdown
