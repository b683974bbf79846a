#include "lib/Grammar/Schema/Document.h"

#include "lib/Grammar/Schema/Numbers.h"
#include <algorithm>
#include <cmath>

namespace stepdown::grammar {
namespace {

constexpr size_t maxLookedAt = size_t(1) << 26; ///< bytes of all paths, members on the way of all references
constexpr const char *draft = "https://json-schema.org/draft/2020-12/schema";

enum class Holds : uint8_t { Schema, Schemas, NamedSchemas, Other };

struct KeywordRow {
  const char *name;
  Keyword keyword; ///< Whole: it asserts nothing
  Holds holds;     ///< which parts of it are schemas
  bool samePlace;  ///< and speak of the place that the schema does
};
using K = Keyword;
const KeywordRow rows[] = {
    {"$ref", K::Ref, Holds::Other, false},
    {"type", K::Type, Holds::Other, false},
    {"const", K::Enum, Holds::Other, false},
    {"enum", K::Enum, Holds::Other, false},
    {"multipleOf", K::MultipleOf, Holds::Other, false},
    {"maximum", K::Maximum, Holds::Other, false},
    {"exclusiveMaximum", K::ExclusiveMaximum, Holds::Other, false},
    {"minimum", K::Minimum, Holds::Other, false},
    {"exclusiveMinimum", K::ExclusiveMinimum, Holds::Other, false},
    {"maxLength", K::MaxLength, Holds::Other, false},
    {"minLength", K::MinLength, Holds::Other, false},
    {"pattern", K::Pattern, Holds::Other, false},
    {"prefixItems", K::Items, Holds::Schemas, false},
    {"items", K::Items, Holds::Schema, false},
    {"contains", K::Contains, Holds::Schema, false},
    {"minContains", K::Whole, Holds::Other, false},
    {"maxContains", K::Whole, Holds::Other, false},
    {"maxItems", K::MaxItems, Holds::Other, false},
    {"minItems", K::MinItems, Holds::Other, false},
    {"uniqueItems", K::UniqueItems, Holds::Other, false},
    {"properties", K::Properties, Holds::NamedSchemas, false},
    {"patternProperties", K::Properties, Holds::NamedSchemas, false},
    {"additionalProperties", K::Properties, Holds::Schema, false},
    {"propertyNames", K::PropertyNames, Holds::Schema, false},
    {"maxProperties", K::MaxProperties, Holds::Other, false},
    {"minProperties", K::MinProperties, Holds::Other, false},
    {"required", K::Required, Holds::Other, false},
    {"dependentRequired", K::DependentRequired, Holds::Other, false},
    {"dependentSchemas", K::DependentSchemas, Holds::NamedSchemas, true},
    {"allOf", K::AllOf, Holds::Schemas, true},
    {"anyOf", K::AnyOf, Holds::Schemas, true},
    {"oneOf", K::OneOf, Holds::Schemas, true},
    {"not", K::Not, Holds::Schema, true},
    {"if", K::If, Holds::Schema, true},
    {"then", K::Whole, Holds::Schema, true},
    {"else", K::Whole, Holds::Schema, true},
    {"unevaluatedItems", K::UnevaluatedItems, Holds::Schema, false},
    {"unevaluatedProperties", K::UnevaluatedProperties, Holds::Schema, false},
    // Identifiers and containers.
    {"$id", K::Whole, Holds::Other, false},
    {"$anchor", K::Whole, Holds::Other, false},
    {"$dynamicAnchor", K::Whole, Holds::Other, false},
    {"$schema", K::Whole, Holds::Other, false},
    {"$comment", K::Whole, Holds::Other, false},
    {"$defs", K::Whole, Holds::NamedSchemas, false},
    {"definitions", K::Whole, Holds::NamedSchemas, false},
    // What the draft calls annotations.
    {"title", K::Whole, Holds::Other, false},
    {"description", K::Whole, Holds::Other, false},
    {"default", K::Whole, Holds::Other, false},
    {"examples", K::Whole, Holds::Other, false},
    {"deprecated", K::Whole, Holds::Other, false},
    {"readOnly", K::Whole, Holds::Other, false},
    {"writeOnly", K::Whole, Holds::Other, false},
    {"format", K::Whole, Holds::Other, false},
    {"contentEncoding", K::Whole, Holds::Other, false},
    {"contentMediaType", K::Whole, Holds::Other, false},
    {"contentSchema", K::Whole, Holds::Other, false},
};

const KeywordRow *rowOf(const std::string &name) {
  for (const KeywordRow &row : rows)
    if (name == row.name)
      return &row;
  return nullptr;
}

std::string escapedPointer(std::string name) {
  for (size_t i = 0; i < name.size(); ++i)
    if (name[i] == '~' || name[i] == '/') {
      name.insert(i + 1, name[i] == '~' ? "0" : "1");
      name[i++] = '~';
    }
  return name;
}

/// %41 as what it stands for.
std::string unescapedUri(const std::string &text) {
  std::string out;
  auto digit = [](char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
  };
  for (size_t i = 0; i < text.size(); ++i)
    if (text[i] == '%' && i + 2 < text.size() + 0 && digit(text[i + 1]) >= 0 && digit(text[i + 2]) >= 0) {
      out += static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2]));
      i += 2;
    } else {
      out += text[i];
    }
  return out;
}

