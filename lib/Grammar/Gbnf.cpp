#include "lib/Grammar/Gbnf.h"

#include "lib/Text/Tokenizer/Utf8.h"
#include <algorithm>
#include <map>

namespace stepdown::grammar {
namespace {

constexpr int maxDepth = 250;
constexpr uint32_t maxRepeat = 100000;
constexpr size_t maxRules = 16384;
constexpr int maxSuffixes = 8; ///< of one part: each is a level more of the tree, which is walked recursively

bool isNameByte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

class Reader {
public:
  explicit Reader(std::string_view text) : text(text) {}

  /// The rules of `other` become rules of this grammar, and rule `name` means its root.
  Status add(const std::string &name, Grammar other) {
    const int32_t own = ruleOf(name), before = static_cast<int32_t>(grammar.rules.size());
    defined[own] = true;
    for (Rule &rule : other.rules) {
      for (Nfa::State &state : rule.nfa.states)
        for (Nfa::Edge &edge : state.edges)
          if (edge.range.low >= symbolOf(0)) // a call
            edge.range.low = edge.range.high = edge.range.low + static_cast<uint32_t>(before);
      states += rule.nfa.states.size();
      grammar.rules.push_back(std::move(rule));
      defined.push_back(true);
      used.push_back(0);
    }
    const uint32_t root = symbolOf(before + other.root);
    grammar.rules[own].nfa.edge(Nfa::start, {root, root}, Nfa::end);
    return grammar.rules.size() > maxRules || states > 8 * maxStates ? Status(tooLarge("grammar")) : Status(Done{});
  }

  Result<Grammar> read() {
    for (std::string_view rest = text; !rest.empty();) {
      const size_t length = characterLength(rest);
      if (!length)
        return fail(ErrorCode::GrammarText, "grammar: offset %zu: expects UTF-8, but it is not",
                    text.size() - rest.size());
      rest.remove_prefix(length);
    }
    for (blanks(true); at < text.size(); blanks(true))
      if (Status ok = rule(); !ok)
        return ok.error();
    if (grammar.rules.empty())
      return fail(ErrorCode::GrammarText, "grammar: expects at least one rule, but there is none");
    for (size_t r = 0; r < grammar.rules.size(); ++r)
      if (!defined[r])
        return fail(ErrorCode::GrammarRule, "grammar: line %zu: rule %s is used and not defined", used[r],
                    grammar.rules[r].name.c_str());
    const auto root = ids.find("root");
    if (root == ids.end())
      return fail(ErrorCode::GrammarRule, "grammar: expects a rule called root, but there is none");
    grammar.root = root->second;
    return std::move(grammar);
  }

private:
  /// Counted on from where it was last asked for.
  size_t line() {
    const auto begin = text.begin() + std::min(at, counted), end = text.begin() + std::max(at, counted);
    const size_t between = static_cast<size_t>(std::count(begin, end, '\n'));
    lines = at >= counted ? lines + between : lines - between;
    counted = at;
    return lines;
  }
  Error refuse(const std::string &expected) {
    return fail(ErrorCode::GrammarSyntax, "grammar: line %zu: expects %s", line(), expected.c_str());
  }
  bool next(std::string_view what) {
    if (text.substr(at, what.size()) != what)
      return false;
    at += what.size();
    return true;
  }
  char peek() const { return at < text.size() ? text[at] : '\0'; }
  /// Blanks and comments; ends of lines where `lines` says so.
  void blanks(bool lines) {
    for (; at < text.size(); ++at) {
      if (text[at] == '#')
        at = std::min(text.find('\n', at), text.size());
      if (at >= text.size() ||
          (text[at] != ' ' && text[at] != '\t' && !(lines && (text[at] == '\n' || text[at] == '\r'))))
        return;
    }
  }

  std::string name() {
    const size_t begin = at;
    while (at < text.size() && isNameByte(text[at]))
      ++at;
    return std::string(text.substr(begin, at - begin));
  }

  int32_t ruleOf(const std::string &name) {
    auto [found, isNew] = ids.try_emplace(name, static_cast<int32_t>(grammar.rules.size()));
    if (isNew) {
      grammar.add(name);
      defined.push_back(false);
      used.push_back(line());
    }
    return found->second;
  }

