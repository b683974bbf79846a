// Chat templates: `tokenizer.chat_template` of a checkpoint, a Jinja program that turns messages into a prompt.
//
// The program comes with the file and is not trusted. It runs in an interpreter that knows no files, network, clock or
// environment, and that counts what it does: steps, depth, memory and output are bounded (RenderLimits). Semantics are
// those of Jinja 3.1 as published templates expect it: trim_blocks, lstrip_blocks, loop controls, immutable lists and
// dictionaries, `tojson` without HTML escapes, raise_exception, strftime_now, `{% generation %}`.
//
//   auto chat = ChatTemplate::parse(text, "model.gguf: tokenizer.chat_template");
//   ChatContext context;
//   context.set("bos_token", "<s>");
//   context.addMessage("user", "Hello");
//   auto prompt = chat->render(context);      // tokenise with special tokens on and without adding BOS
#pragma once
#include "lib/Base/Result.h"
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace stepdown {

namespace jinja {
class Value;
struct SyntaxTree;
} // namespace jinja

/// What a template may use, to be read and to be rendered. The defaults leave room for prompts of megabytes and end a
/// hostile template in about a second.
struct RenderLimits {
  size_t outputBytes = size_t(64) << 20;  ///< E0406
  size_t memoryBytes = size_t(256) << 20; ///< everything alive: values, text written, the parsed template; E0407
  uint64_t steps = 20000000;              ///< of less than about 50 ns: a node, 64 bytes copied ...; E0404
  int depth = 1500;                       ///< nested expressions, statements, macro calls and values; E0405
};

struct RenderOptions {
  std::tm now{};       ///< of strftime_now: year, month, day, hour, minute, second are read
  bool nowSet = false; ///< false: strftime_now takes the local time
  RenderLimits limits;
};

/// "2026-11-21T09:30:00" (or with a blank for the T, or a date alone) -> options.now; E0411.
Status setNow(RenderOptions &options, std::string_view text);

/// The variables that a template sees. Used by one thread at a time.
class ChatContext {
public:
  ChatContext();
  ~ChatContext();
  ChatContext(const ChatContext &);
  ChatContext &operator=(const ChatContext &);
  ChatContext(ChatContext &&) noexcept;
  ChatContext &operator=(ChatContext &&) noexcept;

  /// A JSON object of variables ({"messages": [...], "tools": [...], ...}), or an array, which becomes `messages`.
  /// Key order is kept. E0409: not JSON; E0410: neither object nor array; E0404, E0407: more than RenderLimits allows.
  /// `file` is for messages.
  static Result<ChatContext> fromJson(std::string_view text, const std::string &file);

  bool has(std::string_view name) const;
  void set(std::string_view name, std::string_view text);
  void set(std::string_view name, const char *text) { set(name, std::string_view(text)); }
  void set(std::string_view name, bool value);
  using Shield = std::function<std::string(std::string_view)>;
  /// Sets a variable from JSON text, with what `shield`, if any, makes of each text in it; E0409.
  Status setJson(std::string_view name, std::string_view json, const Shield &shield = nullptr);
  /// As `set`, unless the variable exists.
  void setDefault(std::string_view name, std::string_view text);
  void setDefault(std::string_view name, const char *text) { setDefault(name, std::string_view(text)); }
  void setDefault(std::string_view name, bool value);

  /// Appends {"role": role, "content": content} to `messages`.
  void addMessage(std::string_view role, std::string_view content);
  /// Appends the messages of a JSON array to `messages`, whatever each is: contents of parts, calls of tools. Texts in
  /// them, but for roles, become what `shield` makes of them. E0409, E0410; `name` is for messages.
  Status addMessages(std::string_view json, const std::string &name, const Shield &shield);

private:
  friend class ChatTemplate;
  void append(jinja::Value message);
  std::unique_ptr<jinja::Value> variables; ///< a dictionary
};

/// A parsed template. Immutable: any number of threads may render it at once, each with a context of its own.
class ChatTemplate {
public:
  /// E0401: the text is not a template, naming line and construct. E0404, E0407: it takes more work or memory to read
  /// than `limits` allow; E0601: more than the system gives. `name` is for messages.
  static Result<ChatTemplate> parse(std::string_view text, const std::string &name = "chat template",
                                    const RenderLimits &limits = {});

  /// The prompt. `add_generation_prompt` defaults to true where the context does not say.
  /// E0402: the template refuses (raise_exception), with its own words. E0403: an operation fails (wrong type,
  /// undefined value ...). E0404 to E0407: a limit; E0601: the system's memory. E0408: something outside the sandbox
  /// (modifying a list, private attributes).
  Result<std::string> render(const ChatContext &context, const RenderOptions &options = {}) const;

  /// Whether the text mentions a variable (`tools`, `enable_thinking` ...).
  bool mentions(std::string_view variable) const;

private:
  ChatTemplate() = default;
  std::shared_ptr<const jinja::SyntaxTree> tree;
};

} // namespace stepdown
