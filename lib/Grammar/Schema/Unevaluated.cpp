// unevaluatedItems and unevaluatedProperties: what no other keyword of the schema has looked at, those of its parts
// that hold for the same instance included (draft 2020-12, core, section 11).
//
// Which parts hold is a choice, made for all of them that look at anything: each road through anyOf, oneOf, if and
// dependentSchemas is a set of assertions. On a road it is known what was looked at, and the rest is an ordinary
// schema: of properties, {"properties": {NAME: true ...}, "patternProperties": {PATTERN: true ...},
// "additionalProperties": REST}.
#include "lib/Grammar/Schema/Branches.h"
#include <algorithm>

namespace stepdown::grammar {

using K = Keyword;

/// What was looked at, where `assertions` hold.
struct Branches::Evaluated {
  Assertions assertions;
  std::set<std::string> names, patterns;
  bool allProperties = false, allItems = false;
  size_t items = 0;                        ///< from the first on
  std::vector<const Json *> contains = {}; ///< items for which these hold, too

  bool any() const {
    return !names.empty() || !patterns.empty() || allProperties || allItems || items || !contains.empty();
  }
  size_t size() const { return 1 + assertions.size() + names.size() + patterns.size() + contains.size(); }
  void add(const Evaluated &other) {
    assertions.insert(assertions.end(), other.assertions.begin(), other.assertions.end());
    names.insert(other.names.begin(), other.names.end());
    patterns.insert(other.patterns.begin(), other.patterns.end());
    allProperties |= other.allProperties;
    allItems |= other.allItems;
    items = std::max(items, other.items);
    contains.insert(contains.end(), other.contains.begin(), other.contains.end());
  }
};

/// The roads through `schema`, which holds, and what is looked at on each. The keywords themselves count but for the
/// root, whose they are.
Result<std::vector<Branches::Evaluated>> Branches::evaluatedBy(const Json *schema, bool isRoot) {
  constexpr size_t maxRoads = 1024;
  constexpr int maxDepth = 250; // of parts and references in each other
  struct Level {
    int &depth;
    ~Level() { --depth; }
  } level{++depth};
  if (depth > maxDepth)
    return fail(ErrorCode::GrammarTooLarge, "schema: %s: expects at most %d parts in each other below %s",
                document.where(schema).c_str(), maxDepth, "unevaluatedItems or unevaluatedProperties");
  if (Status ok = charge(schema, 1); !ok)
    return ok.error();
  std::vector<Evaluated> roads(1);
  if (!schema->is_object())
    return roads;
  Evaluated &own = roads[0];
  auto has = [&](const char *name) { return schema->contains(name); };
  for (const char *name : {"properties", "patternProperties"})
    if (has(name))
      if (Status ok = charge(schema, (*schema)[name].size()); !ok)
        return ok.error();
  if (has("properties"))
    for (const auto &[name, value] : (*schema)["properties"].items())
      own.names.insert(name);
  if (has("patternProperties"))
    for (const auto &[text, value] : (*schema)["patternProperties"].items())
      own.patterns.insert(text);
  own.allProperties = has("additionalProperties") || (!isRoot && has("unevaluatedProperties"));
  own.allItems = has("items") || (!isRoot && has("unevaluatedItems"));
  if (has("prefixItems"))
    own.items = (*schema)["prefixItems"].size();
  if (has("contains"))
    own.contains.push_back(&(*schema)["contains"]);

  auto cross = [&](const std::vector<Evaluated> &options) -> Status {
    if (std::none_of(options.begin(), options.end(), [](const Evaluated &each) { return each.any(); }))
      return Done{}; // which of them holds makes no difference
    std::vector<Evaluated> all;
    for (const Evaluated &road : roads)
      for (const Evaluated &option : options) {
        if (all.size() > maxRoads)
          break; // refused below
        if (Status ok = charge(schema, road.size() + option.size()); !ok)
          return ok;
        all.push_back(road);
        all.back().add(option);
      }
    roads = std::move(all);
    if (roads.size() > maxRoads)
      return fail(ErrorCode::GrammarTooLarge, "schema: %s: expects at most %zu ways to evaluate, but there are more",
                  document.where(schema).c_str(), maxRoads);
    return Done{};
  };
  // The roads of `part`, on which the assertions hold, too.
  auto roadsOf = [&](const Json *part, Assertions assertions) -> Result<std::vector<Evaluated>> {
    Result<std::vector<Evaluated>> inner = evaluatedBy(part, false);
    if (inner)
      for (Evaluated &road : *inner)
        road.assertions.insert(road.assertions.end(), assertions.begin(), assertions.end());
    return inner;
  };
  std::vector<std::vector<Evaluated>> choices;
  auto choose = [&](std::vector<std::pair<const Json *, Assertions>> options) -> Status {
    std::vector<Evaluated> &all = choices.emplace_back();
    for (auto &[part, assertions] : options) {
      static const Json nothing = true;
      Result<std::vector<Evaluated>> inner = roadsOf(part ? part : &nothing, assertions);
      if (!inner)
        return inner.error();
      for (Evaluated &road : *inner) {
        if (Status charged = charge(schema, road.size()); !charged)
          return charged;
        all.push_back(std::move(road));
      }
    }
    return Done{};
  };
  Status ok = Done{};
  if (has("$ref")) {
    Result<const Json *> to = document.target(schema);
    ok = to ? choose({{*to, {}}}) : Status(to.error());
  }
  if (ok && has("allOf"))
    for (const Json &part : (*schema)["allOf"])
      ok = ok ? choose({{&part, {}}}) : ok;
  if (ok && has("anyOf"))
    for (const Json &part : (*schema)["anyOf"])
      ok = ok ? choose({{&part, {{&part}}}, {nullptr, {{&part, K::Whole, false}}}}) : ok;
  if (ok && has("oneOf")) {
    std::vector<std::pair<const Json *, Assertions>> options;
    for (const Json &part : (*schema)["oneOf"])
      options.push_back({&part, {{&part}}});
    ok = choose(std::move(options));
  }
  if (ok && has("if")) {
    const Json *condition = &(*schema)["if"];
    // Where it holds, it and `then` look at things; else `else`.
    auto roadsUnder = [&](const char *name) {
      return has(name) ? evaluatedBy(&(*schema)[name], false)
                       : Result<std::vector<Evaluated>>(std::vector<Evaluated>(1));
    };
    Result<std::vector<Evaluated>> met = roadsOf(condition, {{condition}}), then = roadsUnder("then"),
                                   other = roadsUnder("else");
    if (!met || !then || !other)
      return !met ? met : !then ? then : other;
    std::vector<Evaluated> &all = choices.emplace_back();
    for (const Evaluated &road : *met)
      for (const Evaluated &more : *then) {
        if (Status charged = charge(schema, road.size() + more.size()); !charged)
          return charged.error();
        all.push_back(road);
        all.back().add(more);
      }
    for (Evaluated &road : *other) {
      road.assertions.push_back({condition, K::Whole, false});
      all.push_back(road);
    }
  }
  if (ok && has("dependentSchemas"))
    for (const auto &[name, part] : (*schema)["dependentSchemas"].items()) {
      const Json *absent = this->schema({{"properties", {{name, false}}}});
      const Json *present = this->schema({{"type", "object"}, {"required", Json::array({name})}});
      ok = ok ? choose({{&part, {{present}}}, {nullptr, {{absent}}}}) : ok;
    }
  for (const std::vector<Evaluated> &options : choices)
    if (ok)
      ok = cross(options);
  return ok ? Result<std::vector<Evaluated>>(std::move(roads)) : ok.error();
}

/// What the keyword says where `by` was looked at, as properties or items.
Result<const Json *> Branches::unevaluatedRest(const Assertion &a, const Evaluated &by) {
  if (a.keyword == K::UnevaluatedProperties) {
    Json rest = {{"additionalProperties", by.allProperties ? Json(true) : (*a.schema)["unevaluatedProperties"]}};
    for (const std::string &name : by.names)
      rest["properties"][name] = true;
    for (const std::string &text : by.patterns)
      rest["patternProperties"][text] = true;
    return schema(std::move(rest), a.schema);
  }
  Json wanted = by.allItems ? Json(true) : (*a.schema)["unevaluatedItems"];
  if (!by.allItems && !by.contains.empty()) {
    Json either = Json::array({wanted});
    for (const Json *each : by.contains)
      either.push_back(*each);
    wanted = {{"anyOf", std::move(either)}};
  }
  Json rest = {{"items", std::move(wanted)}};
  if (by.items)
    rest["prefixItems"] = Json(by.items, Json(true));
  return schema(std::move(rest), a.schema);
}

Status Branches::applyUnevaluated(const Assertion &a, std::vector<Choices> &choices) {
  Result<std::vector<Evaluated>> roads = evaluatedBy(a.schema, true);
  if (!roads)
    return roads.error();
  Choices either;
  for (const Evaluated &road : *roads) {
    Result<const Json *> rest = unevaluatedRest(a, road);
    if (!rest)
      return rest.error();
    if (Status ok = charge(a.schema, road.size()); !ok) // and for the text of the rest
      return ok;
    Assertions all = road.assertions;
    all.push_back({*rest, K::Whole, a.holds});
    // Where another keyword does not hold, that is another way not to hold.
    if (!a.holds) {
      Result<std::vector<Keyword>> others = document.keywords(a.schema);
      if (!others)
        return others.error();
      for (Keyword keyword : *others)
        if (keyword != a.keyword)
          all.push_back({a.schema, keyword, true});
    }
    either.push_back(std::move(all));
  }
  choices.push_back(std::move(either));
  return Done{};
}

} // namespace stepdown::grammar
