// Layouts as text: register[2:column 2:8*row] lane[4:2*column 8:row] -> row[16] column[8].
#include "lib/Layout/LinearLayout.h"
#include <cctype>
#include <cstdio>
#include <cstdlib>

namespace stepdown {

std::string LinearLayout::str() const {
  std::string text;
  for (const LayoutInput &input : in) {
    text += (text.empty() ? "" : " ") + input.name + "[";
    for (size_t d = 0; d < input.digits.size(); ++d) {
      const LayoutDigit &digit = input.digits[d];
      text += (d ? " " : "") + std::to_string(digit.size) + (digit.flips ? "^" : ":");
      std::string steps;
      for (size_t o = 0; o < out.size(); ++o)
        if (digit.step[o])
          steps += (steps.empty() ? "" : "+") + (digit.step[o] == 1 ? "" : std::to_string(digit.step[o]) + "*") +
                   out[o].name;
      text += steps.empty() ? "0" : steps;
    }
    text += "]";
  }
  text += text.empty() ? "->" : " ->";
  for (const LayoutOutput &output : out)
    text += " " + output.name + "[" + std::to_string(output.size) + "]";
  return text;
}

namespace {
/// Reads the text from left to right; the first thing wrong is kept.
struct Reader {
  std::string_view text;
  size_t at = 0;
  std::string wrong;

  void skip() {
    while (at < text.size() && std::isspace(static_cast<unsigned char>(text[at])))
      ++at;
  }
  bool ends() { return skip(), at == text.size(); }
  bool takes(std::string_view word) {
    skip();
    if (text.substr(at, word.size()) != word)
      return false;
    at += word.size();
    return true;
  }
  bool expect(const std::string &what) {
    if (wrong.empty())
      wrong = "expects " + what + ", but got " + (ends() ? "the end" : "'" + std::string(text.substr(at, 12)) + "'") +
              " at " + std::to_string(at);
    return false;
  }
  bool number(int64_t &value) {
    skip();
    const size_t from = at;
    for (value = 0; at < text.size() && std::isdigit(static_cast<unsigned char>(text[at])); ++at)
      if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, text[at] - '0', &value))
        return at = from, expect("a number of 63 bits");
    return at > from || expect("a number");
  }
  bool name(std::string &value) {
    skip();
    const size_t from = at;
    while (at < text.size() && (std::isalpha(static_cast<unsigned char>(text[at])) || text[at] == '_' ||
                                (at > from && std::isdigit(static_cast<unsigned char>(text[at])))))
      ++at;
    value = std::string(text.substr(from, at - from));
    return at > from || expect("a name");
  }
  bool mark(const char *sign) { return takes(sign) || expect("'" + std::string(sign) + "'"); }
};

/// A digit whose outputs are still names.
struct NamedDigit {
  int64_t size = 2;
  bool flips = false;
  std::vector<std::pair<std::string, int64_t>> steps;
};

bool readDigit(Reader &reader, NamedDigit &digit) {
  if (!reader.number(digit.size))
    return false;
  digit.flips = reader.takes("^");
  if (!digit.flips && !reader.mark(":"))
    return false;
  do {
    int64_t step = 1;
    std::string output;
    reader.skip();
    if (reader.at < reader.text.size() && std::isdigit(static_cast<unsigned char>(reader.text[reader.at]))) {
      if (!reader.number(step))
        return false;
      if (step == 0 && digit.steps.empty())
        return true;
      if (!reader.mark("*"))
        return false;
    }
    if (!reader.name(output))
      return false;
    digit.steps.push_back({output, step});
  } while (reader.takes("+"));
  return true;
}
} // namespace

std::optional<LinearLayout> LinearLayout::parse(std::string_view text, std::string *why) {
  Reader reader{text, 0, ""};
  std::vector<std::pair<std::string, std::vector<NamedDigit>>> named;
  std::vector<LayoutOutput> outputs;
  auto fail = [&](const std::string &wrong) {
    if (why)
      *why = wrong;
    return std::nullopt;
  };
  while (!reader.takes("->")) {
    named.emplace_back();
    if (!reader.name(named.back().first) || !reader.mark("["))
      return fail(reader.wrong);
    while (!reader.takes("]")) {
      named.back().second.emplace_back();
      if (!readDigit(reader, named.back().second.back()))
        return fail(reader.wrong);
    }
  }
  while (!reader.ends()) {
    outputs.emplace_back();
    if (!reader.name(outputs.back().name) || !reader.mark("[") || !reader.number(outputs.back().size) ||
        !reader.mark("]"))
      return fail(reader.wrong);
  }
  std::vector<LayoutInput> inputs;
  for (auto &[name, digits] : named) {
    inputs.push_back({name, {}});
    for (NamedDigit &digit : digits) {
      LayoutDigit made{digit.size, std::vector<int64_t>(outputs.size(), 0), digit.flips};
      for (auto &[output, step] : digit.steps) {
        size_t o = 0;
        while (o < outputs.size() && outputs[o].name != output)
          ++o;
        if (o == outputs.size())
          return fail("expects steps of outputs behind '->', but got " + output + " in " + name);
        made.step[o] += step;
      }
      inputs.back().digits.push_back(std::move(made));
    }
  }
  LinearLayout layout(std::move(inputs), std::move(outputs));
  if (!layout.problem().empty())
    return fail(layout.problem());
  return layout;
}

LinearLayout LinearLayout::of(const std::string &text) {
  std::string why;
  std::optional<LinearLayout> layout = parse(text, &why);
  if (!layout) {
    std::fprintf(stderr, "layout table: '%s': %s\n", text.c_str(), why.c_str());
    std::abort();
  }
  return *layout;
}

} // namespace stepdown
