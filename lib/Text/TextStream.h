// The text of an answer as it may be shown: whole code points only, and nothing of a stop string, even when that string
// spreads over several tokens. Text that might yet turn out to be the beginning of a stop string waits.
#pragma once
#include "lib/Text/Tokenizer/Tokenizer.h"
#include <string>
#include <string_view>
#include <vector>

namespace stepdown {

class TextStream {
public:
  /// Empty stop strings stop nothing.
  TextStream(const Tokenizer &tokenizer, std::vector<std::string> stops);
  /// The text that token `id` lets out; often "".
  std::string push(int32_t id);
  /// A stop string was completed: it and what follows stay inside, and the answer is over.
  bool stopped() const { return done; }
  /// The end of the answer: what had waited.
  std::string finish();

private:
  /// A stop string, sought by Knuth, Morris and Pratt's method: in time that grows with the text alone, whatever
  /// repeats.
  struct Stop {
    explicit Stop(std::string text);
    /// How much of the beginning of the stop string the text ends with, when `next` follows `matched` bytes of it.
    size_t longest(size_t matched, char next) const;
    std::string text;
    std::vector<uint32_t> shorter; ///< [n]: the longest beginning, other than all, that the first n + 1 bytes end with
    size_t matched = 0;            ///< bytes of the beginning that the text so far ends with
  };
  std::string release(std::string_view added);
  StreamDecoder decoder;
  std::vector<Stop> stops;
  std::string held; ///< not yet shown
  bool done = false;
};

} // namespace stepdown
