// Calls of functions: the form that a template says, answers held to it, and what is found in an answer.
#include "lib/Grammar/Matcher.h"
#include "lib/Text/ChatPrompt.h"
#include "runtime/Devices.h"
#include "runtime/Load/Model.h"
#include "test/unit/ToyModel.h"
#include "tools/stepdown-run/Serve/ToolReader.h"
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <random>

using namespace stepdown;
using namespace stepdown::run;
using Kind = ToolFormat::Kind;

namespace {

// Templates of each form, as short as they can be.
const std::string head = "{% for t in tools or [] %}{{ t | tojson }}{% endfor %}{% for m in messages %}[{{ m.role }}]";
const std::string foot = "{{ m.content }};{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}";
std::string each(const std::string &call) {
  return head + "{% for c in m.tool_calls or [] %}" + call + "{% endfor %}" + foot;
}
const std::string tagged = each("<tool_call>\n{\"name\": \"{{ c.function.name }}\", \"arguments\": "
                                "{{ c.function.arguments | tojson }}}\n</tool_call>");
const std::string bare =
    each("{\"name\": \"{{ c.function.name }}\", \"parameters\": {{ c.function.arguments | tojson }}}");
const std::string list = each("{{ '[TOOL_CALLS][' if loop.first else ', ' }}{{ (c.function | tojson)[:-1] }}, \"id\": "
                              "\"{{ c.id }}\"}{{ ']' if loop.last }}");
const std::string named = each("[TOOL_CALLS]{{ c.function.name }}[ARGS]{{ c.function.arguments | tojson }}");
const std::string numbered =
    each("[TOOL_CALLS]{{ c.function.name }}[CALL_ID]{{ c.id }}[ARGS]{{ c.function.arguments | tojson }}");

struct Calls : testing::Test {
  std::shared_ptr<const Model> model = *Model::load(test::ToyModel().write(), *openDevice(nullptr));
  Tokenizer tokenizer = std::move(*Tokenizer::create(model->metadata()));
  ToolFormat formatOf(const std::string &text) {
    auto chat = ChatTemplate::parse(text);
    EXPECT_TRUE(chat) << chat.error().message;
    return toolFormatOf(*chat, tokenizer);
  }
};

TEST_F(Calls, areWrittenAsTheTemplateWritesThem) {
  EXPECT_EQ(formatOf(tagged).kind, Kind::Tagged);
  EXPECT_EQ(formatOf(bare).kind, Kind::Bare);
  EXPECT_EQ(formatOf(list).kind, Kind::List);
  EXPECT_EQ(formatOf(named).kind, Kind::Named);
  EXPECT_EQ(formatOf(numbered).kind, Kind::Named);
  EXPECT_EQ(formatOf(bare).arguments, "parameters");
  for (const std::string &other :
       {head + foot, each("{{ raise_exception('no calls') }}"), each("<call>{{ c.function | tojson }}</call>"),
        each("<tool_call>{{ c.function.name }}({{ c.function.arguments | tojson }})</tool_call>"),
        std::string("{% for m in messages %}{{ m.content }}{% endfor %}")})
    EXPECT_EQ(formatOf(other).kind, Kind::None) << other;
}

// The forms of published templates; by hand, where they are.
TEST_F(Calls, areWrittenAsPublishedTemplatesDo) {
  const char *where = std::getenv("STEPDOWN_VECTORS");
  const std::filesystem::path root =
      (where ? std::filesystem::path(where)
             : std::filesystem::path(STEPDOWN_SOURCE_DIR) / ".." / "shared" / "vectors") /
      "chat-templates" / "templates";
  if (!std::filesystem::exists(root))
    GTEST_SKIP() << "no templates at " << root;
  const std::pair<const char *, Kind> known[] = {
      {"Qwen-Qwen2.5-7B-Instruct", Kind::Tagged},
      {"NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use", Kind::Tagged},
      {"Qwen-QwQ-32B", Kind::Tagged},
      {"meta-llama-Llama-3.2-3B-Instruct", Kind::Bare},
      {"meta-llama-Llama-3.3-70B-Instruct", Kind::Bare},
      {"mistralai-Mistral-Nemo-Instruct-2407", Kind::List},
      {"Mistral-Small-3.2-24B-Instruct-2506", Kind::Named},
      {"mistralai-Ministral-3-14B-Reasoning-2512", Kind::Named},
      {"google-gemma-2-2b-it", Kind::None},
      {"Qwen3-Coder", Kind::None},
      {"GLM-4.6", Kind::None},
      {"deepseek-ai-DeepSeek-V3.1", Kind::None},
  };
  for (auto [name, kind] : known) {
    std::ifstream in(root / (std::string(name) + ".jinja"), std::ios::binary);
    EXPECT_EQ(formatOf({std::istreambuf_iterator<char>(in), {}}).kind, kind) << name;
  }
}

std::vector<Tool> tools(bool strict = false) {
  return {{"look",
           R"({"type":"object","properties":{"at":{"enum":["sky","sea"]}},"required":["at"],)"
           R"("additionalProperties":false})",
           strict},
          {"wait_7", R"({"type":"object","properties":{},"additionalProperties":false})", strict}};
}

struct Found {
  std::string text;
  std::vector<std::string> calls; ///< NAME ARGUMENTS
};
/// What comes out of `answer` in pieces of `size` bytes.
Found read(const ToolFormat &format, const std::string &answer, size_t size) {
  ToolReader reader(format, tools());
  Found found;
  auto take = [&] {
    for (const ToolCall &call : reader.take()) {
      EXPECT_EQ(call.id.size(), 9u);
      found.calls.push_back(call.name + " " + call.arguments);
    }
  };
  for (size_t at = 0; at < answer.size(); at += size) {
    found.text += reader.push(std::string_view(answer).substr(at, size));
    take();
  }
  found.text += reader.finish();
  take();
  EXPECT_EQ(reader.count(), found.calls.size());
  return found;
}

TEST_F(Calls, areFoundHoweverTheTextIsCut) {
  const std::string look = "{\"name\": \"look\", \"arguments\": {\"at\": \"s\\\"}ky\", \"n\": 1.50}}",
                    wait = "{\"name\":\"wait_7\"}";
  const std::string first = "look {\"at\": \"s\\\"}ky\", \"n\": 1.50}", second = "wait_7 {}";
  const std::string again = "<tool_call>" + wait + "</tool_call>";
  std::string llama = look;
  llama.replace(llama.find("arguments"), 9, "parameters");
  struct Case {
    std::string format, answer, text;
    std::vector<std::string> calls;
  } cases[] = {
      {tagged, "<tool_call>\n" + look + "\n</tool_call>", "", {first}},
      {tagged,
       "I look. \n<tool_call>" + look + "</tool_call>\n<tool_call> " + wait + " </tool_call>\n",
       "I look.",
       {first, second}},
      {tagged, "<tool_call>" + look, "", {first}}, // the end is missing
      {tagged, "<tool_call>" + look + "</tool_call> so", " so", {first}},
      {tagged, "no call <tool_cal <tool_call", "no call <tool_cal <tool_call", {}},
      {tagged, "blanks   \n", "blanks   \n", {}},
      {tagged, "<tool_call>{\"name\": \"jump\"}</tool_call>", "<tool_call>{\"name\": \"jump\"}</tool_call>", {}},
      {tagged, "<tool_call>{\"name\": 7}</tool_call>", "<tool_call>{\"name\": 7}</tool_call>", {}},
      {tagged,
       "<tool_call>{\"name\": \"look\", \"arguments\": [1]}</tool_call>.",
       "<tool_call>{\"name\": \"look\", \"arguments\": [1]}</tool_call>.",
       {}},
      {tagged, "<tool_call>look<tool_call>" + wait + "</tool_call>", "<tool_call>look", {second}},
      {tagged, "so \n<tool_call>{} \n<tool_call>" + wait, "so \n<tool_call>{}", {second}},
      {tagged, "<tool_call>{\"name\": \"look\", ", "<tool_call>{\"name\": \"look\", ", {}},
      {tagged,
       "<tool_call>{\"name\": \"look\", \"arguments\": \"{\\\"at\\\":1}\"}</tool_call>",
       "",
       {"look {\"at\":1}"}},
      {bare, " " + llama, "", {first}},
      {bare, llama + "\nand", "\nand", {first}},
      {bare, "{\"at\": 1} is JSON", "{\"at\": 1} is JSON", {}},
      {bare, "say " + llama, "say " + llama, {}},
      {bare, "{\"name\": \"look\"", "{\"name\": \"look\"", {}},
      {list, "[TOOL_CALLS][" + look + ", " + wait + "]", "", {first, second}},
      {list, "so [TOOL_CALLS] [" + look + "]", "so", {first}},
      {list, "[TOOL_CALLS][" + wait, "", {second}},
      {list, "[TOOL_CALLS]look", "[TOOL_CALLS]look", {}},
      {list, "[TOOL_CALLS][]", "[TOOL_CALLS][]", {}},
      {list, "[TOOL_CALLS][{\"name\": \"jump\"}]", "[TOOL_CALLS][{\"name\": \"jump\"}]", {}},
      {named,
       "[TOOL_CALLS]look[ARGS]{\"at\": \"sky\"}[TOOL_CALLS]wait_7[ARGS]{}",
       "",
       {"look {\"at\": \"sky\"}", second}},
      {named, "[TOOL_CALLS]look[CALL_ID]123456789[ARGS]{}", "", {"look {}"}},
      {named, "[TOOL_CALLS]look[TOOL_CALLS]wait_7[ARGS]{}", "[TOOL_CALLS]look", {second}},
      // Arguments are in the member of the form or of another, or there is no member that they may be in.
      {bare, look, "", {first}},
      {tagged, "<tool_call>" + llama + "</tool_call>", "", {first}},
      {bare, "{\"name\": \"look\", \"colour\": \"red\"}", "{\"name\": \"look\", \"colour\": \"red\"}", {}},
      {bare, "{\"name\": \"wait_7\", \"id\": \"a\", \"type\": \"function\"}", "", {second}},
      {bare,
       R"({"name":"look","arguments":{},"parameters":{}})",
       R"({"name":"look","arguments":{},"parameters":{}})",
       {}},
      // What is not ended ends with a mark or a line; the next call is one.
      {tagged,
       R"(<tool_call>{"name": "look", "arguments": {"at": "sky"}</tool_call>)" + again,
       R"(<tool_call>{"name": "look", "arguments": {"at": "sky"}</tool_call>)",
       {second}},
      {tagged,
       R"(<tool_call>{"name": "look", "arguments": {"at": "sky}}</tool_call>)" + again,
       R"(<tool_call>{"name": "look", "arguments": {"at": "sky}}</tool_call>)",
       {second}},
      {tagged,
       R"(<tool_call>{"name": "look", "arguments": {"at": "sky)" + again,
       R"(<tool_call>{"name": "look", "arguments": {"at": "sky)",
       {second}},
      {tagged,
       R"(<tool_call>{"name": "look", "arguments": [)" + again,
       R"(<tool_call>{"name": "look", "arguments": [)",
       {second}},
      {bare, "{\"name\": \"look\n and so", "{\"name\": \"look\n and so", {}},
      {list,
       R"([TOOL_CALLS][{"name": "look", "arguments": [[TOOL_CALLS][)" + wait + "]",
       R"([TOOL_CALLS][{"name": "look", "arguments": [)",
       {second}},
      {named,
       R"([TOOL_CALLS]look[ARGS]{"at": [1, [TOOL_CALLS]wait_7[ARGS]{})",
       R"([TOOL_CALLS]look[ARGS]{"at": [1, )",
       {second}},
      {named, "[TOOL_CALLS]jump[ARGS]{}", "[TOOL_CALLS]jump[ARGS]{}", {}},
      {named, "[TOOL_CALLS]" + std::string(300, 'a'), "[TOOL_CALLS]" + std::string(300, 'a'), {}},
      {head + foot, "<tool_call>" + wait + "</tool_call>", "<tool_call>" + wait + "</tool_call>", {}},
  };
  for (const Case &one : cases) {
    const ToolFormat format = formatOf(one.format);
    for (size_t size = 1; size <= one.answer.size(); size += 1 + size / 3) {
      const Found found = read(format, one.answer, size);
      EXPECT_EQ(found.text, one.text) << one.answer << " by " << size;
      EXPECT_EQ(found.calls, one.calls) << one.answer << " by " << size;
    }
  }
}

