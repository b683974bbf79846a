// What keywords say of numbers, strings and single values, as languages.
#include "lib/Grammar/Regex.h"
#include "lib/Grammar/Schema/Branches.h"
#include "lib/Grammar/Schema/Numbers.h"
#include "lib/Grammar/Schema/Writer.h"
#include <algorithm>

namespace stepdown::grammar {

using K = Keyword;

Status Branches::narrow(Language &language, const Dfa &base, const Dfa &by, bool holds) {
  Result<Dfa> narrowed = combine(language ? *language : base, by, holds ? Combine::And : Combine::Minus);
  if (!narrowed)
    return narrowed.error();
  language = std::make_shared<const Dfa>(std::move(*narrowed));
  return Done{};
}

Status Branches::applyType(const Assertion &a, Branch &branch) {
  const Json &type = (*a.schema)["type"];
  uint8_t kinds = 0;
  bool whole = false;
  auto take = [&](const std::string &name) {
    whole |= name == "integer";
    kinds |= name == "null"      ? Null
             : name == "boolean" ? True | False
             : name == "number"  ? Number
             : name == "string"  ? String
             : name == "array"   ? Array
             : name == "object"  ? Object
                                 : 0;
  };
  if (type.is_string())
    take(type.get<std::string>());
  else
    for (const Json &each : type)
      take(each.get<std::string>());
  whole &= !(kinds & Number);
  if (a.holds)
    branch.kinds &= kinds | (whole ? Number : 0);
  else
    branch.kinds &= ~kinds;
  if (!whole)
    return Done{};
  Decimal one;
  one.digits = "1";
  one.point = 1;
  static const Result<Dfa> integers = multiplesOf(one);
  return narrow(branch.number, anyNumber(), *integers, a.holds);
}

Result<Language> Branches::languageOf(const Assertion &a) {
  if (auto at = languages.find({a.schema, a.keyword}); at != languages.end())
    return at->second;
  const Json &schema = *a.schema;
  Result<Dfa> made = Dfa();
  if (a.keyword == K::Pattern) {
    Result<Language> language = pattern(schema["pattern"].get<std::string>());
    if (!language)
      return fail(language.error().code, "schema: %s: pattern: %s", document.where(a.schema).c_str(),
                  language.error().message.c_str());
    return languages[{a.schema, a.keyword}] = *language;
  }
  if (a.keyword == K::MinLength)
    made = textsOfLength(static_cast<uint64_t>(countOf(schema, "minLength")), UINT64_MAX);
  else if (a.keyword == K::MaxLength)
    made = textsOfLength(0, static_cast<uint64_t>(countOf(schema, "maxLength")));
  else {
    const char *name = a.keyword == K::MultipleOf         ? "multipleOf"
                       : a.keyword == K::Maximum          ? "maximum"
                       : a.keyword == K::ExclusiveMaximum ? "exclusiveMaximum"
                       : a.keyword == K::Minimum          ? "minimum"
                                                          : "exclusiveMinimum";
    Result<Decimal> value = Decimal::parse(schema[name].dump());
    if (!value)
      return value.error();
    const bool equal = a.keyword == K::Minimum || a.keyword == K::ExclusiveMaximum;
    made = a.keyword == K::MultipleOf ? multiplesOf(*value) : numbersAbove(*value, equal);
    if (made && (a.keyword == K::Maximum || a.keyword == K::ExclusiveMaximum))
      made = combine(anyNumber(), *made, Combine::Minus);
  }
  if (made)
    steps += 2 * made->states() * made->classes();
  if (!made)
    return fail(made.error().code, "schema: %s: %s", document.where(a.schema).c_str(), made.error().message.c_str());
  return languages[{a.schema, a.keyword}] = std::make_shared<const Dfa>(std::move(*made));
}

/// A schema for which `value`, an array or an object, alone is valid.
const Json *Branches::exactly(const Json &value) {
  auto [at, isNew] = exact.try_emplace(&value, nullptr);
  if (!isNew)
    return at->second;
  Json made = {{"type", value.type_name()}};
  if (value.is_array()) {
    Json parts = Json::array();
    for (const Json &each : value)
      parts.push_back({{"const", each}});
    made["prefixItems"] = std::move(parts);
    made["items"] = false;
    made["minItems"] = value.size();
  } else {
    Json parts = Json::object(), names = Json::array();
    for (const auto &[name, each] : value.items()) {
      parts[name] = {{"const", each}};
      names.push_back(name);
    }
    made["properties"] = std::move(parts);
    made["required"] = std::move(names);
    made["additionalProperties"] = false;
  }
  return exact[&value] = document.keep(std::move(made));
}

Result<const Branches::Scalars *> Branches::scalarsOf(const Json *schema) {
  if (auto at = scalars.find(schema); at != scalars.end())
    return &at->second;
  Scalars made;
  Nfa numbers, strings;
  auto take = [&](const Json &value) -> Status {
    if (value.is_null()) {
      made.kinds |= Null;
    } else if (value.is_boolean()) {
      made.kinds |= value.get<bool>() ? True : False;
    } else if (value.is_string()) {
      made.kinds |= String;
      strings.characters(value.get_ref<const std::string &>());
    } else if (value.is_number()) {
      made.kinds |= Number;
      if (Status ok = charge(schema, 64); !ok)
        return ok;
      Result<Decimal> number = Decimal::parse(value.dump());
      if (!number)
        return number.error();
      Result<Dfa> equal = numbersEqual(*number);
      if (!equal)
        return equal.error();
      equal->into(numbers, Nfa::start, Nfa::end);
    } else {
      made.structures.push_back(exactly(value));
    }
    return Done{};
  };
  // const and enum together are one keyword here, and both have to hold.
  const auto constant = schema->find("const"), list = schema->find("enum");
  if (constant != schema->end()) {
    if (Status ok = take(*constant); !ok)
      return ok.error();
    if (list != schema->end() && std::find(list->begin(), list->end(), *constant) == list->end())
      made = Scalars();
  } else {
    for (const Json &value : *list)
      if (Status ok = take(value); !ok)
        return ok.error();
  }
  for (auto [nfa, language] : {std::pair(&numbers, &made.number), std::pair(&strings, &made.string)}) {
    if (Status ok = nfa->checkSize(); !ok)
      return ok.error();
    Result<Dfa> dfa = deterministic(*nfa);
    if (!dfa)
      return dfa.error();
    *language = std::make_shared<const Dfa>(std::move(*dfa));
  }
  return &(scalars[schema] = std::move(made));
}

Status Branches::applyEnum(const Assertion &a, Branch &branch, Assertions &pending, std::vector<Choices> &choices) {
  Result<const Scalars *> taken = scalarsOf(a.schema);
  if (!taken)
    return taken.error();
  const Scalars &values = **taken;
  if (a.keyword == K::Enum && a.holds && !values.structures.empty()) {
    Choices either;
    if (values.kinds)
      either.push_back({{a.schema, K::Scalars}});
    for (const Json *structure : values.structures)
      either.push_back({{structure}});
    choices.push_back(std::move(either));
    return Done{};
  }
  if (a.keyword == K::Enum && !a.holds)
    for (const Json *structure : values.structures)
      pending.push_back({structure, K::Whole, false});
  if (a.holds)
    branch.kinds &= values.kinds;
  else
    branch.kinds &= ~(values.kinds & (Null | True | False));
  if (values.kinds & Number && branch.kinds & Number)
    if (Status ok = narrow(branch.number, anyNumber(), *values.number, a.holds); !ok)
      return ok;
  if (values.kinds & String && branch.kinds & String)
    return narrow(branch.string, anyText(), *values.string, a.holds);
  return Done{};
}

} // namespace stepdown::grammar
