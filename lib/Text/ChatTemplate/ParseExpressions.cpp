// Expressions.
#include "lib/Text/ChatTemplate/Parser.h"
#include <charconv>
#include <cstdlib>

namespace stepdown::jinja {

/// An expression, or several with commas between: a tuple. It may end in a comma.
ExpressionPtr Parser::tupleOrExpression(bool withConditional, const char *endName, bool parenthesised) {
  int line = peek().line;
  Vector<ExpressionPtr> items;
  bool tuple = false;
  while (true) {
    if (!items.empty())
      expectOperator(",");
    const Token &t = peek();
    if (t.kind == TokenKind::OutputEnd || t.kind == TokenKind::BlockEnd || isOperator(")") ||
        (endName && isName(endName)))
      break;
    items.push_back(expression(withConditional));
    if (!isOperator(","))
      break;
    tuple = true;
  }
  if (!tuple && !items.empty())
    return std::move(items[0]);
  if (!tuple && !parenthesised)
    syntax(peek().line, "expects an expression, but got " + describe(peek()));
  ExpressionPtr e = node(ExpressionKind::Tuple, line);
  for (ExpressionPtr &item : items) {
    deepen(*e, item);
    e->children.push_back(std::move(item));
  }
  return e;
}

ExpressionPtr Parser::expression(bool withConditional) {
  Depth guard(*this);
  return withConditional ? conditional() : disjunction();
}

ExpressionPtr Parser::conditional() {
  size_t mark = unknown.size();
  int line = peek().line;
  ExpressionPtr e = disjunction();
  while (skipName("if")) {
    ExpressionPtr condition = disjunction();
    ExpressionPtr otherwise;
    if (skipName("else")) {
      Depth guard(*this);
      otherwise = conditional();
    }
    ExpressionPtr whole = node(ExpressionKind::Conditional, line, std::move(condition), std::move(e));
    deepen(*whole, otherwise);
    whole->children.push_back(std::move(otherwise));
    e = std::move(whole);
    unknown.resize(mark);
  }
  return e;
}

ExpressionPtr Parser::disjunction() {
  ExpressionPtr e = conjunction();
  for (int line = peek().line; skipName("or"); line = peek().line)
    e = node(ExpressionKind::Or, line, std::move(e), conjunction());
  return e;
}

ExpressionPtr Parser::conjunction() {
  ExpressionPtr e = negation();
  for (int line = peek().line; skipName("and"); line = peek().line)
    e = node(ExpressionKind::And, line, std::move(e), negation());
  return e;
}

ExpressionPtr Parser::negation() {
  int line = peek().line;
  if (!skipName("not"))
    return comparison();
  Depth guard(*this);
  return node(ExpressionKind::Not, line, negation());
}

ExpressionPtr Parser::comparison() {
  static const std::pair<const char *, Comparison> operators[] = {
      {"==", Comparison::Equal},     {"!=", Comparison::NotEqual}, {"<", Comparison::Less},
      {"<=", Comparison::LessEqual}, {">", Comparison::Greater},   {">=", Comparison::GreaterEqual}};
  ExpressionPtr e = sum(), whole;
  while (true) {
    int line = peek().line;
    int how = -1;
    for (auto [text, comparison] : operators)
      if (how < 0 && skipOperator(text))
        how = static_cast<int>(comparison);
    if (how < 0 && skipName("in"))
      how = static_cast<int>(Comparison::In);
    if (how < 0 && isName("not") && isName("in", 1)) {
      next();
      next();
      how = static_cast<int>(Comparison::NotIn);
    }
    if (how < 0)
      return whole ? std::move(whole) : std::move(e);
    if (!whole)
      whole = node(ExpressionKind::Compare, line, std::move(e));
    whole->comparisons.push_back(static_cast<Comparison>(how));
    whole->children.push_back(sum());
    deepen(*whole, whole->children.back());
  }
}

ExpressionPtr Parser::sum() {
  ExpressionPtr e = concatenation();
  while (isOperator("+") || isOperator("-")) {
    int line = peek().line;
    Binary op = next().text == "+" ? Binary::Add : Binary::Subtract;
    e = node(ExpressionKind::Binary, line, std::move(e), concatenation());
    e->number = static_cast<int>(op);
  }
  return e;
}

ExpressionPtr Parser::concatenation() {
  ExpressionPtr e = product();
  if (!isOperator("~"))
    return e;
  e = node(ExpressionKind::Concat, peek().line, std::move(e));
  while (skipOperator("~")) {
    e->children.push_back(product());
    deepen(*e, e->children.back());
  }
  return e;
}

ExpressionPtr Parser::product() {
  static const std::pair<const char *, Binary> operators[] = {
      {"*", Binary::Multiply}, {"/", Binary::Divide}, {"//", Binary::FloorDivide}, {"%", Binary::Modulo}};
  ExpressionPtr e = power();
  while (true) {
    int line = peek().line, op = -1;
    for (auto [text, binary] : operators)
      if (op < 0 && skipOperator(text))
        op = static_cast<int>(binary);
    if (op < 0)
      return e;
    e = node(ExpressionKind::Binary, line, std::move(e), power());
    e->number = op;
  }
}

ExpressionPtr Parser::power() {
  ExpressionPtr e = unary();
  for (int line = peek().line; skipOperator("**"); line = peek().line) {
    e = node(ExpressionKind::Binary, line, std::move(e), unary());
    e->number = static_cast<int>(Binary::Power);
  }
  return e;
}

ExpressionPtr Parser::unary(bool withFilter) {
  int line = peek().line;
  ExpressionPtr e;
  if (isOperator("-") || isOperator("+")) {
    Depth guard(*this);
    ExpressionKind kind = next().text == "-" ? ExpressionKind::Negate : ExpressionKind::Positive;
    e = node(kind, line, unary(false));
  } else {
    e = primary();
  }
  e = postfix(std::move(e));
  return withFilter ? filtersAndTests(std::move(e)) : std::move(e);
}

ExpressionPtr Parser::primary() {
  const Token token = peek();
  int line = token.line;
  Literal value;
  switch (token.kind) {
  case TokenKind::Name:
    next();
    if (token.text == "true" || token.text == "True" || token.text == "false" || token.text == "False") {
      value.kind = Kind::Bool;
      value.integer = token.text[0] == 't' || token.text[0] == 'T';
      return literal(value, line);
    }
    if (token.text == "none" || token.text == "None")
      return literal(value, line);
    return name(token.text, line);
  case TokenKind::String:
    value.kind = Kind::String;
    while (peek().kind == TokenKind::String)
      value.text += next().text;
    return literal(value, line);
  case TokenKind::Integer:
    next();
    value.kind = Kind::Integer;
    if (std::from_chars(token.text.data(), token.text.data() + token.text.size(), value.integer).ec != std::errc()) {
      // printed as it is, like a large integer of the context
      value.kind = Kind::Big;
      value.text = token.text;
    }
    return literal(value, line);
  case TokenKind::Float:
    next();
    value.kind = Kind::Float;
    Budget::spend(token.text.size());
    value.real = std::strtod(String(token.text).c_str(), nullptr);
    return literal(value, line);
  default:
    break;
  }
  if (skipOperator("(")) {
    Depth guard(*this);
    ExpressionPtr e = tupleOrExpression(true, nullptr, true);
    expectOperator(")");
    return e;
  }
  if (skipOperator("[")) {
    ExpressionPtr e = node(ExpressionKind::List, line);
    while (!isOperator("]")) {
      if (!e->children.empty())
        expectOperator(",");
      if (isOperator("]"))
        break;
      e->children.push_back(expression());
      deepen(*e, e->children.back());
    }
    expectOperator("]");
    return e;
  }
  if (skipOperator("{")) {
    ExpressionPtr e = node(ExpressionKind::Dict, line);
    while (!isOperator("}")) {
      if (!e->children.empty())
        expectOperator(",");
      if (isOperator("}"))
        break;
      e->children.push_back(expression());
      deepen(*e, e->children.back());
      expectOperator(":");
      e->children.push_back(expression());
      deepen(*e, e->children.back());
    }
    expectOperator("}");
    return e;
  }
  syntax(line, "expects an expression, but got " + describe(token));
}

ExpressionPtr Parser::postfix(ExpressionPtr e) {
  while (true) {
    if (isOperator(".") || isOperator("[")) {
      e = subscript(std::move(e));
    } else if (isOperator("(")) {
      e = node(ExpressionKind::Call, peek().line, std::move(e));
      e->call = callArguments();
    } else {
      return e;
    }
  }
}

ExpressionPtr Parser::subscript(ExpressionPtr e) {
  int line = peek().line;
  if (skipOperator(".")) {
    if (peek().kind == TokenKind::Name) {
      ExpressionPtr attribute = node(ExpressionKind::Attribute, line, std::move(e));
      attribute->text = next().text;
      return attribute;
    }
    if (peek().kind != TokenKind::Integer)
      syntax(line, "expects a name or a number behind '.', but got " + describe(peek()));
    return node(ExpressionKind::Item, line, std::move(e), primary());
  }
  expectOperator("[");
  ExpressionPtr bounds[3];
  int count = 0;
  bool slice = false;
  while (!isOperator("]") && count < 3) {
    if (!isOperator(":"))
      bounds[count] = tupleOrExpression(true, nullptr, false);
    ++count;
    if (!skipOperator(":"))
      break;
    slice = true;
  }
  expectOperator("]");
  if (!slice) {
    if (!bounds[0])
      bounds[0] = node(ExpressionKind::Tuple, line);
    return node(ExpressionKind::Item, line, std::move(e), std::move(bounds[0]));
  }
  ExpressionPtr whole = node(ExpressionKind::Slice, line, std::move(e));
  for (ExpressionPtr &bound : bounds) {
    deepen(*whole, bound);
    whole->children.push_back(std::move(bound));
  }
  return whole;
}

ExpressionPtr Parser::filtersAndTests(ExpressionPtr e) {
  while (true) {
    if (isOperator("|")) {
      next();
      e = filter(std::move(e));
    } else if (isName("is")) {
      e = test(std::move(e));
    } else if (isOperator("(")) {
      e = node(ExpressionKind::Call, peek().line, std::move(e));
      e->call = callArguments();
    } else {
      return e;
    }
  }
}

ExpressionPtr Parser::filter(ExpressionPtr input) {
  int line = peek().line;
  ExpressionPtr e = node(ExpressionKind::Filter, line);
  deepen(*e, input);
  e->children.push_back(std::move(input));
  e->text = expectName();
  while (skipOperator("."))
    (e->text += ".").append(expectName());
  if (isOperator("("))
    e->call = callArguments();
  e->filter = findFilter(e->text);
  if (!e->filter)
    unknown.push_back({"No filter named '" + e->text + "'", line});
  return e;
}

ExpressionPtr Parser::test(ExpressionPtr input) {
  int line = next().line;
  bool negated = skipName("not");
  ExpressionPtr e = node(ExpressionKind::Test, line, std::move(input));
  e->text = expectName();
  while (skipOperator("."))
    (e->text += ".").append(expectName());
  TokenKind kind = peek().kind;
  bool argument = kind == TokenKind::Name || kind == TokenKind::String || kind == TokenKind::Integer ||
                  kind == TokenKind::Float || isOperator("[") || isOperator("{");
  if (isOperator("(")) {
    e->call = callArguments();
  } else if (argument && !isName("else") && !isName("or") && !isName("and")) {
    if (isName("is"))
      syntax(line, "You cannot chain multiple tests with is");
    Depth guard(*this);
    e->call.positional.push_back(postfix(primary()));
    deepen(*e, e->call.positional.back());
  }
  e->test = findTest(e->text);
  if (!e->test)
    unknown.push_back({"No test named '" + e->text + "'", line});
  return negated ? node(ExpressionKind::Not, line, std::move(e)) : std::move(e);
}

CallArguments Parser::callArguments() {
  Depth guard(*this);
  int line = peek().line;
  expectOperator("(");
  CallArguments call;
  auto ensure = [&](bool fine) {
    if (!fine)
      syntax(line, "invalid syntax for function call expression");
  };
  for (bool first = true; !isOperator(")"); first = false) {
    if (!first) {
      expectOperator(",");
      if (isOperator(")"))
        break;
    }
    if (skipOperator("*")) {
      ensure(!call.spread && !call.spreadNamed);
      call.spread = expression();
    } else if (skipOperator("**")) {
      ensure(!call.spreadNamed);
      call.spreadNamed = expression();
    } else if (peek().kind == TokenKind::Name && peek(1).kind == TokenKind::Operator && peek(1).text == "=") {
      ensure(!call.spreadNamed);
      std::string_view key = next().text;
      next();
      call.named.emplace_back(key, expression());
    } else {
      ensure(!call.spread && !call.spreadNamed && call.named.empty());
      call.positional.push_back(expression());
    }
  }
  expectOperator(")");
  return call;
}

} // namespace stepdown::jinja
