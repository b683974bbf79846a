// Guessing ahead in one answer: how many guesses a step gets, and what came of them.
//
// If each guess is right with probability a, given that those before it are, a step with n guesses brings
// 1 + a + ... + a^n tokens. What it takes is measured, from one step to the next, drafting and other requests' tokens
// included: for 1 token, 2, 3 to 4, 5 to 8, 9 to 16. So many guesses are given as bring the most tokens a second, with
// a from the last few dozen guesses. Where none pays, guesses are tried in ever longer pauses: one, and while they
// prove right, three, seven and fifteen in the next steps, so that what begins to repeat is soon noticed.
#pragma once
#include "runtime/Speculation/Drafter.h"
#include <algorithm>
#include <array>
#include <optional>

namespace stepdown {

struct SpeculationFigures {
  uint64_t steps = 0;    ///< after the prompt's
  uint64_t guessed = 0;  ///< tokens that were computed on suspicion
  uint64_t accepted = 0; ///< of those, the ones that were drawn
};

class Speculation {
public:
  static constexpr size_t limit = 15; ///< guesses of one step

  /// `most`: guesses of one step, at most `limit`. `vocabulary`: no other ids are guessed. Unless it
  /// `adapts`, each step has as many guesses as it may have.
  Speculation(std::unique_ptr<Drafter> drafter, size_t most, int32_t vocabulary, bool adapts = true);

  Drafter &drafter() { return *source; }
  /// Appends guesses to `next`, at most `room` of them.
  void guess(size_t room, std::vector<int32_t> &next);
  /// The guesses of the last call.
  const std::vector<int32_t> &guesses() const { return given; }
  /// That a step had room for the first `count` of them only.
  void cut(size_t count) { given.resize(std::min(given.size(), count)); }
  /// That of them `checked` were compared with what was drawn, `accepted` were drawn, and that it took `seconds` from
  /// that call until their rows were there.
  void verified(size_t checked, size_t accepted, double seconds);
  const SpeculationFigures &figures() const { return counts; }
  /// Why there are no more guesses.
  const std::optional<Error> &problem() const { return error; }

private:
  static constexpr double memory = 0.9;      ///< of what is known of guesses, as each one is checked
  static constexpr uint32_t plainEvery = 96; ///< steps after which one without guesses is measured again
  static constexpr size_t firstPause = 4, longestPause = 128;
  /// Steps of so many tokens: 1, 2, 3 to 4, 5 to 8, 9 to 16.
  struct Size {
    double seconds = 0; ///< a running mean; 0: not known
    uint32_t age = 0;   ///< steps since it was measured
    static size_t of(size_t tokens);
  };
  double secondsOf(size_t size) const;
  /// The most worthwhile number of guesses, at most `room`, if each is right with probability `rate`.
  size_t worthwhile(size_t room, double rate) const;
  /// How many are tried though none is worthwhile.
  size_t tryNow(size_t room);

  std::unique_ptr<Drafter> source;
  const size_t most;
  const int32_t vocabulary;
  const bool adapts;
  std::vector<int32_t> given;
  SpeculationFigures counts;
  std::optional<Error> error;
  std::array<Size, 5> sizes;
  double right = 2, tried = 3;           ///< weighted counts, begun with what may be expected
  bool trying = false;                   ///< though it does not pay
  bool reading = false;                  ///< the drafter read, so that the step tells nothing of steps
  size_t wanted = 1;                     ///< guesses of the next try
  size_t pause = firstPause, waited = 0; ///< steps before the next try, and those that have passed
};

} // namespace stepdown