bool isSchema(const Json &value) { return value.is_object() || value.is_boolean(); }

} // namespace

std::string resolveUri(const std::string &base, const std::string &reference) {
  auto schemeOf = [](const std::string &uri) {
    const size_t colon = uri.find_first_of(":/?#");
    return colon != uri.npos && uri[colon] == ':' ? colon + 1 : size_t(0);
  };
  if (schemeOf(reference) || base.empty())
    return reference;
  const std::string stem = base.substr(0, base.find('#'));
  if (reference.empty() || reference[0] == '#')
    return stem + reference;
  const size_t scheme = schemeOf(stem);
  if (reference.compare(0, 2, "//") == 0)
    return stem.substr(0, scheme) + reference;
  size_t path = scheme; // where the path begins
  if (stem.compare(scheme, 2, "//") == 0)
    path = std::min(stem.find('/', scheme + 2), stem.size());
  std::string merged = reference[0] == '/'
                           ? reference
                           : stem.substr(path, stem.rfind('/') + 1 - std::min(path, stem.rfind('/') + 1)) + reference;
  if (merged.empty() || merged[0] != '/')
    merged = "/" + merged;
  // Segments "." and "..".
  const size_t tail = std::min(merged.find_first_of("?#"), merged.size());
  std::vector<std::string> segments;
  bool folder = false;
  for (size_t at = 1; at <= tail;) {
    const size_t end = std::min(merged.find('/', at), tail);
    const std::string segment = merged.substr(at, end - at);
    folder = segment == "." || segment == "..";
    if (segment == ".." && !segments.empty())
      segments.pop_back();
    else if (!folder)
      segments.push_back(segment);
    at = end + 1;
  }
  std::string out = stem.substr(0, path);
  for (const std::string &segment : segments)
    out += "/" + segment;
  return out + (folder ? "/" : "") + merged.substr(tail);
}

Result<SchemaDocument> SchemaDocument::parse(const std::string &text) {
  if (Status ok = checkShape(text); !ok)
    return ok.error();
  SchemaDocument schema;
  try {
    schema.document = std::make_unique<Json>(Json::parse(text));
  } catch (const Json::exception &problem) {
    std::string why = problem.what();
    if (size_t at = why.find("] "); at != why.npos)
      why = why.substr(at + 2, 160);
    return fail(ErrorCode::SchemaSyntax, "schema: expects JSON, but: %s", why.c_str());
  }
  if (!isSchema(*schema.document))
    return fail(ErrorCode::SchemaSyntax, "schema: expects an object, true or false, but got an %s",
                schema.document->type_name());
  if (Status ok = schema.visit(*schema.document, "#", ""); !ok)
    return ok.error();
  return schema;
}

