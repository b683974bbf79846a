#include "tools/stepdown-run/Serve/ToolFormat.h"

#include "lib/Text/ChatPrompt.h"
#include "tools/stepdown-run/Serve/Fresh.h"

namespace stepdown::run {
namespace {

using Kind = ToolFormat::Kind;

constexpr char called[] = "look_7up", given[] = R"({"x": "stepdown7"})";
constexpr char calls[] = "[TOOL_CALLS]";
constexpr const char *id = ToolFormat::idMark, *args = ToolFormat::argumentsMark;
constexpr char tool[] = R"([{"type": "function", "function": {"name": "look_7up", "description": "d", "parameters":
  {"type": "object", "properties": {"x": {"type": "string", "description": "d"}}, "required": ["x"]}}}])";
constexpr char asked[] = R"([{"role": "user", "content": "u"}])";
constexpr char conversation[] = R"([{"role": "user", "content": "u"}, {"role": "assistant", "content": "", "tool_calls":
  [{"id": "abcdefgh7", "type": "function", "function": {"name": "look_7up", "arguments": {"x": "stepdown7"}}}]},
  {"role": "tool", "tool_call_id": "abcdefgh7", "name": "look_7up", "content": "7"}])";

/// Takes `what` from the end of `text`, with blanks behind it; false where it is not there.
bool dropLast(std::string_view &text, std::string_view what) {
  std::string_view rest = text.substr(0, text.find_last_not_of(" \n\t") + 1);
  if (rest.size() < what.size() || rest.substr(rest.size() - what.size()) != what)
    return false;
  text = rest.substr(0, rest.size() - what.size());
  return true;
}

bool begins(std::string_view text, std::string_view what) {
  const size_t first = text.find_first_not_of(" \n\t");
  return first != text.npos && text.substr(first, what.size()) == what;
}

/// Of a conversation with a call, and of its beginning, up to where the model goes on.
ToolFormat formatOf(std::string_view rendered, std::string_view prompt) {
  const size_t at = rendered.rfind(given);
  if (at == rendered.npos)
    return {};
  const std::string_view behind = rendered.substr(at + sizeof given - 1);
  std::string_view before = rendered.substr(0, at);
  for (const char *member : {"arguments", "parameters"}) {
    std::string_view head = before;
    if (!dropLast(head, std::string("{\"name\": \"") + called + "\", \"" + member + "\":"))
      continue;
    std::string_view outer = head;
    if (dropLast(outer, "<tool_call>") && begins(behind, "}") &&
        begins(behind.substr(behind.find('}') + 1), "</tool_call>"))
      return {Kind::Tagged, "<tool_call>", "</tool_call>", member};
    if (dropLast(outer, "[") && dropLast(outer, calls))
      return {Kind::List, calls, "", member};
    if (begins(behind, "}") && head == prompt) // behind a tag it is a form that is not known here
      return {Kind::Bare, "", "", member};
  }
  if (dropLast(before, args)) {
    std::string_view name = before;
    const size_t mark = name.rfind(id);
    const bool numbered = mark != name.npos && mark + 32 > name.size();
    if (numbered)
      name = name.substr(0, mark);
    if (dropLast(name, std::string(calls) + called)) {
      ToolFormat format = {Kind::Named, calls, "", ""};
      format.numbered = numbered;
      return format;
    }
  }
  return {};
}

/// A text in GBNF's quotes. Names of functions and marks have nothing that is to be escaped but quotes.
std::string quoted(const std::string &text) {
  std::string out = "\"";
  for (char c : text)
    out += (c == '"' || c == '\\' ? std::string("\\") : std::string()) + c;
  return out + "\"";
}

/// A character within GBNF's brackets.
std::string listed(char c) {
  return std::string(std::string_view("[]\\^-").find(c) == std::string_view::npos ? "" : "\\") + c;
}

/// Texts without `mark`, whose first letter is nowhere else in it, and then, behind the mark, `then`. One rule for each
/// part of the mark that the text so far may end with.
std::string textUntil(const std::string &mark, const std::string &then) {
  const std::string first(1, mark[0]);
  std::string rules;
  for (size_t held = 0; held < mark.size(); ++held) {
    const std::string next(1, mark[held]), rule = "t" + std::to_string(held);
    rules += rule + " ::= \"\" | [^" + listed(mark[0]) + (held ? listed(mark[held]) : "") + "] t0";
    if (held)
      rules += " | " + quoted(first) + " t1";
    rules += " | " + quoted(next) + " " + (held + 1 < mark.size() ? "t" + std::to_string(held + 1) : then) + "\n";
  }
  return rules;
}

} // namespace

bool ToolFormat::isMark(const std::string &piece) const {
  return !piece.empty() && (piece == begin || piece == end || (kind == Kind::Named && (piece == id || piece == args)));
}

