// The tests behind `is`.
#include "lib/Text/ChatTemplate/Interpreter.h"
#include "lib/Text/ChatTemplate/Members.h"
#include "lib/Text/ChatTemplate/Text.h"

namespace stepdown::jinja {

namespace {

using Given = const Arguments &;

void none(Given given, const char *name) { bindArguments(given, name, {}, 0); }

template <Kind K> bool isKind(Interpreter &, const Value &v, Given given) {
  none(given, "test");
  return v.is(K);
}

bool isDefined(Interpreter &, const Value &v, Given) { return !v.is(Kind::Undefined); }
bool isTrue(Interpreter &, const Value &v, Given) { return v.is(Kind::Bool) && v.asInteger() == 1; }
bool isFalse(Interpreter &, const Value &v, Given) { return v.is(Kind::Bool) && v.asInteger() == 0; }
bool isInteger(Interpreter &, const Value &v, Given) { return v.is(Kind::Integer) || v.is(Kind::Big); }
bool isNumberTest(Interpreter &, const Value &v, Given) { return v.isNumber() || v.is(Kind::Big); }
bool isCallable(Interpreter &, const Value &v, Given) {
  return v.is(Kind::Function) || v.is(Kind::Macro) || v.is(Kind::Loop) || v.is(Kind::Joiner) || v.is(Kind::Undefined);
}
bool isSequenceTest(Interpreter &, const Value &v, Given) {
  return v.is(Kind::String) || v.isSequence() || v.is(Kind::Dict) || v.is(Kind::Range) || v.is(Kind::Undefined);
}
bool isIterableTest(Interpreter &, const Value &v, Given) { return isIterable(v); }
bool isEscaped(Interpreter &, const Value &v, Given) { return v.is(Kind::String) && v.markup(); }

bool isUpperTest(Interpreter &i, const Value &v, Given) {
  return truth(stringMethod("isupper")(i, Value::string(toText(v)), {}));
}
bool isLowerTest(Interpreter &i, const Value &v, Given) {
  return truth(stringMethod("islower")(i, Value::string(toText(v)), {}));
}

bool isOdd(Interpreter &, const Value &v, Given) {
  return equals(binary(Binary::Modulo, v, Value::integer(2)), Value::integer(1));
}
bool isEven(Interpreter &, const Value &v, Given) {
  return equals(binary(Binary::Modulo, v, Value::integer(2)), Value::integer(0));
}
bool isDivisible(Interpreter &, const Value &v, Given given) {
  return equals(binary(Binary::Modulo, v, bindArguments(given, "divisibleby", {"num"}, 1)[0]), Value::integer(0));
}

template <Comparison How> bool compares(Interpreter &, const Value &v, Given given) {
  return compare(How, v, bindArguments(given, "comparison", {"other"}, 1)[0]);
}

bool isSame(Interpreter &, const Value &v, Given given) {
  Value other = bindArguments(given, "sameas", {"other"}, 1)[0];
  if (v.kind() != other.kind())
    return false;
  if (v.identity())
    return v.identity() == other.identity() || (v.is(Kind::String) && equals(v, other));
  return v.is(Kind::Float) ? v.asReal() == other.asReal() : v.asInteger() == other.asInteger();
}

bool isFilter(Interpreter &, const Value &v, Given) { return v.is(Kind::String) && findFilter(v.text()); }
bool isTest(Interpreter &, const Value &v, Given) { return v.is(Kind::String) && findTest(v.text()); }

const std::pair<std::string_view, TestFunction> table[] = {
    {"defined", isDefined},
    {"undefined", isKind<Kind::Undefined>},
    {"none", isKind<Kind::None>},
    {"string", isKind<Kind::String>},
    {"mapping", isKind<Kind::Dict>},
    {"boolean", isKind<Kind::Bool>},
    {"float", isKind<Kind::Float>},
    {"integer", isInteger},
    {"number", isNumberTest},
    {"true", isTrue},
    {"false", isFalse},
    {"sequence", isSequenceTest},
    {"iterable", isIterableTest},
    {"callable", isCallable},
    {"escaped", isEscaped},
    {"upper", isUpperTest},
    {"lower", isLowerTest},
    {"odd", isOdd},
    {"even", isEven},
    {"divisibleby", isDivisible},
    {"sameas", isSame},
    {"filter", isFilter},
    {"test", isTest},
    {"in", compares<Comparison::In>},
    {"eq", compares<Comparison::Equal>},
    {"==", compares<Comparison::Equal>},
    {"equalto", compares<Comparison::Equal>},
    {"ne", compares<Comparison::NotEqual>},
    {"!=", compares<Comparison::NotEqual>},
    {"lt", compares<Comparison::Less>},
    {"<", compares<Comparison::Less>},
    {"lessthan", compares<Comparison::Less>},
    {"le", compares<Comparison::LessEqual>},
    {"<=", compares<Comparison::LessEqual>},
    {"gt", compares<Comparison::Greater>},
    {">", compares<Comparison::Greater>},
    {"greaterthan", compares<Comparison::Greater>},
    {"ge", compares<Comparison::GreaterEqual>},
    {">=", compares<Comparison::GreaterEqual>},
};

} // namespace

TestFunction findTest(std::string_view name) { return find(table, name); }

Vector<std::string_view> testNames() { return namesOf(table); }

} // namespace stepdown::jinja
