#include "tools/stepdown-run/Serve/ToolReader.h"

#include "tools/stepdown-run/JsonText.h"
#include <algorithm>
#include <mutex>
#include <random>

namespace stepdown::run {
namespace {

using Kind = ToolFormat::Kind;
using Json = nlohmann::ordered_json;

constexpr char blanks[] = " \n\r\t", args[] = "[ARGS]";
constexpr size_t longestHead = 256; ///< of a Named call, before [ARGS]
constexpr size_t mostBlanks = 64;   ///< that wait for a mark

/// Nine letters and digits, as some templates ask for.
std::string freshId() {
  static std::mutex mutex;
  static std::mt19937_64 engine{(uint64_t(std::random_device()()) << 32) | std::random_device()()};
  static const char letters[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  std::lock_guard<std::mutex> lock(mutex);
  std::string id(9, ' ');
  for (char &letter : id)
    letter = letters[engine() % (sizeof letters - 1)];
  return id;
}

std::string_view trimmed(std::string_view text) {
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
  if (state != State::Plain && found && trimmed(held).empty())
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
    const size_t mark = held.find(args, at);
    if (mark == held.npos)
      return held.size() > longestHead && malformed(out);
    const size_t id = held.find("[CALL_ID]", at);
    name = trimmed(std::string_view(held).substr(at, std::min(mark, id) - at));
    from = mark + sizeof args - 1;
  }
  const size_t first = std::min(held.find_first_not_of(blanks, from), held.size());
  if (first == held.size())
    return first - from > mostBlanks && malformed(out);
  if (how.kind == Kind::List && held[first] == '[' && at == marked) {
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

bool ToolReader::value(std::string &out) {
  for (; at < held.size(); ++at) {
    const char c = held[at];
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
  const auto given = read->find(how.arguments);
  if (called == read->end() || !called->is_string())
    return false;
  const std::string function = called->get<std::string>();
  if (given == read->end())
    return addCall(function, "{}");
  if (given->is_string()) // the text of an object, as some write it
    return addCall(function, given->get<std::string>());
  const std::string_view written = trimmed(memberText(object, how.arguments));
  return addCall(function, written.empty() ? given->dump() : std::string(written));
}

bool ToolReader::addCall(std::string function, std::string_view arguments) {
  const Result<Json> read = parseJson<Json>(arguments, "arguments");
  if (!read || !read->is_object() || std::find(names.begin(), names.end(), function) == names.end())
    return false;
  calls.push_back({freshId(), std::move(function), std::string(arguments)});
  ++found;
  return true;
}

} // namespace stepdown::run