// Any pieces of calls, marks and blanks, in any order and however they are cut, are the same text and calls; what is
// told at once is all that need not wait.
TEST_F(Calls, areTheSameHoweverAnythingIsCut) {
  const char *parts[] = {"<tool_call>",
                         "</tool_call>",
                         "[TOOL_CALLS]",
                         "[ARGS]",
                         "[CALL_ID]",
                         "[",
                         "]",
                         "{",
                         "}",
                         ",",
                         " ",
                         "\n",
                         "\"",
                         "\\",
                         "look",
                         "wait_7",
                         "<tool_",
                         "[TOOL",
                         R"({"name": "wait_7"})",
                         R"({"name": "look", "arguments": {"at": "a\"}"}})",
                         R"({"name": "look", "parameters": {}})",
                         R"("name": "look")",
                         "                                                                 "};
  std::mt19937 random(7);
  size_t calls = 0;
  for (const std::string &of : {tagged, bare, list, named}) {
    const ToolFormat format = formatOf(of);
    for (int i = 0; i < 701; ++i) {
      std::string answer;
      for (size_t n = random() % 17; n; --n)
        answer += parts[random() % std::size(parts)];
      const Found whole = read(format, answer, answer.size() + 1);
      calls += whole.calls.size();
      for (size_t size : {1, 2, 3, 7, 31}) {
        const Found found = read(format, answer, size);
        ASSERT_EQ(found.text, whole.text) << answer << " by " << size;
        ASSERT_EQ(found.calls, whole.calls) << answer << " by " << size;
      }
    }
  }
  EXPECT_GT(calls, 101u);
}

