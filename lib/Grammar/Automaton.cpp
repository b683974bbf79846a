#include "lib/Grammar/Automaton.h"

#include "lib/Text/Tokenizer/Utf8.h"
#include <algorithm>
#include <map>
#include <unordered_map>

namespace stepdown::grammar {

const Ranges &anyCharacter() {
  static const Ranges all = {{0, 0xd7ff}, {0xe000, lastCodePoint}};
  return all;
}

Ranges normalised(Ranges ranges) {
  std::sort(ranges.begin(), ranges.end(), [](Range a, Range b) { return a.low < b.low; });
  Ranges out;
  for (Range range : ranges)
    if (!out.empty() && range.low <= out.back().high + 1)
      out.back().high = std::max(out.back().high, range.high);
    else
      out.push_back(range);
  return out;
}

Ranges complement(const Ranges &ranges) {
  Ranges cut = ranges, out;
  cut.push_back({0xd800, 0xdfff});
  uint32_t next = 0;
  for (Range range : normalised(std::move(cut))) {
    if (range.low > next)
      out.push_back({next, range.low - 1});
    next = range.high + 1;
  }
  if (next <= lastCodePoint)
    out.push_back({next, lastCodePoint});
  return out;
}

Error tooLarge(const char *what) {
  return fail(ErrorCode::GrammarTooLarge, "%s: expects at most %zu states, but needs more", what, maxStates);
}

void Nfa::text(int32_t from, std::string_view text, int32_t to) {
  for (size_t i = 0; i < text.size(); ++i) {
    const uint32_t byte = static_cast<uint8_t>(text[i]);
    const int32_t next = i + 1 < text.size() ? add() : to;
    edge(from, {byte, byte}, next);
    from = next;
  }
  if (text.empty())
    empty(from, to);
}

void Nfa::characters(std::string_view text) {
  int32_t at = start;
  while (!text.empty()) {
    const size_t length = characterLength(text);
    const uint32_t point = codePoint(text, length);
    text.remove_prefix(length);
    const int32_t to = add();
    edge(at, {point, point}, to);
    at = to;
  }
  empty(at, end);
}

Status Nfa::checkSize() const {
  if (states.size() > 4 * maxStates)
    return tooLarge("grammar");
  if (edges > maxEdges)
    return fail(ErrorCode::GrammarTooLarge, "grammar: expects at most %zu edges, but needs more", maxEdges);
  return Done{};
}

size_t Dfa::classOf(uint32_t symbol) const {
  return static_cast<size_t>(std::upper_bound(starts.begin(), starts.end(), symbol) - starts.begin()) - 1;
}

bool Dfa::none() const { return std::find(accepts.begin(), accepts.end(), 1) == accepts.end(); }

bool Dfa::matches(std::string_view utf8) const {
  int32_t state = 0;
  while (!utf8.empty()) {
    const size_t length = characterLength(utf8);
    if (!length || (state = step(state, codePoint(utf8, length))) < 0)
      return false;
    utf8.remove_prefix(length);
  }
  return accepts[state];
}

std::string Dfa::key() const {
  std::string key;
  auto append = [&key](const void *data, size_t size) { key.append(static_cast<const char *>(data), size); };
  append(starts.data(), starts.size() * sizeof starts[0]);
  key += '/';
  append(next.data(), next.size() * sizeof next[0]);
  append(accepts.data(), accepts.size());
  return key;
}

void Dfa::into(Nfa &nfa, int32_t from, int32_t to) const {
  std::vector<int32_t> at(states());
  for (int32_t &state : at)
    state = nfa.add();
  nfa.empty(from, at[0]);
  for (size_t s = 0; s < states(); ++s) {
    for (size_t c = 0; c < classes(); ++c)
      if (int32_t target = next[s * classes() + c]; target >= 0)
        nfa.edge(at[s], {starts[c], last(c)}, at[target]);
    if (accepts[s])
      nfa.empty(at[s], to);
  }
}

namespace {

using Subset = std::vector<int32_t>; // ascending

struct SubsetHash {
  size_t operator()(const Subset &subset) const {
    uint64_t hash = 0xcbf29ce484222325;
    for (int32_t state : subset)
      hash = (hash ^ static_cast<uint32_t>(state)) * 0x100000001b3;
    return hash;
  }
};

/// The boundaries that any edge draws.
std::vector<uint32_t> classStarts(const Nfa &nfa) {
  std::vector<uint32_t> starts = {0};
  for (const Nfa::State &state : nfa.states)
    for (const Nfa::Edge &edge : state.edges) {
      starts.push_back(edge.range.low);
      if (edge.range.high != UINT32_MAX)
        starts.push_back(edge.range.high + 1);
    }
  std::sort(starts.begin(), starts.end());
  starts.erase(std::unique(starts.begin(), starts.end()), starts.end());
  return starts;
}

class Closure {
public:
  explicit Closure(const Nfa &nfa) : nfa(nfa), seen(nfa.states.size(), 0) {}
  /// What `states` reach without a symbol: before the first one if `begin`, after the last if `end`.
  void close(Subset &states, bool begin, bool end) {
    ++mark;
    for (int32_t state : states)
      seen[state] = mark;
    for (size_t i = 0; i < states.size(); ++i) {
      const Nfa::State &state = nfa.states[states[i]];
      follow(states, state.empty);
      if (begin)
        follow(states, state.atBegin);
      if (end)
        follow(states, state.atEnd);
    }
    std::sort(states.begin(), states.end());
  }

private:
  void follow(Subset &states, const std::vector<int32_t> &targets) {
    for (int32_t to : targets)
      if (seen[to] != mark) {
        seen[to] = mark;
        states.push_back(to);
      }
  }
  const Nfa &nfa;
  std::vector<uint32_t> seen;
  uint32_t mark = 0;
};

} // namespace

static Error tooManySteps() {
  return fail(ErrorCode::GrammarTooLarge, "grammar: expects automata made in at most %zu steps, but needs more",
              maxSteps);
}

Result<Dfa> determinise(const Nfa &nfa) {
  size_t steps = 0;
  return determinise(nfa, steps);
}

Result<Dfa> determinise(const Nfa &nfa, size_t &steps) {
  Dfa dfa;
  dfa.starts = classStarts(nfa);
  dfa.next.clear();
  dfa.accepts.clear();
  const size_t classes = dfa.classes();
  bool asserts = false; // whether $ has to be looked at
  for (const Nfa::State &state : nfa.states)
    asserts |= !state.atEnd.empty();
  std::unordered_map<Subset, int32_t, SubsetHash> ids;
  std::vector<const Subset *> order;
  Closure closure(nfa);
  size_t work = 0; // members of all subsets: what the construction's memory grows with
  auto idOf = [&](Subset subset) {
    auto [at, isNew] = ids.try_emplace(std::move(subset), static_cast<int32_t>(ids.size()));
    if (isNew) {
      order.push_back(&at->first);
      work += at->first.size();
    }
    return at->second;
  };
  Subset first = {Nfa::start};
  closure.close(first, true, false);
  idOf(std::move(first));
  std::vector<Subset> targets(classes);
  for (size_t s = 0; s < order.size(); ++s) {
    if (order.size() > maxStates || work > 64 * maxStates || order.size() * classes > 64 * maxStates)
      return tooLarge("grammar");
    const Subset &subset = *order[s];
    std::vector<size_t> touched;
    for (int32_t state : subset) {
      if (steps > maxSteps)
        return tooManySteps();
      for (const Nfa::Edge &edge : nfa.states[state].edges)
        for (size_t c = dfa.classOf(edge.range.low); c < classes && dfa.starts[c] <= edge.range.high; ++c) {
          ++steps;
          if (targets[c].empty())
            touched.push_back(c);
          if (targets[c].empty() || targets[c].back() != edge.to)
            targets[c].push_back(edge.to);
        }
    }
    bool accepted = std::binary_search(subset.begin(), subset.end(), Nfa::end);
    if (asserts && !accepted) {
      Subset last = subset;
      closure.close(last, s == 0, true);
      steps += last.size();
      accepted = std::binary_search(last.begin(), last.end(), Nfa::end);
    }
    dfa.accepts.push_back(accepted);
    dfa.next.resize(dfa.next.size() + classes, -1);
    std::sort(touched.begin(), touched.end());
    Subset raw; // neighbours often lead to the same states
    int32_t rawId = -1;
    for (size_t c : touched) {
      Subset reached = std::move(targets[c]);
      targets[c].clear();
      std::sort(reached.begin(), reached.end());
      reached.erase(std::unique(reached.begin(), reached.end()), reached.end());
      if (rawId < 0 || reached != raw) {
        raw = reached;
        closure.close(reached, false, false);
        steps += reached.size();
        if (steps > maxSteps)
          return tooManySteps();
        rawId = idOf(std::move(reached));
      }
      dfa.next[s * classes + c] = rawId;
    }
  }
  return minimised(dfa);
}

Result<Dfa> combined(const Dfa &a, const Dfa &b, Combine how) {
  size_t steps = 0;
  return combined(a, b, how, steps);
}

Result<Dfa> combined(const Dfa &a, const Dfa &b, Combine how, size_t &steps) {
  Dfa out;
  out.starts = a.starts;
  out.starts.insert(out.starts.end(), b.starts.begin(), b.starts.end());
  std::sort(out.starts.begin(), out.starts.end());
  out.starts.erase(std::unique(out.starts.begin(), out.starts.end()), out.starts.end());
  out.next.clear();
  out.accepts.clear();
  std::vector<std::pair<size_t, size_t>> columns; // of a and b
  for (uint32_t start : out.starts)
    columns.emplace_back(a.classOf(start), b.classOf(start));
  using Pair = std::pair<int32_t, int32_t>; // -1: a text that one of them has refused
  std::map<Pair, int32_t> ids;
  std::vector<Pair> order;
  auto idOf = [&](Pair pair) {
    if (pair.first < 0 && (how != Combine::Or || pair.second < 0))
      return -1;
    if (how == Combine::And && pair.second < 0)
      return -1;
    auto [at, isNew] = ids.try_emplace(pair, static_cast<int32_t>(order.size()));
    if (isNew)
      order.push_back(pair);
    return at->second;
  };
  idOf({0, 0});
  for (size_t s = 0; s < order.size(); ++s) {
    if (order.size() > maxStates || order.size() * columns.size() > 64 * maxStates)
      return tooLarge("pattern");
    steps += 2 * columns.size(); // each a look-up
    if (steps > maxSteps)
      return tooManySteps();
    const Pair pair = order[s];
    const bool inA = pair.first >= 0 && a.accepts[pair.first], inB = pair.second >= 0 && b.accepts[pair.second];
    out.accepts.push_back(how == Combine::And ? inA && inB : how == Combine::Or ? inA || inB : inA && !inB);
    for (auto [ca, cb] : columns)
      out.next.push_back(idOf({pair.first < 0 ? -1 : a.next[pair.first * a.classes() + ca],
                               pair.second < 0 ? -1 : b.next[pair.second * b.classes() + cb]}));
  }
  return minimised(out);
}

const Dfa &anyText() {
  static const Dfa any = [] {
    Nfa nfa;
    for (Range range : anyCharacter())
      nfa.edge(Nfa::start, range, Nfa::start);
    nfa.empty(Nfa::start, Nfa::end);
    return *determinise(nfa);
  }();
  return any;
}

Result<Dfa> textsOfLength(uint64_t least, uint64_t most) {
  if (least > maxStates || (most != UINT64_MAX && most > maxStates))
    return tooLarge("length");
  Nfa nfa;
  int32_t state = Nfa::start;
  for (uint64_t i = 0; i < least || (most != UINT64_MAX && i < most); ++i) {
    if (i >= least)
      nfa.empty(state, Nfa::end);
    const int32_t next = nfa.add();
    for (Range range : anyCharacter())
      nfa.edge(state, range, next);
    state = next;
  }
  if (most == UINT64_MAX)
    for (Range range : anyCharacter())
      nfa.edge(state, range, state);
  if (least <= most)
    nfa.empty(state, Nfa::end);
  return determinise(nfa);
}

} // namespace stepdown::grammar
