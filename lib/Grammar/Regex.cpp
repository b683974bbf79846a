#include "lib/Grammar/Regex.h"

#include "lib/Text/Tokenizer/Utf8.h"
#include <algorithm>
#include <optional>

namespace stepdown::grammar {
namespace {

constexpr int maxNesting = 250;
constexpr uint32_t maxCount = 1000; ///< as RE2 has it

const Ranges digits = {{'0', '9'}}, word = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}},
             blank = {{'\t', '\n'}, {'\f', '\r'}, {' ', ' '}};

struct NamedClass {
  const char *name;
  Ranges ranges;
};
const NamedClass posixClasses[] = {
    {"alnum", {{'0', '9'}, {'A', 'Z'}, {'a', 'z'}}},
    {"alpha", {{'A', 'Z'}, {'a', 'z'}}},
    {"ascii", {{0, 0x7f}}},
    {"blank", {{'\t', '\t'}, {' ', ' '}}},
    {"cntrl", {{0, 0x1f}, {0x7f, 0x7f}}},
    {"digit", {{'0', '9'}}},
    {"graph", {{'!', '~'}}},
    {"lower", {{'a', 'z'}}},
    {"print", {{' ', '~'}}},
    {"punct", {{'!', '/'}, {':', '@'}, {'[', '`'}, {'{', '~'}}},
    {"space", {{'\t', '\r'}, {' ', ' '}}},
    {"upper", {{'A', 'Z'}}},
    {"word", {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}}},
    {"xdigit", {{'0', '9'}, {'A', 'F'}, {'a', 'f'}}},
};

struct Flags {
  bool fold = false, dotAll = false;
};

class Parser {
public:
  explicit Parser(std::string_view text) : text(text) {}

  Result<Expression> parse() {
    while (!ended()) {
      const size_t length = characterLength(text.substr(at));
      if (!length)
        return refuse(ErrorCode::GrammarText, "UTF-8, but it is not");
      at += length;
    }
    at = 0;
    Flags flags;
    Result<Expression> all = either(flags, 0);
    if (all && at < text.size())
      return refuse(ErrorCode::RegexSyntax, "a group to close, but there is none");
    return all;
  }

private:
  Error refuse(ErrorCode code, const std::string &expected) const {
    return fail(code, "regular expression: offset %zu: expects %s", at, expected.c_str());
  }
  Error unsupported(const std::string &what) const {
    return fail(ErrorCode::RegexUnsupported, "regular expression: offset %zu: %s is not supported", at, what.c_str());
  }
  bool ended() const { return at >= text.size(); }
  bool next(std::string_view what) {
    if (text.substr(at, what.size()) != what)
      return false;
    at += what.size();
    return true;
  }
  uint32_t character() {
    const size_t length = characterLength(text.substr(at));
    const uint32_t point = codePoint(text.substr(at), length);
    at += length;
    return point;
  }

  Ranges folded(Ranges ranges, const Flags &flags) const {
    if (!flags.fold)
      return normalised(std::move(ranges));
    for (size_t i = 0, count = ranges.size(); i < count; ++i)
      for (auto [from, shift] : {std::pair<uint32_t, int>{'a', -32}, {'A', 32}}) {
        const uint32_t low = std::max(ranges[i].low, from), high = std::min(ranges[i].high, from + 25);
        if (low <= high)
          ranges.push_back({low + shift, high + shift});
      }
    return normalised(std::move(ranges));
  }

  Result<Expression> either(Flags &flags, int depth) {
    if (depth > maxNesting)
      return refuse(ErrorCode::RegexSyntax, "at most 250 groups in each other, but got more");
    std::vector<Expression> all;
    do {
      Result<Expression> part = sequence(flags, depth);
      if (!part)
        return part;
      all.push_back(std::move(*part));
    } while (next("|"));
    return all.size() == 1 ? std::move(all[0]) : Expression::either(std::move(all));
  }

