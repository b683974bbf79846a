// Values of the template language: what Python calls None, bool, int, float, str, list, tuple, dict and a few
// callables.
//
// A Value is 16 bytes: a kind, and a scalar or a counted reference. Lists, tuples, dictionaries and strings never
// change once they are made (the sandbox has no method that would), so references can only form a cycle through the
// things that do change, namespaces, scopes and loops; the Budget of a rendering clears those at its end. Objects are
// freed by a queue, not by recursion, so that a list nested a million deep is no stack overflow.
#pragma once
#include "lib/Text/ChatTemplate/Budget.h"
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stepdown::jinja {

class Interpreter;
struct Arguments;
struct Statement;

enum class Kind : uint8_t {
  Missing, ///< no value at all: an argument not given, a slice bound left out; never seen by a template
  Undefined,
  None,
  Bool,
  Integer,
  Float,
  Big, ///< an integer beyond 64 bits from JSON: printed and passed on, but not computed with
  String,
  List,
  Tuple,
  Dict,
  View,      ///< dict.keys(), .values(), .items()
  Generator, ///< what map, select ... return: iterated once, no length
  Range,
  Namespace,
  Macro,
  Function,
  Loop,
  Cycler,
  Joiner,
};

/// What a counted reference points to.
class Object : public Counted {
public:
  Object() = default;
  Object(const Object &) = delete;
  virtual ~Object();

private:
  friend class Value;
  uint32_t references = 0;
  Object *nextDying = nullptr;
};

struct StringObject;
struct SequenceObject;
struct DictObject;

class Value {
public:
  Value() : tag(Kind::Missing), object(nullptr) {}
  Value(const Value &other) : tag(other.tag), bits(other.bits) { retain(); }
  Value(Value &&other) noexcept : tag(other.tag), bits(other.bits) { other.tag = Kind::Missing; }
  Value &operator=(const Value &other) { return *this = Value(other); }
  Value &operator=(Value &&other) noexcept {
    std::swap(tag, other.tag);
    std::swap(bits, other.bits);
    return *this;
  }
  ~Value() { release(); }

  static Value none() { return Value(Kind::None, int64_t(0)); }
  static Value boolean(bool b) { return Value(Kind::Bool, int64_t(b)); }
  static Value integer(int64_t i) { return Value(Kind::Integer, i); }
  static Value real(double f);
  static Value big(std::string_view digits);
  /// `markup`: the text counts as escaped HTML (filter `safe`), as Python's Markup does.
  static Value string(String text, bool markup = false);
  static Value list(Vector<Value> items);
  static Value tuple(Vector<Value> items, bool grouped = false);
  static Value generator(Vector<Value> items);
  static Value failingGenerator(String failure);
  static Value dict();
  /// `security`: using it is an error of the sandbox (E0408) rather than of the template (E0403).
  static Value undefined(String message, bool security = false);
  /// Takes ownership of a new object.
  Value(Kind kind, Object *owned) : tag(kind), object(owned) { retain(); }

  Kind kind() const { return tag; }
  bool is(Kind k) const { return tag == k; }
  bool missing() const { return tag == Kind::Missing; }
  bool isNumber() const { return tag == Kind::Bool || tag == Kind::Integer || tag == Kind::Float; }
  bool isIntegral() const { return tag == Kind::Bool || tag == Kind::Integer; }
  bool isSequence() const { return tag == Kind::List || tag == Kind::Tuple; }

  int64_t asInteger() const { return bits; } ///< Bool, Integer
  double asReal() const { return tag == Kind::Float ? number : static_cast<double>(bits); }
  const String &text() const;         ///< String, Big; the message of Undefined
  bool markup() const;                ///< String
  bool security() const;              ///< Undefined
  bool grouped() const;               ///< Tuple made by groupby
  const Vector<Value> &items() const; ///< List, Tuple
  DictObject &dictionary() const;     ///< Dict
  template <typename T> T &as() const { return *static_cast<T *>(object); }
  Object *identity() const { return counted() ? object : nullptr; }
  /// Whether this is the only reference to a counted object.
  bool unique() const { return counted() && object->references == 1; }

private:
  Value(Kind kind, int64_t i) : tag(kind), bits(i) {}
  bool counted() const { return tag == Kind::Undefined || tag >= Kind::Big; }
  void retain() {
    if (counted())
      ++object->references;
  }
  void release() {
    if (counted() && --object->references == 0)
      free(object);
  }
  static void free(Object *object);

  Kind tag;
  union {
    int64_t bits;
    double number;
    Object *object;
  };
};

struct StringObject : Object {
  String text;
  bool flag = false;           ///< markup of a string, security of an undefined
  mutable int64_t points = -1; ///< code points, once counted
};

struct SequenceObject : Object {
  Vector<Value> items;
  bool grouped = false;
  size_t next = 0; ///< of a generator: the first item not yet handed out
  String failure;  ///< of a generator: what asking it for items raises
};

/// Insertion-ordered; keys are equal as in Python (1, 1.0 and true are one key). Lookup is by hash beyond eight keys.
struct DictObject : Object {
  Vector<std::pair<Value, Value>> entries;

  const Value *find(const Value &key) const;
  const Value *find(std::string_view key) const;
  /// Adds, or replaces the value of an equal key. Only for dictionaries that no template has seen yet.
  void set(Value key, Value value);

private:
  /// Open addressing in a power of two of slots. Keys may be chosen to collide, so each slot looked at is paid for.
  struct Slot {
    uint32_t place = 0; ///< in `entries`, plus 1; 0: vacant
    uint32_t hash = 0;
  };
  Vector<Slot> slots;

  template <typename Equal> const Value *probe(uint32_t hash, Equal equal) const;
  void insert(uint32_t hash, uint32_t place);
};

struct ViewObject : Object {
  enum class Of : uint8_t { Keys, Values, Items } of = Of::Keys;
  Value dict;
};

struct RangeObject : Object {
  int64_t start = 0, stop = 0, step = 1;
  int64_t length() const;
};

/// Objects that change, and so may take part in a cycle.
struct MutableObject : Object, Ring {
  MutableObject() {
    if (Budget *budget = Budget::current())
      budget->watch(*this);
  }
  virtual void clear() = 0;
};

struct NamespaceObject : MutableObject {
  Vector<std::pair<String, Value>> attributes;
  void clear() override { attributes.clear(); }
};

using Native = Value (*)(Interpreter &, const Value &self, const Arguments &);

/// A global function, or a method bound to `self`.
struct FunctionObject : Object {
  Native call = nullptr;
  Value self;
  String name;
};

struct CyclerObject : Object {
  Vector<Value> items;
  size_t position = 0;
};

struct JoinerObject : Object {
  Value separator;
  bool used = false;
};

/// Arguments of a call, in order.
struct Arguments {
  Vector<Value> positional;
  Vector<std::pair<String, Value>> named;
};

/// Hash that agrees with equality; refuses lists and dictionaries ("unhashable type").
size_t hashOf(const Value &value);

/// Python's name of the type: 'str', 'dict', 'Undefined' ...
const char *typeName(const Value &value);

} // namespace stepdown::jinja
