// Hopcroft's partition refinement (An n log n algorithm for minimizing states in a finite automaton, 1971).
#include "lib/Grammar/Automaton.h"
#include <algorithm>
#include <numeric>

namespace stepdown::grammar {
namespace {

/// States from which a text can still be completed.
std::vector<uint8_t> liveStates(const Dfa &dfa) {
  const size_t states = dfa.states(), classes = dfa.classes();
  std::vector<std::vector<int32_t>> before(states);
  for (size_t s = 0; s < states; ++s)
    for (size_t c = 0; c < classes; ++c)
      if (int32_t to = dfa.next[s * classes + c]; to >= 0 && (before[to].empty() || before[to].back() != int32_t(s)))
        before[to].push_back(static_cast<int32_t>(s));
  std::vector<uint8_t> live = dfa.accepts;
  std::vector<int32_t> work;
  for (size_t s = 0; s < states; ++s)
    if (live[s])
      work.push_back(static_cast<int32_t>(s));
  while (!work.empty()) {
    const int32_t state = work.back();
    work.pop_back();
    for (int32_t from : before[state])
      if (!live[from]) {
        live[from] = 1;
        work.push_back(from);
      }
  }
  return live;
}

/// The states in blocks that lie one behind the other; a block is split by moving members to its front.
class Partition {
public:
  explicit Partition(size_t states) : order(states), at(states), blockOf(states, 0), begins{0}, ends{states}, moved{0} {
    std::iota(order.begin(), order.end(), 0);
    std::iota(at.begin(), at.end(), 0);
  }
  size_t blocks() const { return begins.size(); }
  size_t size(size_t block) const { return ends[block] - begins[block]; }
  const int32_t *begin(size_t block) const { return order.data() + begins[block]; }
  const int32_t *end(size_t block) const { return order.data() + ends[block]; }
  size_t block(int32_t state) const { return blockOf[state]; }

  /// Marks a state as one that a split moves out of its block.
  void mark(int32_t state) {
    const size_t block = blockOf[state], front = begins[block] + moved[block];
    if (static_cast<size_t>(at[state]) < front)
      return; // marked before
    if (moved[block]++ == 0)
      touched.push_back(block);
    const int32_t other = order[front];
    std::swap(order[front], order[at[state]]);
    at[other] = at[state];
    at[state] = static_cast<int32_t>(front);
  }
  /// Splits all blocks with marked states; calls `told(old, made)`.
  template <typename Told> void split(Told told) {
    for (size_t block : touched) {
      const size_t count = moved[block];
      moved[block] = 0;
      if (count == size(block))
        continue;
      const size_t made = begins.size(), begin = begins[block];
      begins.push_back(begin);
      ends.push_back(begin + count);
      moved.push_back(0);
      begins[block] = begin + count;
      for (size_t i = begin; i < begin + count; ++i)
        blockOf[order[i]] = static_cast<uint32_t>(made);
      told(block, made);
    }
    touched.clear();
  }

private:
  std::vector<int32_t> order, at; ///< [states], and where each one is
  std::vector<uint32_t> blockOf;
  std::vector<size_t> begins, ends, moved; ///< [blocks]
  std::vector<size_t> touched;
};

/// The blocks of states that no text tells apart. State `states` stands for no way on.
Partition equivalent(const Dfa &dfa, const std::vector<int32_t> &next) {
  const size_t classes = dfa.classes(), states = dfa.states() + 1;
  // Of each class the states that lead to a state, one behind the other.
  std::vector<uint32_t> begins(classes * (states + 1), 0);
  std::vector<int32_t> from(classes * states);
  for (size_t c = 0; c < classes; ++c) {
    uint32_t *begin = &begins[c * (states + 1)];
    for (size_t s = 0; s < states; ++s)
      ++begin[next[s * classes + c] + 1];
    for (size_t s = 0; s < states; ++s)
      begin[s + 1] += begin[s];
    std::vector<uint32_t> fill(begin, begin + states);
    for (size_t s = 0; s < states; ++s)
      from[c * states + fill[next[s * classes + c]]++] = static_cast<int32_t>(s);
  }
  Partition parts(states);
  std::vector<uint8_t> waits = {1};
  std::vector<size_t> work;
  auto told = [&](size_t old, size_t made) {
    waits.push_back(0);
    const size_t smaller = waits[old] || parts.size(made) <= parts.size(old) ? made : old;
    waits[smaller] = 1;
    work.push_back(smaller);
  };
  for (size_t s = 0; s + 1 < states; ++s)
    if (dfa.accepts[s])
      parts.mark(static_cast<int32_t>(s));
  work.push_back(0);
  parts.split(told);
  while (!work.empty()) {
    const size_t splitter = work.back();
    work.pop_back();
    waits[splitter] = 0;
    const std::vector<int32_t> members(parts.begin(splitter), parts.end(splitter));
    for (size_t c = 0; c < classes; ++c) {
      const uint32_t *begin = &begins[c * (states + 1)];
      for (int32_t state : members)
        for (uint32_t i = begin[state]; i < begin[state + 1]; ++i)
          parts.mark(from[c * states + i]);
      parts.split(told);
    }
  }
  return parts;
}

/// The same with neighbouring classes that no state tells apart made one.
Dfa mergedClasses(Dfa dfa) {
  const size_t classes = dfa.classes(), states = dfa.states();
  std::vector<size_t> kept = {0};
  for (size_t c = 1; c < classes; ++c)
    for (size_t s = 0; s < states; ++s)
      if (dfa.next[s * classes + c] != dfa.next[s * classes + kept.back()]) {
        kept.push_back(c);
        break;
      }
  Dfa out;
  out.starts.clear();
  out.next.clear();
  out.accepts = std::move(dfa.accepts);
  for (size_t c : kept)
    out.starts.push_back(dfa.starts[c]);
  for (size_t s = 0; s < states; ++s)
    for (size_t c : kept)
      out.next.push_back(dfa.next[s * classes + c]);
  return out;
}

} // namespace

Dfa minimised(const Dfa &dfa) {
  const std::vector<uint8_t> live = liveStates(dfa);
  if (!live[0])
    return Dfa();
  const size_t classes = dfa.classes(), states = dfa.states();
  const int32_t nowhere = static_cast<int32_t>(states);
  std::vector<int32_t> next = dfa.next;
  for (int32_t &to : next)
    if (to < 0 || !live[to])
      to = nowhere;
  next.resize((states + 1) * classes, nowhere);
  const Partition parts = equivalent(dfa, next);
  Dfa out;
  out.starts = dfa.starts;
  out.next.clear();
  out.accepts.clear();
  std::vector<int32_t> number(parts.blocks(), -1);
  number[parts.block(nowhere)] = -2;
  std::vector<int32_t> order = {0};
  number[parts.block(0)] = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    out.accepts.push_back(dfa.accepts[order[i]]);
    for (size_t c = 0; c < classes; ++c) {
      const int32_t to = next[order[i] * classes + c];
      int32_t &block = number[parts.block(to)];
      if (block == -1) {
        block = static_cast<int32_t>(order.size());
        order.push_back(to);
      }
      out.next.push_back(block == -2 ? -1 : block);
    }
  }
  return mergedClasses(std::move(out));
}

} // namespace stepdown::grammar