  Status rule() {
    const std::string own = name();
    if (own.empty())
      return refuse("the name of a rule");
    if (grammar.rules.size() > maxRules)
      return fail(ErrorCode::GrammarTooLarge, "grammar: line %zu: expects at most %zu rules, but needs more", line(),
                  maxRules);
    blanks(false);
    if (!next("::="))
      return refuse("::= after the name " + own);
    const int32_t id = ruleOf(own);
    if (defined[id])
      return refuse("rule " + own + " to be defined once");
    blanks(true);
    Result<Expression> body = alternatives(false, 0);
    if (!body)
      return body.error();
    defined[id] = true;
    if (at < text.size() && peek() != '\n' && peek() != '\r')
      return refuse("the end of the line after rule " + own);
    Rule &rule = grammar.rules[id];
    states += rule.nfa.states.size();
    if (Status ok = addExpression(rule.nfa, *body, Nfa::start, Nfa::end, false); !ok)
      return ok;
    states += rule.nfa.states.size();
    return states > 8 * maxStates ? Status(tooLarge("grammar")) : Status(Done{});
  }

  /// A line that begins with | goes on with the rule before.
  bool anotherAlternative(bool nested) {
    const size_t before = at;
    blanks(true);
    if (next("|")) {
      blanks(true);
      return true;
    }
    if (!nested)
      at = before;
    return false;
  }

  Result<Expression> alternatives(bool nested, int depth) {
    if (depth > maxDepth)
      return refuse("at most 250 groups in each other");
    std::vector<Expression> all;
    do {
      Result<Expression> part = sequence(nested, depth);
      if (!part)
        return part;
      all.push_back(std::move(*part));
    } while (anotherAlternative(nested));
    return all.size() == 1 ? std::move(all[0]) : Expression::either(std::move(all));
  }

  Result<Expression> sequence(bool nested, int depth) {
    std::vector<Expression> all;
    for (blanks(nested); at < text.size(); blanks(nested)) {
      const char c = peek();
      Result<Expression> part = Expression();
      if (c == '"')
        part = literal();
      else if (c == '[')
        part = bracket();
      else if (next("."))
        part = Expression::characters(anyCharacter());
      else if (next("(")) {
        blanks(true);
        part = alternatives(true, depth + 1);
        if (part && !next(")"))
          part = refuse(") at the end of a group");
      } else if (isNameByte(c)) {
        const std::string called = name();
        const int32_t id = ruleOf(called);
        part = Expression();
        part->kind = Expression::Kind::Rule;
        part->rule = id;
      } else if (c == '<' || (c == '!' && text.substr(at, 2) == "!<")) {
        return refuse("rules about bytes: tokens in <> are not supported");
      } else {
        break;
      }
      if (part)
        part = repeated(std::move(*part), nested);
      if (!part)
        return part;
      all.push_back(std::move(*part));
    }
    const char c = peek();
    if (at < text.size() && c != '|' && c != ')' && c != '\n' && c != '\r')
      return refuse(std::string("a text, a class, a group or a rule, but got ") + c);
    return all.size() == 1 ? std::move(all[0]) : Expression::sequence(std::move(all));
  }

  Result<Expression> repeated(Expression part, bool nested) {
    for (int suffixes = 0;; ++suffixes) {
      const size_t before = at;
      blanks(nested);
      if (suffixes == maxSuffixes && at < text.size() && std::string_view("*+?{").find(text[at]) != text.npos)
        return refuse("at most 8 of * + ? and {} behind one part");
      if (next("*"))
        part = Expression::repeat(std::move(part), 0, Expression::unbounded);
      else if (next("+"))
        part = Expression::repeat(std::move(part), 1, Expression::unbounded);
      else if (next("?"))
        part = Expression::repeat(std::move(part), 0, 1);
      else if (next("{")) {
        uint32_t least = 0, most = 0;
        blanks(nested);
        if (!number(least))
          return refuse("a number after {, of at most 100000");
        most = least;
        blanks(nested);
        if (next(",")) {
          blanks(nested);
          if (!number(most))
            most = Expression::unbounded;
          blanks(nested);
        }
        if (!next("}") || most < least)
          return refuse("} after ascending counts");
        part = Expression::repeat(std::move(part), least, most);
      } else {
        at = before;
        return part;
      }
    }
  }