  Result<Expression> sequence(Flags &flags, int depth) {
    std::vector<Expression> all;
    while (!ended() && text[at] != '|' && text[at] != ')') {
      if (next("\\Q")) {
        const size_t before = all.size();
        while (!ended() && !next("\\E"))
          all.push_back(literal(character(), flags));
        if (all.size() == before)
          continue;
        Result<Expression> last = repeated(std::move(all.back())); // of the last character, as \Qab\E* is ab*
        if (!last)
          return last;
        all.back() = std::move(*last);
        continue;
      }
      Result<Expression> part = atom(flags, depth);
      if (part)
        part = repeated(std::move(*part));
      if (!part)
        return part;
      all.push_back(std::move(*part));
    }
    return all.size() == 1 ? std::move(all[0]) : Expression::sequence(std::move(all));
  }

  /// {n}, {n,} or {n,m}; none where the bracket is a literal.
  bool counts(uint32_t &least, uint32_t &most) {
    size_t i = at + 1;
    auto number = [&](uint32_t &value) {
      const size_t begin = i;
      uint64_t read = 0;
      while (i < text.size() && text[i] >= '0' && text[i] <= '9' && i < begin + 9)
        read = read * 10 + static_cast<uint64_t>(text[i++] - '0');
      value = static_cast<uint32_t>(read);
      return i > begin;
    };
    if (!number(least))
      return false;
    most = least;
    if (i < text.size() && text[i] == ',') {
      ++i;
      if (!number(most))
        most = Expression::unbounded;
    }
    if (i >= text.size() || text[i] != '}')
      return false;
    at = i + 1;
    return true;
  }

  Result<Expression> repeated(Expression part) {
    for (bool again = false;; again = true) {
      uint32_t least = 0, most = 0;
      const size_t begin = at;
      if (next("*"))
        most = Expression::unbounded;
      else if (next("+"))
        least = 1, most = Expression::unbounded;
      else if (next("?"))
        most = 1;
      else if (ended() || text[at] != '{' || !counts(least, most))
        return part;
      if (again) {
        at = begin;
        return text[begin] == '+' ? unsupported("possessive repetition (+ after a repetition)")
                                  : refuse(ErrorCode::RegexSyntax, "one repetition, but got two in a row");
      }
      if (least > maxCount || (most != Expression::unbounded && (most > maxCount || most < least))) {
        at = begin;
        return refuse(ErrorCode::RegexSyntax, "a repetition of at most 1000 whose bounds ascend");
      }
      next("?"); // lazy: the same language
      if (part.kind == Expression::Kind::Begin || part.kind == Expression::Kind::End)
        part = Expression::sequence({std::move(part)});
      part = Expression::repeat(std::move(part), least, most);
    }
  }

  Expression literal(uint32_t point, const Flags &flags) const {
    return Expression::characters(folded({{point, point}}, flags));
  }

  Result<Expression> group(Flags &flags, int depth) {
    Flags inner = flags;
    if (next("?")) {
      if (next("P<") || (text.substr(at, 2) != "<=" && text.substr(at, 2) != "<!" && next("<"))) {
        const size_t end = text.find('>', at);
        if (end == text.npos || end == at)
          return refuse(ErrorCode::RegexSyntax, "a name and >, but got neither");
        at = end + 1;
      } else {
        for (const char *look : {"=", "!", "<=", "<!"})
          if (text.substr(at, std::string_view(look).size()) == look)
            return unsupported(std::string("look-around (?") + look + ")");
        if (next("P=") || next(">") || next("#") || next("|"))
          return unsupported("a group of this kind");
        bool on = true, any = false;
        for (; !ended() && text[at] != ':' && text[at] != ')'; ++at, any = true) {
          if (text[at] == '-' && on)
            on = false;
          else if (text[at] == 'i')
            inner.fold = on;
          else if (text[at] == 's')
            inner.dotAll = on;
          else if (text[at] == 'm')
            return unsupported("the flag m");
          else if (text[at] != 'U') // lazy and greedy are the same language
            return refuse(ErrorCode::RegexSyntax, "a flag of i, s, m, U, but got another");
        }
        if (any && next(")")) {
          flags = inner; // for the rest of the group around
          return Expression();
        }
        if (!next(":"))
          return refuse(ErrorCode::RegexSyntax, "flags and : or ), but got neither");
      }
    }
    Result<Expression> all = either(inner, depth + 1);
    if (!all)
      return all;
    if (!next(")"))
      return refuse(ErrorCode::RegexSyntax, "a closing bracket, but the group goes on to the end");
    return all;
  }

