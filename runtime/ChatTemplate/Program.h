// A parsed template: statements and expressions as trees, names as numbers. Immutable after parsing, so that threads
// share it; the values of its literals are made anew by each rendering.
#pragma once
#include "runtime/ChatTemplate/Operations.h"
#include "runtime/ChatTemplate/Value.h"
#include <memory>
#include <string>
#include <vector>

namespace stepdown::jinja {

using FilterFunction = Value (*)(Interpreter &, const Value &input, const Arguments &);
using TestFunction = bool (*)(Interpreter &, const Value &input, const Arguments &);

enum class ExpressionKind : uint8_t {
  Literal,     ///< constant `number` of the program
  Name,        ///< symbol `number`
  List,        ///< children
  Tuple,       ///< children
  Dict,        ///< children: key, value, key, value ...
  Attribute,   ///< child . text
  Item,        ///< child [child]
  Slice,       ///< child [child : child : child], null where left out
  Call,        ///< child(call)
  Filter,      ///< child | text(call); a null child is the body of a block
  Test,        ///< child is text(call)
  Not,         ///< child
  Negate,      ///< child
  Positive,    ///< child
  And,         ///< child, child
  Or,          ///< child, child
  Conditional, ///< condition, then, otherwise (may be null)
  Binary,      ///< child, child by `number` (Binary)
  Concat,      ///< children
  Compare,     ///< child, then one child for each of `comparisons`
};

struct Expression;
using ExpressionPtr = std::unique_ptr<Expression>;

struct CallArguments {
  std::vector<ExpressionPtr> positional;
  std::vector<std::pair<std::string, ExpressionPtr>> named;
  ExpressionPtr spread, spreadNamed; ///< *x, **x
};

struct Expression {
  ExpressionKind kind;
  int line = 0;
  int depth = 1; ///< of the tree below
  int number = 0;
  std::string text;
  std::vector<ExpressionPtr> children;
  std::vector<Comparison> comparisons;
  CallArguments call;
  FilterFunction filter = nullptr;
  TestFunction test = nullptr;
};

enum class StatementKind : uint8_t {
  Data,     ///< text
  Output,   ///< {{ expression }}
  If,       ///< branches: (expression or null, body)
  For,      ///< targets in expression if condition, body, otherwise
  Set,      ///< targets = expression
  SetBlock, ///< targets = body, through filter
  With,     ///< assignments, body
  Macro,    ///< text, parameters, body
  Call,     ///< call (expression) with body as caller
  Filter,   ///< filter around body
  Scope,    ///< body in a scope of its own: {% block %}, {% generation %}
  Escape,   ///< {% autoescape expression %} body
  Break,
  Continue,
};

struct Statement;
using Body = std::vector<std::unique_ptr<Statement>>;

/// What is assigned to: a name, an attribute of a namespace, or a tuple of targets.
struct Target {
  int symbol = -1;
  std::string attribute;     ///< of a namespace
  std::vector<Target> parts; ///< of a tuple
  bool tuple = false;
};

struct Statement {
  StatementKind kind;
  int line = 0;
  std::string text;
  ExpressionPtr expression, condition, filter;
  Target target;
  std::vector<Target> targets;       ///< With
  std::vector<ExpressionPtr> values; ///< With; defaults of a macro, aligned to its last parameters
  std::vector<int> parameters;       ///< symbols of a macro or caller
  std::vector<std::pair<ExpressionPtr, Body>> branches;
  Body body, otherwise;
  bool recursive = false, usesLoop = false;                         ///< of a for
  bool usesCaller = false, usesVarargs = false, usesKwargs = false; ///< of a macro
};

struct Literal {
  Kind kind = Kind::None;
  int64_t integer = 0;
  double real = 0;
  std::string text;
};

struct Program {
  std::string name;
  Body body;
  std::vector<std::string> symbols;
  std::vector<Literal> literals;
  int loopSymbol = 0, callerSymbol = 0, varargsSymbol = 0, kwargsSymbol = 0;
};

/// A name and its values, from the inside out. Changes while its body runs; macros keep theirs alive.
struct ScopeObject : MutableObject {
  Value parent; ///< the enclosing scope, held as a Namespace-kind reference; Missing at the root
  std::vector<std::pair<int, Value>> variables;
  void clear() override {
    variables.clear();
    parent = Value();
  }
};

struct MacroObject : Object {
  const Statement *statement = nullptr;
  Value scope; ///< where it was defined
  std::string name;
};

/// Throws Refusal (E0401).
std::shared_ptr<const Program> parseProgram(std::string_view text, const std::string &name);

FilterFunction findFilter(std::string_view name);
TestFunction findTest(std::string_view name);

} // namespace stepdown::jinja
