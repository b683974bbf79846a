#include "tools/stepdown-run/Serve/ToolReader.h"

#include "tools/stepdown-run/JsonText.h"
#include "tools/stepdown-run/Serve/Fresh.h"
#include <algorithm>

namespace stepdown::run {
namespace {

using Kind = ToolFormat::Kind;
using Json = nlohmann::ordered_json;

constexpr char blanks[] = " \n\r\t";
constexpr size_t longestHead = 256; ///< of a Named call, before [ARGS]
constexpr size_t mostBlanks = 64;   ///< that wait for a mark

std::string_view withoutBlanks(std::string_view text) {
  const size_t first = text.find_first_not_of(blanks);
  return first == text.npos ? std::string_view() : text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

} // namespace

ToolReader::ToolReader(const ToolFormat &format, const std::vector<Tool> &tools) : how(format) {
  for (const Tool &tool : tools)
    names.push_back(tool.name);
  state = how.kind == Kind::None ? State::Plain : how.kind == Kind::Bare ? State::Begin : State::Text;
}

std::string ToolReader::push(std::string_view text) {
  held += text;
  std::string out;
  while (advance(out))
    continue;
  return out;
}

std::string ToolReader::finish() {
  std::string out;
  // A call whose end mark the model left out is one.
  if (state == State::Close && how.kind == Kind::Tagged && add(std::string_view(held).substr(begin, at - begin)))
    held.clear();
  if (state != State::Plain && found && withoutBlanks(held).empty())
    held.clear(); // between calls, or behind them
  if (state == State::Close && how.kind == Kind::List && found)
    held.clear();
  out.swap(held);
  state = State::Plain;
  return out;
}

std::vector<ToolCall> ToolReader::take() { return std::exchange(calls, {}); }

bool ToolReader::advance(std::string &out) {
  switch (state) {
  case State::Text:
    return text(out);
  case State::Begin: {
    at = behindBlanks();
    if (at == held.size())
      return false;
    state = held[at] == '{' ? State::Open : State::Plain;
    return true;
  }
  case State::Open:
    return open(out);
  case State::Value:
    return value(out);
  case State::Close:
    return close(out);
  case State::Plain:
    out += held;
    held.clear();
  }
  return false;
}

size_t ToolReader::behindBlanks() const { return std::min(held.find_first_not_of(blanks, at), held.size()); }

// Lets out what cannot be the beginning of a mark, or blanks before one, which are no text of the answer.
bool ToolReader::text(std::string &out) {
  const size_t mark = held.find(how.begin);
  size_t end = std::min(mark, held.size());
  if (mark == held.npos) {
    size_t partial = std::min(held.size(), how.begin.size() - 1);
    while (partial && how.begin.compare(0, partial, held, held.size() - partial, partial) != 0)
      --partial;
    end -= partial;
  }
  const size_t last = end ? held.find_last_not_of(blanks, end - 1) : held.npos;
  end = std::max(last == held.npos ? 0 : last + 1, end - std::min(end, mostBlanks));
  out.append(held, 0, end);
  if (mark == held.npos) {
    held.erase(0, end);
    return false;
  }
  held.erase(0, end);
  at = marked = mark - end + how.begin.size();
  state = State::Open;
  return true;
}

bool ToolReader::open(std::string &out) {
  size_t from = at;
  if (how.kind == Kind::Named) {
    const std::string args = ToolFormat::argumentsMark;
    const size_t mark = held.find(args, at), again = held.find(how.begin, at), last = at + longestHead;
    if (again < mark && again <= last) { // another call, and what is before it is none
      at = again;
      return malformed(out);
    }
    if (mark == held.npos || mark > last)
      return held.size() >= last + args.size() && malformed(out);
    const size_t id = held.find(ToolFormat::idMark, at);
    name = withoutBlanks(std::string_view(held).substr(at, std::min(mark, id) - at));
    from = mark + args.size();
  }
  const size_t first = std::min(held.find_first_not_of(blanks, from), held.size());
  if (first - from > mostBlanks)
    return malformed(out);
  if (first == held.size())
    return false;
  if (how.kind == Kind::List && held[first] == '[' && marked && at == marked) {
    at = first + 1; // a list begins: each call follows [ or a comma
    return true;
  }
  if (held[first] != '{')
    return malformed(out);
  begin = at = first;
  depth = 0;
  inString = escaped = false;
  state = State::Value;
  return true;
}

ToolReader::Mark ToolReader::markAt(const std::string &mark) const {
  const size_t known = std::min(held.size() - at, mark.size());
  if (mark.empty() || held.compare(at, known, mark, 0, known) != 0)
    return Mark::None;
  return known == mark.size() ? Mark::Whole : Mark::Part;
}

// A mark is never JSON, nor is a line that ends within a string: the model forgot a bracket or a quotation mark there,
// and what follows may be another call.
bool ToolReader::value(std::string &out) {
  for (; at < held.size(); ++at) {
    const char c = held[at];
    if (inString && static_cast<unsigned char>(c) < 0x20)
      return malformed(out);
    if (!exact || !inString)
      for (const std::string *mark : {&how.begin, &how.end})
        if (const Mark here = markAt(*mark); here != Mark::None)
          return here == Mark::Whole && malformed(out);
    if (escaped)
      escaped = false;
    else if (inString && c == '\\')
      escaped = true;
    else if (c == '"')
      inString = !inString;
    else if (!inString && (c == '{' || c == '['))
      ++depth;
    else if (!inString && (c == '}' || c == ']') && --depth == 0) {
      ++at;
      if (how.kind == Kind::Tagged) {
        state = State::Close;
        return true;
      }
      const std::string_view object = std::string_view(held).substr(begin, at - begin);
      if (how.kind == Kind::Named ? !addCall(name, object) : !add(object))
        return malformed(out);
      accept(at, how.kind == Kind::List ? State::Close : how.kind == Kind::Bare ? State::Plain : State::Text);
      return true;
    }
  }
  return false;
}

bool ToolReader::close(std::string &out) {
  const size_t first = behindBlanks();
  if (first - at > mostBlanks)
    return malformed(out);
  if (how.kind == Kind::List) {
    if (first == held.size())
      return false;
    if (held[first] != ',' && held[first] != ']')
      return malformed(out);
    accept(first + 1, held[first] == ',' ? State::Open : State::Text);
    return true;
  }
  const size_t known = std::min(held.size() - first, how.end.size());
  if (how.end.compare(0, known, held, first, known) != 0)
    return malformed(out);
  if (known < how.end.size())
    return false;
  if (!add(std::string_view(held).substr(begin, at - begin)))
    return malformed(out);
  accept(first + how.end.size(), State::Text);
  return true;
}

// All that was read is text, and is not looked at again.
bool ToolReader::malformed(std::string &out) {
  at = std::max({at, marked, size_t(how.kind != Kind::Bare)}); // so that it goes on
  out.append(held, 0, at);
  accept(at, how.kind == Kind::Bare ? State::Plain : State::Text);
  return true;
}

void ToolReader::accept(size_t end, State next) {
  held.erase(0, end);
  at = marked = 0;
  state = next;
}

bool ToolReader::add(std::string_view object) {
  const Result<Json> read = parseJson<Json>(object, "call");
  if (!read || !read->is_object())
    return false;
  const auto called = read->find("name");
  if (called == read->end() || !called->is_string())
    return false;
  const std::string function = called->get<std::string>();
  // Models write the member of another form now and then. What has neither says nothing of arguments, or says them in a
  // way that is not known.
  const bool one = read->contains("arguments"), other = read->contains("parameters");
  if (one && other)
    return false;
  if (!one && !other) {
    for (const auto &[key, item] : read->items())
      if (key != "name" && key != "id" && key != "type")
        return false;
    return addCall(function, "{}");
  }
  const char *member = one ? "arguments" : "parameters";
  const Json &given = (*read)[member];
  if (given.is_string()) // the text of an object, as some write it
    return addCall(function, given.get<std::string>());
  const std::string_view written = withoutBlanks(memberText(object, member));
  return addCall(function, written.empty() ? given.dump() : std::string(written));
}

bool ToolReader::addCall(std::string function, std::string_view arguments) {
  const Result<Json> read = parseJson<Json>(arguments, "arguments");
  if (!read || !read->is_object() || std::find(names.begin(), names.end(), function) == names.end())
    return false;
  calls.push_back({freshCallId(), std::move(function), std::string(arguments)});
  ++found;
  return true;
}

} // namespace stepdown::run
