// From "these schemas hold here, and those do not" to branches, one of which an instance has to take: in each, what a
// number and a string may be as languages, and what is asserted of an array and an object.
#pragma once
#include "lib/Grammar/Automaton.h"
#include "lib/Grammar/Schema/Document.h"
#include "lib/Grammar/Schema/Schema.h"
#include <memory>
#include <tuple>

namespace stepdown::grammar {

/// That a schema, or one of its keywords, holds for an instance, or does not.
struct Assertion {
  const Json *schema;
  Keyword keyword = Keyword::Whole;
  bool holds = true;
  int64_t low = 0, high = -1; ///< of Contains: how many elements; -1: any number

  auto key() const { return std::tie(schema, keyword, holds, low, high); }
  bool operator<(const Assertion &other) const { return key() < other.key(); }
  bool operator==(const Assertion &other) const { return key() == other.key(); }
};
using Assertions = std::vector<Assertion>;
/// One of which applies.
using Choices = std::vector<Assertions>;

/// What an instance may be, as bits.
enum Kind : uint8_t { Null = 1, True = 2, False = 4, Number = 8, String = 16, Array = 32, Object = 64, AnyKind = 127 };

using Language = std::shared_ptr<const Dfa>; ///< null: all numbers, all texts

struct Branch {
  uint8_t kinds = AnyKind;
  Language number, string;
  Assertions array, object; ///< of keywords about them
  std::set<Assertion> seen;
};

class Branches {
public:
  Branches(SchemaDocument &document, const SchemaWork &before)
      : document(document), work(before.copied), steps(before.steps) {}
  SchemaWork spent() const { return {work, steps}; }
  /// The branches of `assertions`; none where they contradict each other. E13xx.
  Result<std::vector<Branch>> of(const Assertions &assertions);

  /// Counts what a whole schema costs, in assertions that are copied: E1306 where it is too much.
  Status charge(const Json *at, size_t units);
  /// combined(), counted too.
  Result<Dfa> combine(const Dfa &a, const Dfa &b, Combine how) { return combined(a, b, how, steps); }
  Result<Dfa> deterministic(const Nfa &nfa) { return determinise(nfa, steps); }
  /// The language of a `pattern`.
  Result<Language> pattern(const std::string &text);
  /// The strings for which `schema` holds.
  Result<Language> strings(const Json *schema);
  /// A schema that the program wrote; the same one for the same text, and where its references are said at `at`.
  const Json *schema(Json written, const Json *at = nullptr);

private:
  struct Evaluated;
  struct Scalars {
    uint8_t kinds = 0;
    Language number, string;
    std::vector<const Json *> structures; ///< arrays and objects, as schemas
  };
  /// Choices that a branch still has to take, from the last on, as a list that shares its tail with others.
  struct Open {
    Choices choices;
    int32_t below; ///< of `open`; -1: none
  };
  /// A branch on its way: assertions that were not looked at, and choices.
  struct Road {
    Branch branch;
    Assertions pending;
    int32_t choices; ///< of `open`; -1: none
  };
  Result<bool> settle(Road &road, std::vector<Open> &open);
  Status apply(const Assertion &a, Branch &branch, Assertions &pending, std::vector<Choices> &choices);
  Status applyWhole(const Assertion &a, Branch &branch, Assertions &pending, std::vector<Choices> &choices);
  Status applyCombination(const Assertion &a, Assertions &pending, std::vector<Choices> &choices);
  Status applyDependent(const Assertion &a, Assertions &pending, std::vector<Choices> &choices);
  Status applyType(const Assertion &a, Branch &branch);
  Status applyEnum(const Assertion &a, Branch &branch, Assertions &pending, std::vector<Choices> &choices);
  Status applyUnevaluated(const Assertion &a, std::vector<Choices> &choices);
  Result<std::vector<Evaluated>> evaluatedBy(const Json *schema, bool isRoot);
  Result<const Json *> unevaluatedRest(const Assertion &a, const Evaluated &by);
  Status applyArray(const Assertion &a, Branch &branch, std::vector<Choices> &choices);
  Status applyObject(const Assertion &a, Branch &branch, std::vector<Choices> &choices);
  Status narrow(Language &language, const Dfa &base, const Dfa &by, bool holds);
  Result<Language> languageOf(const Assertion &a);
  Result<const Scalars *> scalarsOf(const Json *schema);
  const Json *exactly(const Json &value);
  Status refuseLoops(const Json *schema);

  SchemaDocument &document;
  std::map<std::pair<const Json *, Keyword>, Language> languages;
  std::map<std::string, Language> patterns;
  std::map<const Json *, Scalars> scalars;
  std::map<const Json *, const Json *> exact;
  std::map<std::pair<std::string, const Json *>, const Json *> written;
  std::map<const Json *, int> visited; ///< by refuseLoops: 1 on the way, 2 done
  size_t work, steps;                  ///< see charge() and determinise(): of all schemas of the constraint
  int depth = 0;                       ///< of evaluatedBy() in itself
};

} // namespace stepdown::grammar