const Json *SchemaDocument::keep(Json schema, const Json *at) {
  made.push_back(std::move(schema));
  if (at)
    (void)static_cast<bool>(visit(made.back(), where(at), bases.count(at) ? bases.at(at) : bases.at(document.get())));
  return &made.back();
}

std::string SchemaDocument::where(const Json *schema) const {
  const auto at = paths.find(schema);
  return at == paths.end() ? "#" : at->second;
}

/// Notes all schemas below one, by the places in which the draft has them.
Status SchemaDocument::visit(const Json &schema, const std::string &path, std::string base) {
  lookedAt += path.size() + base.size();
  if (lookedAt > maxLookedAt)
    return fail(ErrorCode::GrammarTooLarge, "schema: expects places of at most %zu bytes in all, but needs more",
                maxLookedAt);
  paths[&schema] = path;
  if (!schema.is_object()) {
    bases[&schema] = base;
    return isSchema(schema)
               ? Status(Done{})
               : fail(ErrorCode::SchemaSyntax, "schema: %s: expects an object, true or false, but got an %s",
                      path.c_str(), schema.type_name());
  }
  if (auto id = schema.find("$id"); id != schema.end() && id->is_string()) {
    base = resolveUri(base, id->get<std::string>());
    base = base.substr(0, base.find('#'));
    resources.emplace(base, &schema);
  }
  if (path == "#")
    resources.emplace(base, &schema);
  bases[&schema] = base;
  for (const char *name : {"$anchor", "$dynamicAnchor"})
    if (auto anchor = schema.find(name); anchor != schema.end() && anchor->is_string())
      anchors.emplace(base + "#" + anchor->get<std::string>(), &schema);
  for (const auto &[name, value] : schema.items()) {
    const KeywordRow *row = rowOf(name);
    const std::string below = path + "/" + escapedPointer(name);
    Status ok = Done{};
    if (!row || row->holds == Holds::Other)
      continue;
    if (row->holds == Holds::Schema) {
      ok = isSchema(value) ? visit(value, below, base) : malformed(&schema, name, "a schema");
    } else if (row->holds == Holds::Schemas) {
      if (!value.is_array())
        return malformed(&schema, name, "an array of schemas");
      for (size_t i = 0; i < value.size() && ok; ++i)
        ok = visit(value[i], below + "/" + std::to_string(i), base);
    } else {
      if (!value.is_object())
        return malformed(&schema, name, "an object of schemas");
      for (const auto &[key, part] : value.items())
        if (ok)
          ok = visit(part, below + "/" + escapedPointer(key), base);
    }
    if (!ok)
      return ok;
  }
  return Done{};
}

Error SchemaDocument::malformed(const Json *schema, const std::string &name, const char *expected) const {
  return fail(ErrorCode::SchemaSyntax, "schema: %s: %s: expects %s", where(schema).c_str(), name.substr(0, 100).c_str(),
              expected);
}

static bool isCount(const Json &value) {
  if (value.is_number_integer())
    return value.is_number_unsigned() || value.get<int64_t>() >= 0;
  return value.is_number() && value.get<double>() >= 0 && value.get<double>() < 1e15 &&
         std::floor(value.get<double>()) == value.get<double>();
}

static bool areTexts(const Json &value) {
  std::set<std::string> seen;
  return value.is_array() && std::all_of(value.begin(), value.end(), [&](const Json &each) {
           return each.is_string() && seen.insert(each.get<std::string>()).second;
         });
}

