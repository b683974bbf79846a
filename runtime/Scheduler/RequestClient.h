// What the scheduler asks of those who draw tokens.
#pragma once
#include "lib/Base/Result.h"
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace stepdown {

/// Rows of logits, one after each of the tokens that a sequence was given last. They last until the next step.
struct LogitRows {
  const float *first; ///< float32 [count, stride]; the first [vocabulary] of a row are logits
  size_t count;       ///< at least 1
  size_t stride;      ///< floats from one row to the next
  const float *operator[](size_t row) const { return first + row * stride; }
};

/// What a request does with its logits. Called on the thread that steps, in order of the requests' rows.
///
/// A client that knows one token at a time gets one row and gives one token. One that guesses gives several, gets a row
/// for the first, and for as many of the others as the step has room for, and says how many of its tokens the rows bear
/// out: what it gives next follows those.
class RequestClient {
public:
  virtual ~RequestClient() = default;
  /// Takes `rows`: first the one after the prompt, then those after the first tokens that the call before gave. Appends
  /// to `next`, which is empty, the tokens to compute next, the first known and the others guessed; none: the request
  /// is done. Returns how many of the tokens that `rows` follow stay in the sequence, from 0 to rows.count; the others
  /// are forgotten.
  virtual size_t draw(const LogitRows &rows, std::vector<int32_t> &next) = 0;
  /// `tokens` more of the prompt, which begins as others did, were there already and are not computed.
  virtual void reused(size_t tokens) { (void)tokens; }
  /// The adapter that its sequence has, by its name in the session; the same for all clients of a request.
  virtual const std::string &adapter() const {
    static const std::string none;
    return none;
  }
  /// The request cannot go on; nothing is called after it.
  virtual void failed(const Error &error) = 0;
};

} // namespace stepdown
