// Finite automata over an alphabet of numbers: code points where a pattern is described, bytes and calls of rules where
// it has become part of a grammar (Rules.h). An automaton never holds 2^21 columns: the numbers between two that any
// edge tells apart are one class.
#pragma once
#include "lib/Base/Result.h"
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stepdown::grammar {

/// Numbers low .. high, both included.
struct Range {
  uint32_t low, high;
};
using Ranges = std::vector<Range>;

constexpr uint32_t lastCodePoint = 0x10ffff;
/// All code points that a text may have: no surrogates.
const Ranges &anyCharacter();
/// Ascending, apart, merged.
Ranges normalised(Ranges ranges);
/// The code points that `ranges` leave out.
Ranges complement(const Ranges &ranges);

/// States that automata and grammars have at most, edges of one of them, and steps that make all those of a grammar
/// deterministic; more are refused (E1306). What the most take, under a second of a processor's time, is 35 times as
/// much where a fuzz target counts its branches and ASan its memory: there are a 64th of them there.
#ifdef STEPDOWN_FUZZED_GRAMMARS
constexpr size_t maxStates = size_t(1) << 11;
#else
constexpr size_t maxStates = size_t(1) << 17;
#endif
constexpr size_t maxEdges = 64 * maxStates, maxSteps = 256 * maxStates;
Error tooLarge(const char *what);

/// A nondeterministic automaton: one start, one end.
struct Nfa {
  struct Edge {
    Range range;
    int32_t to;
  };
  struct State {
    std::vector<Edge> edges;
    std::vector<int32_t> empty;   ///< taken without a symbol
    std::vector<int32_t> atBegin; ///< the same, before the first symbol alone
    std::vector<int32_t> atEnd;   ///< the same, after the last symbol alone
  };
  std::vector<State> states = std::vector<State>(2);
  size_t edges = 0; ///< of all states
  static constexpr int32_t start = 0, end = 1;

  int32_t add() {
    states.emplace_back();
    return static_cast<int32_t>(states.size()) - 1;
  }
  void edge(int32_t from, Range range, int32_t to) {
    states[from].edges.push_back({range, to});
    ++edges;
  }
  void empty(int32_t from, int32_t to) { states[from].empty.push_back(to); }
  /// A path of the bytes of `text`.
  void text(int32_t from, std::string_view text, int32_t to);
  /// A path of the code points of `utf8`, from the start to the end.
  void characters(std::string_view utf8);
  /// E1306 where there are more states or edges than any grammar may have.
  Status checkSize() const;
};

/// A deterministic automaton. Its start is state 0.
struct Dfa {
  std::vector<uint32_t> starts = {0}; ///< [classes], ascending from 0: class c holds starts[c] .. starts[c + 1] - 1
  std::vector<int32_t> next = {-1};   ///< [states, classes]; -1: no way on
  std::vector<uint8_t> accepts = {0}; ///< [states]

  size_t classes() const { return starts.size(); }
  size_t states() const { return accepts.size(); }
  size_t classOf(uint32_t symbol) const;
  int32_t step(int32_t state, uint32_t symbol) const { return next[state * classes() + classOf(symbol)]; }
  /// The last number of class c.
  uint32_t last(size_t c) const { return c + 1 < starts.size() ? starts[c + 1] - 1 : UINT32_MAX; }
  /// No text at all.
  bool none() const;
  /// Of code points.
  bool matches(std::string_view utf8) const;
  /// Equal texts for equal languages, of minimised automata.
  std::string key() const;
  /// The same automaton as part of another.
  void into(Nfa &nfa, int32_t from, int32_t to) const;
};

/// The subset construction, minimised. E1306. `steps` are those that were taken before for the same grammar, and grow.
Result<Dfa> determinise(const Nfa &nfa, size_t &steps);
Result<Dfa> determinise(const Nfa &nfa);
/// The fewest states, in the order in which a walk from the start first meets them.
Dfa minimised(const Dfa &dfa);

enum class Combine { And, Or, Minus };
/// The texts of both, of one of them, or of `a` alone; minimised. E1306. `steps` as above.
Result<Dfa> combined(const Dfa &a, const Dfa &b, Combine how, size_t &steps);
Result<Dfa> combined(const Dfa &a, const Dfa &b, Combine how);
/// All texts of code points; of at least `least` and at most `most`.
const Dfa &anyText();
Result<Dfa> textsOfLength(uint64_t least, uint64_t most);

} // namespace stepdown::grammar
