// The text of an answer as it may be shown: whole code points only, and nothing of a stop string, even when that string
// spreads over several tokens. Text that might yet turn out to be the beginning of a stop string waits.
#pragma once
#include "runtime/Tokenizer/Tokenizer.h"
#include <string>
#include <vector>

namespace stepdown {

class TextStream {
public:
  TextStream(const Tokenizer &tokenizer, std::vector<std::string> stops)
      : decoder(tokenizer), stops(std::move(stops)) {}
  /// The text that token `id` lets out; often "".
  std::string push(int32_t id);
  /// A stop string was completed: it and what follows stay inside, and the answer is over.
  bool stopped() const { return done; }
  /// The end of the answer: what had waited.
  std::string finish();

private:
  std::string release();
  StreamDecoder decoder;
  std::vector<std::string> stops;
  std::string held; ///< not yet shown
  bool done = false;
};

} // namespace stepdown