Status SchemaDocument::checkValue(const Json *schema, const std::string &name, const Json &value) const {
  const KeywordRow *row = rowOf(name);
  if (!row)
    return fail(ErrorCode::SchemaKeyword, "schema: %s: the keyword %s is not supported", where(schema).c_str(),
                name.substr(0, 100).c_str());
  auto wrong = [&](const char *expected) { return Status(malformed(schema, name, expected)); };
  static const std::set<std::string> types = {"null", "boolean", "number", "integer", "string", "array", "object"};
  switch (row->keyword) {
  case K::Ref:
    return value.is_string() ? Status(Done{}) : wrong("a string");
  case K::Type: {
    const bool good = value.is_string() ? types.count(value.get<std::string>()) > 0
                                        : areTexts(value) && !value.empty() &&
                                              std::all_of(value.begin(), value.end(), [](const Json &each) {
                                                return types.count(each.get<std::string>()) > 0;
                                              });
    return good ? Status(Done{}) : wrong("a type such as string, or an array of different ones");
  }
  case K::Enum:
    return name == "const" || value.is_array() ? Status(Done{}) : wrong("an array");
  case K::MultipleOf:
    return value.is_number() && value.get<double>() > 0 ? Status(Done{}) : wrong("a number above 0");
  case K::Maximum:
  case K::ExclusiveMaximum:
  case K::Minimum:
  case K::ExclusiveMinimum:
    return value.is_number() ? Status(Done{}) : wrong("a number");
  case K::MaxLength:
  case K::MinLength:
  case K::MaxItems:
  case K::MinItems:
  case K::MaxProperties:
  case K::MinProperties:
    return isCount(value) ? Status(Done{}) : wrong("a whole number that is not negative");
  case K::Pattern:
    return value.is_string() ? Status(Done{}) : wrong("a regular expression");
  case K::UniqueItems:
    return value.is_boolean() ? Status(Done{}) : wrong("true or false");
  case K::Required:
    return areTexts(value) ? Status(Done{}) : wrong("an array of different strings");
  case K::DependentRequired:
    return value.is_object() && std::all_of(value.begin(), value.end(), [](const Json &each) { return areTexts(each); })
               ? Status(Done{})
               : wrong("an object of arrays of different strings");
  case K::AllOf:
  case K::AnyOf:
  case K::OneOf:
    return value.is_array() && !value.empty() ? Status(Done{}) : wrong("an array that is not empty");
  case K::Whole:
    if ((name == "minContains" || name == "maxContains") && !isCount(value))
      return wrong("a whole number that is not negative");
    if (name == "$schema" && (!value.is_string() || (value.get<std::string>() != draft &&
                                                     value.get<std::string>() != std::string(draft) + "#")))
      return fail(ErrorCode::SchemaKeyword,
                  "schema: %s: $schema: expects %s, but got %.100s; other drafts are not supported",
                  where(schema).c_str(), draft, value.dump(-1, ' ', true, Json::error_handler_t::replace).c_str());
    return Done{};
  default:
    return Done{};
  }
}

/// What nobody means: a lower bound above the upper one.
Status SchemaDocument::checkBounds(const Json *schema) const {
  static constexpr const char *bounds[][2] = {{"minimum", "maximum"},
                                              {"exclusiveMinimum", "exclusiveMaximum"},
                                              {"minimum", "exclusiveMaximum"},
                                              {"exclusiveMinimum", "maximum"},
                                              {"minLength", "maxLength"},
                                              {"minItems", "maxItems"},
                                              {"minProperties", "maxProperties"}};
  for (auto [low, high] : bounds) {
    const auto least = schema->find(low), most = schema->find(high);
    if (least == schema->end() || most == schema->end())
      continue;
    Result<Decimal> a = Decimal::parse(least->dump()), b = Decimal::parse(most->dump());
    if (!a || !b)
      return a ? b.error() : a.error();
    if (*b < *a)
      return fail(ErrorCode::SchemaContradiction, "schema: %s: expects %s of at most %s, but got %s and %s",
                  where(schema).c_str(), low, high, least->dump().c_str(), most->dump().c_str());
  }
  return Done{};
}

