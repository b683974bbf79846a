// A parsed template: statements and expressions as trees, names as numbers. Immutable after parsing, so that threads
// share it; the values of its literals are made anew by each rendering.
#pragma once
#include "lib/Text/ChatTemplate/Operations.h"
#include "lib/Text/ChatTemplate/Value.h"
#include <memory>
#include <string>
#include <vector>

namespace stepdown::jinja {

using FilterFunction = Value (*)(Interpreter &, const Value &input, const Arguments &);
using TestFunction = bool (*)(Interpreter &, const Value &input, const Arguments &);

enum class ExpressionKind : uint8_t {
  Literal,     ///< constant `number` of the tree
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
  Vector<ExpressionPtr> positional;
  Vector<std::pair<String, ExpressionPtr>> named;
  ExpressionPtr spread, spreadNamed; ///< *x, **x
};

struct Expression : Counted {
  ExpressionKind kind;
  int line = 0;
  int depth = 1; ///< of the tree below
  int number = 0;
  String text;
  Vector<ExpressionPtr> children;
  Vector<Comparison> comparisons;
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
using Body = Vector<std::unique_ptr<Statement>>;

/// What is assigned to: a name, an attribute of a namespace, or a tuple of targets.
struct Target {
  int symbol = -1;
  String attribute;     ///< of a namespace
  Vector<Target> parts; ///< of a tuple
  bool tuple = false;
};

struct Statement : Counted {
  StatementKind kind;
  int line = 0;
  String text;
  ExpressionPtr expression, condition, filter;
  Target target;
  Vector<Target> targets;       ///< With
  Vector<ExpressionPtr> values; ///< With; defaults of a macro, aligned to its last parameters
  Vector<int> parameters;       ///< symbols of a macro or caller
  Vector<std::pair<ExpressionPtr, Body>> branches;
  Body body, otherwise;
  bool recursive = false, usesLoop = false;                         ///< of a for
  bool usesCaller = false, usesVarargs = false, usesKwargs = false; ///< of a macro
};

struct Literal {
  Kind kind = Kind::None;
  int64_t integer = 0;
  double real = 0;
  String text;
};

struct SyntaxTree {
  std::string name; ///< for messages
  Body body;
  Vector<String> symbols;
  Vector<Literal> literals;
  int loopSymbol = 0, callerSymbol = 0, varargsSymbol = 0, kwargsSymbol = 0;
};

/// A name and its values, from the inside out. Changes while its body runs; macros keep theirs alive.
struct ScopeObject : MutableObject {
  Value parent; ///< the enclosing scope, held as a Namespace-kind reference; Missing at the root
  Vector<std::pair<int, Value>> variables;
  void clear() override {
    variables.clear();
    parent = Value();
  }
};

struct MacroObject : Object {
  const Statement *statement = nullptr;
  Value scope; ///< where it was defined
  String name;
};

/// Throws Refusal (E0401).
std::shared_ptr<const SyntaxTree> parseTemplate(std::string_view text, const std::string &name);

FilterFunction findFilter(std::string_view name);
TestFunction findTest(std::string_view name);
/// All that there are; TemplateBudgetTest goes through them.
Vector<std::string_view> filterNames();
Vector<std::string_view> testNames();

} // namespace stepdown::jinja