  Result<Expression> atom(Flags &flags, int depth) {
    const size_t begin = at;
    if (next("("))
      return group(flags, depth);
    if (next("["))
      return bracket(flags);
    if (next("."))
      return Expression::characters(flags.dotAll ? anyCharacter() : complement({{'\n', '\n'}}));
    if (next("^") || next("\\A"))
      return Expression{Expression::Kind::Begin};
    if (next("$") || next("\\z"))
      return Expression{Expression::Kind::End};
    if (text[at] == '*' || text[at] == '+' || text[at] == '?')
      return refuse(ErrorCode::RegexSyntax, "something to repeat, but got none");
    if (text[at] != '\\')
      return literal(character(), flags);
    if (auto set = perlClass())
      return Expression::characters(folded(std::move(*set), flags));
    for (const char *none : {"\\b", "\\B", "\\p", "\\P", "\\C", "\\G", "\\Z", "\\k"})
      if (text.substr(begin, 2) == none)
        return unsupported(none);
    Result<uint32_t> point = escape();
    if (!point)
      return point.error();
    return literal(*point, flags);
  }

  std::optional<Ranges> perlClass() {
    if (next("\\d"))
      return digits;
    if (next("\\D"))
      return complement(digits);
    if (next("\\w"))
      return word;
    if (next("\\W"))
      return complement(word);
    if (next("\\s"))
      return blank;
    if (next("\\S"))
      return complement(blank);
    return std::nullopt;
  }

