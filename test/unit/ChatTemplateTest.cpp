// The template interpreter: what jinja2 makes of two hundred small templates (test/data/make_template_cases.py), and
// what is our own: limits, numbered errors that name line and construct, contexts, threads.
#include "lib/Text/ChatTemplate/ChatTemplate.h"

#include <chrono>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <nlohmann/json.hpp>
#include <thread>

using namespace stepdown;

namespace {

std::string render(const std::string &text, const std::string &context = "{}", RenderOptions options = {}) {
  Result<ChatTemplate> chat = ChatTemplate::parse(text, "t.jinja");
  if (!chat)
    return chat.error().text();
  Result<ChatContext> given = ChatContext::fromJson(context, "c.json");
  if (!given)
    return given.error().text();
  Result<std::string> result = chat->render(*given, options);
  return result ? *result : result.error().text();
}

TEST(ChatTemplate, RendersAsJinjaDoes) {
  std::ifstream in(std::string(STEPDOWN_SOURCE_DIR) + "/test/data/template_cases.json", std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  auto data = nlohmann::ordered_json::parse(text);
  // The raw text of the context: a parsed one would have rounded its large integer.
  size_t begin = text.find('{', 1), end = text.find("\"cases\"");
  std::string context = text.substr(begin, text.rfind('}', end) + 1 - begin);
  ASSERT_GT(data["cases"].size(), 180u);
  RenderOptions options;
  ASSERT_TRUE(setNow(options, "2026-11-21T09:30:00"));
  for (const auto &item : data["cases"]) {
    std::string source = item["template"].get<std::string>(), got = render(source, context, options);
    if (item.contains("text")) {
      EXPECT_EQ(got, item["text"].get<std::string>()) << source;
      continue;
    }
    EXPECT_EQ(got.compare(0, 8, "error E0"), 0) << source << "\n" << got;
    if (got.find("E0401") == got.npos) // our words for syntax are our own
      EXPECT_NE(got.find(item["error"].get<std::string>()), got.npos) << source << "\n" << got;
  }
}

TEST(ChatTemplate, ErrorsNameLineAndConstruct) {
  EXPECT_EQ(render("a\n{% if x %}\n{{ raise_exception('No tools here') }}{% endif %}", R"({"x": 1})"),
            "error E0402: t.jinja: line 3: No tools here");
  EXPECT_EQ(render("\n\n{{ [1]|items|list }}"),
            "error E0403: t.jinja: line 3: filter 'list': Can only get item pairs from a mapping.");
  EXPECT_EQ(render("{% for x in 5 %}{% endfor %}"),
            "error E0403: t.jinja: line 1: {% for %}: 'int' object is not iterable");
  EXPECT_EQ(render("{{ ''.__class__.__mro__ }}"),
            "error E0408: t.jinja: line 1: {{ }}: access to attribute '__class__' of 'str' object is unsafe.");
  EXPECT_EQ(render("\n{% if %}"), "error E0401: t.jinja: line 2: expects an expression, but got '%}'");
  EXPECT_EQ(render("{{ 'a' }"), "error E0401: t.jinja: line 1: unexpected '}'");
}

TEST(ChatTemplate, NothingOfTheHostIsReachable) {
  for (const char *text :
       {"{% include '/etc/passwd' %}", "{% import 'os' as os %}", "{% extends 'x' %}",
        "{{ cycler.__init__.__globals__ }}", "{{ self.__init__ }}", "{{ ''.__class__.__base__.__subclasses__() }}",
        "{{ range.__self__.open('x') }}", "{{ namespace.__class__.x }}", "{{ '{0.__class__.__init__}'.format(1) }}",
        "{{ [].append(1) }}", "{{ open('x') }}", "{{ joiner.__call__.__globals__['os'] }}"})
    EXPECT_EQ(render(text).compare(0, 8, "error E0"), 0) << text << ": " << render(text);
  EXPECT_EQ(render("{{ range }}{{ cycler('a') }}"), "<function range><jinja2.utils.Cycler object>"); // no addresses
}

std::string codeWithin(const std::string &text, RenderLimits limits, const std::string &context = "{}") {
  RenderOptions options;
  options.limits = limits;
  auto start = std::chrono::steady_clock::now();
  std::string got = render(text, context, options);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(120)) << text;
  return got.substr(0, 11);
}

TEST(ChatTemplate, HostileTemplatesEnd) {
  std::string loop = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}";
  EXPECT_EQ(codeWithin(loop, {}), "error E0404");
  EXPECT_EQ(codeWithin("{% macro m(x) %}{{ m(x) }}{% endmacro %}{{ m(1) }}", {}), "error E0405");
  EXPECT_EQ(codeWithin("{% for x in [[1]] recursive %}{{ loop([[x]]) }}{% endfor %}", {}), "error E0405");
  EXPECT_EQ(codeWithin("{% for a in range(99999) %}{{ 'x' * 99999 }}{% endfor %}", {}), "error E0406");
  EXPECT_EQ(codeWithin("{{ ('x' * 9999999999)|length }}", {}), "error E0407");
  EXPECT_EQ(codeWithin("{{ ([0] * 9999999999999)|length }}", {}), "error E0407");
  EXPECT_EQ(codeWithin("{{ '%999999999d' % 1 }}", {}), "error E0403");
  EXPECT_EQ(codeWithin("{{ 9 ** 9 ** 9 }}", {}), "error E0403");
  EXPECT_EQ(
      codeWithin("{% set ns = namespace(a='x') %}{% for i in range(99) %}{% set ns.a = ns.a ~ ns.a %}{% endfor %}", {}),
      "error E0407");
  EXPECT_EQ(
      codeWithin(
          "{% set ns = namespace(a=[]) %}{% for i in range(9999) %}{% set ns.a = [ns.a] %}{% endfor %}{{ ns.a }}", {}),
      "error E0405");
  EXPECT_EQ(codeWithin("{{ " + std::string(100000, '(') + "1", {}), "error E0401");
  EXPECT_EQ(codeWithin("{{ " + std::string(100000, '-') + "1 }}", {}), "error E0401");
  std::string sum = "{{ 1";
  for (int i = 0; i < 100000; ++i)
    sum += "+1";
  EXPECT_EQ(codeWithin(sum + " }}", {}), "error E0401");
  std::string nested;
  for (int i = 0; i < 10000; ++i)
    nested += "{% if true %}";
  EXPECT_EQ(codeWithin(nested, {}), "error E0401");
  EXPECT_EQ(codeWithin("{{ a }}", {}, "{\"a\": " + std::string(100000, '[') + "}"), "error E0409");
}

