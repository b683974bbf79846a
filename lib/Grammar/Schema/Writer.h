// Writes the rules of a schema's grammar: one for each set of assertions that a value has to satisfy, one for each
// language of strings and of numbers.
#pragma once
#include "lib/Grammar/Rules.h"
#include "lib/Grammar/Schema/Branches.h"

namespace stepdown::grammar {

class SchemaWriter {
public:
  SchemaWriter(SchemaDocument document, const SchemaWork &before)
      : document(std::move(document)), branches(this->document, before) {}
  Result<Grammar> write();
  SchemaWork spent() const { return branches.spent(); }

private:
  /// The rule of a value that satisfies `assertions`; written later.
  int32_t ruleOf(Assertions assertions);
  int32_t stringRule(const Language &language);
  Result<int32_t> numberRule(const Language &language);
  int32_t blankRule();
  Status writeValue(const Assertions &assertions, int32_t rule);
  // Arrays.cpp, Objects.cpp: the text of an array, or an object, for which `assertions` hold.
  Status writeArray(Nfa &nfa, const Assertions &assertions);
  Status writeObject(Nfa &nfa, const Assertions &assertions);
  static void call(Nfa &nfa, int32_t from, int32_t rule, int32_t to) {
    nfa.edge(from, {symbolOf(rule), symbolOf(rule)}, to);
  }

  SchemaDocument document;
  Branches branches;
  Grammar grammar;
  std::map<Assertions, int32_t> values;
  std::map<std::string, int32_t> strings, numbers; ///< by the keys of their languages
  std::vector<std::pair<Assertions, int32_t>> unwritten;
  int32_t blanks = -1;
  size_t total = 0; ///< states of all rules
};

/// The number of a keyword that counts; the largest where it is larger than any count here.
int64_t countOf(const Json &schema, const char *name);

} // namespace stepdown::grammar
