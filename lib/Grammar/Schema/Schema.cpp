#include "lib/Grammar/Schema/Schema.h"

#include "lib/Grammar/Schema/Numbers.h"
#include "lib/Grammar/Schema/Writer.h"
#include <algorithm>

namespace stepdown::grammar {
namespace {

constexpr size_t maxRules = 16384;
constexpr int blanksOfLine = 20;

} // namespace

int64_t countOf(const Json &schema, const char *name) {
  return static_cast<int64_t>(std::min(schema[name].get<double>(), 1e9));
}

int32_t SchemaWriter::ruleOf(Assertions assertions) {
  // What holds for everything need not be said.
  assertions.erase(std::remove_if(assertions.begin(), assertions.end(),
                                  [](const Assertion &a) {
                                    return a.keyword == Keyword::Whole &&
                                           (a.schema->is_boolean() ? a.schema->get<bool>() == a.holds
                                                                   : a.holds && a.schema->empty());
                                  }),
                   assertions.end());
  std::sort(assertions.begin(), assertions.end());
  assertions.erase(std::unique(assertions.begin(), assertions.end()), assertions.end());
  auto [at, isNew] = values.try_emplace(assertions, -1);
  if (isNew) {
    at->second =
        grammar.add(assertions.empty() ? "any value" : "schema " + document.where(assertions[0].schema).substr(0, 200));
    unwritten.emplace_back(assertions, at->second);
  }
  return at->second;
}

int32_t SchemaWriter::stringRule(const Language &language) {
  const Dfa &dfa = language ? *language : anyText();
  auto [at, isNew] = strings.try_emplace(dfa.key(), -1);
  if (isNew) {
    at->second = grammar.add("string");
    Nfa &nfa = grammar.rules[at->second].nfa;
    const int32_t open = nfa.add(), close = nfa.add();
    nfa.edge(Nfa::start, {'"', '"'}, open);
    nfa.edge(close, {'"', '"'}, Nfa::end);
    Speller(nfa, Spelling::JsonString).language(open, dfa, close);
    total += nfa.checkSize() ? nfa.states.size() : 8 * maxStates + 1;
  }
  return at->second;
}

Result<int32_t> SchemaWriter::numberRule(const Language &language) {
  const Dfa &dfa = language ? *language : anyNumber();
  auto [at, isNew] = numbers.try_emplace(dfa.key(), -1);
  if (isNew) {
    at->second = grammar.add("number");
    Nfa &nfa = grammar.rules[at->second].nfa;
    const int32_t end = nfa.add();
    dfa.into(nfa, Nfa::start, end);
    nfa.empty(end, Nfa::end);
    if (dfa.key() == anyNumber().key()) { // where no bound is to be kept, an exponent may follow
      const int32_t sign = nfa.add(), first = nfa.add(), more = nfa.add();
      nfa.edge(end, {'e', 'e'}, sign);
      nfa.edge(end, {'E', 'E'}, sign);
      for (char c : {'+', '-'})
        nfa.edge(sign, {uint32_t(c), uint32_t(c)}, first);
      nfa.empty(sign, first);
      nfa.edge(first, {'0', '9'}, more);
      nfa.empty(more, first);
      nfa.empty(more, Nfa::end);
    }
    total += nfa.states.size();
  }
  return at->second;
}

/// Nothing, a space, or a line's end with up to twenty spaces or tabs.
int32_t SchemaWriter::blankRule() {
  if (blanks >= 0)
    return blanks;
  blanks = grammar.add("blanks");
  Nfa &nfa = grammar.rules[blanks].nfa;
  nfa.empty(Nfa::start, Nfa::end);
  nfa.edge(Nfa::start, {' ', ' '}, Nfa::end);
  int32_t at = nfa.add();
  nfa.edge(Nfa::start, {'\n', '\n'}, at);
  for (int i = 0; i <= blanksOfLine; ++i) {
    nfa.empty(at, Nfa::end);
    if (i == blanksOfLine)
      break;
    const int32_t next = nfa.add();
    nfa.edge(at, {' ', ' '}, next);
    nfa.edge(at, {'\t', '\t'}, next);
    at = next;
  }
  return blanks;
}

Status SchemaWriter::writeValue(const Assertions &assertions, int32_t rule) {
  Result<std::vector<Branch>> all = branches.of(assertions);
  if (!all)
    return all.error();
  uint8_t kinds = 0;
  bool anyNumbers = false, anyStrings = false;
  Dfa someNumbers, someStrings;
  std::set<Assertions> arrays, objects;
  for (Branch &branch : *all) {
    kinds |= branch.kinds;
    auto join = [this](bool taken, const Language &language, bool &any, Dfa &some) -> Status {
      if (!taken || any)
        return Done{};
      if (!language) {
        any = true;
        return Done{};
      }
      Result<Dfa> sum = branches.combine(some, *language, Combine::Or);
      if (!sum)
        return sum.error();
      some = std::move(*sum);
      return Done{};
    };
    if (Status ok = join(branch.kinds & Number, branch.number, anyNumbers, someNumbers); !ok)
      return ok;
    if (Status ok = join(branch.kinds & String, branch.string, anyStrings, someStrings); !ok)
      return ok;
    std::sort(branch.array.begin(), branch.array.end());
    if (branch.kinds & Array)
      arrays.insert(branch.array);
    if (branch.kinds & Object) // whose order is that of the properties
      objects.insert(branch.object);
  }
  Nfa nfa;
  for (auto [kind, text] : {std::pair(Null, "null"), std::pair(True, "true"), std::pair(False, "false")})
    if (kinds & kind)
      nfa.text(Nfa::start, text, Nfa::end);
  if (kinds & String)
    call(nfa, Nfa::start, stringRule(anyStrings ? nullptr : std::make_shared<const Dfa>(std::move(someStrings))),
         Nfa::end);
  if (kinds & Number) {
    Result<int32_t> number = numberRule(anyNumbers ? nullptr : std::make_shared<const Dfa>(std::move(someNumbers)));
    if (!number)
      return number.error();
    call(nfa, Nfa::start, *number, Nfa::end);
  }
  // A branch that asserts nothing has room for all others.
  if (arrays.count({}))
    arrays = {{}};
  if (objects.count({}))
    objects = {{}};
  for (const Assertions &each : arrays)
    if (Status ok = writeArray(nfa, each); !ok)
      return ok;
  for (const Assertions &each : objects)
    if (Status ok = writeObject(nfa, each); !ok)
      return ok;
  total += nfa.states.size();
  grammar.rules[rule].nfa = std::move(nfa);
  return Done{};
}

Result<Grammar> SchemaWriter::write() {
  grammar.root = ruleOf({{&document.root()}});
  grammar.rules[grammar.root].name = "schema";
  while (!unwritten.empty()) {
    auto [assertions, rule] = std::move(unwritten.back());
    unwritten.pop_back();
    if (Status ok = writeValue(assertions, rule); !ok)
      return ok.error();
    if (grammar.rules.size() > maxRules || total > 8 * maxStates)
      return tooLarge("schema");
  }
  return std::move(grammar);
}

Result<Grammar> readSchema(const std::string &text, SchemaWork *spent) {
  Result<SchemaDocument> document = SchemaDocument::parse(text);
  if (!document)
    return document.error();
  SchemaWriter writer(std::move(*document), spent ? *spent : SchemaWork());
  Result<Grammar> grammar = writer.write();
  if (spent)
    *spent = writer.spent();
  return grammar;
}

} // namespace stepdown::grammar