TEST(ChatTemplate, CyclesAreFreed) { // the leak checker of the sanitized build sees what is not
  EXPECT_EQ(render("{% set ns = namespace() %}{% set ns.a = ns %}{% set ns.b = [ns] %}{{ ns.a.a.b|length }}"), "1");
  EXPECT_EQ(
      render(
          "{% set ns = namespace() %}{% macro m() %}{{ ns.f is defined }}{% endmacro %}{% set ns.f = m %}{{ ns.f() }}"),
      "True");
  EXPECT_EQ(render("{% set ns = namespace() %}{% for x in [1,2] %}{% set ns.l = loop %}{% endfor %}{{ ns.l.index }}"),
            "2");
}

TEST(ChatTemplate, RecursionOfOrdinaryDepthWorks) {
  std::string text =
      "{% macro m(x) %}{% if x > 0 %}{{ x }}{% for i in [1] %}{{ m(x - 1) }}{% endfor %}{% endif %}{% endmacro %}"
      "{{ m(150) }}";
  EXPECT_EQ(render(text).substr(0, 8), "15014914");
}

TEST(ChatTemplate, ContextsKeepOrderAndDefaults) {
  EXPECT_EQ(render("{{ messages|length }}{{ messages[0].role }}", R"([{"role": "user", "content": "x"}])"), "1user");
  EXPECT_EQ(render("{{ a|tojson }}", R"({"a": {"z": 1, "b": 18446744073709551616, "a": 1.0, "z": 2}})"),
            R"({"z": 2, "b": 18446744073709551616, "a": 1.0})");
  EXPECT_EQ(render("{{ add_generation_prompt }}"), "True");
  EXPECT_EQ(render("{{ add_generation_prompt }}", R"({"add_generation_prompt": false})"), "False");
  EXPECT_EQ(render("x", "[1").substr(0, 36), "error E0409: c.json: offset 2: expec");
  EXPECT_EQ(render("x", "5"),
            "error E0410: c.json: expects an object or an array of messages, but got a value of type int");

  ChatContext context;
  context.addMessage("user", "a \"quoted\" <|im_end|>");
  context.addMessage("assistant", "b");
  ChatContext fork = context;
  fork.addMessage("user", "c");
  context.set("bos_token", "<s>");
  context.setDefault("bos_token", "other");
  ASSERT_TRUE(context.setJson("tools", R"([{"name": "f"}])"));
  Result<ChatTemplate> chat = ChatTemplate::parse(
      "{{ bos_token }}{% for m in messages %}{{ m.role }}:{{ m.content }};{% endfor %}{{ tools[0].name }}");
  ASSERT_TRUE(chat);
  EXPECT_TRUE(chat->mentions("tools"));
  EXPECT_FALSE(chat->mentions("documents"));
  EXPECT_EQ(*chat->render(context), "<s>user:a \"quoted\" <|im_end|>;assistant:b;f");
  Result<std::string> forked = chat->render(fork);
  ASSERT_FALSE(forked); // it has no tools
  EXPECT_EQ(forked.error().code, ErrorCode::TemplateOperation);
}

TEST(ChatTemplate, TimeIsTheOneGiven) {
  RenderOptions options;
  ASSERT_TRUE(setNow(options, "2024-02-29"));
  EXPECT_EQ(render("{{ strftime_now('%A %d %B %Y %j %V') }}", "{}", options), "Thursday 29 February 2024 060 09");
  for (const char *wrong : {"2023-02-29", "2024-13-01", "yesterday", "2024-01-01T25:00:00", "2024-01-01T10:00", ""}) {
    Status status = setNow(options, wrong);
    ASSERT_FALSE(status) << wrong;
    EXPECT_EQ(status.error().code, ErrorCode::TemplateTime);
  }
}

TEST(ChatTemplate, ThreadsShareATemplate) {
  Result<ChatTemplate> chat = ChatTemplate::parse("{% for x in l %}{{ x ~ 'abc' }}{% endfor %}{{ 'lit' ~ 1.5 }}");
  ASSERT_TRUE(chat);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&chat, t] {
      for (int i = 0; i < 200; ++i) {
        ChatContext context;
        EXPECT_TRUE(context.setJson("l", "[" + std::to_string(t) + "]"));
        EXPECT_EQ(*chat->render(context), std::to_string(t) + "abclit1.5");
      }
    });
  for (std::thread &thread : threads)
    thread.join();
}

} // namespace
