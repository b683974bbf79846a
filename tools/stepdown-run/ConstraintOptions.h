// What an answer has to be: --grammar, --json-schema, --regex and --choices, and the same fields of a request.
#pragma once
#include "lib/CommandLine/CommandLine.h"
#include "lib/Grammar/Constraint.h"
#include "runtime/Grammar/Constraint.h"
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <vector>

namespace stepdown::run {

/// One option for each notation, that of GBNF with `grammarName`.
std::vector<commandline::Option> constraintOptions(const char *grammarName = "grammar");
/// The constraint of a command line, or null; E0905 for two, E09xx, E13xx.
Result<std::shared_ptr<const grammar::Network>> readConstraint(const commandline::Arguments &arguments,
                                                               const char *grammarName = "grammar");
/// Whether "json_schema" and the like is a field that means a constraint.
std::optional<grammar::Notation> constraintField(const std::string &name);
/// The text of such a field: a string, of a schema an object too, of choices an array of strings. None for another.
std::optional<std::string> constraintText(grammar::Notation notation, const nlohmann::json &value);

/// The constraints of one model's requests: those of one grammar share its masks.
class Constraints {
public:
  /// `columns`: of a row of logits. The tokenizer must outlive it.
  Constraints(const Tokenizer &tokenizer, int32_t columns) : tokenizer(tokenizer), columns(columns) {}
  /// Null for null.
  std::shared_ptr<Constraint> of(const std::shared_ptr<const grammar::Network> &grammar);

private:
  const Tokenizer &tokenizer;
  const int32_t columns;
  std::shared_ptr<const ConstraintVocabulary> vocabulary; ///< made when it is first needed
  std::map<std::shared_ptr<const grammar::Network>, std::shared_ptr<Constraint>> made;
};

} // namespace stepdown::run
