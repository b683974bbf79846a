// Whatever a template calls, with whatever operands, it stays inside its budget: the processor time that it takes is
// paid for in steps, and the memory in bytes. Goes through every filter, test, member and function that the interpreter
// knows, so that one added without paying fails here, and draws operands at random; STEPDOWN_BUDGET_DRAWS says how many
// a callee (CI: 6), STEPDOWN_BUDGET_SEED repeats a run.
#include "lib/Text/ChatTemplate/Interpreter.h"
#include "lib/Text/ChatTemplate/Json.h"
#include "lib/Text/ChatTemplate/Members.h"
#include "test/unit/Allocations.h"

#include <cstdlib>
#include <ctime>
#include <gtest/gtest.h>
#include <random>

using namespace stepdown;
using test::Allocations;

namespace {

#if defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define STEPDOWN_SANITIZED 1
#endif
#endif
#ifdef STEPDOWN_SANITIZED
constexpr double secondsPerStep = 1e-5; // an order of magnitude is all that can be held there
#else
constexpr double secondsPerStep = 2e-7; // four times what a step is priced at: machines differ
#endif

uint64_t environment(const char *name, uint64_t otherwise) {
  const char *text = std::getenv(name);
  return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

std::string times(std::string_view text, size_t count) {
  std::string out;
  for (; count > 0; --count)
    out += text;
  return out;
}

std::string quoted(const std::string &text) {
  std::string out = "\"";
  for (char c : text)
    out += c == '"' ? "\\\"" : c == '\n' ? "\\n" : c == '\t' ? "\\t" : c == '\\' ? "\\\\" : std::string(1, c);
  return out + "\"";
}

/// Variables of the context, large each in its own way: text in which a search goes wrong late, text of blanks, of
/// markup, of formats, beyond ASCII; sequences and mappings long, deep and of long items.
struct Operands {
  jinja::Value variables = jinja::Value::dict();
  std::vector<std::string> names;

  void add(const std::string &name, const std::string &json) {
    Result<jinja::Value> value = jinja::readJson(json, name);
    ASSERT_TRUE(value) << value.error().text();
    variables.dictionary().set(jinja::Value::string(jinja::String(name)), *value);
    names.push_back(name);
  }

  Operands() {
    add("a1m", quoted(times("a", 1000003)));
    add("aab", quoted(times("a", 30011) + "b"));
    add("aab200", quoted(times("a", 199) + "b"));
    add("baa", quoted("b" + times("a", 251)));
    add("wide", quoted(times("\u03a3\u00e9\U0001F600x' ", 60013)));
    add("blanks", quoted(times(" ", 500009)));
    add("words", quoted(times("ab-c \t", 100003)));
    add("lines", quoted(times("a\n", 200003)));
    add("html", quoted(times("<a>&lt;<!-- -->", 40009)));
    add("percents", quoted(times("%s%%", 100003)));
    add("braces", quoted(times("{}{{", 100003)));
    add("grouped", quoted("{:0=1000000,}{0:>1000000}{:01000000_f}"));
    add("digits", quoted(times("7", 300007)));
    add("path", quoted(times("0.", 50021) + "0"));
    add("dates", quoted(times("%c%r", 50021)));
    add("upper", "\"upper\"");
    add("in", "\"in\"");
    add("letter", "\"a\"");
    add("empty", "\"\"");
    add("three", "3");
    add("million", "1000003");
    add("huge", "9223372036854775807");
    add("less", "-1");
    add("float", "1e300");
    add("big", times("9", 307));
    add("yes", "true");
    add("nothing", "null");
    // Different in their hashes, equal in the slot that a table of up to 2^17 gives them.
    uint64_t inverse = 1, spread = 0x9E3779B97F4A7C15;
    for (int i = 0; i < 6; ++i)
      inverse *= 2 - spread * inverse;
    std::string colliding = "0";
    for (uint64_t i = 1; i < 32768; ++i)
      colliding += ", " + std::to_string(static_cast<int64_t>((i << 49) * inverse));
    add("colliding", "[" + colliding + "]");
    std::string numbers = "0", texts = quoted(times("a", 5003)), pairs = "[0, 1]", keys = "\"k\": 0", deep = "0";
    for (int i = 1; i < 50021; ++i)
      numbers += ", " + std::to_string(i * 7 % 1009);
    for (int i = 1; i < 101; ++i)
      texts += ", " + quoted(times("a", 5003) + std::to_string(i * 7 % 11));
    for (int i = 1; i < 20011; ++i)
      pairs += ", [" + std::to_string(i) + ", [" + std::to_string(i % 7) + "]]";
    for (int i = 1; i < 20011; ++i)
      keys += ", \"k" + std::to_string(i) + "\": " + std::to_string(i);
    for (int i = 0; i < 397; ++i)
      deep = "[" + deep + "]";
    add("numbers", "[" + numbers + "]");
    add("texts", "[" + texts + "]");
    add("pairs", "[" + pairs + "]");
    add("dict", "{" + keys + "}");
    add("deep", deep);
    add("none", "[]");
    add("small", "{\"a\": [1, 2], \"b\": \"c\"}");
    names.insert(names.end(), {"range(99991)", "a1m|safe", "namespace(**dict)", "numbers|select", "dict.items()", "m",
                               "cycler(*numbers)", "joiner(a1m)", "missing", "(letter, a1m)", "a1m ~ 'b'",
                               "[numbers, numbers]", "small|items", "loop"});
  }
};

double threadSeconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

class TemplateBudget : public testing::Test {
protected:
  static Operands &operands() {
    static Operands all;
    return all;
  }

  std::mt19937_64 random{seed()};
  size_t below(size_t n) { return random() % n; }
  const std::string &operand() { return operands().names[below(operands().names.size())]; }

  static uint64_t seed() {
    static const uint64_t value = environment("STEPDOWN_BUDGET_SEED", std::random_device()());
    return value;
  }
  static uint64_t draws() { return environment("STEPDOWN_BUDGET_DRAWS", 6); }

  /// Drawn arguments of a call on `input`; often that itself, for comparisons that go to the end.
  std::string arguments(const std::string &input = "a1m") {
    static const char *const names[] = {"attribute",      "default", "width", "reverse",
                                        "case_sensitive", "indent",  "count"};
    std::string out;
    for (size_t i = 0, count = below(4); i < count; ++i)
      out += (out.empty() ? "" : ", ") + (below(5) == 0 ? input : operand());
    if (below(4) == 0)
      out += (out.empty() ? "" : ", ") + std::string(names[below(std::size(names))]) + "=" + operand();
    return out;
  }

  /// Evaluates an expression 5,000 times or to the end of the budget.
  void stays(const std::string &expression) {
    if (HasFailure()) // what escapes its budget may take minutes
      return;
    const std::string text = "{% macro m(x) %}{{ x }}{% endmacro %}{% for i in range(5000) %}{% set r = " + expression +
                             " %}{% endfor %}{{ 1 if r is defined }}";
    RenderOptions options;
    ASSERT_TRUE(setNow(options, "2026-11-21"));
    options.limits.outputBytes = size_t(8) << 20;
    auto program = jinja::parseTemplate(text, "text");
    const jinja::Value &variables = operands().variables;
    double taken = 0, allowed = 0;
    for (int attempt = 0; attempt < 4; ++attempt) { // the machine may be busy, but not four times
      std::string said = "rendered";
      Allocations::restart();
      const int64_t before = Allocations::live();
      jinja::Budget budget(size_t(48) << 20, 200000);
      const double start = threadSeconds();
      try {
        jinja::Interpreter(*program, variables, options).run();
      } catch (const jinja::Refusal &refusal) {
        said = refusal.message;
      } catch (const std::exception &problem) { // longer than any container, or than memory
        said = problem.what();
      }
      taken = threadSeconds() - start;
      allowed = 0.01 + secondsPerStep * static_cast<double>(budget.steps());
      // Outside the budget is what a refusal takes.
      EXPECT_LE(Allocations::peak() - before, static_cast<int64_t>(budget.peakBytes()) + (24 << 10))
          << expression << ", seed " << seed() << ": " << said;
      if (taken <= allowed)
        return;
      if (taken > 10 * allowed)
        break;
    }
    ADD_FAILURE() << expression << ", seed " << seed() << ": expects " << allowed << " s at most, but took " << taken;
  }

  /// Everything with itself, and with drawn arguments.
  template <typename Call> void staysWhateverIsGiven(Call call, uint64_t draws) {
    for (const char *input : {"a1m", "wide", "numbers", "dict"})
      for (const char *given : {"", input})
        stays(call(input, given));
    for (uint64_t i = 0; i < draws; ++i) {
      std::string input = operand();
      stays(call(input, arguments(input)));
    }
  }
};

TEST_F(TemplateBudget, OfEveryFilter) {
  ASSERT_GT(jinja::filterNames().size(), 40u);
  for (std::string_view name : jinja::filterNames())
    staysWhateverIsGiven(
        [&](const std::string &input, const std::string &given) {
          return input + "|" + std::string(name) + (given.empty() ? "" : "(" + given + ")");
        },
        draws() * 2);
}

TEST_F(TemplateBudget, OfEveryTest) {
  ASSERT_GT(jinja::testNames().size(), 30u);
  for (std::string_view name : jinja::testNames()) {
    bool word = name[0] >= 'a' && name[0] <= 'z';
    staysWhateverIsGiven(
        [&](const std::string &input, const std::string &given) {
          return word ? input + " is " + std::string(name) + "(" + given + ")"
                      : "[" + input + "]|select('" + std::string(name) + "', " + given + ")|list";
        },
        draws());
  }
}

TEST_F(TemplateBudget, OfEveryMember) {
  ASSERT_GT(jinja::memberNames().size(), 60u);
  for (std::string_view name : jinja::memberNames())
    staysWhateverIsGiven(
        [&](const std::string &input, const std::string &given) {
          return "(" + input + ")." + std::string(name) + (given == "loop" ? "" : "(" + given + ")");
        },
        draws() * 2);
}

TEST_F(TemplateBudget, OfEveryFunction) {
  ASSERT_GT(jinja::functionNames().size(), 5u);
  for (std::string_view name : jinja::functionNames())
    staysWhateverIsGiven(
        [&](const std::string &, const std::string &given) { return std::string(name) + "(" + given + ")"; },
        draws() * 2);
}

TEST_F(TemplateBudget, OfEveryOperator) {
  for (const char *symbol :
       {"+", "-", "*", "/", "//", "%", "**", "~", "==", "!=", "<", "<=", ">", ">=", "in", "not in", "and", "or"})
    for (uint64_t i = 0; i < draws() * 4; ++i)
      stays("(" + operand() + ") " + symbol + " (" + operand() + ")");
  for (uint64_t i = 0; i < draws() * 8; ++i) {
    stays("(" + operand() + ")[" + operand() + "]");
    stays("(" + operand() + ")[" + operand() + ":" + operand() + ":" + operand() + "]");
    stays("{" + operand() + ": " + operand() + ", " + operand() + ": 1}");
    stays("m(*" + operand() + ")");
    stays("m(**" + operand() + ")");
    stays("{'k': " + operand() + "}|tojson(indent=" + operand() + ")");
    stays("not " + operand());
    stays("-(" + operand() + ")");
  }
}

/// What a search of the worst kind took 40 s for.
TEST_F(TemplateBudget, OfSearchesThatFailLate) {
  for (const char *search :
       {"aab in a1m", "aab200 in a1m", "baa in a1m", "a1m.find(aab)", "a1m.rfind(baa)", "a1m.count(aab)",
        "a1m.index(aab200)", "a1m.replace(aab, '')", "a1m|replace(baa, a1m)", "a1m.split(aab)", "a1m.rsplit(baa, 3)",
        "a1m.partition(aab)", "a1m.rpartition(baa)", "a1m.split('a')", "a1m.strip(wide ~ 'a')", "blanks.rstrip()",
        "a1m.startswith((aab, baa, aab200))", "texts|map('replace', aab200, 'x')|list", "a1m.rsplit('a', 500000)"})
    stays(search);
}

/// Keys of one slot of a table: numbers a power of two apart.
TEST_F(TemplateBudget, OfKeysThatCollide) {
  for (const char *many :
       {"range(0, 99991 * 4294967296, 4294967296)|unique|list|length",
        "range(0, 99991 * 107897, 107897)|unique|list|length", "range(0, 99991 * 1048576, 1048576)|groupby('x')|length",
        "colliding|unique|list|length", "dict(colliding|batch(2)|list)"})
    stays(many);
}

/// Files of five megabytes, each of another construct.
TEST_F(TemplateBudget, OfParsing) {
  std::string names, sets;
  for (int i = 0; i < 600000; ++i)
    names += "a" + std::to_string(i) + ",";
  for (int i = 0; i < 200000; ++i)
    sets += "{%set a" + std::to_string(i) + "=1%}";
  const std::pair<const char *, std::string> files[] = {
      {"outputs", times("{{a}}", 1000000)},
      {"comments", times("{##}", 1250000)},
      {"raw", times("{%raw%}{%endraw%}", 290000)},
      {"half raw", "{%raw%}" + times("{%   ", 1000000)},
      {"ifs", times("{%if a%}x{%endif%}", 270000)},
      {"elifs", "{%if a%}" + times("{%elif a%}", 490000) + "{%endif%}"},
      {"loops in loops", times("{%for a in b%}", 100) + times("{{loop}}", 600000) + times("{%endfor%}", 100)},
      {"macros in macros", times("{%macro a()%}", 100) + times("{{caller}}", 480000) + times("{%endmacro%}", 100)},
      {"items", "{{[" + times("a,", 2400000) + "]}}"},
      {"names", "{{[" + names + "]}}"},
      {"sets", sets},
      {"sums", times("{{" + times("1+", 300) + "1}}", 8000)},
      {"numbers", "{{[" + times("1_0,", 1200000) + "]}}"},
      {"one number", "{{" + times("1", 5000000) + "}}"},
      {"one float", "{{0." + times("1", 5000000) + "}}"},
      {"escapes", "{{'" + times("\\n", 2500000) + "'}}"},
      {"keywords", "{{f(" + times("a=1,", 1200000) + ")}}"},
      {"filters", times("{{" + times("a|trim|", 50) + "trim}}", 14000)},
      {"brackets", times("{{" + times("[", 140) + times("]", 140) + "}}", 17000)},
      {"signs", times("{{" + times("-", 140) + "1}}", 34000)},
      {"data", times("x", 5000000)},
      {"blanks", times(" \n", 2500000) + "{%- if a %}{% endif %}"},
      {"braces", times("{ ", 2500000)},
      {"parameters", "{%macro m(" + names + "b)%}{%endmacro%}"},
  };
  const RenderLimits limits;
  for (const auto &[name, text] : files) {
    Allocations::restart();
    const int64_t before = Allocations::live();
    const double start = threadSeconds();
    Result<ChatTemplate> chat = ChatTemplate::parse(text);
    const double taken = threadSeconds() - start;
    EXPECT_LE(Allocations::peak() - before, static_cast<int64_t>(limits.memoryBytes) + (1 << 20)) << name;
    EXPECT_LE(taken, secondsPerStep * static_cast<double>(limits.steps)) << name;
    if (!chat)
      EXPECT_EQ(static_cast<int>(chat.error().code) / 100, 4) << name << ": " << chat.error().text();
    if (std::getenv("STEPDOWN_BUDGET_SHOW"))
      std::printf("%-18s %.2f s, %3d MiB: %s\n", name, taken, static_cast<int>((Allocations::peak() - before) >> 20),
                  chat ? "a template" : chat.error().text().substr(0, 90).c_str());
  }
}

TEST_F(TemplateBudget, OfMessages) {
  const std::pair<const char *, std::string> files[] = {
      {"lists", "[" + times("[],", 5000000) + "[]]"},
      {"dictionaries", "[" + times("{\"a\":0},", 2000000) + "0]"},
      {"one text", "[" + quoted(times("x", 50000000)) + "]"},
      {"numbers", "[" + times("1,", 9000000) + "1]"},
  };
  const RenderLimits limits;
  for (const auto &[name, text] : files) {
    Allocations::restart();
    const int64_t before = Allocations::live();
    const double start = threadSeconds();
    Result<ChatContext> context = ChatContext::fromJson(text, "messages");
    EXPECT_LE(threadSeconds() - start, secondsPerStep * static_cast<double>(limits.steps)) << name;
    // The reader of JSON holds one text of the file beside the values.
    EXPECT_LE(Allocations::peak() - before, static_cast<int64_t>(limits.memoryBytes + 2 * text.size())) << name;
    if (!context)
      EXPECT_EQ(context.error().message.find("messages: expects"), 0u) << context.error().text();
  }
}

/// Cycles of references are undone at the end, through whatever they run.
TEST_F(TemplateBudget, ComesBackWhole) {
  for (const char *text :
       {"{% set ns = namespace() %}{% set ns.a = [ns] %}{{ ns }}",
        "{% for i in [1] %}{{ loop.changed(loop) }}{% endfor %}",
        "{% for i in [1, 2] %}{% set ns = namespace(l=loop) %}{{ loop.changed(ns, loop.previtem) }}{% endfor %}",
        "{% macro m() %}{{ m }}{% endmacro %}{{ m() }}",
        "{% for i in [1] recursive %}{{ loop.changed([loop]) }}{% endfor %}",
        "{% set ns = namespace(s='xx') %}{% for a in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}"}) {
    Result<ChatTemplate> chat = ChatTemplate::parse(text);
    ASSERT_TRUE(chat);
    ChatContext context;
    {
      Result<std::string> first = chat->render(context);
    } // what the thread and the library make once
    const int64_t before = Allocations::live();
    {
      Result<std::string> out = chat->render(context);
    }
    EXPECT_EQ(Allocations::live(), before) << text;
  }
}

} // namespace