Result<std::vector<Keyword>> SchemaDocument::keywords(const Json *schema) {
  if (auto at = checked.find(schema); at != checked.end())
    return at->second;
  std::set<Keyword> found;
  for (const auto &[name, value] : schema->items()) {
    if (Status ok = checkValue(schema, name, value); !ok)
      return ok.error();
    found.insert(rowOf(name)->keyword);
  }
  if (Status ok = checkBounds(schema); !ok)
    return ok.error();
  found.erase(K::Whole);
  if (!schema->contains("then") && !schema->contains("else"))
    found.erase(K::If);
  return checked[schema] = {found.begin(), found.end()};
}

Result<const Json *> SchemaDocument::target(const Json *schema) {
  if (auto at = targets.find(schema); at != targets.end())
    return at->second;
  Result<const Json *> to = find(schema);
  if (to)
    targets[schema] = *to;
  return to;
}

Result<const Json *> SchemaDocument::find(const Json *schema) {
  const std::string reference = (*schema)["$ref"].get<std::string>();
  const auto base = bases.find(schema);
  const std::string uri = resolveUri(base == bases.end() ? bases.at(document.get()) : base->second, reference);
  const size_t hash = std::min(uri.find('#'), uri.size());
  const std::string fragment = hash < uri.size() ? unescapedUri(uri.substr(hash + 1)) : "";
  const auto nowhere = [&] {
    return fail(ErrorCode::SchemaReference, "schema: %s: $ref: expects a part of this document, but got %.200s",
                where(schema).c_str(), reference.c_str());
  };
  const auto resource = resources.find(uri.substr(0, hash));
  if (!fragment.empty() && fragment[0] != '/') {
    const auto anchor = anchors.find(uri.substr(0, hash) + "#" + fragment);
    return anchor == anchors.end() ? Result<const Json *>(nowhere()) : anchor->second;
  }
  if (resource == resources.end())
    return nowhere();
  const Json *at = resource->second;
  for (size_t begin = 1; !fragment.empty() && begin <= fragment.size();) {
    const size_t end = std::min(fragment.find('/', begin), fragment.size());
    std::string name = fragment.substr(begin, end - begin);
    begin = end + 1;
    lookedAt += at->is_object() ? at->size() : 0;
    if (lookedAt > maxLookedAt)
      return fail(ErrorCode::GrammarTooLarge,
                  "schema: expects references past at most %zu members in all, but needs more", maxLookedAt);
    for (size_t i = 0; (i = name.find('~', i)) != name.npos; ++i)
      if (i + 1 < name.size())
        name.replace(i, 2, name[i + 1] == '1' ? "/" : "~");
    if (at->is_object() && at->contains(name)) {
      at = &(*at)[name];
    } else if (at->is_array() && !name.empty() && name.size() < 8 &&
               std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; }) &&
               std::stoul(name) < at->size()) {
      at = &(*at)[std::stoul(name)];
    } else {
      return nowhere();
    }
  }
  if (!paths.count(at)) // in the value of a keyword that holds no schemas
    return nowhere();
  return at;
}

Result<std::vector<const Json *>> SchemaDocument::inPlace(const Json *schema) {
  std::vector<const Json *> parts;
  if (!schema->is_object())
    return parts;
  for (const auto &[name, value] : schema->items()) {
    const KeywordRow *row = rowOf(name);
    if (!row)
      continue;
    if (row->keyword == K::Ref && value.is_string()) {
      Result<const Json *> to = target(schema);
      if (!to)
        return to.error();
      parts.push_back(*to);
    }
    if (!row->samePlace)
      continue;
    if (row->holds == Holds::Schema)
      parts.push_back(&value);
    else
      for (const Json &part : value)
        parts.push_back(&part);
  }
  return parts;
}

} // namespace stepdown::grammar
