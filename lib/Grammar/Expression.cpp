#include "lib/Grammar/Expression.h"

namespace stepdown::grammar {

static Status addRepeat(Nfa &nfa, const Expression &expression, int32_t from, int32_t to, bool points) {
  const Expression &part = expression.parts[0];
  for (uint32_t i = 0; i < expression.least; ++i) {
    const int32_t next = nfa.add();
    if (Status ok = addExpression(nfa, part, from, next, points); !ok)
      return ok;
    from = next;
  }
  if (expression.most == Expression::unbounded) {
    const int32_t loop = nfa.add(), back = nfa.add();
    nfa.empty(from, loop);
    nfa.empty(loop, to);
    nfa.empty(back, loop);
    return addExpression(nfa, part, loop, back, points);
  }
  nfa.empty(from, to);
  for (uint32_t i = expression.least; i < expression.most; ++i) {
    const int32_t begin = nfa.add(), next = nfa.add();
    nfa.empty(from, begin); // so that no loop of the part leads back into what is optional
    if (Status ok = addExpression(nfa, part, begin, next, points); !ok)
      return ok;
    nfa.empty(next, to);
    from = next;
  }
  return Done{};
}

Status addExpression(Nfa &nfa, const Expression &expression, int32_t from, int32_t to, bool points) {
  if (Status ok = nfa.checkSize(); !ok)
    return ok;
  switch (expression.kind) {
  case Expression::Kind::Characters:
    if (points) {
      for (Range range : expression.ranges)
        nfa.edge(from, range, to);
      return Done{};
    }
    Speller(nfa, Spelling::Utf8).characters(from, expression.ranges, to);
    return Done{};
  case Expression::Kind::Sequence: {
    for (size_t i = 0; i < expression.parts.size(); ++i) {
      const int32_t next = i + 1 < expression.parts.size() ? nfa.add() : to;
      if (Status ok = addExpression(nfa, expression.parts[i], from, next, points); !ok)
        return ok;
      from = next;
    }
    if (expression.parts.empty())
      nfa.empty(from, to);
    return Done{};
  }
  case Expression::Kind::Either:
    for (const Expression &part : expression.parts) {
      const int32_t begin = nfa.add();
      nfa.empty(from, begin);
      if (Status ok = addExpression(nfa, part, begin, to, points); !ok)
        return ok;
    }
    return Done{};
  case Expression::Kind::Repeat:
    return addRepeat(nfa, expression, from, to, points);
  case Expression::Kind::Rule:
    nfa.edge(from, {symbolOf(expression.rule), symbolOf(expression.rule)}, to);
    return Done{};
  case Expression::Kind::Begin:
    nfa.states[from].atBegin.push_back(to);
    return Done{};
  case Expression::Kind::End:
    nfa.states[from].atEnd.push_back(to);
    return Done{};
  }
  return Done{};
}

} // namespace stepdown::grammar