ToolFormat toolFormatOf(const ChatTemplate &chat, const Tokenizer &tokenizer) {
  if (!chat.mentions("tools"))
    return {};
  auto render = [&](const char *messages, bool prompt) -> Result<std::string> {
    ChatContext context;
    setTokens(context, tokenizer);
    context.set("add_generation_prompt", prompt);
    for (auto [name, json] : {std::pair("tools", tool), std::pair("messages", messages)})
      if (Status set = context.setJson(name, json); !set)
        return set.error();
    return chat.render(context);
  };
  const Result<std::string> rendered = render(conversation, false), prompt = render(asked, true);
  ToolFormat format = rendered ? formatOf(*rendered, prompt ? *prompt : "") : ToolFormat();
  std::string_view asking = prompt ? std::string_view(*prompt) : "";
  format.thinks = dropLast(asking, "<think>");
  if (!format.begin.empty()) {
    EncodeOptions special;
    special.addSpecial = false;
    special.parseSpecial = true;
    const Result<std::vector<int32_t>> ids = tokenizer.encode(format.begin, special);
    format.spelt = !ids || ids->size() != 1 || !tokenizer.isSpecial(ids->front());
  }
  return format;
}

Result<ToolPlan> toolPlan(const ToolFormat &format, const ToolRequest &request) {
  ToolPlan plan;
  if (request.choice == ToolRequest::Choice::None || request.tools.empty())
    return plan;
  if (format.kind == Kind::None)
    return fail(ErrorCode::ToolTemplate, "tools: expects a model whose chat template writes calls in a form of "
                                         "docs/serving.md, but that of this one does not");
  const bool required = request.choice == ToolRequest::Choice::Required;
  bool strict = false;
  for (const Tool &each : request.tools)
    strict |= each.strict;
  const bool several = request.parallel && request.named.empty();     // who names a function wants one call of it
  const bool single = !request.parallel && format.kind != Kind::Bare; // which has one call in any case
  if (!required && !strict && !single)
    return plan;
  if (required && format.thinks)
    return fail(ErrorCode::ToolTemplate, "tool_choice: expects auto or none, for the prompt of this model ends with "
                                         "<think>, and what has to come there would be thought and not called");
  if (!required && (!format.spelt || format.kind == Kind::Named))
    return fail(ErrorCode::ToolTemplate, "%s: expects tool_choice required or a function, for calls of this model %s",
                strict ? "tools: strict" : "parallel_tool_calls",
                format.spelt ? "name their function between marks, and are held only where they have to come"
                             : "begin with a control token that no constraint spells");
  std::string call, separator;
  size_t functions = 0;
  for (size_t i = 0; i < request.tools.size(); ++i) {
    const Tool &each = request.tools[i];
    if (!request.named.empty() && each.name != request.named)
      continue;
    ++functions;
    const std::string rule = "a" + std::to_string(i);
    // A call that nobody wants to be held to its schema is one of any object.
    plan.schemas.push_back({rule, required || each.strict ? each.parameters : R"({"type":"object"})",
                            "tools[" + std::to_string(i) + "].function.parameters"});
    call += separator + quoted(each.name + "\", \"" + format.arguments + "\": ") + " " + rule;
    separator = " | ";
    if (format.kind != Kind::Named)
      continue;
    plan.prefix = format.begin + each.name + (format.numbered ? id + freshCallId() : "") + args;
    plan.gbnf = "root ::= " + rule + "\n";
  }
  if (format.kind == Kind::Named && functions > 1)
    return fail(ErrorCode::ToolTemplate,
                "tool_choice: expects the name of a function, for this model writes it between marks, where it is "
                "part of the prompt");
  if (format.kind == Kind::Named)
    return plan;
  call = "call ::= " + quoted("{\"name\": \"") + " (" + call + ") \"}\"\n";
  const std::string begin = quoted(format.begin), end = quoted(format.end);
  const char *gap = "gap ::= [ \\n]?\n";
  switch (format.kind) {
  case Kind::Tagged:
    plan.gbnf = call + gap + "tagged ::= gap call gap " + end + "\n";
    plan.gbnf += several ? "more ::= tagged (gap " + begin + " tagged)*\n" : "more ::= tagged\n";
    plan.gbnf += required ? "root ::= more\n" : "root ::= t0\n" + textUntil(format.begin, "more");
    break;
  case Kind::List:
    plan.gbnf = call + "list ::= \"[\" call " + (several ? "(\", \" call)* " : "") + "\"]\"\n";
    plan.gbnf += required ? "root ::= list\n" : "root ::= t0\n" + textUntil(format.begin, "list");
    break;
  default: // Bare
    plan.gbnf = call + "root ::= " + (required ? "call\n" : "[ \\n\\t]* (call | [^{ \\n\\t] .*)?\n");
  }
  if (required)
    plan.prefix = format.begin;
  return plan;
}

} // namespace stepdown::run