  bool number(uint32_t &value) {
    const size_t begin = at;
    uint64_t read = 0;
    while (at < text.size() && text[at] >= '0' && text[at] <= '9' && read <= maxRepeat)
      read = read * 10 + static_cast<uint64_t>(text[at++] - '0');
    value = static_cast<uint32_t>(read);
    return at > begin && read <= maxRepeat;
  }

  /// One character of a text or a class, escapes read.
  Result<uint32_t> character() {
    if (at >= text.size() || text[at] == '\n')
      return refuse("the end of a text or a class before the end of the line");
    if (text[at] != '\\') {
      const size_t length = characterLength(text.substr(at));
      const uint32_t point = codePoint(text.substr(at), length);
      at += length;
      return point;
    }
    ++at;
    const char letter = peek();
    const size_t digits = letter == 'x' ? 2 : letter == 'u' ? 4 : letter == 'U' ? 8 : 0;
    if (digits) {
      ++at;
      uint32_t value = 0;
      for (size_t i = 0; i < digits; ++i, ++at) {
        const char c = peek();
        const int digit = c >= '0' && c <= '9'   ? c - '0'
                          : c >= 'a' && c <= 'f' ? c - 'a' + 10
                          : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                 : -1;
        if (digit < 0)
          return refuse(std::to_string(digits) + " hexadecimal digits after \\" + letter);
        value = value * 16 + static_cast<uint32_t>(digit);
      }
      if (value > lastCodePoint || (value >= 0xd800 && value < 0xe000))
        return refuse("the number of a character after the escape");
      return value;
    }
    ++at;
    switch (letter) {
    case 'n':
      return uint32_t('\n');
    case 'r':
      return uint32_t('\r');
    case 't':
      return uint32_t('\t');
    case '\\':
    case '"':
    case '[':
    case ']':
    case '-':
    case '^':
      return uint32_t(letter);
    default:
      return refuse("an escape of \\n \\r \\t \\\\ \\\" \\[ \\] \\- \\^ \\x \\u \\U");
    }
  }

  Result<Expression> literal() {
    ++at;
    std::vector<Expression> all;
    while (!next("\"")) {
      Result<uint32_t> point = character();
      if (!point)
        return point.error();
      all.push_back(Expression::characters({{*point, *point}}));
    }
    return all.size() == 1 ? std::move(all[0]) : Expression::sequence(std::move(all));
  }

  Result<Expression> bracket() {
    ++at;
    const bool negated = next("^");
    Ranges ranges;
    while (!next("]")) {
      Result<uint32_t> low = character();
      if (!low)
        return low.error();
      Result<uint32_t> high = *low;
      if (peek() == '-' && text.substr(at, 2) != "-]") {
        ++at;
        high = character();
        if (!high)
          return high.error();
      }
      if (*high < *low)
        return refuse("a range of a class that ascends");
      for (Range part : {Range{*low, std::min(*high, 0xd7ffu)}, Range{std::max(*low, 0xe000u), *high}})
        if (part.low <= part.high)
          ranges.push_back(part);
    }
    ranges = normalised(std::move(ranges));
    return Expression::characters(negated ? complement(ranges) : std::move(ranges));
  }

  std::string_view text;
  size_t at = 0;
  size_t counted = 0, lines = 1; ///< of line()
  size_t states = 0;
  Grammar grammar;
  std::map<std::string, int32_t> ids;
  std::vector<bool> defined;
  std::vector<size_t> used; ///< lines
};

} // namespace

Result<Grammar> readGbnf(std::string_view text, const std::vector<OtherRule> &others) {
  Reader reader(text);
  for (const OtherRule &other : others) {
    Result<Grammar> read = other.read();
    const Status added = read ? reader.add(other.name, std::move(*read)) : Status(read.error());
    if (!added)
      return fail(added.error().code, "%s: %s", other.where.c_str(), added.error().message.c_str());
  }
  return reader.read();
}

} // namespace stepdown::grammar
