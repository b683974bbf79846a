// What statements and expressions are both parsed with: tokens, refusals, and the nodes of the tree.
#include "lib/Text/ChatTemplate/Parser.h"
#include <algorithm>

namespace stepdown::jinja {

namespace {
constexpr int deepestNesting = 150; // of brackets and blocks, each of which takes a dozen calls
constexpr int deepestTree = 400;    // of an expression such as a + b + c ...
} // namespace

Parser::Depth::Depth(Parser &p) : parser(p) {
  if (++p.depth > deepestNesting) {
    --p.depth;
    p.syntax(p.peek().line, "expects constructs nested at most " + decimal(deepestNesting) + " deep, but got more");
  }
}

void Parser::syntax(int line, std::string_view message) const {
  throw Refusal{ErrorCode::TemplateSyntax, std::string(message.substr(0, 4096)), line, {}};
}

String Parser::describe(const Token &token) {
  switch (token.kind) {
  case TokenKind::Data:
    return "template data";
  case TokenKind::OutputBegin:
    return "'{{'";
  case TokenKind::OutputEnd:
    return "'}}'";
  case TokenKind::BlockBegin:
    return "'{%'";
  case TokenKind::BlockEnd:
    return "'%}'";
  case TokenKind::End:
    return "the end of the template";
  default:
    return String("'").append(token.text.substr(0, 80)) + "'";
  }
}

void Parser::expect(TokenKind kind, const char *what) {
  if (peek().kind != kind)
    syntax(peek().line, String("expects ") + what + ", but got " + describe(peek()));
  next();
}

void Parser::expectOperator(const char *text) {
  if (!skipOperator(text))
    syntax(peek().line, String("expects '") + text + "', but got " + describe(peek()));
}

std::string_view Parser::expectName() {
  if (peek().kind != TokenKind::Name)
    syntax(peek().line, "expects a name, but got " + describe(peek()));
  return next().text;
}

int Parser::symbol(std::string_view name) {
  auto [place, added] = symbols.emplace(name, static_cast<int>(tree.symbols.size()));
  if (added)
    tree.symbols.emplace_back(name);
  return place->second;
}

void Parser::deepen(Expression &e, const ExpressionPtr &child) {
  if (child)
    e.depth = std::max(e.depth, child->depth + 1);
  if (e.depth > deepestTree)
    syntax(e.line, "expects an expression of at most " + decimal(deepestTree) + " levels, but got more");
}

ExpressionPtr Parser::node(ExpressionKind kind, int line, ExpressionPtr a, ExpressionPtr b) {
  Budget::spend(8); // the levels of precedence that were asked before
  auto e = std::make_unique<Expression>();
  e->kind = kind;
  e->line = line;
  for (ExpressionPtr *child : {&a, &b})
    if (*child) {
      deepen(*e, *child);
      e->children.push_back(std::move(*child));
    }
  return e;
}

ExpressionPtr Parser::literal(Literal value, int line) {
  ExpressionPtr e = node(ExpressionKind::Literal, line);
  e->number = static_cast<int>(tree.literals.size());
  tree.literals.push_back(std::move(value));
  return e;
}

ExpressionPtr Parser::name(std::string_view text, int line) {
  // What surrounds a marked one is marked already.
  auto mark = [](const Vector<Statement *> &around, bool Statement::*uses) {
    for (size_t i = around.size(); i > 0 && !(around[i - 1]->*uses); --i)
      around[i - 1]->*uses = true;
  };
  if (text == "caller")
    mark(macros, &Statement::usesCaller);
  else if (text == "varargs")
    mark(macros, &Statement::usesVarargs);
  else if (text == "kwargs")
    mark(macros, &Statement::usesKwargs);
  else if (text == "loop")
    mark(loops, &Statement::usesLoop);
  ExpressionPtr e = node(ExpressionKind::Name, line);
  e->number = symbol(text);
  return e;
}

} // namespace stepdown::jinja
