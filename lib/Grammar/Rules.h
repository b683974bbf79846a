// A grammar over bytes: rules that may call each other, each an automaton whose symbols are bytes and calls.
//
// Compiling it leaves what the matcher runs, a recursive transition network: of each rule the minimal deterministic
// automaton, with small rules that are not recursive written into those that call them, so that what is regular is a
// table from bytes to states. Rules from which no text ends are left out; where the root is one of them, no text
// satisfies the grammar.
#pragma once
#include "lib/Grammar/Expression.h"
#include <memory>

namespace stepdown::grammar {

struct Rule {
  std::string name; ///< for messages
  Nfa nfa;          ///< of bytes and symbolOf(rule)
};

/// What a constraint became. Every state can still reach the end of its rule.
struct Network {
  struct Call {
    int32_t rule, to; ///< a text of `rule` leads to `to`
  };
  struct State {
    uint32_t row;               ///< of `next`, in units of 1; see step()
    uint32_t calls, callsEnd;   ///< of `calls`
    uint16_t table;             ///< of `classes`
    bool accepts, reads, leads; ///< ends its rule; has bytes that lead on; leads on at all
  };
  std::vector<State> states;
  std::vector<std::vector<uint8_t>> classes; ///< [tables][256]: the column of a byte
  std::vector<int32_t> next;                 ///< rows of states by columns; -1: no way on
  std::vector<Call> calls;
  std::vector<int32_t> starts; ///< [rules], their first states
  int32_t root = 0;            ///< the rule of whole texts

  int32_t step(int32_t state, uint8_t byte) const {
    const State &s = states[state];
    return next[s.row + classes[s.table][byte]];
  }
};

struct Grammar {
  std::vector<Rule> rules;
  int32_t root = 0;
  int32_t add(std::string name) {
    rules.push_back({std::move(name), Nfa()});
    return static_cast<int32_t>(rules.size()) - 1;
  }
};

/// E1304, E1305, E1306.
Result<std::shared_ptr<const Network>> compile(Grammar grammar);

} // namespace stepdown::grammar
