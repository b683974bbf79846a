// Objects as automata over their members. Names fall into classes: each that the schema spells is one, and the others
// are told apart by the patterns and propertyNames that match them. A state is which spelled names were read, how many
// members, as far as it matters, and which assertions that some member be wrong were met.
//
// Spelled names come at most once. Up to `freeOrder` of them may stand in any order among the others, which takes a
// state for each subset; more of them stand in the schema's order, before all others.
#include "lib/Grammar/Schema/Writer.h"
#include <algorithm>

namespace stepdown::grammar {
namespace {

using K = Keyword;
constexpr size_t freeOrder = 5, maxClasses = 256;

struct ObjectRules {
  std::vector<const Json *> every, notEvery; ///< schemas with properties and the like
  std::vector<Language> names, notNames;     ///< of propertyNames
  std::vector<std::string> spelled;
  std::vector<bool> required;   ///< [spelled]
  int64_t least = 0, most = -1; ///< members; -1: any number
};

/// Names that are alike for all assertions.
struct NameClass {
  int spelled = -1;             ///< of ObjectRules::spelled, or
  Language others;              ///< all of a language
  std::vector<Assertions> says; ///< of each of `every`, then of each of `notEvery`: what the value has to satisfy
  std::vector<bool> wrongName;  ///< [notNames]: the name itself is wrong
};

/// A member, and the state behind it.
struct Member {
  Assertions value;
  std::vector<int64_t> state;
};

class ObjectAutomaton {
public:
  ObjectAutomaton(Branches &branches, const Assertions &assertions) : branches(branches), assertions(assertions) {}

  Status prepare() {
    for (const Assertion &a : assertions)
      if (Status ok = take(a); !ok)
        return ok;
    rules.required.resize(rules.spelled.size());
    for (const Assertion &a : assertions)
      if (a.keyword == K::Required)
        for (const Json &name : (*a.schema)["required"])
          rules.required[spell(name.get<std::string>())] = true;
    inAnyOrder = rules.spelled.size() <= freeOrder;
    counts = std::max<int64_t>({1, rules.least, rules.most});
    return findClasses();
  }

  const std::vector<NameClass> &classes() const { return all; }
  const std::string &spelling(const NameClass &name) const { return rules.spelled[name.spelled]; }

  // A state: [names read, as bits or as the first that may still come; members; what was wrong...].
  std::vector<int64_t> begin() const {
    return std::vector<int64_t>(2 + rules.notEvery.size() + rules.notNames.size(), 0);
  }
  bool isFirst(const std::vector<int64_t> &state) const { return state[1] == 0; }
  bool mayEnd(const std::vector<int64_t> &state) const {
    bool may = state[1] >= rules.least;
    for (size_t n = 0; n < rules.spelled.size(); ++n)
      may &= !rules.required[n] || isPast(state, n);
    for (size_t at = 2; at < state.size(); ++at)
      may &= state[at] != 0;
    return may;
  }
  bool isFull(const std::vector<int64_t> &state) const { return rules.most >= 0 && state[1] >= rules.most; }

  /// The members with a name of `name` that may follow. Each denied schema doubles them.
  Result<std::vector<Member>> members(const std::vector<int64_t> &state, const NameClass &name) const {
    std::vector<int64_t> next = state;
    next[1] = std::min(state[1] + 1, counts);
    if (name.spelled >= 0 && isPast(state, static_cast<size_t>(name.spelled)))
      return std::vector<Member>();
    if (!inAnyOrder) {
      const int64_t to = name.spelled >= 0 ? name.spelled : static_cast<int64_t>(rules.spelled.size());
      for (int64_t skipped = state[0]; skipped < to; ++skipped)
        if (rules.required[static_cast<size_t>(skipped)])
          return std::vector<Member>();
      next[0] = name.spelled >= 0 ? to + 1 : to;
    } else if (name.spelled >= 0) {
      next[0] |= int64_t(1) << name.spelled;
    }
    std::vector<Member> out = {{{}, next}};
    for (size_t e = 0; e < rules.every.size(); ++e)
      out[0].value.insert(out[0].value.end(), name.says[e].begin(), name.says[e].end());
    for (size_t n = 0; n < rules.notEvery.size(); ++n) {
      if (state[2 + n])
        continue;
      for (size_t i = 0, count = out.size(); i < count; ++i)
        for (const Assertion &said : name.says[rules.every.size() + n]) {
          if (Status ok = branches.charge(said.schema, 2 + out[i].value.size() + state.size()); !ok)
            return ok.error();
          Member wrong = out[i];
          wrong.value.push_back({said.schema, K::Whole, false});
          wrong.state[2 + n] = 1;
          out.push_back(std::move(wrong));
        }
    }
    for (size_t n = 0; n < rules.notNames.size(); ++n)
      if (name.wrongName[n])
        for (Member &member : out)
          member.state[2 + rules.notEvery.size() + n] = 1;
    return out;
  }

private:
  size_t spell(const std::string &name) {
    const auto [at, isNew] = spellings.try_emplace(name, rules.spelled.size());
    if (isNew)
      rules.spelled.push_back(name);
    return at->second;
  }

