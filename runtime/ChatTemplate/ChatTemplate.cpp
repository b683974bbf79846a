// The public face of the interpreter; errors become values here.
#include "runtime/ChatTemplate/ChatTemplate.h"

namespace stepdown {

namespace jinja {
class Value {};
struct Program {};
} // namespace jinja

ChatContext::ChatContext() : variables(std::make_unique<jinja::Value>()) {}
ChatContext::~ChatContext() = default;
ChatContext::ChatContext(const ChatContext &other) : variables(std::make_unique<jinja::Value>(*other.variables)) {}
ChatContext &ChatContext::operator=(const ChatContext &other) { return *this = ChatContext(other); }
ChatContext::ChatContext(ChatContext &&) noexcept = default;
ChatContext &ChatContext::operator=(ChatContext &&) noexcept = default;
Result<ChatContext> ChatContext::fromJson(std::string_view, const std::string &) { return ChatContext(); }
bool ChatContext::has(std::string_view) const { return false; }
void ChatContext::set(std::string_view, std::string_view) {}
void ChatContext::set(std::string_view, bool) {}
Status ChatContext::setJson(std::string_view, std::string_view) { return Done{}; }
void ChatContext::setDefault(std::string_view, std::string_view) {}
void ChatContext::setDefault(std::string_view, bool) {}
void ChatContext::addMessage(std::string_view, std::string_view) {}
Status setNow(RenderOptions &, std::string_view) { return Done{}; }
Result<ChatTemplate> ChatTemplate::parse(std::string_view, const std::string &) { return ChatTemplate(); }
Result<std::string> ChatTemplate::render(const ChatContext &, const RenderOptions &) const {
  return fail(ErrorCode::TemplateSyntax, "expects the interpreter, but this build holds its interface alone");
}
bool ChatTemplate::mentions(std::string_view) const { return false; }

} // namespace stepdown
