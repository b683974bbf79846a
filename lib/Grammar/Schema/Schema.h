// JSON Schema, draft 2020-12, as a grammar over the bytes of JSON texts: docs/constrained.md says which keywords, and
// in which form instances are written.
//
// How: a place in a text has to satisfy a set of assertions, "this schema holds" or "this schema does not hold". The
// set is brought into a disjunction of branches by following $ref, allOf, anyOf, oneOf, not, if and the like; what
// is left in a branch speaks of one type each. What is said of numbers and strings are regular languages, which have
// intersections and complements (Numbers.h, Automaton.h). What is said of arrays and objects becomes an automaton that
// reads elements and members, whose values again have to satisfy sets of assertions: one rule of the grammar for each
// set (Containers.cpp). There are finitely many sets, so that recursive schemas need nothing more.
#pragma once
#include "lib/Grammar/Rules.h"

namespace stepdown::grammar {

/// What schemas of one constraint cost, which is bounded.
struct SchemaWork {
  size_t copied = 0; ///< assertions
  size_t steps = 0;  ///< of automata, see determinise()
};

/// E1305 to E1308, E1310 to E1314, naming the place in the schema. `spent` is what others of the same constraint cost,
/// and grows.
Result<Grammar> readSchema(const std::string &text, SchemaWork *spent = nullptr);

} // namespace stepdown::grammar
