// Arrays as automata: a state is how many elements were read, as far as it matters, how many of them each `contains`
// counted, and which assertions that some element be wrong were met. An edge is an element whose value satisfies what
// the state and the choice of the edge ask for.
#include "lib/Grammar/Schema/Writer.h"
#include <algorithm>

namespace stepdown::grammar {
namespace {

using K = Keyword;

struct ArrayRules {
  std::vector<const Json *> every, notEvery; ///< schemas with prefixItems and items
  Assertions contains;
  int64_t least = 0, most = -1; ///< elements; -1: any number
  int64_t matters = 1;          ///< elements after which all are alike
};

ArrayRules rulesOf(const Assertions &assertions) {
  ArrayRules rules;
  for (const Assertion &a : assertions) {
    const Json &schema = *a.schema;
    if (a.keyword == K::Items) {
      (a.holds ? rules.every : rules.notEvery).push_back(&schema);
      if (schema.contains("prefixItems"))
        rules.matters = std::max<int64_t>(rules.matters, static_cast<int64_t>(schema["prefixItems"].size()));
    } else if (a.keyword == K::Contains) {
      rules.contains.push_back(a);
    } else if (a.keyword == K::MinItems) {
      rules.least = std::max(rules.least, countOf(schema, "minItems"));
    } else {
      const int64_t most = countOf(schema, "maxItems");
      rules.most = rules.most < 0 ? most : std::min(rules.most, most);
    }
  }
  rules.matters = std::max({rules.matters, rules.least, rules.most});
  return rules;
}

/// What `schema` says of element `index`; null: nothing.
const Json *elementOf(const Json &schema, int64_t index) {
  if (schema.contains("prefixItems") && index < static_cast<int64_t>(schema["prefixItems"].size()))
    return &schema["prefixItems"][static_cast<size_t>(index)];
  return schema.contains("items") ? &schema["items"] : nullptr;
}

/// An element, and the state behind it: [index, counts of contains..., assertions of notEvery that were met...].
struct Element {
  Assertions value;
  std::vector<int64_t> state;
};

/// Each `contains` and each denied schema doubles them.
Result<std::vector<Element>> elementsOf(Branches &branches, const ArrayRules &rules,
                                        const std::vector<int64_t> &state) {
  const int64_t index = state[0];
  std::vector<Element> all = {{{}, state}};
  all[0].state[0] = std::min(index + 1, rules.matters);
  for (const Json *schema : rules.every)
    if (const Json *element = elementOf(*schema, index))
      all[0].value.push_back({element});
  for (size_t c = 0; c < rules.contains.size(); ++c) {
    const Assertion &contains = rules.contains[c];
    const Json *wanted = &(*contains.schema)["contains"];
    const bool bounded = contains.high >= 0;
    std::vector<Element> grown;
    for (const Element &element : all) {
      if (Status ok = branches.charge(wanted, 4 + 2 * element.value.size() + state.size()); !ok)
        return ok.error();
      const int64_t count = state[1 + c];
      Element one = element, none = element;
      one.value.push_back({wanted});
      ++one.state[1 + c];
      if (bounded)
        none.value.push_back({wanted, K::Whole, false});
      if (bounded ? count < contains.high : count < contains.low)
        grown.push_back(std::move(one));
      grown.push_back(std::move(none));
    }
    all = std::move(grown);
  }
  for (size_t n = 0; n < rules.notEvery.size(); ++n) {
    const size_t at = 1 + rules.contains.size() + n;
    const Json *element = elementOf(*rules.notEvery[n], index);
    if (state[at] || !element)
      continue;
    for (size_t i = 0, count = all.size(); i < count; ++i) {
      if (Status ok = branches.charge(element, 2 + all[i].value.size() + state.size()); !ok)
        return ok.error();
      Element wrong = all[i];
      wrong.value.push_back({element, K::Whole, false});
      wrong.state[at] = 1;
      all.push_back(std::move(wrong));
    }
  }
  return all;
}

bool mayEnd(const ArrayRules &rules, const std::vector<int64_t> &state) {
  bool may = state[0] >= rules.least;
  for (size_t c = 0; c < rules.contains.size(); ++c)
    may &= state[1 + c] >= rules.contains[c].low;
  for (size_t at = 1 + rules.contains.size(); at < state.size(); ++at)
    may &= state[at] != 0;
  return may;
}

} // namespace

Status SchemaWriter::writeArray(Nfa &nfa, const Assertions &assertions) {
  const ArrayRules rules = rulesOf(assertions);
  std::map<std::vector<int64_t>, int32_t> nodes;
  std::vector<std::vector<int64_t>> work;
  auto nodeOf = [&](const std::vector<int64_t> &state) {
    auto [at, isNew] = nodes.try_emplace(state, -1);
    if (isNew) {
      at->second = nfa.add();
      work.push_back(state);
    }
    return at->second;
  };
  const int32_t open = nfa.add(), close = nfa.add();
  nfa.edge(Nfa::start, {'[', '['}, open);
  nfa.edge(close, {']', ']'}, Nfa::end);
  call(nfa, open, blankRule(), nodeOf(std::vector<int64_t>(1 + rules.contains.size() + rules.notEvery.size(), 0)));
  while (!work.empty()) {
    const std::vector<int64_t> state = std::move(work.back());
    work.pop_back();
    if (Status ok = nfa.checkSize(); !ok)
      return ok;
    int32_t at = nodes.at(state);
    const bool first = state[0] == 0;
    if (mayEnd(rules, state)) {
      if (first)
        nfa.empty(at, close);
      else
        call(nfa, at, blankRule(), close);
    }
    if (rules.most >= 0 && state[0] >= rules.most)
      continue;
    if (!first) {
      const int32_t comma = nfa.add(), next = nfa.add();
      nfa.edge(at, {',', ','}, comma);
      call(nfa, comma, blankRule(), next);
      at = next;
    }
    Result<std::vector<Element>> elements = elementsOf(branches, rules, state);
    if (!elements)
      return elements.error();
    for (const Element &element : *elements)
      call(nfa, at, ruleOf(element.value), nodeOf(element.state));
  }
  return Done{};
}

} // namespace stepdown::grammar
