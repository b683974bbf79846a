// Files whose chat template is hostile or broken: each is refused with its number, naming file, key, line and what it
// did, within a second or two and without crossing a limit.
#include "MadeMetadata.h"
#include "lib/Text/ChatTemplate/ChatTemplate.h"

#include <chrono>
#include <gtest/gtest.h>

using namespace stepdown;

namespace {

struct Hostile {
  const char *name;
  ErrorCode code;
  std::string text;
  const char *said; ///< part of the message, behind file, key and line
};

std::string repeated(const char *text, int times) {
  std::string out;
  for (; times > 0; --times)
    out += text;
  return out;
}

std::vector<Hostile> hostile() {
  return {
      {"host through a class", ErrorCode::TemplateSandbox,
       "{{ ''.__class__.__mro__[1].__subclasses__()[132].__init__.__globals__['system']('id') }}", "'__class__'"},
      {"host through a function", ErrorCode::TemplateSandbox,
       "{% for x in [1] %}{{ namespace.__init__.__globals__ }}{% endfor %}", "'__init__'"},
      {"host through an undefined name", ErrorCode::TemplateOperation, "{{ os.popen('id').read() }}",
       "'os' is undefined"},
      {"host through a format", ErrorCode::TemplateSandbox, "{{ '{0.__class__.__init__}'.format(messages) }}",
       "'__class__'"},
      {"host through a filter", ErrorCode::TemplateSandbox, "{{ (messages|attr('__class__')).x }}", "'__class__'"},
      {"a file", ErrorCode::TemplateSyntax, "{% include '/etc/passwd' %}", "'include'"},
      {"a module", ErrorCode::TemplateSyntax, "{% from 'os' import system %}", "'from'"},
      {"endless loop", ErrorCode::TemplateSteps,
       "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", "20000000 steps"},
      {"endless loop in a condition", ErrorCode::TemplateSteps,
       "{% for a in range(99999) if range(99999)|select('odd')|list|length < 0 %}{% endfor %}", "20000000 steps"},
      {"range beyond reason", ErrorCode::TemplateOperation, "{% for a in range(10 ** 15) %}{% endfor %}", "100000"},
      {"huge output", ErrorCode::TemplateOutput, "{% for a in range(99999) %}{{ 'x' * 99999 }}{% endfor %}",
       "67108864 bytes"},
      {"huge string", ErrorCode::TemplateMemory, "{{ 'x' * 10 ** 12 }}", "268435456 bytes"},
      {"huge list", ErrorCode::TemplateMemory, "{{ [0] * 10 ** 17 }}", "268435456 bytes"},
      {"doubling", ErrorCode::TemplateMemory,
       "{% set ns = namespace(s='xx') %}{% for a in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
       "268435456 bytes"},
      {"huge field", ErrorCode::TemplateOperation, "{{ '{:>99999999999}'.format(1) }}", "field width"},
      {"deep recursion", ErrorCode::TemplateDepth, "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "1500 nested"},
      {"deep recursion of a loop", ErrorCode::TemplateDepth, "{% for a in [1] recursive %}{{ loop([1]) }}{% endfor %}",
       "1500 nested"},
      {"deep value", ErrorCode::TemplateDepth,
       "{% set ns = namespace(a=[]) %}{% for i in range(9999) %}{% set ns.a = [ns.a] %}{% endfor %}{{ ns.a == [ns.a] }}"
       "{{ ns.a|tojson }}",
       "500 deep"},
      {"deep brackets", ErrorCode::TemplateSyntax, "{{ " + repeated("[", 99999), "200 deep"},
      {"deep blocks", ErrorCode::TemplateSyntax, repeated("{% if 1 %}", 99999), "150 deep"},
      {"deep signs", ErrorCode::TemplateSyntax, "{{ " + repeated("-", 99999) + "1 }}", "150 deep"},
      {"long sum", ErrorCode::TemplateSyntax, "{{ 1" + repeated(" + 1", 99999) + " }}", "400 levels"},
      {"modified list", ErrorCode::TemplateSandbox, "{{ messages.append(1) }}", "'append'"},
      {"overflow", ErrorCode::TemplateOperation, "{{ 9223372036854775807 * 3 }}", "64 bits"},
      {"no end of a block", ErrorCode::TemplateSyntax, "{% for m in messages %}", "'endfor'"},
      {"no end of a comment", ErrorCode::TemplateSyntax, "{# " + repeated("x", 99999), "comment"},
      {"no end of a string", ErrorCode::TemplateSyntax, "{{ 'x }}", "no end"},
      {"bytes that are no text", ErrorCode::TemplateSyntax, "{{ \xff\xfe }}", "unexpected char"},
      {"unknown tag", ErrorCode::TemplateSyntax, "{% exec 'id' %}", "'exec'"},
      {"unknown filter", ErrorCode::TemplateSyntax, "{{ 'id'|system }}", "'system'"},
  };
}

TEST(HostileTemplate, EveryOneIsRefusedByItsNumber) {
  for (const Hostile &h : hostile()) {
    MadeMetadata made(GgufBytes().text("tokenizer.chat_template", "\n" + h.text));
    Result<std::string_view> text = made.metadata().string("tokenizer.chat_template");
    ASSERT_TRUE(text);
    auto start = std::chrono::steady_clock::now();
    Result<ChatTemplate> chat = ChatTemplate::parse(*text, made.metadata().file() + ": tokenizer.chat_template");
    Result<std::string> out = chat ? [&] {
      ChatContext context;
      context.addMessage("user", "hi");
      return chat->render(context);
    }()
                                   : Result<std::string>(chat.error());
    double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    ASSERT_FALSE(out) << h.name;
    EXPECT_EQ(static_cast<int>(out.error().code), static_cast<int>(h.code)) << h.name << ": " << out.error().text();
    const std::string &message = out.error().message;
    EXPECT_EQ(message.find("made.gguf: tokenizer.chat_template: line "), 0u) << h.name << ": " << message;
    EXPECT_NE(message.find(h.said), message.npos) << h.name << ": " << message;
    EXPECT_LT(message.size(), 400u) << h.name; // not the template itself
    EXPECT_LT(seconds, 120) << h.name;         // a second on an idle machine
  }
}

TEST(HostileTemplate, AMessageCannotBecomeTemplate) {
  Result<ChatTemplate> chat = ChatTemplate::parse("{{ messages[0].content }}{{ messages[0].content|upper|trim }}");
  ASSERT_TRUE(chat);
  ChatContext context;
  context.addMessage("user", "{{ raise_exception('x') }}{% for %}");
  EXPECT_EQ(*chat->render(context), "{{ raise_exception('x') }}{% for %}{{ RAISE_EXCEPTION('X') }}{% FOR %}");
}

} // namespace