  /// A backslash and what it stands for.
  Result<uint32_t> escape() {
    const size_t begin = at++;
    if (ended())
      return refuse(ErrorCode::RegexSyntax, "a character after the backslash, but the text ends");
    const char letter = text[at];
    static constexpr char letters[][2] = {{'n', '\n'}, {'t', '\t'}, {'r', '\r'}, {'f', '\f'}, {'v', '\v'}, {'a', '\a'}};
    for (auto [name, value] : letters)
      if (letter == name) {
        ++at;
        return uint32_t(value);
      }
    // One digit other than 0 would be a back reference.
    const bool octal = letter == '0' || (letter >= '1' && letter <= '7' && at + 1 < text.size() &&
                                         text[at + 1] >= '0' && text[at + 1] <= '7');
    if (octal || letter == 'x' || letter == 'u') {
      uint32_t value = 0;
      size_t count = 0, most = octal ? 3 : letter == 'x' ? 2 : 4;
      const uint32_t base = octal ? 8 : 16;
      bool braces = false;
      if (!octal) {
        ++at;
        braces = next("{");
        most = braces ? 8 : most;
      }
      for (; !ended() && count < most; ++at, ++count) {
        const char c = text[at];
        const int digit = c >= '0' && c <= '9'   ? c - '0'
                          : c >= 'a' && c <= 'f' ? c - 'a' + 10
                          : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                 : 99;
        if (digit >= static_cast<int>(base))
          break;
        value = value * base + static_cast<uint32_t>(digit);
      }
      const bool whole = braces ? count > 0 && next("}") : base == 8 ? count > 0 : count == most;
      if (!whole || value > lastCodePoint || (value >= 0xd800 && value < 0xe000)) {
        at = begin;
        return refuse(ErrorCode::RegexSyntax, "the number of a character after the escape, but got another");
      }
      return value;
    }
    const bool word =
        (letter >= '0' && letter <= '9') || (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z');
    if (word) {
      const std::string name = text.substr(begin, 2) == "\\E" ? "\\E without \\Q" : std::string(text.substr(begin, 2));
      at = begin;
      return unsupported(name);
    }
    return character();
  }

  Result<Expression> bracket(const Flags &flags) {
    const bool negated = next("^");
    Ranges ranges;
    for (bool first = true;; first = false) {
      if (ended())
        return refuse(ErrorCode::RegexSyntax, "] at the end of the class, but it goes on to the end");
      if (!first && next("]"))
        break;
      if (next("[:")) {
        const bool inverted = next("^");
        const size_t end = text.find(":]", at);
        const std::string_view name = text.substr(at, end == text.npos ? 0 : end - at);
        const NamedClass *found = std::find_if(std::begin(posixClasses), std::end(posixClasses),
                                               [&](const NamedClass &each) { return name == each.name; });
        if (found == std::end(posixClasses))
          return refuse(ErrorCode::RegexSyntax, "a class such as [:alpha:], but got another");
        at = end + 2;
        const Ranges set = inverted ? complement(found->ranges) : found->ranges;
        ranges.insert(ranges.end(), set.begin(), set.end());
        continue;
      }
      if (auto set = perlClass()) {
        ranges.insert(ranges.end(), set->begin(), set->end());
        continue;
      }
      if (text.substr(at, 2) == "\\p" || text.substr(at, 2) == "\\P")
        return unsupported(std::string(text.substr(at, 2)));
      Result<uint32_t> low = one();
      if (!low)
        return low.error();
      Result<uint32_t> high = *low;
      if (at + 1 < text.size() && text[at] == '-' && text[at + 1] != ']') {
        ++at;
        high = one();
        if (!high)
          return high.error();
        if (*high < *low)
          return refuse(ErrorCode::RegexSyntax, "a range that ascends, but it descends");
      }
      // A range may reach over the surrogates, which no text has.
      if (*low < 0xd800 && *high > 0xdfff) {
        ranges.push_back({*low, 0xd7ff});
        ranges.push_back({0xe000, *high});
      } else {
        ranges.push_back({*low, *high});
      }
    }
    Ranges all = folded(std::move(ranges), flags);
    return Expression::characters(negated ? complement(all) : std::move(all));
  }
  Result<uint32_t> one() {
    if (text[at] != '\\')
      return character();
    if (next("\\b"))
      return uint32_t('\b');
    return escape();
  }

  std::string_view text;
  size_t at = 0;
};

Result<Dfa> languageOf(std::string_view pattern, bool search, size_t &steps) {
  Result<Expression> parsed = parseRegex(pattern);
  if (!parsed)
    return parsed.error();
  Nfa nfa;
  const int32_t begin = nfa.add(), end = nfa.add();
  nfa.empty(Nfa::start, begin);
  nfa.empty(end, Nfa::end);
  if (search) // anything before and behind
    for (Range range : anyCharacter()) {
      nfa.edge(begin, range, begin);
      nfa.edge(end, range, end);
    }
  const int32_t from = nfa.add(), to = nfa.add();
  nfa.empty(begin, from);
  nfa.empty(to, end);
  if (Status ok = addExpression(nfa, *parsed, from, to, true); !ok)
    return ok.error();
  return determinise(nfa, steps);
}

} // namespace

Result<Expression> parseRegex(std::string_view pattern) { return Parser(pattern).parse(); }
Result<Dfa> matchingTexts(std::string_view pattern) {
  size_t steps = 0;
  return languageOf(pattern, false, steps);
}
Result<Dfa> textsWithMatch(std::string_view pattern, size_t &steps) { return languageOf(pattern, true, steps); }

} // namespace stepdown::grammar