  Status take(const Assertion &a) {
    const Json &schema = *a.schema;
    if (a.keyword == K::Properties) {
      (a.holds ? rules.every : rules.notEvery).push_back(&schema);
      if (schema.contains("properties"))
        for (const auto &[name, value] : schema["properties"].items())
          spell(name);
    } else if (a.keyword == K::PropertyNames) {
      Result<Language> names = branches.strings(&schema["propertyNames"]);
      if (!names)
        return names.error();
      (a.holds ? rules.names : rules.notNames).push_back(*names);
    } else if (a.keyword == K::Required) {
      for (const Json &name : schema["required"])
        spell(name.get<std::string>());
    } else if (a.keyword == K::MinProperties) {
      rules.least = std::max(rules.least, countOf(schema, "minProperties"));
    } else {
      const int64_t most = countOf(schema, "maxProperties");
      rules.most = rules.most < 0 ? most : std::min(rules.most, most);
    }
    return Done{};
  }

  bool isPast(const std::vector<int64_t> &state, size_t name) const {
    return inAnyOrder ? state[0] >> name & 1 : state[0] > static_cast<int64_t>(name);
  }

  Status findClasses() {
    std::vector<const Json *> schemas = rules.every;
    schemas.insert(schemas.end(), rules.notEvery.begin(), rules.notEvery.end());
    std::map<std::string, Language> patterns;
    for (const Json *schema : schemas)
      if (schema->contains("patternProperties"))
        for (const auto &[text, value] : (*schema)["patternProperties"].items()) {
          Result<Language> language = branches.pattern(text);
          if (!language)
            return fail(language.error().code, "schema: patternProperties: %s", language.error().message.c_str());
          patterns.emplace(text, *language);
        }
    size_t looked = patterns.size(); // at, for each name: members of an object are found by a walk over them
    for (const Json *schema : schemas)
      looked += 1 + (schema->contains("properties") ? (*schema)["properties"].size() / 32 : 0);
    auto add = [&](NameClass name, const std::set<std::string> &matching) {
      for (const Json *schema : schemas) {
        Assertions &says = name.says.emplace_back();
        bool own = false;
        if (name.spelled >= 0 && schema->contains("properties"))
          if (auto at = (*schema)["properties"].find(rules.spelled[name.spelled]);
              at != (*schema)["properties"].end()) {
            says.push_back({&*at});
            own = true;
          }
        if (schema->contains("patternProperties"))
          for (const auto &[text, value] : (*schema)["patternProperties"].items())
            if (matching.count(text)) {
              says.push_back({&value});
              own = true;
            }
        if (!own && schema->contains("additionalProperties"))
          says.push_back({&(*schema)["additionalProperties"]});
      }
      all.push_back(std::move(name));
    };
    Result<Dfa> others = anyText();
    for (const Language &names : rules.names)
      if (others)
        others = branches.combine(*others, *names, Combine::And);
    Nfa taken;
    for (size_t n = 0; n < rules.spelled.size(); ++n) {
      const std::string &text = rules.spelled[n];
      if (Status ok = branches.charge(assertions[0].schema, looked + patterns.size() * text.size() / 16); !ok)
        return ok;
      NameClass name;
      name.spelled = static_cast<int>(n);
      std::set<std::string> matching;
      for (const auto &[pattern, language] : patterns)
        if (language->matches(text))
          matching.insert(pattern);
      for (const Language &wrong : rules.notNames)
        name.wrongName.push_back(!wrong->matches(text));
      const bool allowed = std::all_of(rules.names.begin(), rules.names.end(),
                                       [&](const Language &names) { return names->matches(text); });
      if (allowed)
        add(std::move(name), matching);
      taken.characters(text);
    }
    if (others && !rules.spelled.empty()) {
      Result<Dfa> names = branches.deterministic(taken);
      if (!names)
        return names.error();
      others = branches.combine(*others, *names, Combine::Minus);
    }
    if (!others)
      return others.error();
    // The rest, split by each language in turn.
    struct Part {
      Dfa names;
      std::set<std::string> matching;
      std::vector<bool> wrong;
    };
    std::vector<Part> parts;
    if (!others->none())
      parts.push_back({std::move(*others), {}, {}});
    auto splitBy = [&](const Dfa &language, auto in, auto out) -> Status {
      std::vector<Part> split;
      for (const Part &part : parts)
        for (bool inside : {true, false}) {
          Result<Dfa> names = branches.combine(part.names, language, inside ? Combine::And : Combine::Minus);
          if (!names)
            return names.error();
          if (names->none())
            continue;
          split.push_back({std::move(*names), part.matching, part.wrong});
          inside ? in(split.back()) : out(split.back());
        }
      parts = std::move(split);
      return parts.size() > maxClasses ? Status(tooLarge("patternProperties")) : Status(Done{});
    };
    for (const auto &[text, language] : patterns)
      if (Status ok = splitBy(*language, [&t = text](Part &part) { part.matching.insert(t); }, [](Part &) {}); !ok)
        return ok;
    for (const Language &names : rules.notNames)
      if (Status ok = splitBy(
              *names, [](Part &part) { part.wrong.push_back(false); }, [](Part &part) { part.wrong.push_back(true); });
          !ok)
        return ok;
    for (Part &part : parts) {
      NameClass name;
      name.others = std::make_shared<const Dfa>(std::move(part.names));
      name.wrongName = part.wrong;
      add(std::move(name), part.matching);
    }
    return Done{};
  }

