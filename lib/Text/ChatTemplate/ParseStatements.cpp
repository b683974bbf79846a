// Blocks: {% if %}, {% for %}, {% set %}, {% macro %} ...
#include "lib/Text/ChatTemplate/Parser.h"
#include <algorithm>

namespace stepdown::jinja {

namespace {
String quoted(const char *before, std::string_view name) { return String(before).append(name.substr(0, 80)); }
} // namespace

void Parser::run() {
  tree.loopSymbol = symbol("loop");
  tree.callerSymbol = symbol("caller");
  tree.varargsSymbol = symbol("varargs");
  tree.kwargsSymbol = symbol("kwargs");
  tree.body = statements({});
  refuseUnknownSince(0);
}

void Parser::refuseUnknownSince(size_t mark) {
  if (unknown.size() > mark)
    syntax(unknown[mark].line, unknown[mark].message);
}

/// Statements up to a block that begins with one of `ends`, whose name is left to be read; with no ends, to the end.
Body Parser::statements(std::initializer_list<const char *> ends) {
  Depth guard(*this);
  Body body;
  auto isEnd = [&]() {
    return peek().kind == TokenKind::Name &&
           std::any_of(ends.begin(), ends.end(), [&](const char *end) { return peek().text == end; });
  };
  while (peek().kind != TokenKind::End) {
    auto s = std::make_unique<Statement>();
    s->line = peek().line;
    const Token &token = next();
    if (token.kind == TokenKind::Data) {
      s->kind = StatementKind::Data;
      s->text = token.text;
    } else if (token.kind == TokenKind::OutputBegin) {
      s->kind = StatementKind::Output;
      s->expression = tupleOrExpression(true, nullptr, false);
      expect(TokenKind::OutputEnd, "'}}'");
    } else {
      if (isEnd())
        return body;
      s = statement();
      expect(TokenKind::BlockEnd, "'%}'");
    }
    body.push_back(std::move(s));
  }
  if (ends.size()) {
    String wanted;
    for (const char *end : ends)
      wanted += (wanted.empty() ? "'" : " or '") + String(end) + "'";
    syntax(peek().line, "Unexpected end of template. Jinja was looking for the following tags: " + wanted +
                            quoted(". The innermost block that needs to be closed is '", open.back()) + "'.");
  }
  return body;
}

/// The rest of an opening tag, then statements up to one of `ends`.
Body Parser::block(std::initializer_list<const char *> ends) {
  skipOperator(":");
  expect(TokenKind::BlockEnd, "'%}'");
  return statements(ends);
}

std::unique_ptr<Statement> Parser::statement() {
  auto s = std::make_unique<Statement>();
  s->line = peek().line;
  if (peek().kind != TokenKind::Name)
    syntax(s->line, "expects the name of a tag, but got " + describe(peek()));
  const std::string_view tag = next().text;
  open.push_back(tag);
  size_t mark = unknown.size();
  bool scope = true;
  if (tag == "if") {
    parseIf(*s);
    unknown.resize(mark);
    scope = false;
  } else if (tag == "for") {
    parseFor(*s);
  } else if (tag == "set") {
    parseSet(*s);
    scope = s->kind == StatementKind::SetBlock;
  } else if (tag == "with") {
    parseWith(*s);
  } else if (tag == "macro") {
    parseMacro(*s);
  } else if (tag == "call") {
    parseCall(*s);
  } else if (tag == "filter") {
    parseFilterBlock(*s);
  } else if (tag == "block") {
    parseBlock(*s);
  } else if (tag == "generation") {
    s->kind = StatementKind::Scope;
    s->body = block({"endgeneration"});
    next();
  } else if (tag == "autoescape") {
    s->kind = StatementKind::Escape;
    s->expression = expression();
    s->body = block({"endautoescape"});
    next();
  } else if (tag == "break" || tag == "continue") {
    if (loops.empty())
      syntax(s->line, quoted("'", tag) + "' outside loop");
    s->kind = tag == "break" ? StatementKind::Break : StatementKind::Continue;
  } else if (tag == "print") {
    s->kind = StatementKind::Output;
    s->expression = node(ExpressionKind::Concat, s->line); // print a, b: one after the other
    do {
      s->expression->children.push_back(expression());
      deepen(*s->expression, s->expression->children.back());
    } while (skipOperator(","));
    scope = false;
  } else if (tag == "include" || tag == "import" || tag == "from" || tag == "extends") {
    syntax(s->line,
           quoted("expects a template that stands alone, but got the tag '", tag) + "', which reads another one");
  } else {
    open.pop_back();
    syntax(s->line,
           quoted("Encountered unknown tag '", tag) + "'." +
               (open.empty() ? String()
                             : quoted(" The innermost block that needs to be closed is '", open.back()) + "'."));
  }
  // Only an `if` excuses an unknown filter, and no scope inside it does.
  if (scope)
    refuseUnknownSince(mark);
  open.pop_back();
  return s;
}

void Parser::parseIf(Statement &s) {
  s.kind = StatementKind::If;
  while (true) {
    ExpressionPtr condition = tupleOrExpression(false, nullptr, false);
    Body body = block({"elif", "else", "endif"});
    s.branches.emplace_back(std::move(condition), std::move(body));
    const std::string_view end = next().text;
    if (end == "elif")
      continue;
    if (end == "else") {
      s.branches.emplace_back(nullptr, block({"endif"}));
      next();
    }
    return;
  }
}

void Parser::parseFor(Statement &s) {
  s.kind = StatementKind::For;
  s.target = target(false, true);
  if (!skipName("in"))
    syntax(peek().line, "expects 'in', but got " + describe(peek()));
  s.expression = tupleOrExpression(false, "recursive", false);
  if (skipName("if"))
    s.condition = expression();
  s.recursive = skipName("recursive");
  loops.push_back(&s);
  s.body = block({"endfor", "else"});
  loops.pop_back();
  if (next().text == "else") {
    s.otherwise = block({"endfor"});
    next();
  }
}

Target Parser::simpleTarget(bool withNamespace) {
  Target t;
  if (skipOperator("(")) {
    Depth guard(*this);
    t = target(withNamespace, false);
    expectOperator(")");
    return t;
  }
  static const char *const reserved[] = {"true", "false", "none", "True", "False", "None"};
  int line = peek().line;
  const std::string_view name = expectName();
  if (std::any_of(std::begin(reserved), std::end(reserved), [&](const char *r) { return name == r; }))
    syntax(line, quoted("can't assign to '", name) + "'");
  t.symbol = symbol(name);
  if (withNamespace && skipOperator("."))
    t.attribute = expectName();
  return t;
}

Target Parser::target(bool withNamespace, bool inFor) {
  Target first = simpleTarget(withNamespace);
  if (!isOperator(","))
    return first;
  Target tuple;
  tuple.tuple = true;
  tuple.parts.push_back(std::move(first));
  while (skipOperator(",")) {
    if (isOperator(")") || isOperator("=") || peek().kind == TokenKind::BlockEnd || (inFor && isName("in")))
      break;
    tuple.parts.push_back(simpleTarget(withNamespace));
  }
  return tuple;
}

/// name|name(...): filters around a body, which stands where their input would.
ExpressionPtr Parser::filterChain(bool required) {
  if (!required && !skipOperator("|"))
    return nullptr;
  ExpressionPtr e = filter(nullptr);
  while (skipOperator("|"))
    e = filter(std::move(e));
  return e;
}

void Parser::parseSet(Statement &s) {
  s.target = target(true, false);
  if (skipOperator("=")) {
    s.kind = StatementKind::Set;
    s.expression = tupleOrExpression(true, nullptr, false);
    return;
  }
  s.kind = StatementKind::SetBlock;
  s.filter = filterChain(false);
  s.body = block({"endset"});
  next();
}

void Parser::parseWith(Statement &s) {
  s.kind = StatementKind::With;
  while (peek().kind != TokenKind::BlockEnd) {
    if (!s.targets.empty())
      expectOperator(",");
    s.targets.push_back(target(false, false));
    expectOperator("=");
    s.values.push_back(expression());
  }
  s.body = block({"endwith"});
  next();
}

void Parser::signature(Statement &s) {
  expectOperator("(");
  while (!isOperator(")")) {
    if (!s.parameters.empty())
      expectOperator(",");
    s.parameters.push_back(simpleTarget(false).symbol);
    if (skipOperator("="))
      s.values.push_back(expression());
    else if (!s.values.empty())
      syntax(peek().line, "non-default argument follows default argument");
  }
  expectOperator(")");
}

Body Parser::macroBody(Statement &s, const char *end) {
  macros.push_back(&s);
  Vector<Statement *> outerLoops;
  outerLoops.swap(loops); // a break inside a macro can't end a loop around it
  Body body = block({end});
  next();
  for (Statement *loop : outerLoops)
    loop->usesLoop = true; // the body may be called from there and look at the loop
  loops.swap(outerLoops);
  macros.pop_back();
  return body;
}

void Parser::parseMacro(Statement &s) {
  s.kind = StatementKind::Macro;
  s.text = expectName();
  s.target.symbol = symbol(s.text);
  macros.push_back(&s);
  signature(s);
  macros.pop_back();
  s.body = macroBody(s, "endmacro");
}

void Parser::parseCall(Statement &s) {
  s.kind = StatementKind::Call;
  if (isOperator("("))
    signature(s);
  s.expression = expression();
  if (s.expression->kind != ExpressionKind::Call)
    syntax(s.line, "expected call");
  s.body = macroBody(s, "endcall");
}

void Parser::parseFilterBlock(Statement &s) {
  s.kind = StatementKind::Filter;
  s.filter = filterChain(true);
  s.body = block({"endfilter"});
  next();
}

void Parser::parseBlock(Statement &s) {
  s.kind = StatementKind::Scope;
  const std::string_view name = expectName();
  skipName("scoped");
  skipName("required");
  s.body = block({"endblock"});
  next();
  if (peek().kind == TokenKind::Name && peek().text == name)
    next();
}

std::shared_ptr<const SyntaxTree> parseTemplate(std::string_view text, const std::string &name) {
  auto tree = std::make_shared<SyntaxTree>();
  tree->name = name;
  Parser(text, *tree).run();
  return tree;
}

} // namespace stepdown::jinja
