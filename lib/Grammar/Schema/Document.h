// A JSON Schema as it was written: its parts, what they are called, and where references lead.
#pragma once
#include "lib/Base/Result.h"
#include <deque>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

namespace stepdown::grammar {

using Json = nlohmann::ordered_json; // properties keep their order

/// Keywords that assert something, those that only mean something together as one.
enum class Keyword : uint8_t {
  Whole, ///< no keyword: the schema
  Ref,
  Type,
  Enum,    ///< const too
  Scalars, ///< what Enum says of numbers, strings, booleans and null
  MultipleOf,
  Maximum,
  ExclusiveMaximum,
  Minimum,
  ExclusiveMinimum,
  MaxLength,
  MinLength,
  Pattern,
  Items,    ///< prefixItems, items
  Contains, ///< contains, minContains, maxContains
  MaxItems,
  MinItems,
  UniqueItems,
  Properties, ///< properties, patternProperties, additionalProperties
  PropertyNames,
  MaxProperties,
  MinProperties,
  Required,
  DependentRequired,
  DependentSchemas,
  AllOf,
  AnyOf,
  OneOf,
  Not,
  If, ///< if, then, else
  UnevaluatedItems,
  UnevaluatedProperties,
};

class SchemaDocument {
public:
  /// E1306; E1310, for numbers too that a double does not hold; E1311 for a draft that is not 2020-12.
  static Result<SchemaDocument> parse(const std::string &text);

  const Json &root() const { return *document; }
  /// A part that the program wrote, which lives as long as the document; what it says of references is said at `at`.
  const Json *keep(Json schema, const Json *at = nullptr);
  /// "#/properties/name", of parts of the document.
  std::string where(const Json *schema) const;
  /// The keywords that assert something, in the order of `Keyword`, of an object that was never looked at or that was.
  /// E1310, E1311, E1314.
  Result<std::vector<Keyword>> keywords(const Json *schema);
  /// Where its $ref leads: E1312.
  Result<const Json *> target(const Json *schema);
  /// Parts that assert something of the same place in an instance as `schema`, references among them.
  Result<std::vector<const Json *>> inPlace(const Json *schema);

private:
  Result<const Json *> find(const Json *schema);
  Status visit(const Json &schema, const std::string &path, std::string base);
  Status checkValue(const Json *schema, const std::string &name, const Json &value) const;
  Status checkBounds(const Json *schema) const;
  Error malformed(const Json *schema, const std::string &name, const char *expected) const;

  std::unique_ptr<Json> document;
  std::deque<Json> made;
  std::map<const Json *, std::string> paths, bases; ///< of schemas
  std::map<std::string, const Json *> resources, anchors;
  std::map<const Json *, std::vector<Keyword>> checked;
  std::map<const Json *, const Json *> targets;
  size_t lookedAt = 0;
};

/// Refuses brackets that are too deep and numbers that a double does not hold (E1310), and too many members (E1306).
Status checkShape(const std::string &text);
/// `reference` as seen from `base` (RFC 3986, section 5.2), without normalising anything but the path.
std::string resolveUri(const std::string &base, const std::string &reference);

} // namespace stepdown::grammar
