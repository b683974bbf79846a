// Runs a SyntaxTree. A recursive walk: statements write to the current output, expressions return values, and every
// node counts against the Budget. Refusals travel as exceptions (Budget.h) and pick up line and construct on their way
// out.
#pragma once
#include "lib/Text/ChatTemplate/ChatTemplate.h"
#include "lib/Text/ChatTemplate/SyntaxTree.h"
#include <string>
#include <vector>

namespace stepdown::jinja {

class Interpreter {
public:
  Interpreter(const SyntaxTree &tree, const Value &context, const RenderOptions &options);
  /// The text that the template writes.
  String run();

  // For filters, tests and functions.
  Value call(const Value &callable, const Arguments &arguments);
  Value callFilter(const String &name, const Value &input, const Arguments &arguments);
  bool callTest(const String &name, const Value &input, const Arguments &arguments);
  /// The local time, or the one that the options fix.
  std::tm now() const;
  /// Assigns the next item of a loop and says whether it passes the loop's condition.
  bool passesCondition(const Statement &loop, const Value &scope, const Value &item);
  /// A recursive loop called with new items: loop(items).
  Value recurse(const Value &loop, const Value &items);

private:
  enum class Flow : uint8_t { Normal, Break, Continue };

  // Statements (Interpreter.cpp)
  Flow run(const Body &body);
  Flow execute(const Statement &s);
  Flow executeFor(const Statement &s, const Value &items, int depth);
  Flow executeScoped(const Body &body);
  void executeCall(const Statement &s);
  String capture(const Body &body);
  void assign(const Target &target, const Value &value);
  Value macroValue(const Statement &s, String name);
  Value callMacro(const Value &macro, const Arguments &arguments);
  Value filtered(const Expression &filter, const Value &input);
  void write(std::string_view text);
  void write(const Value &value); ///< as text, escaped where that is on

  // Expressions (Evaluate.cpp)
  Value evaluate(const Expression &e);
  Value lookUp(int symbol);
  Value literal(int number);
  Value evaluateCall(const Expression &e);
  Value evaluateFilter(const Expression &e);
  Value evaluateTest(const Expression &e);
  Value evaluateCompare(const Expression &e);
  Value evaluateDict(const Expression &e);
  Value evaluateSlice(const Expression &e);
  Value evaluateConcat(const Expression &e);
  Vector<Value> evaluateAll(const Vector<ExpressionPtr> &expressions);
  Arguments arguments(const CallArguments &call);

  /// Counts one node and one level, of calls and of the machine's stack.
  class Level {
  public:
    explicit Level(Interpreter &interpreter);
    ~Level() { --interpreter.depth; }

  private:
    Interpreter &interpreter;
  };
  /// Makes a new scope current while it lives.
  class Scope {
  public:
    Scope(Interpreter &interpreter, Value parent);
    ~Scope();
    /// An empty scope for the next turn of a loop: the same one, unless something (a macro) has kept it.
    void renew(const Value &parent);

  private:
    Interpreter &interpreter;
    Value outer;
  };

  /// Takes what is written while it lives.
  class Captured {
  public:
    explicit Captured(Interpreter &interpreter) : interpreter(interpreter), outer(interpreter.output) {
      interpreter.output = &text;
    }
    ~Captured() { interpreter.output = outer; }
    String text;

  private:
    Interpreter &interpreter;
    String *outer;
  };

  void store(int symbol, Value value);

  const SyntaxTree &tree;
  Value context; ///< dictionary
  const RenderOptions &options;
  Value scope; ///< the innermost; a ScopeObject
  Vector<Value> literals;
  Vector<Value> globals; ///< by symbol: what the context or the language defines; Missing until looked up
  String *output = nullptr;
  int depth = 0;
  const char *stackBase = nullptr;
  bool escaping = false;
};

/// The global functions: range, dict, namespace, cycler, joiner, raise_exception, strftime_now; Missing for others.
Value globalFunction(std::string_view name);

/// strftime of the C locale (Time.cpp).
String formatTime(const std::tm &time, std::string_view format);

struct LoopObject : MutableObject {
  Interpreter *interpreter = nullptr;
  const Statement *statement = nullptr;
  Value scope;         ///< in which the condition is evaluated
  Vector<Value> items; ///< that no condition has looked at yet, from `cursor` on
  size_t cursor = 0;
  Vector<Value> ahead; ///< that passed, but whose turn has not come; reversed
  Value previous, current, changed;
  int64_t index0 = -1;
  int64_t length = -1; ///< -1: not yet counted
  int depth0 = 0;

  /// The next item that passes the condition; Missing at the end.
  Value pull();
  Value peek();
  bool advance();
  void clear() override;
};

} // namespace stepdown::jinja
