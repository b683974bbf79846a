#include "lib/Grammar/Rules.h"

#include <algorithm>
#include <map>
#include <utility>

namespace stepdown::grammar {
namespace {

/// Rules of at most so many states are written into those that call them. Larger ones stay apart: what is known about
/// their states, such as which tokens may follow, is then shared by all who call them.
constexpr size_t inlinedStates = 8;

bool isCall(const Nfa::Edge &edge) { return edge.range.low >= 256; }
int32_t calledBy(const Nfa::Edge &edge) { return static_cast<int32_t>(edge.range.low - 256); }

class Compiler {
public:
  explicit Compiler(Grammar grammar) : rules(std::move(grammar.rules)), root(grammar.root) {}

  Result<std::shared_ptr<const Network>> run() {
    const std::vector<bool> productive = rulesThatEnd(true);
    if (!productive[root])
      return fail(ErrorCode::GrammarUnsatisfiable, "%s: expects a text that satisfies it, but there is none",
                  rules[root].name.c_str());
    for (Rule &rule : rules)
      for (Nfa::State &state : rule.nfa.states)
        state.edges.erase(std::remove_if(state.edges.begin(), state.edges.end(),
                                         [&](const Nfa::Edge &e) { return isCall(e) && !productive[calledBy(e)]; }),
                          state.edges.end());
    order();
    if (Status ok = refuseLeftRecursion(); !ok)
      return ok.error();
    for (int32_t rule : postorder)
      if (Status ok = build(rule); !ok)
        return ok.error();
    return network();
  }

private:
  /// Which rules have a path to their end through calls of rules that have one and, where `bytes`, through bytes. Each
  /// edge is looked at once: a call of a rule that is not known to have one waits until it is.
  std::vector<bool> rulesThatEnd(bool bytes) const {
    struct Place {
      int32_t rule, state;
    };
    std::vector<bool> ends(rules.size(), false);
    std::vector<std::vector<uint8_t>> seen(rules.size());
    std::vector<std::vector<Place>> waiting(rules.size()); // behind calls of each
    std::vector<Place> work;
    auto reach = [&](Place place) {
      if (!seen[place.rule][place.state]) {
        seen[place.rule][place.state] = 1;
        work.push_back(place);
      }
    };
    for (size_t r = 0; r < rules.size(); ++r) {
      seen[r].assign(rules[r].nfa.states.size(), 0);
      reach({static_cast<int32_t>(r), Nfa::start});
    }
    while (!work.empty()) {
      const Place at = work.back();
      work.pop_back();
      if (at.state == Nfa::end) {
        ends[at.rule] = true;
        for (Place place : std::exchange(waiting[at.rule], {}))
          reach(place);
      }
      const Nfa::State &state = rules[at.rule].nfa.states[at.state];
      for (int32_t to : state.empty)
        reach({at.rule, to});
      for (const Nfa::Edge &edge : state.edges)
        if (isCall(edge) ? ends[calledBy(edge)] : bytes)
          reach({at.rule, edge.to});
        else if (isCall(edge))
          waiting[calledBy(edge)].push_back({at.rule, edge.to});
    }
    return ends;
  }

  std::vector<int32_t> callsOf(int32_t rule) const {
    std::vector<int32_t> calls;
    for (const Nfa::State &state : rules[rule].nfa.states)
      for (const Nfa::Edge &edge : state.edges)
        if (isCall(edge))
          calls.push_back(calledBy(edge));
    std::sort(calls.begin(), calls.end());
    calls.erase(std::unique(calls.begin(), calls.end()), calls.end());
    return calls;
  }

  /// The rules that the root reaches, those that are called before those that call them where that can be.
  void order() {
    std::vector<uint8_t> seen(rules.size(), 0);
    struct Visit {
      int32_t rule;
      std::vector<int32_t> calls;
      size_t next = 0;
    };
    std::vector<Visit> stack;
    seen[root] = 1;
    stack.push_back({root, callsOf(root)});
    while (!stack.empty()) {
      Visit &top = stack.back();
      if (top.next == top.calls.size()) {
        postorder.push_back(top.rule);
        stack.pop_back();
        continue;
      }
      const int32_t called = top.calls[top.next++];
      if (!seen[called]) {
        seen[called] = 1;
        stack.push_back({called, callsOf(called)});
      }
    }
  }