// A call that is held to its form is whole, whatever is in its strings.
TEST_F(Calls, mayHaveMarksInTheirStringsWhereTheyAreHeld) {
  const std::string call = R"(<tool_call>{"name": "look", "arguments": {"at": "</tool_call>"}}</tool_call>)";
  EXPECT_TRUE(read(formatOf(tagged), call, 7).calls.empty());
  ToolReader reader(formatOf(tagged), tools());
  reader.trust();
  EXPECT_EQ(reader.push(call), "");
  const std::vector<ToolCall> calls = reader.take();
  ASSERT_EQ(calls.size(), 1u);
  EXPECT_EQ(calls[0].arguments, R"({"at": "</tool_call>"})");
}

// What is text to the end costs no more than its length: marks without an end, and blanks, 70,001 of each.
TEST_F(Calls, areSoughtInTimeThatGrowsWithTheText) {
  const ToolFormat format = formatOf(tagged);
  for (const char *piece :
       {"<tool_call>", "<tool_call>{\"", "\n", "<tool_call>{}", "<tool_call>{\"name\":\"jump\"} "}) {
    ToolReader reader(format, tools());
    size_t out = 0, in = 0;
    for (int i = 0; i < 70001; ++i) {
      in += std::string_view(piece).size();
      out += reader.push(piece).size();
    }
    out += reader.finish().size();
    EXPECT_EQ(out, in) << piece;
  }
}

