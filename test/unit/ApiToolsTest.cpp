// Tools in chats, as clients see them: calls that begin with a control token, and fields that are refused.
#include "test/unit/ApiFixture.h"

using namespace stepdown;
using namespace stepdown::run;

namespace {

// Calls that begin with a control token, which is no text, in the place where it came: also where text before it waits
// for the rest of a stop text.
TEST_F(Apis, tellCallsThatBeginWithAControlToken) {
  toy.words = {{34, "[{\"name\":\"look\",\"arguments\":{}}]"}, {35, "U"}, {36, "ser:"}};
  toy.controls = {{33, "[TOOL_CALLS]"}};
  open();
  const ServedModel &served = api.models().front();
  constexpr int32_t i = 12, mark = 33, call = 34, u = 35, user = 36, end = 2;
  struct Case {
    std::vector<int32_t> ids;
    const char *text;
    size_t calls;
    const char *finish;
  } cases[] = {{{i, u, mark, call, end}, "iU", 1, "tool_calls"},
               {{u, mark, call, i, end}, "Ui", 1, "tool_calls"},
               {{i, mark, call, end}, "i", 1, "tool_calls"},
               {{mark, call, end}, "", 1, "tool_calls"},
               {{i, u, mark, i, end}, "iU[TOOL_CALLS]i", 0, "stop"},
               {{i, u, mark, user, i}, "i", 0, "stop"}, // the stop text, with what is no text in it
               {{i, u, user, call}, "i", 0, "stop"},
               {{i, u, mark, end}, "iU[TOOL_CALLS]", 0, "stop"}};
  const ToolReader reader({ToolFormat::Kind::List, "[TOOL_CALLS]", "", "arguments"}, {{"look", "{}"}});
  for (const Case &one : cases)
    for (bool stream : {false, true}) {
      ApiRequest request;
      request.stream = stream;
      request.asked.probabilities = 0;
      request.asked.logProbabilities = true;
      request.asked.stops = {"User:"};
      auto reply = std::make_shared<Reply>();
      AnswerTimes times;
      ApiAnswer answer(
          Endpoint::Chat, request, "toy", 1, 3, *served.engine, served.tokenizer, reply, times, [](int) {}, &reader);
      answer.taken(1);
      auto made = Generation::create(request.asked, {1}, served.tokenizer, {41, 256});
      ASSERT_TRUE(made) << made.error().message;
      Generation &drawn = **made;
      drawn.listener = [&](int32_t id, const std::string &text) {
        answer.token(0, id, text, id >= 0 ? &drawn.logProbabilities().back() : nullptr);
        return true;
      };
      for (size_t at = 0; at < one.ids.size() && !drawn.done(); ++at) {
        std::vector<float> row(41);
        row[size_t(one.ids[at])] = 1000;
        std::vector<int32_t> next;
        drawn.draw({row.data(), 1, row.size()}, next);
      }
      ASSERT_TRUE(drawn.done());
      answer.finished(0, drawn);
      std::string text, finish;
      size_t calls = 0, rows = 0;
      const auto take = [&](const json &choice, const json &said) {
        text += said.contains("content") && said["content"].is_string() ? said["content"].get<std::string>() : "";
        if (said.contains("tool_calls"))
          for (const json &each : said["tool_calls"])
            calls += each.contains("id");
        if (choice["logprobs"].is_object())
          rows += choice["logprobs"]["content"].size();
        if (choice["finish_reason"].is_string())
          finish = choice["finish_reason"];
      };
      if (stream)
        for (const json &event : events(reply->body))
          take(event["choices"][0], event["choices"][0]["delta"]);
      else {
        const json whole = json::parse(reply->body);
        take(whole["choices"][0], whole["choices"][0]["message"]);
      }
      const std::string what = json(one.ids).dump();
      EXPECT_EQ(text, one.text) << what;
      EXPECT_EQ(calls, one.calls) << what;
      EXPECT_EQ(finish, one.finish) << what;
      EXPECT_EQ(rows, drawn.tokens().size() - (drawn.tokens().back() == end)) << what;
    }
}

TEST_F(Apis, sayWhichFieldOfToolsIsNotDone) {
  toy.words = {{37, "7"}};
  toy.controls = {{33, "[TOOL_CALLS]"}};
  toy.chatTemplate =
      "{{ tools | tojson if tools }}{% for m in messages %}{{ m.content }}{% for c in m.tool_calls or [] %}"
      "{{ '[TOOL_CALLS][' if loop.first else ', ' }}{\"name\": \"{{ c.function.name }}\", "
      "\"arguments\": {{ c.function.arguments | tojson }}}{{ ']' if loop.last }}{% endfor %}{% endfor %}";
  open();
  const std::string said = R"({"messages":[{"role":"user","content":"a"}],"tools":[)", path = "/v1/chat/completions";
  const auto tool = [](const char *name, const std::string &more) {
    return std::string(R"({"type":"function","function":{"name":")") + name + "\"" + more + "}}";
  };
  const std::string wrong = R"(,"parameters":{"type":"object","properties":{"a":{"uniqueItems":true}}})";
  const std::pair<std::string, const char *> cases[] = {
      {tool("a", "") + "],\"parallel_tool_calls\":false}", "parallel_tool_calls"},
      {tool("a", ",\"strict\":true") + "]}", "tools"},
      {tool("a", "") + "," + tool("b", wrong) + "],\"tool_choice\":\"required\"}", "tools[1].function.parameters"}};
  for (const auto &[fields, param] : cases) {
    auto reply = ask("POST", path, said + fields);
    EXPECT_EQ(reply->status, 400) << fields;
    EXPECT_EQ(json::parse(reply->body)["error"]["param"], param) << reply->body;
  }
  // The tokens of a chat with tools are those that it is asked with.
  const std::string both = said + tool("a", "") + "]";
  const json whole = json::parse(ask("POST", path, both + ",\"max_tokens\":1,\"ignore_eos\":true}")->body);
  EXPECT_EQ(json::parse(ask("POST", "/tokenize", both + "}")->body)["count"], whole["usage"]["prompt_tokens"]);
  // A number that no machine's number holds is told to the model as it was drawn.
  const json ids = json::parse(
      ask("POST", "/tokenize",
          R"({"messages":[{"role":"user","content":"a"},{"role":"assistant","tool_calls":[{"id":"c","function":)"
          R"({"name":"a","arguments":"{\"a\":777777777777777777777777}"}}]},)"
          R"({"role":"tool","tool_call_id":"c","name":"a","content":"b"}]})")
          ->body)["tokens"];
  EXPECT_EQ(std::count(ids.begin(), ids.end(), json(37)), 24) << ids;
}

} // namespace