  Status refuseLeftRecursion() const {
    const std::vector<bool> nullable = rulesThatEnd(false);
    // What a rule may call before it has read a byte.
    std::map<int32_t, std::vector<int32_t>> first;
    for (int32_t rule : postorder) {
      const Nfa &nfa = rules[rule].nfa;
      std::vector<uint8_t> seen(nfa.states.size(), 0);
      std::vector<int32_t> work = {Nfa::start};
      while (!work.empty()) {
        const int32_t state = work.back();
        work.pop_back();
        if (seen[state]++)
          continue;
        work.insert(work.end(), nfa.states[state].empty.begin(), nfa.states[state].empty.end());
        for (const Nfa::Edge &edge : nfa.states[state].edges)
          if (isCall(edge)) {
            first[rule].push_back(calledBy(edge));
            if (nullable[calledBy(edge)])
              work.push_back(edge.to);
          }
        seen[state] = 1;
      }
    }
    // A rule that a walk meets again while it is still on it begins with itself.
    std::map<int32_t, int> colour;
    for (int32_t from : postorder) {
      std::vector<std::pair<int32_t, size_t>> stack;
      if (colour[from] == 0)
        stack.emplace_back(from, 0), colour[from] = 1;
      while (!stack.empty()) {
        auto &[rule, next] = stack.back();
        if (next == first[rule].size()) {
          colour[rule] = 2;
          stack.pop_back();
          continue;
        }
        const int32_t called = first[rule][next++];
        if (colour[called] == 1)
          return fail(ErrorCode::GrammarLeftRecursion, "rule %s: expects rules that do not begin with themselves",
                      rules[called].name.c_str());
        if (colour[called] == 0)
          stack.emplace_back(called, 0), colour[called] = 1;
      }
    }
    return Done{};
  }

  static bool callsNothing(const Dfa &dfa) {
    for (size_t c = dfa.classOf(256); c < dfa.classes(); ++c)
      for (size_t s = 0; s < dfa.states(); ++s)
        if (dfa.next[s * dfa.classes() + c] >= 0)
          return false;
    return true;
  }

  /// The automaton of a rule, with the small ones it calls written in.
  Status build(int32_t rule) {
    Nfa &nfa = rules[rule].nfa;
    for (size_t s = 0, count = nfa.states.size(); s < count; ++s) {
      std::vector<Nfa::Edge> kept;
      for (Nfa::Edge edge : std::vector<Nfa::Edge>(std::move(nfa.states[s].edges))) {
        const auto small = isCall(edge) ? inlined.find(calledBy(edge)) : inlined.end();
        if (small == inlined.end())
          kept.push_back(edge);
        else
          small->second->into(nfa, static_cast<int32_t>(s), edge.to);
      }
      nfa.states[s].edges = std::move(kept);
      if (Status ok = nfa.checkSize(); !ok)
        return ok;
    }
    Result<Dfa> dfa = determinise(nfa, steps);
    if (!dfa)
      return fail(dfa.error().code, "rule %s: %s", rules[rule].name.c_str(), dfa.error().message.c_str());
    total += dfa->states();
    if (total > maxStates)
      return tooLarge(rules[root].name.c_str());
    nfa = Nfa();
    auto [at, isNew] = built.emplace(rule, std::move(*dfa));
    if (at->second.states() <= inlinedStates && callsNothing(at->second))
      inlined.emplace(rule, &at->second);
    return Done{};
  }

  std::shared_ptr<const Network> network() const {
    auto out = std::make_shared<Network>();
    out->starts.assign(rules.size(), -1);
    std::map<std::vector<uint8_t>, uint16_t> tables;
    int32_t base = 0;
    for (int32_t rule : postorder) {
      const bool isRoot = rule == root;
      if (!isRoot && inlined.count(rule))
        continue;
      const Dfa &dfa = built.at(rule);
      out->starts[rule] = base;
      // The columns of bytes; calls lie behind them.
      std::vector<uint8_t> columns(256);
      for (uint32_t byte = 0; byte < 256; ++byte)
        columns[byte] = static_cast<uint8_t>(dfa.classOf(byte));
      auto [table, isNew] = tables.emplace(columns, static_cast<uint16_t>(tables.size()));
      if (isNew)
        out->classes.push_back(columns);
      const size_t width = dfa.classOf(255) + 1;
      for (size_t s = 0; s < dfa.states(); ++s) {
        Network::State state = {};
        state.row = static_cast<uint32_t>(out->next.size());
        state.table = table->second;
        state.accepts = dfa.accepts[s];
        for (size_t c = 0; c < width; ++c) {
          const int32_t to = dfa.next[s * dfa.classes() + c];
          out->next.push_back(to < 0 ? -1 : base + to);
          state.reads |= to >= 0;
        }
        state.calls = static_cast<uint32_t>(out->calls.size());
        for (size_t c = dfa.classOf(256); c < dfa.classes(); ++c)
          if (int32_t to = dfa.next[s * dfa.classes() + c]; to >= 0)
            for (uint32_t symbol = std::max(dfa.starts[c], 256u); symbol <= dfa.last(c); ++symbol)
              out->calls.push_back({static_cast<int32_t>(symbol - 256), base + to});
        state.callsEnd = static_cast<uint32_t>(out->calls.size());
        state.leads = state.reads || state.calls < state.callsEnd;
        out->states.push_back(state);
      }
      base += static_cast<int32_t>(dfa.states());
    }
    out->root = root;
    return out;
  }

  std::vector<Rule> rules;
  const int32_t root;
  std::vector<int32_t> postorder;
  std::map<int32_t, Dfa> built;
  std::map<int32_t, const Dfa *> inlined;
  size_t total = 0, steps = 0;
};

} // namespace

Result<std::shared_ptr<const Network>> compile(Grammar grammar) { return Compiler(std::move(grammar)).run(); }

} // namespace stepdown::grammar