bool allows(const ToolPlan &plan, const std::string &text) {
  auto network = grammar::compileGbnf(plan.gbnf, plan.schemas);
  EXPECT_TRUE(network) << network.error().message << plan.gbnf;
  grammar::Matcher matcher(*network);
  return matcher.accept(text) == text.size() && matcher.mayEnd();
}

ToolRequest request(ToolRequest::Choice choice, bool parallel = true, bool strict = false, const char *name = "") {
  ToolRequest asked;
  asked.tools = tools(strict);
  asked.choice = choice;
  asked.parallel = parallel;
  asked.named = name;
  return asked;
}

TEST_F(Calls, areHeldToTheSchemaWhereTheyHaveToCome) {
  const std::string sky = "{\"name\": \"look\", \"arguments\": {\"at\": \"sky\"}}", end = "</tool_call>";
  const std::string wait = "{\"name\": \"wait_7\", \"arguments\": {}}",
                    hill = "{\"name\": \"look\", \"arguments\": {\"at\": \"hill\"}}";
  const auto required = ToolRequest::Choice::Required, free = ToolRequest::Choice::Auto;
  ToolPlan plan = *toolPlan(formatOf(tagged), request(required));
  EXPECT_EQ(plan.prefix, "<tool_call>");
  for (const std::string &good : {"\n" + sky + "\n" + end, sky + end + "\n<tool_call>\n" + wait + end})
    EXPECT_TRUE(allows(plan, good)) << good;
  for (const std::string &wrong : {hill + end, sky, std::string("text"), sky + end + "text", std::string()})
    EXPECT_FALSE(allows(plan, wrong)) << wrong;
  plan = *toolPlan(formatOf(tagged), request(required, false));
  EXPECT_TRUE(allows(plan, sky + end));
  EXPECT_FALSE(allows(plan, sky + end + "<tool_call>" + wait + end));
  plan = *toolPlan(formatOf(tagged), request(required, true, false, "wait_7"));
  EXPECT_TRUE(allows(plan, wait + end));
  EXPECT_FALSE(allows(plan, sky + end));
  EXPECT_FALSE(allows(plan, wait + end + "<tool_call>" + wait + end)); // one call of it
  // Where the answer may be text, it is anything, unless somebody wants calls to be held to their schema.
  plan = *toolPlan(formatOf(tagged), request(free));
  EXPECT_TRUE(plan.gbnf.empty() && plan.prefix.empty());
  plan = *toolPlan(formatOf(tagged), request(free, true, true));
  EXPECT_EQ(plan.prefix, "");
  for (const std::string &good :
       {std::string(), std::string("a < b <tool <tool_cal <<tool_call"), "so: <tool_call>" + sky + end,
        "<<tool_call>\n" + sky + end + "<tool_call>" + wait + end, std::string("\xe2\x82\xac")})
    EXPECT_TRUE(allows(plan, good)) << good;
  for (const std::string &wrong :
       {"<tool_call>" + hill + end, std::string("<tool_call>"), "<tool_call>" + sky + end + "so"})
    EXPECT_FALSE(allows(plan, wrong)) << wrong;
  plan = *toolPlan(formatOf(tagged), request(free, false)); // one call, of any object
  EXPECT_TRUE(allows(plan, "<tool_call>" + hill + end));
  EXPECT_FALSE(allows(plan, "<tool_call>" + hill + end + "<tool_call>" + hill + end));
  const std::string call = "{\"name\": \"look\", \"parameters\": {\"at\": \"sea\"}}";
  plan = *toolPlan(formatOf(bare), request(free, true, true));
  for (const std::string &good : {call, std::string("a {"), std::string(), std::string(" \n")})
    EXPECT_TRUE(allows(plan, good)) << good;
  EXPECT_FALSE(allows(plan, "{\"a\": 1}"));
  EXPECT_FALSE(allows(*toolPlan(formatOf(bare), request(required)), "a"));
  EXPECT_TRUE(allows(*toolPlan(formatOf(list), request(required)), "[" + sky + ", " + wait + "]"));
  // Text up to a list of calls; each letter of the mark may come before it.
  plan = *toolPlan(formatOf(list), request(free, true, true));
  EXPECT_EQ(plan.prefix, "");
  for (const std::string &good :
       {std::string(), std::string("a [TOOL_CALLS [[TOOL- ]"), "so [[TOOL_CALLS][" + sky + ", " + wait + "]"})
    EXPECT_TRUE(allows(plan, good)) << good;
  for (const std::string &wrong : {"[TOOL_CALLS][" + hill + "]", "[TOOL_CALLS]" + sky, "[TOOL_CALLS][" + sky + "] so"})
    EXPECT_FALSE(allows(plan, wrong)) << wrong;
  plan = *toolPlan(formatOf(named), request(required, true, false, "look"));
  EXPECT_EQ(plan.prefix, "[TOOL_CALLS]look[ARGS]");
  EXPECT_TRUE(allows(plan, "{\"at\": \"sea\"}"));
  plan = *toolPlan(formatOf(numbered), request(required, true, false, "look"));
  const std::string begin = "[TOOL_CALLS]look[CALL_ID]";
  EXPECT_EQ(plan.prefix.substr(0, begin.size()), begin);
  EXPECT_EQ(plan.prefix.substr(begin.size() + 9), "[ARGS]") << plan.prefix;
}