  Branches &branches;
  const Assertions &assertions;
  ObjectRules rules;
  std::map<std::string, size_t> spellings; ///< places in ObjectRules::spelled
  std::vector<NameClass> all;
  bool inAnyOrder = true;
  int64_t counts = 1;
};

} // namespace

Status SchemaWriter::writeObject(Nfa &nfa, const Assertions &assertions) {
  ObjectAutomaton object(branches, assertions);
  if (Status ok = object.prepare(); !ok)
    return ok;
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
  nfa.edge(Nfa::start, {'{', '{'}, open);
  nfa.edge(close, {'}', '}'}, Nfa::end);
  call(nfa, open, blankRule(), nodeOf(object.begin()));
  while (!work.empty()) {
    const std::vector<int64_t> state = std::move(work.back());
    work.pop_back();
    if (Status ok = nfa.checkSize(); !ok)
      return ok;
    int32_t at = nodes.at(state);
    if (object.mayEnd(state)) {
      if (object.isFirst(state))
        nfa.empty(at, close);
      else
        call(nfa, at, blankRule(), close);
    }
    if (object.isFull(state))
      continue;
    if (!object.isFirst(state)) {
      const int32_t comma = nfa.add(), next = nfa.add();
      nfa.edge(at, {',', ','}, comma);
      call(nfa, comma, blankRule(), next);
      at = next;
    }
    for (const NameClass &name : object.classes()) {
      const Result<std::vector<Member>> members = object.members(state, name);
      if (!members)
        return members.error();
      if (members->empty())
        continue;
      const int32_t named = nfa.add(), colon = nfa.add(), value = nfa.add();
      if (name.spelled >= 0) {
        const int32_t quote = nfa.add(), end = nfa.add();
        nfa.edge(at, {'"', '"'}, quote);
        Speller(nfa, Spelling::JsonString).text(quote, object.spelling(name), end);
        nfa.edge(end, {'"', '"'}, named);
      } else {
        call(nfa, at, stringRule(name.others), named);
      }
      nfa.edge(named, {':', ':'}, colon);
      call(nfa, colon, blankRule(), value);
      for (const Member &member : *members)
        call(nfa, value, ruleOf(member.value), nodeOf(member.state));
    }
  }
  return Done{};
}

} // namespace stepdown::grammar
