// The public face: contexts are built, templates parsed and rendered, and refusals become errors.
#include "lib/Text/ChatTemplate/ChatTemplate.h"
#include "lib/Text/ChatTemplate/Interpreter.h"
#include "lib/Text/ChatTemplate/Json.h"
#include <algorithm>
#include <new>
#include <stdexcept>

namespace stepdown {

using jinja::Kind;
using jinja::Value;

ChatContext::ChatContext() : variables(std::make_unique<Value>(Value::dict())) {}
ChatContext::~ChatContext() = default;
ChatContext::ChatContext(ChatContext &&) noexcept = default;
ChatContext &ChatContext::operator=(ChatContext &&) noexcept = default;
ChatContext &ChatContext::operator=(const ChatContext &other) { return *this = ChatContext(other); }

/// The top level is copied, since `set` changes it; what it holds never changes and is shared.
ChatContext::ChatContext(const ChatContext &other) : ChatContext() {
  for (const auto &[key, value] : other.variables->dictionary().entries)
    variables->dictionary().set(key, value);
}

Result<ChatContext> ChatContext::fromJson(std::string_view text, const std::string &file) {
  Result<Value> json = jinja::readJson(text, file);
  if (!json)
    return json.error();
  ChatContext context;
  if (json->is(Kind::List))
    context.variables->dictionary().set(Value::string("messages"), *json);
  else if (json->is(Kind::Dict))
    *context.variables = *json;
  else
    return fail(ErrorCode::ContextShape, "%s: expects an object or an array of messages, but got a value of type %s",
                file.c_str(), jinja::typeName(*json));
  return context;
}

bool ChatContext::has(std::string_view name) const { return variables->dictionary().find(name) != nullptr; }

void ChatContext::set(std::string_view name, std::string_view text) {
  variables->dictionary().set(Value::string(jinja::String(name)), Value::string(jinja::String(text)));
}

void ChatContext::set(std::string_view name, bool value) {
  variables->dictionary().set(Value::string(jinja::String(name)), Value::boolean(value));
}

void ChatContext::setDefault(std::string_view name, std::string_view text) {
  if (!has(name))
    set(name, text);
}

void ChatContext::setDefault(std::string_view name, bool value) {
  if (!has(name))
    set(name, value);
}

void ChatContext::addMessage(std::string_view role, std::string_view content) {
  Value message = Value::dict();
  message.dictionary().set(Value::string("role"), Value::string(jinja::String(role)));
  message.dictionary().set(Value::string("content"), Value::string(jinja::String(content)));
  append(std::move(message));
}

void ChatContext::append(Value message) {
  const Value *old = variables->dictionary().find("messages");
  if (old && old->is(Kind::List) && old->unique()) { // no one else has seen the list
    old->as<jinja::SequenceObject>().items.push_back(std::move(message));
    return;
  }
  jinja::Vector<Value> messages;
  if (old && old->is(Kind::List))
    messages = old->items();
  messages.push_back(std::move(message));
  variables->dictionary().set(Value::string("messages"), Value::list(std::move(messages)));
}

namespace {

using Shield = ChatContext::Shield;

/// `value` with `shield` of every text in it. JSON's nesting is bounded where it is read.
Value shielded(const Value &value, const Shield &shield) {
  if (value.is(Kind::String))
    return Value::string(jinja::String(std::string_view(shield(value.text()))));
  if (value.is(Kind::List)) {
    jinja::Vector<Value> items;
    for (const Value &item : value.items())
      items.push_back(shielded(item, shield));
    return Value::list(std::move(items));
  }
  if (!value.is(Kind::Dict))
    return value;
  Value copy = Value::dict();
  for (const auto &[key, item] : value.dictionary().entries)
    copy.dictionary().set(shielded(key, shield), shielded(item, shield));
  return copy;
}

} // namespace

Status ChatContext::setJson(std::string_view name, std::string_view text, const Shield &shield) {
  Result<Value> json = jinja::readJson(text, std::string(name));
  if (!json)
    return json.error();
  variables->dictionary().set(Value::string(jinja::String(name)), shield ? shielded(*json, shield) : *json);
  return Done{};
}

Status ChatContext::addMessages(std::string_view json, const std::string &name, const Shield &shield) {
  Result<Value> read = jinja::readJson(json, name);
  if (!read)
    return read.error();
  if (!read->is(Kind::List))
    return fail(ErrorCode::ContextShape, "%s: expects an array of messages, but got a value of type %s", name.c_str(),
                jinja::typeName(*read));
  for (const Value &given : read->items()) {
    Value message = shielded(given, shield);
    if (given.is(Kind::Dict)) // templates compare roles, and what follows one is theirs
      if (const Value *role = given.dictionary().find("role"))
        message.dictionary().set(Value::string("role"), *role);
    append(std::move(message));
  }
  return Done{};
}

namespace {

Error explain(const std::string &name, const jinja::Refusal &refusal) {
  std::string where = name + ": ";
  if (refusal.line > 0)
    where += "line " + std::to_string(refusal.line) + ": ";
  if (!refusal.construct.empty() && refusal.code != ErrorCode::TemplateRefuses)
    where += refusal.construct + ": ";
  return fail(refusal.code, "%s%s", where.c_str(), refusal.message.c_str());
}

Error noMemory(const std::string &name) {
  return fail(ErrorCode::OutOfMemory, "%s: expects more memory than the system gives", name.c_str());
}

} // namespace

Result<ChatTemplate> ChatTemplate::parse(std::string_view text, const std::string &name, const RenderLimits &limits) {
  try {
    ChatTemplate chat;
    jinja::Budget budget(limits.memoryBytes, limits.steps);
    chat.tree = jinja::parseTemplate(text, name);
    return chat;
  } catch (const jinja::Refusal &refusal) {
    return explain(name, refusal);
  } catch (const std::length_error &) {
    return noMemory(name);
  } catch (const std::bad_alloc &) {
    return noMemory(name);
  }
}

Result<std::string> ChatTemplate::render(const ChatContext &context, const RenderOptions &options) const {
  try {
    ChatContext complete = context;
    complete.setDefault("add_generation_prompt", true);
    jinja::Budget budget(options.limits.memoryBytes, options.limits.steps);
    jinja::String text = jinja::Interpreter(*tree, *complete.variables, options).run();
    return std::string(text);
  } catch (const jinja::Refusal &refusal) {
    return explain(tree->name, refusal);
  } catch (const std::length_error &) { // longer than any container
    return noMemory(tree->name);
  } catch (const std::bad_alloc &) {
    return noMemory(tree->name);
  }
}

bool ChatTemplate::mentions(std::string_view variable) const {
  return std::find(tree->symbols.begin(), tree->symbols.end(), variable) != tree->symbols.end();
}

} // namespace stepdown