TEST_F(Calls, areRefusedWhereTheModelHasNone) {
  for (auto choice : {ToolRequest::Choice::Auto, ToolRequest::Choice::Required}) {
    auto plan = toolPlan(formatOf(head + foot), request(choice));
    ASSERT_FALSE(plan);
    EXPECT_EQ(plan.error().code, ErrorCode::ToolTemplate);
  }
  EXPECT_TRUE(toolPlan(formatOf(head + foot), request(ToolRequest::Choice::None)));
  EXPECT_FALSE(toolPlan(formatOf(named), request(ToolRequest::Choice::Required))); // which of the two it cannot say
  ToolFormat hidden = formatOf(list);
  hidden.spelt = false; // as a control token is
  EXPECT_FALSE(toolPlan(hidden, request(ToolRequest::Choice::Auto, true, true)));
  EXPECT_FALSE(toolPlan(hidden, request(ToolRequest::Choice::Auto, false)));
  EXPECT_TRUE(toolPlan(hidden, request(ToolRequest::Choice::Required)));
  auto between =
      toolPlan(formatOf(named), request(ToolRequest::Choice::Auto, false)); // in letters, but marks all the same
  ASSERT_FALSE(between);
  EXPECT_EQ(between.error().message.rfind("parallel_tool_calls: ", 0), 0u) << between.error().message;
  EXPECT_EQ(between.error().message.find("control token"), std::string::npos) << between.error().message;
  // A call that has to come cannot begin where the prompt has the model think first.
  std::string thinking = tagged;
  thinking.replace(thinking.rfind("[assistant]"), 11, "[assistant]<think>\n");
  EXPECT_EQ(formatOf(thinking).kind, Kind::Tagged);
  EXPECT_TRUE(toolPlan(formatOf(thinking), request(ToolRequest::Choice::Auto, true, true)));
  auto thought = toolPlan(formatOf(thinking), request(ToolRequest::Choice::Required));
  ASSERT_FALSE(thought);
  EXPECT_EQ(thought.error().message.rfind("tool_choice: ", 0), 0u) << thought.error().message;
  ToolRequest wrong = request(ToolRequest::Choice::Required);
  wrong.tools[1].parameters = R"({"type":"object","properties":{"a":{"uniqueItems":true}}})";
  const ToolPlan plan = *toolPlan(formatOf(tagged), wrong);
  auto network = grammar::compileGbnf(plan.gbnf, plan.schemas);
  ASSERT_FALSE(network);
  EXPECT_EQ(network.error().code, ErrorCode::SchemaKeyword);
  EXPECT_EQ(network.error().message.rfind("tools[1].function.parameters: ", 0), 0u) << network.error().message;
  EXPECT_NE(network.error().message.find("uniqueItems"), std::string::npos) << network.error().message;
}

} // namespace
