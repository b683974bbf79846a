// Tokens -> SyntaxTree. Recursive descent with Jinja's precedences, from loosest: if-else, or, and, not, comparisons
// and in, + -, ~, * / // %, **, unary, then . [] () and the filters and tests behind.
#pragma once
#include "lib/Text/ChatTemplate/Lexer.h"
#include "lib/Text/ChatTemplate/SyntaxTree.h"
#include <initializer_list>
#include <map>

namespace stepdown::jinja {

class Parser {
public:
  Parser(std::string_view text, SyntaxTree &tree) : lexed(text), tokens(lexed.list), tree(tree) {}
  void run();

private:
  // ParseStatements.cpp
  Body statements(std::initializer_list<const char *> ends);
  Body block(std::initializer_list<const char *> ends);
  std::unique_ptr<Statement> statement();
  void parseIf(Statement &s);
  void parseFor(Statement &s);
  void parseSet(Statement &s);
  void parseWith(Statement &s);
  void parseMacro(Statement &s);
  void parseCall(Statement &s);
  void parseFilterBlock(Statement &s);
  void parseBlock(Statement &s);
  void signature(Statement &s);
  Body macroBody(Statement &s, const char *end);
  Target target(bool withNamespace, bool inFor);
  Target simpleTarget(bool withNamespace);
  ExpressionPtr filterChain(bool required);

  // ParseExpressions.cpp
  ExpressionPtr tupleOrExpression(bool withConditional, const char *endName, bool parenthesised);
  ExpressionPtr expression(bool withConditional = true);
  ExpressionPtr conditional();
  ExpressionPtr disjunction();
  ExpressionPtr conjunction();
  ExpressionPtr negation();
  ExpressionPtr comparison();
  ExpressionPtr sum();
  ExpressionPtr concatenation();
  ExpressionPtr product();
  ExpressionPtr power();
  ExpressionPtr unary(bool withFilter = true);
  ExpressionPtr primary();
  ExpressionPtr postfix(ExpressionPtr e);
  ExpressionPtr subscript(ExpressionPtr e);
  ExpressionPtr filtersAndTests(ExpressionPtr e);
  ExpressionPtr filter(ExpressionPtr input);
  ExpressionPtr test(ExpressionPtr input);
  CallArguments callArguments();

  // Parser.cpp
  ExpressionPtr literal(Literal value, int line);
  ExpressionPtr name(std::string_view text, int line);
  ExpressionPtr node(ExpressionKind kind, int line, ExpressionPtr a = nullptr, ExpressionPtr b = nullptr);
  void deepen(Expression &e, const ExpressionPtr &child);
  const Token &peek(size_t ahead = 0) const { return tokens[std::min(at + ahead, tokens.size() - 1)]; }
  const Token &next() { return tokens[at + 1 < tokens.size() ? at++ : at]; }
  bool isOperator(const char *text) const { return peek().code == operatorCode(text); }
  bool isName(const char *text, size_t ahead = 0) const {
    return peek(ahead).kind == TokenKind::Name && peek(ahead).text == text;
  }
  bool skipOperator(const char *text) { return isOperator(text) && (next(), true); }
  bool skipName(const char *text) { return isName(text) && (next(), true); }
  void expectOperator(const char *text);
  void expect(TokenKind kind, const char *what);
  std::string_view expectName();
  [[noreturn]] void syntax(int line, std::string_view message) const;
  static String describe(const Token &token);

  int symbol(std::string_view name);
  /// A filter or test that does not exist is an error of the template as a whole, unless it stands where it may never
  /// be reached: in a branch of an `if`. So the unknown ones wait here until it is known what they stand in.
  struct Unknown {
    String message;
    int line;
  };
  void refuseUnknownSince(size_t mark);

  struct Depth {
    Parser &parser;
    explicit Depth(Parser &p);
    ~Depth() { --parser.depth; }
  };

  const Tokens lexed;
  const Vector<Token> &tokens;
  SyntaxTree &tree;
  size_t at = 0;
  int depth = 0;
  /// By name, which lies in `lexed`. A tree, since names may be chosen to collide in a table.
  std::map<std::string_view, int, std::less<std::string_view>, Charged<std::pair<const std::string_view, int>>> symbols;
  Vector<Unknown> unknown;
  Vector<Statement *> macros, loops; ///< that enclose what is being parsed
  Vector<std::string_view> open;     ///< tags, for messages
};

} // namespace stepdown::jinja
