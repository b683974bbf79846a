// What an answer is to look like, in one of four notations, and what became of it.
#pragma once
#include "lib/Grammar/Rules.h"
#include <memory>
#include <string>
#include <vector>

namespace stepdown::grammar {

enum class Notation : uint8_t {
  Gbnf,       ///< Gbnf.h
  JsonSchema, ///< Schema/Schema.h
  Regex,      ///< Regex.h; the whole text matches
  Choices,    ///< texts with commas between, one of which is the answer; \, is a comma in a text, \\ a backslash
};

/// Texts have at most 16 MiB. E13xx.
Result<std::shared_ptr<const Network>> compileConstraint(Notation notation, const std::string &text);

/// A rule of a text in GBNF that is a JSON Schema.
struct SchemaRule {
  std::string name, schema;
  std::string where; ///< what messages call the schema
};
/// `gbnf`, which may use the rules `schemas`. E13xx.
Result<std::shared_ptr<const Network>> compileGbnf(const std::string &gbnf, const std::vector<SchemaRule> &schemas);

} // namespace stepdown::grammar
