#include "lib/Grammar/Schema/Branches.h"

#include "lib/Grammar/Regex.h"
#include "lib/Grammar/Schema/Numbers.h"
#include <algorithm>

namespace stepdown::grammar {
namespace {

using K = Keyword;
constexpr size_t maxBranches = 4096, maxWork = size_t(1) << 22;

uint64_t countOf(const Json &value) {
  const double number = value.get<double>();
  return number > 1e15 ? uint64_t(1e15) : static_cast<uint64_t>(number);
}

} // namespace

Status Branches::charge(const Json *at, size_t units) {
  work += std::min(units, maxWork + 1);
  return work > maxWork ? Status(fail(ErrorCode::GrammarTooLarge,
                                      "schema: %s: expects combinations of at most %zu assertions, but needs more",
                                      document.where(at).c_str(), maxWork))
                        : Status(Done{});
}

const Json *Branches::schema(Json made, const Json *at) {
  std::string text = made.dump();
  work += text.size() / 4; // refused by the next who charges
  auto [found, isNew] = written.try_emplace({std::move(text), at}, nullptr);
  if (isNew)
    found->second = document.keep(std::move(made), at);
  return found->second;
}

Result<Language> Branches::pattern(const std::string &text) {
  if (auto at = patterns.find(text); at != patterns.end())
    return at->second;
  Result<Dfa> language = textsWithMatch(text, steps);
  if (!language)
    return language.error();
  return patterns[text] = std::make_shared<const Dfa>(std::move(*language));
}

Result<Language> Branches::strings(const Json *schema) {
  Result<std::vector<Branch>> all = of({{schema}});
  if (!all)
    return all.error();
  Dfa some;
  for (const Branch &branch : *all)
    if (branch.kinds & String) {
      Result<Dfa> sum = combine(some, branch.string ? *branch.string : anyText(), Combine::Or);
      if (!sum)
        return sum.error();
      some = std::move(*sum);
    }
  return Language(std::make_shared<const Dfa>(std::move(some)));
}

/// Schemas that lead back to themselves in the same place say nothing.
Status Branches::refuseLoops(const Json *from) {
  struct Visit {
    const Json *schema;
    std::vector<const Json *> parts;
    size_t next;
  };
  if (visited[from])
    return Done{};
  std::vector<Visit> stack;
  auto enter = [&](const Json *schema) -> Status {
    Result<std::vector<const Json *>> parts = document.inPlace(schema);
    if (!parts)
      return parts.error();
    visited[schema] = 1;
    stack.push_back({schema, std::move(*parts), 0});
    return Done{};
  };
  if (Status ok = enter(from); !ok)
    return ok;
  while (!stack.empty()) {
    Visit &top = stack.back();
    if (top.next == top.parts.size()) {
      visited[top.schema] = 2;
      stack.pop_back();
      continue;
    }
    const Json *part = top.parts[top.next++];
    if (visited[part] == 1)
      return fail(ErrorCode::SchemaLoop, "schema: %s: expects a chain of references that ends, but it leads back to %s",
                  document.where(top.schema).c_str(), document.where(part).c_str());
    if (!visited[part])
      if (Status ok = enter(part); !ok)
        return ok;
  }
  return Done{};
}

Result<std::vector<Branch>> Branches::of(const Assertions &assertions) {
  for (const Assertion &a : assertions)
    if (Status ok = refuseLoops(a.schema); !ok)
      return ok.error();
  std::vector<Branch> out;
  std::vector<Open> open;
  std::vector<Road> roads;
  roads.push_back({Branch(), assertions, -1});
  while (!roads.empty()) {
    Road road = std::move(roads.back());
    roads.pop_back();
    Result<bool> holds = settle(road, open);
    if (!holds)
      return holds.error();
    if (!*holds)
      continue;
    if (road.choices < 0) {
      out.push_back(std::move(road.branch));
      if (out.size() > maxBranches)
        return fail(ErrorCode::GrammarTooLarge,
                    "schema: %s: expects combinations of at most %zu branches, but needs more",
                    document.where(assertions[0].schema).c_str(), maxBranches);
      continue;
    }
    const Open &next = open[static_cast<size_t>(road.choices)];
    for (size_t i = next.choices.size(); i-- > 0;) { // the first is taken first
      const Branch &branch = road.branch;
      const size_t copied = branch.seen.size() + branch.array.size() + branch.object.size() + next.choices[i].size();
      if (Status ok = charge(assertions[0].schema, 1 + copied); !ok)
        return ok.error();
      roads.push_back({branch, next.choices[i], next.below});
    }
  }
  return out;
}

/// Takes all that has to hold before anyone chooses, so that choices that can't be taken are seen early. False where it
/// cannot hold.
Result<bool> Branches::settle(Road &road, std::vector<Open> &open) {
  Branch &branch = road.branch;
  Assertions &pending = road.pending;
  std::vector<Choices> choices;
  for (size_t i = 0; i < pending.size(); ++i) { // in the schema's order
    const Assertion a = pending[i];
    if (Status ok = charge(a.schema, 1); !ok)
      return ok.error();
    Assertion opposite = a;
    opposite.holds = !a.holds;
    if (branch.seen.count(opposite))
      return false;
    if (!branch.seen.insert(a).second)
      continue;
    if (Status ok = apply(a, branch, pending, choices); !ok)
      return ok.error();
    if (branch.number && branch.number->none())
      branch.kinds &= ~Number;
    if (branch.string && branch.string->none())
      branch.kinds &= ~String;
    if (!branch.kinds)
      return false;
  }
  for (Choices &each : choices) {
    size_t units = 1;
    for (const Assertions &choice : each)
      units += 1 + choice.size();
    if (Status ok = charge(pending[0].schema, units); !ok)
      return ok.error();
    open.push_back({std::move(each), road.choices});
    road.choices = static_cast<int32_t>(open.size()) - 1;
  }
  return true;
}

Status Branches::apply(const Assertion &a, Branch &branch, Assertions &pending, std::vector<Choices> &choices) {
  switch (a.keyword) {
  case K::Whole:
    return applyWhole(a, branch, pending, choices);
  case K::Ref: {
    Result<const Json *> to = document.target(a.schema);
    if (!to)
      return to.error();
    pending.push_back({*to, K::Whole, a.holds});
    return Done{};
  }
  case K::Type:
    return applyType(a, branch);
  case K::Enum:
  case K::Scalars:
    return applyEnum(a, branch, pending, choices);
  case K::MultipleOf:
  case K::Maximum:
  case K::ExclusiveMaximum:
  case K::Minimum:
  case K::ExclusiveMinimum: {
    Result<Language> by = languageOf(a);
    if (!by)
      return by.error();
    if (!a.holds)
      branch.kinds &= Number;
    return narrow(branch.number, anyNumber(), **by, a.holds);
  }
  case K::MaxLength:
  case K::MinLength:
  case K::Pattern: {
    Result<Language> by = languageOf(a);
    if (!by)
      return by.error();
    if (!a.holds)
      branch.kinds &= String;
    return narrow(branch.string, anyText(), **by, a.holds);
  }
  case K::Items:
  case K::Contains:
  case K::MaxItems:
  case K::MinItems:
  case K::UniqueItems:
    return applyArray(a, branch, choices);
  case K::Properties:
  case K::PropertyNames:
  case K::MaxProperties:
  case K::MinProperties:
  case K::Required:
    return applyObject(a, branch, choices);
  case K::DependentRequired:
  case K::DependentSchemas:
    return applyDependent(a, pending, choices);
  case K::AllOf:
  case K::AnyOf:
  case K::OneOf:
  case K::Not:
  case K::If:
    return applyCombination(a, pending, choices);
  case K::UnevaluatedItems:
  case K::UnevaluatedProperties:
    return applyUnevaluated(a, choices);
  }
  return Done{};
}

Status Branches::applyWhole(const Assertion &a, Branch &branch, Assertions &pending, std::vector<Choices> &choices) {
  if (a.schema->is_boolean()) {
    if (a.schema->get<bool>() != a.holds)
      branch.kinds = 0;
    return Done{};
  }
  Result<std::vector<Keyword>> keywords = document.keywords(a.schema);
  if (!keywords)
    return keywords.error();
  Choices unmet;
  for (Keyword keyword : *keywords)
    if (a.holds)
      pending.push_back({a.schema, keyword, true});
    else
      unmet.push_back({{a.schema, keyword, false}});
  if (!a.holds)
    choices.push_back(std::move(unmet)); // none: it holds always
  return Done{};
}

Status Branches::applyCombination(const Assertion &a, Assertions &pending, std::vector<Choices> &choices) {
  const Json &schema = *a.schema;
  if (a.keyword == K::Not) {
    pending.push_back({&schema["not"], K::Whole, !a.holds});
    return Done{};
  }
  if (a.keyword == K::If) {
    Choices either;
    for (auto [name, met] : {std::pair("then", true), std::pair("else", false)}) {
      Assertions road = {{&schema["if"], K::Whole, met}};
      if (schema.contains(name))
        road.push_back({&schema[name], K::Whole, a.holds});
      if (a.holds || schema.contains(name))
        either.push_back(std::move(road));
    }
    choices.push_back(std::move(either));
    return Done{};
  }
  const Json &parts = schema[a.keyword == K::AllOf ? "allOf" : a.keyword == K::AnyOf ? "anyOf" : "oneOf"];
  if (a.keyword == K::OneOf) {
    if (Status ok = charge(a.schema, parts.size() * parts.size()); !ok)
      return ok;
    Choices either;
    Assertions none;
    for (const Json &part : parts)
      none.push_back({&part, K::Whole, false});
    if (!a.holds)
      either.push_back(none);
    for (size_t i = 0; i < parts.size(); ++i) {
      if (a.holds) {
        Assertions one = none;
        one[i].holds = true;
        either.push_back(std::move(one));
      }
      for (size_t j = i + 1; !a.holds && j < parts.size(); ++j)
        either.push_back({{&parts[i]}, {&parts[j]}});
    }
    choices.push_back(std::move(either));
    return Done{};
  }
  if ((a.keyword == K::AllOf) == a.holds) {
    for (const Json &part : parts)
      pending.push_back({&part, K::Whole, a.holds});
    return Done{};
  }
  Choices either;
  for (const Json &part : parts)
    either.push_back({{&part, K::Whole, a.holds}});
  choices.push_back(std::move(either));
  return Done{};
}

Status Branches::applyDependent(const Assertion &a, Assertions &pending, std::vector<Choices> &choices) {
  const bool schemas = a.keyword == K::DependentSchemas;
  Choices unmet;
  for (const auto &[name, value] : (*a.schema)[schemas ? "dependentSchemas" : "dependentRequired"].items()) {
    const Json *absent = schema({{"properties", {{name, false}}}});
    const Json *present = schema({{"type", "object"}, {"required", Json::array({name})}});
    const Json *then = schemas ? &value : schema({{"required", value}});
    if (a.holds)
      choices.push_back({{{absent}}, {{then}}});
    else if (schemas)
      unmet.push_back({{present}, {then, K::Whole, false}});
    else
      for (const Json &needed : value) {
        if (Status ok = charge(a.schema, 1); !ok)
          return ok;
        unmet.push_back({{present}, {schema({{"properties", {{needed.get<std::string>(), false}}}})}});
      }
  }
  if (!a.holds)
    choices.push_back(std::move(unmet));
  return Done{};
}

Status Branches::applyArray(const Assertion &a, Branch &branch, std::vector<Choices> &choices) {
  const Json &schema = *a.schema;
  if (a.keyword == K::UniqueItems) {
    if (schema["uniqueItems"].get<bool>())
      return fail(ErrorCode::SchemaKeyword, "schema: %s: the keyword uniqueItems is not supported",
                  document.where(a.schema).c_str());
    if (!a.holds)
      branch.kinds = 0;
    return Done{};
  }
  if (a.keyword == K::Contains && a.high == -1 && a.low == 0) { // as the schema says it
    const uint64_t low = schema.contains("minContains") ? countOf(schema["minContains"]) : 1;
    const int64_t high = schema.contains("maxContains") ? static_cast<int64_t>(countOf(schema["maxContains"])) : -1;
    const Json *array = this->schema({{"type", "array"}});
    if (a.holds && (low > 0 || high >= 0))
      branch.array.push_back({a.schema, K::Contains, true, static_cast<int64_t>(low), high});
    if (a.holds)
      return Done{};
    Choices unmet;
    if (low > 0)
      unmet.push_back({{array}, {a.schema, K::Contains, true, 0, static_cast<int64_t>(low) - 1}});
    if (high >= 0)
      unmet.push_back({{array}, {a.schema, K::Contains, true, high + 1, -1}});
    choices.push_back(std::move(unmet));
    return Done{};
  }
  if (a.holds) {
    branch.array.push_back(a);
    return Done{};
  }
  branch.kinds &= Array;
  if (a.keyword == K::Items) {
    branch.array.push_back(a);
    return Done{};
  }
  const uint64_t count = countOf(schema[a.keyword == K::MinItems ? "minItems" : "maxItems"]);
  if (a.keyword == K::MinItems && count == 0)
    branch.kinds = 0;
  else
    branch.array.push_back(a.keyword == K::MinItems ? Assertion{this->schema({{"maxItems", count - 1}}), K::MaxItems}
                                                    : Assertion{this->schema({{"minItems", count + 1}}), K::MinItems});
  return Done{};
}

Status Branches::applyObject(const Assertion &a, Branch &branch, std::vector<Choices> &choices) {
  const Json &schema = *a.schema;
  if (a.holds) {
    branch.object.push_back(a);
    return Done{};
  }
  branch.kinds &= Object;
  if (a.keyword == K::Required) {
    Choices unmet;
    for (const Json &name : schema["required"])
      unmet.push_back({{this->schema({{"properties", {{name.get<std::string>(), false}}}})}});
    choices.push_back(std::move(unmet));
    return Done{};
  }
  if (a.keyword == K::Properties || a.keyword == K::PropertyNames) {
    branch.object.push_back(a);
    return Done{};
  }
  const uint64_t count = countOf(schema[a.keyword == K::MinProperties ? "minProperties" : "maxProperties"]);
  if (a.keyword == K::MinProperties && count == 0)
    branch.kinds = 0;
  else
    branch.object.push_back(a.keyword == K::MinProperties
                                ? Assertion{this->schema({{"maxProperties", count - 1}}), K::MaxProperties}
                                : Assertion{this->schema({{"minProperties", count + 1}}), K::MinProperties});
  return Done{};
}

} // namespace stepdown::grammar
