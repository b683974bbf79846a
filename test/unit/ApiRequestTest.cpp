// Requests of OpenAI's interface: what they say, and how each that says something else is refused.
#include "tools/stepdown-run/Serve/ApiRequest.h"
#include "lib/Grammar/Matcher.h"
#include "tools/stepdown-run/JsonText.h"
#include <gtest/gtest.h>

using namespace stepdown;
using namespace stepdown::run;

namespace {

struct Outcome {
  ApiRequest request;
  std::optional<Refusal> refusal;
  int code() const { return refusal ? int(refusal->error.code) : 0; }
  std::string message() const { return refusal ? refusal->error.message : ""; }
  std::string field() const { return refusal ? refusal->field : ""; }
};

Outcome read(const std::string &body, Endpoint endpoint = Endpoint::Completions) {
  Outcome outcome;
  outcome.refusal = readApiRequest(body, endpoint, outcome.request);
  return outcome;
}
Outcome chat(const std::string &more, const std::string &messages = "[{\"role\":\"user\",\"content\":\"a\"}]") {
  return read("{\"messages\":" + messages + more + "}", Endpoint::Chat);
}

TEST(ApiRequest, takesOpenAisDefaults) {
  Outcome text = read("{\"prompt\":\"a\"}"), talk = chat("");
  ASSERT_EQ(text.message() + talk.message(), "");
  EXPECT_EQ(text.request.asked.maxTokens, 16);
  EXPECT_EQ(talk.request.asked.maxTokens, INT32_MAX);
  for (const ApiRequest *request : {&text.request, &talk.request}) {
    EXPECT_EQ(request->asked.sampling.temperature, 1.0f);
    EXPECT_EQ(request->asked.answers, 1);
    EXPECT_FALSE(request->stream || request->seeded || request->asked.logProbabilities);
  }
}

TEST(ApiRequest, saysOfWhatIsEmptyThatItIs) {
  EmbeddingRequest embedding;
  const std::optional<Refusal> input = readEmbeddingRequest("{\"input\":[]}", embedding);
  for (const std::string &message :
       {read("{\"prompt\":[]}").message(), chat("", "[]").message(), input ? input->error.message : ""})
    EXPECT_NE(message.find("but got an empty array"), message.npos) << message;
  EXPECT_NE(chat("", "{}").message().find("but got an empty object"), std::string::npos) << chat("", "{}").message();
  EXPECT_NE(chat("", "{\"a\":1}").message().find("but got an object"), std::string::npos);
}

TEST(ApiRequest, readsAllFields) {
  Outcome all =
      read("{\"model\":\"m\",\"prompt\":[\"a\",\"b\"],\"max_tokens\":7,\"temperature\":0.5,\"top_p\":0.25,\"n\":3,"
           "\"stream\":true,\"stream_options\":{\"include_usage\":true},\"logprobs\":5,\"stop\":[\"x\",\"yz\"],"
           "\"presence_penalty\":0.5,\"frequency_penalty\":-1,\"logit_bias\":{\"3\":-100},\"seed\":-1,"
           "\"user\":\"me\",\"priority\":-3,\"top_k\":11,\"min_p\":0.125,\"ignore_eos\":true,\"echo\":false,\"suffix\":"
           "null}");
  ASSERT_EQ(all.message(), "");
  const Request &asked = all.request.asked;
  EXPECT_EQ(all.request.model, "m");
  ASSERT_EQ(all.request.prompts.size(), 2u);
  EXPECT_EQ(std::get<std::string>(all.request.prompts[1]), "b");
  EXPECT_EQ(asked.maxTokens, 7);
  EXPECT_EQ(asked.sampling.temperature, 0.5f);
  EXPECT_EQ(asked.sampling.topP, 0.25f);
  EXPECT_EQ(asked.sampling.topK, 11);
  EXPECT_EQ(asked.sampling.minP, 0.125f);
  EXPECT_EQ(asked.sampling.presencePenalty, 0.5f);
  EXPECT_EQ(asked.sampling.frequencyPenalty, -1.0f);
  EXPECT_EQ(asked.sampling.logitBias, (std::vector<std::pair<int32_t, float>>{{3, -100.0f}}));
  EXPECT_EQ(asked.sampling.seed, UINT64_MAX);
  EXPECT_EQ(asked.stops, (std::vector<std::string>{"x", "yz"}));
  EXPECT_EQ(asked.answers, 3);
  EXPECT_EQ(asked.probabilities, 5);
  EXPECT_TRUE(asked.ignoreEnd && asked.logProbabilities && all.request.seeded);
  EXPECT_TRUE(all.request.stream && all.request.includeUsage);
  EXPECT_EQ(all.request.priority, -3);
}

TEST(ApiRequest, readsPromptsOfEachKind) {
  EXPECT_EQ(std::get<0>(read("{\"prompt\":\"\"}").request.prompts.at(0)), "");
  EXPECT_EQ(std::get<1>(read("{\"prompt\":[1,2]}").request.prompts.at(0)), (std::vector<int32_t>{1, 2}));
  EXPECT_EQ(std::get<1>(read("{\"prompt\":[[1],[2,3]]}").request.prompts.at(1)), (std::vector<int32_t>{2, 3}));
  for (const char *prompt : {"[]", "{}", "1", "true", "[1,\"a\"]", "[\"a\",1]", "[[1],2]", "[[1],\"a\"]", "[-1]",
                             "[1.5]", "[[-1]]", "[4294967296]", "[[[1]]]"}) {
    Outcome wrong = read(std::string("{\"prompt\":") + prompt + "}");
    EXPECT_EQ(wrong.code(), 611) << prompt;
    EXPECT_EQ(wrong.field(), "prompt") << prompt;
  }
}

TEST(ApiRequest, readsMessages) {
  Outcome talk = chat("", "[{\"role\":\"developer\",\"content\":\"be brief\"},{\"role\":\"user\",\"name\":null,"
                          "\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}]}]");
  ASSERT_EQ(talk.message(), "");
  EXPECT_EQ(talk.request.messages[0].role, "system");
  EXPECT_EQ(talk.request.messages[1].content, "a\nb");
  const std::pair<const char *, int> wrong[] = {
      {"[]", 611},
      {"\"a\"", 611},
      {"[1]", 611},
      {"[{\"role\":\"user\"}]", 611},
      {"[{\"content\":\"a\"}]", 611},
      {"[{\"role\":\"user\",\"content\":null}]", 611},
      {"[{\"role\":\"robot\",\"content\":\"a\"}]", 611},
      {"[{\"role\":1,\"content\":\"a\"}]", 611},
      {"[{\"role\":\"user\",\"content\":[{\"type\":\"text\"}]}]", 611},
      {"[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\",\"x\":1}]}]", 611},
      {"[{\"role\":\"user\",\"content\":\"a\",\"mood\":\"b\"}]", 611},
      {"[{\"role\":\"tool\",\"content\":\"a\"}]", 611},
      {"[{\"role\":\"function\",\"name\":\"f\",\"content\":\"a\"}]", 1208},
      {"[{\"role\":\"user\",\"content\":\"a\",\"name\":\"b\"}]", 1208},
      {"[{\"role\":\"user\",\"content\":\"a\",\"tool_calls\":[]}]", 1208},
      {"[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{}}]}]", 1208}};
  for (const auto &[messages, code] : wrong) {
    EXPECT_EQ(chat("", messages).code(), code) << messages;
    EXPECT_EQ(chat("", messages).field().rfind("messages", 0), 0u) << messages;
  }
}

TEST(ApiRequest, refusesByNameWhatIsNotDone) {
  for (const char *field :
       {"tools\":[{\"type\":\"custom\"}]", "tool_choice\":{\"type\":\"allowed_tools\"}", "functions\":[1]",
        "modalities\":[\"audio\"]", "store\":true", "metadata\":{\"a\":\"b\"}", "stream_options\":{\"x\":true}"}) {
    Outcome wrong = chat(std::string(",\"") + field);
    EXPECT_EQ(wrong.code(), 1208) << field;
    const std::string name = std::string(field).substr(0, std::string(field).find('"'));
    EXPECT_EQ(wrong.field().rfind(name, 0), 0u) << wrong.field();
    EXPECT_EQ(wrong.message().rfind(name, 0), 0u) << wrong.message();
  }
  for (const char *field : {"suffix\":\"b\"", "echo\":true", "best_of\":2"})
    EXPECT_EQ(read(std::string("{\"prompt\":\"a\",\"") + field + "}").code(), 1208) << field;
  // Asking for nothing is no request for it.
  EXPECT_EQ(chat(",\"tools\":[],\"tool_choice\":\"none\",\"response_format\":{\"type\":\"text\"},\"store\":false,"
                 "\"functions\":null,\"service_tier\":\"auto\",\"parallel_tool_calls\":null")
                .message(),
            "");
}

TEST(ApiRequest, readsWhatGuesses) {
  EXPECT_EQ(chat("").request.guess.kind, Guess::Kind::Usual);
  EXPECT_EQ(chat(",\"speculate\":null,\"prediction\":null").request.guess.kind, Guess::Kind::Usual);
  EXPECT_EQ(read("{\"prompt\":\"a\",\"speculate\":\"off\"}").request.guess.kind, Guess::Kind::None);
  EXPECT_EQ(chat(",\"speculate\":\"draft\"").request.guess.kind, Guess::Kind::Draft);
  EXPECT_EQ(chat(",\"speculate\":\"ngram\"").request.guess.longest, 4u);
  EXPECT_EQ(chat(",\"speculate\":\"ngram:8\"").request.guess.longest, 8u);
  const std::string text = "\"content\":\"ab\"", type = "\"type\":\"content\"";
  Outcome with = chat(",\"prediction\":{" + type + "," + text + "}");
  EXPECT_EQ(with.request.guess.kind, Guess::Kind::Predict);
  EXPECT_EQ(with.request.guess.text, "ab");
  for (const char *wrong :
       {"1", "\"\"", "\"on\"", "\"ngram:\"", "\"ngram:0\"", "\"ngram:9\"", "\"ngram:x\"", "\"draft:a\""}) {
    EXPECT_EQ(chat(std::string(",\"speculate\":") + wrong).code(), 611) << wrong;
    EXPECT_EQ(chat(std::string(",\"speculate\":") + wrong).field(), "speculate") << wrong;
  }
  for (const std::string &wrong : {std::string("1"), "{" + text + "}", "{" + type + "}", "{" + type + ",\"content\":1}",
                                   "{" + type + "," + text + ",\"x\":1}", "{\"type\":\"text\"," + text + "}"})
    EXPECT_EQ(chat(",\"prediction\":" + wrong).code(), 611) << wrong;
  EXPECT_EQ(chat(",\"speculate\":\"off\",\"prediction\":{" + type + "," + text + "}").code(), 611);
  EXPECT_EQ(read("{\"prompt\":\"a\",\"prediction\":{" + type + "," + text + "}}").code(), 611);
}

std::string function(const std::string &more, const char *name = "look") {
  return std::string("{\"type\":\"function\",\"function\":{\"name\":\"") + name + "\"" + more + "}}";
}

TEST(ApiRequest, readsTools) {
  const std::string schema = R"({"type":"object","properties":{"b":{},"a":{}}})";
  Outcome with =
      chat(",\"tools\":[" + function(",\"strict\":true,\"parameters\":" + schema) + "," + function("", "wait") +
           "],\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"wait\"}},"
           "\"parallel_tool_calls\":false");
  ASSERT_EQ(with.message(), "");
  const ToolRequest &tools = with.request.tools;
  ASSERT_EQ(tools.tools.size(), 2u);
  EXPECT_EQ(tools.tools[0].parameters, schema); // in the order in which they were written
  EXPECT_TRUE(tools.tools[0].strict && !tools.tools[1].strict && !tools.parallel);
  EXPECT_EQ(tools.json, "[" + function(",\"parameters\":" + schema) + "," + function("", "wait") + "]");
  EXPECT_TRUE(tools.choice == ToolRequest::Choice::Required && tools.named == "wait");
  // Numbers keep their digits, also where a name is spelt with an escape beside them.
  const std::string digits = R"({"type":"object","const":[1.50,123456789012345678901234]})";
  EXPECT_EQ(chat(",\"tools\":[" + function(",\"parameters\": " + digits) + "]").request.tools.tools[0].parameters,
            " " + digits);
  const ToolRequest escaped =
      chat(",\"tools\":[" + function(",\"str\\u0069ct\":true,\"parameters\":" + schema) + "]").request.tools;
  EXPECT_TRUE(escaped.tools[0].strict);
  EXPECT_EQ(escaped.json.find("strict"), std::string::npos) << escaped.json;
  EXPECT_TRUE(chat(",\"tools\":[" + function("") + "]").request.tools.choice == ToolRequest::Choice::Auto);
  const std::pair<std::string, int> wrong[] = {
      {"\"tools\":{}", 611},
      {"\"tools\":[{}]", 611},
      {"\"tools\":[1]", 611},
      {"\"tools\":[{\"type\":\"function\"}]", 611},
      {"\"tools\":[" + function("", "a b") + "]", 611},
      {"\"tools\":[" + function("", "") + "]", 611},
      {"\"tools\":[" + function("", std::string(65, 'a').c_str()) + "]", 611},
      {"\"tools\":[" + function("") + "," + function("") + "]", 611},
      {"\"tools\":[" + function(",\"parameters\":{}") + "]", 611},
      {"\"tools\":[" + function(",\"parameters\":{\"type\":\"array\"}") + "]", 611},
      {"\"tools\":[" + function(",\"parameters\":1") + "]", 611},
      {"\"tools\":[" + function(",\"mood\":1") + "]", 611},
      {"\"tools\":[" + function(",\"strict\":1") + "]", 611},
      {"\"tool_choice\":\"auto\"", 1317},
      {"\"tools\":[" + function("") + "],\"tool_choice\":\"any\"", 611},
      {"\"tools\":[" + function("") + "],\"tool_choice\":{\"type\":\"function\"}", 611},
      {"\"tools\":[" + function("") + "],\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"lok\"}}",
       1317},
      {"\"tools\":[" + function("") + "],\"regex\":\"a\"", 1317}};
  for (const auto &[field, code] : wrong) {
    EXPECT_EQ(chat("," + field).code(), code) << field;
    EXPECT_EQ(chat("," + field).field().rfind("tool", 0), 0u) << field;
  }
  EXPECT_NE(chat("," + wrong[16].first).message().find("\"lok\"; did you mean look?"), std::string::npos);
  std::string many;
  for (int i = 0; i < 129; ++i)
    many += (i ? "," : "") + function("", ("f" + std::to_string(i)).c_str());
  EXPECT_EQ(chat(",\"tools\":[" + many + "]").code(), 611);
}

TEST(ApiRequest, readsCallsAndWhatTheyGaveBack) {
  auto call = [](const char *arguments) {
    return std::string(R"({"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":)") +
           R"({"name":"look","arguments":)" + arguments + "}}]}";
  };
  const std::string answer = R"(,{"role":"tool","tool_call_id":"c1","content":"blue"})";
  Outcome talk = chat("", "[" + call("\"{\\\"at\\\": 1}\"") + answer + "]");
  ASSERT_EQ(talk.message(), "");
  ASSERT_EQ(talk.request.messages[0].calls.size(), 1u);
  EXPECT_EQ(talk.request.messages[0].calls[0].arguments, "{\"at\": 1}");
  EXPECT_EQ(talk.request.messages[1].callId, "c1");
  EXPECT_EQ(talk.request.messages[1].name, "look");
  // Who sends the name again, or says that there are no annotations, says nothing new.
  std::string again = answer;
  again.insert(2, R"("name":"look",)");
  EXPECT_EQ(
      chat("", "[" + call("\"{}\"") + again + R"(,{"role":"assistant","content":"a","annotations":[]}])").message(),
      "");
  again.replace(again.find("look"), 4, "wait");
  EXPECT_EQ(chat("", "[" + call("\"{}\"") + again + "]").field(), "messages[1].name");
  EXPECT_EQ(chat("", "[" + call("\"{}\"") + "," + call("\"{}\"") + "]").field(), "messages[1].tool_calls[0].id");
  EXPECT_EQ(chat("", "[" + call("\"\"") + "]").request.messages[0].calls[0].arguments, "{}");
  const std::pair<std::string, int> wrong[] = {
      {call("\"[]\""), 611},
      {call("\"{\""), 908},
      {call("{}"), 611},
      {R"({"role":"assistant","tool_calls":[{"type":"function","function":{"name":"a","arguments":"{}"}}]})", 611},
      {R"({"role":"assistant","tool_calls":[{"id":"a","type":"custom","function":{"name":"a","arguments":"{}"}}]})",
       1208},
      {R"({"role":"assistant","tool_calls":[{"id":"a","function":{"name":"a"}}]})", 611},
      {R"({"role":"assistant","tool_calls":[]})", 611},
      {R"({"role":"assistant","tool_calls":[{"id":"","function":{"name":"a","arguments":"{}"}}]})", 611},
      {R"({"role":"assistant","tool_calls":[{"id":"a","function":{"name":"a","arguments":"{}"}},)"
       R"({"id":"a","function":{"name":"b","arguments":"{}"}}]})",
       611},
      {R"({"role":"user","content":"a","annotations":[1]})", 1208},
      {R"({"role":"user","content":"a","name":"look"})", 1208},
      {R"({"role":"assistant"})", 611},
      {R"({"role":"tool","content":"a","tool_call_id":"c1"})", 611}, // of no call
      {call("\"{}\"") + R"(,{"role":"tool","tool_call_id":"c2","content":"a"})", 611}};
  for (const auto &[messages, code] : wrong) {
    EXPECT_EQ(chat("", "[" + messages + "]").code(), code) << messages;
    EXPECT_EQ(chat("", "[" + messages + "]").field().rfind("messages[", 0), 0u) << messages;
  }
}

// The grammar of a schema has the schema's members in their order.
TEST(ApiRequest, readsWhatAnAnswerHasToBe) {
  auto matches = [](const Outcome &outcome, std::string_view text) {
    EXPECT_EQ(outcome.message(), "");
    if (!outcome.request.asked.grammar)
      return false;
    grammar::Matcher matcher(outcome.request.asked.grammar);
    return matcher.accept(text) == text.size() && matcher.mayEnd();
  };
  const std::string schema =
      "{\"type\":\"object\",\"properties\":{\"b\":{\"type\":\"integer\"},\"a\":{\"enum\":[\"x\"]}},"
      "\"required\":[\"b\",\"a\"],\"additionalProperties\":false}";
  for (const std::string &field :
       {"\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\",\"strict\":true,\"schema\":" +
            schema + "}}",
        "\"json_schema\":" + schema}) {
    EXPECT_TRUE(matches(chat("," + field), "{\"b\":-17,\"a\":\"x\"}")) << field;
    EXPECT_FALSE(matches(chat("," + field), "{\"b\":-17}")) << field;
  }
  Outcome any = chat(",\"response_format\":{\"type\":\"json_object\"}");
  EXPECT_TRUE(matches(any, "{\"a\":[1]}"));
  EXPECT_FALSE(matches(any, "[1]"));
  EXPECT_TRUE(matches(read("{\"prompt\":\"a\",\"regex\":\"[0-9]{3}\"}"), "137"));
  EXPECT_TRUE(matches(read("{\"prompt\":\"a\",\"choices\":[\"yes\",\"no\"]}"), "no"));
  EXPECT_TRUE(matches(read("{\"prompt\":\"a\",\"grammar\":\"root ::= \\\"ab\\\"+\"}"), "abab"));
  const std::pair<const char *, int> wrong[] = {
      {"\"regex\":\"a\",\"choices\":[\"b\"]", 611},
      {"\"regex\":\"a\",\"response_format\":{\"type\":\"json_object\"}", 611},
      {"\"regex\":\"(a\"", 1307},
      {"\"json_schema\":{\"type\":\"integer\",\"minimum\":5,\"maximum\":3}", 1314},
      {"\"response_format\":\"json\"", 611},
      {"\"response_format\":{\"type\":\"xml\"}", 611},
      {"\"response_format\":{\"type\":\"text\",\"json_schema\":{}}", 611},
      {"\"response_format\":{\"type\":\"json_schema\"}", 611},
      {"\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\"}}", 611},
      {"\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"schema\":{\"tpye\":\"x\"}}}", 1311}};
  for (const auto &[field, code] : wrong)
    EXPECT_EQ(chat(std::string(",") + field).code(), code) << field;
  EXPECT_EQ(read("{\"prompt\":\"a\",\"response_format\":{\"type\":\"text\"}}").code(), 611);
}

TEST(JsonText, findsTheTextOfAMember) {
  const char *object = "{ \"a\" : [1, {\"b\": \"}\\\"\"}] ,\"b\":{\"a\":2},\"c\":\"b\",\"\":3,\"d\":4.5e3 }";
  EXPECT_EQ(memberText(object, "a"), " [1, {\"b\": \"}\\\"\"}] ");
  EXPECT_EQ(memberText(object, "b"), "{\"a\":2}");
  EXPECT_EQ(memberText(object, "c"), "\"b\"");
  EXPECT_EQ(memberText(object, "d"), "4.5e3 ");
  EXPECT_EQ(memberText(object, "e"), "");
  EXPECT_EQ(memberText("{}", "a"), "");
}

TEST(ApiRequest, refusesUnknownAndIllTypedFields) {
  Outcome typo = chat(",\"temprature\":1");
  EXPECT_EQ(typo.message(),
            "request: expects a field of /v1/chat/completions, but got \"temprature\"; did you mean temperature?");
  EXPECT_EQ(typo.field(), "temprature");
  EXPECT_EQ(chat(",\"temprature\":null").code(), 611);
  EXPECT_EQ(chat(",\"prompt\":\"a\"").code(), 611);
  EXPECT_EQ(read("{\"prompt\":\"a\",\"messages\":[]}").code(), 611);
  EXPECT_EQ(read("{\"prompt\":\"a\",\"max_completion_tokens\":1}").code(), 611);
  const std::pair<const char *, int> wrong[] = {{"model\":1", 611},
                                                {"max_tokens\":-1", 611},
                                                {"max_tokens\":1.5", 611},
                                                {"max_tokens\":\"1\"", 611},
                                                {"max_tokens\":18446744073709551615", 611},
                                                {"stream\":1", 611},
                                                {"stream_options\":true", 611},
                                                {"stream_options\":{\"include_usage\":1}", 611},
                                                {"priority\":5", 611},
                                                {"priority\":-5", 611},
                                                {"priority\":\"high\"", 611},
                                                {"n\":0", 611},
                                                {"n\":1025", 611},
                                                {"stop\":1", 611},
                                                {"stop\":[1]", 611},
                                                {"stop\":\"\"", 611},
                                                {"stop\":[[\"a\"]]", 611},
                                                {"seed\":1.5", 611},
                                                {"user\":1", 611},
                                                {"logit_bias\":{\"a\":1}", 611},
                                                {"logit_bias\":{\"1\":[]}", 611},
                                                {"top_k\":0.5", 611},
                                                {"temperature\":\"hot\"", 611},
                                                {"temperature\":-1", 701},
                                                {"top_p\":0", 701},
                                                {"top_p\":1.5", 701},
                                                {"sampling_order\":\"magic\"", 701}};
  for (const auto &[field, code] : wrong) {
    Outcome text = read(std::string("{\"prompt\":\"a\",\"") + field + "}"), talk = chat(std::string(",\"") + field);
    const std::string name = std::string(field).substr(0, std::string(field).find('"'));
    EXPECT_EQ(text.code(), code) << field;
    EXPECT_EQ(talk.code(), code) << field;
    EXPECT_EQ(talk.field().rfind(name, 0), 0u) << talk.field();
  }
}

TEST(ApiRequest, wantsFieldsThatGoTogether) {
  EXPECT_EQ(read("{}").field(), "prompt");
  EXPECT_EQ(read("{}", Endpoint::Chat).field(), "messages");
  EXPECT_EQ(chat(",\"max_tokens\":1,\"max_completion_tokens\":1").code(), 611);
  EXPECT_EQ(chat(",\"max_completion_tokens\":5").request.asked.maxTokens, 5);
  EXPECT_EQ(chat(",\"top_logprobs\":3").field(), "top_logprobs");
  EXPECT_EQ(chat(",\"top_logprobs\":3,\"logprobs\":true").request.asked.probabilities, 3);
  EXPECT_EQ(chat(",\"logprobs\":true").request.asked.probabilities, 0);
  EXPECT_FALSE(chat(",\"logprobs\":false").request.asked.logProbabilities);
  EXPECT_EQ(chat(",\"logprobs\":true,\"top_logprobs\":21").code(), 611);
  EXPECT_EQ(chat(",\"stream_options\":{\"include_usage\":true}").field(), "stream_options");
}

TEST(ApiRequest, refusesWhatIsNoJson) {
  for (const char *body : {"", "{", "{\"prompt\":\"a\",}", "{\"prompt\":\"\\ud800\"}", "{\"prompt\":\"a\"} x",
                           "{\"n\":1e999}", "{\"prompt\":\"a\",\"prompt\":\"b\"}", "\xff"})
    EXPECT_EQ(read(body).code(), 908) << body;
  for (const char *body : {"1", "[]", "\"a\"", "null"})
    EXPECT_EQ(read(body).code(), 611) << body;
}

// What is nested is neither compared nor copied nor printed, and not even read where it is too deep.
TEST(ApiRequest, refusesDepth) {
  EXPECT_EQ(read("{\"prompt\":\"a\",\"user\":\"" + std::string(1000, '[') + "\\\"[\"}").message(), "");
  const std::string just(99, '['), less(99, ']');
  EXPECT_EQ(read("{\"prompt\":" + just + less + "}").code(), 611);
  EXPECT_EQ(read("{\"prompt\":[" + just + less + "]}").code(), 908);
  const std::string open(2000000, '['), close(2000000, ']');
  for (const char *field : {"prompt", "stop", "tools", "temperature", "response_format", "x"}) {
    Outcome deep = read(std::string("{\"") + field + "\":" + open + close + "}");
    EXPECT_NE(deep.code(), 0) << field;
    EXPECT_LT(deep.message().size(), 200u);
  }
  EXPECT_NE(chat("", open + close).code(), 0);
  EXPECT_NE(chat(",\"tools\":" + open + close).code(), 0);
  EXPECT_NE(chat(",\"logit_bias\":{\"1\":" + open + close + "}").code(), 0);
}

TEST(ApiRequest, readsWhatIsToBeTokenized) {
  auto read = [](const char *body, TokenizeRequest &request) {
    auto refusal = readTokenizeRequest(body, request);
    return refusal ? int(refusal->error.code) : 0;
  };
  TokenizeRequest text, talk, none;
  EXPECT_EQ(read("{\"prompt\":\"a\",\"add_special\":false}", text), 0);
  EXPECT_EQ(*text.prompt, "a");
  EXPECT_FALSE(text.addSpecial);
  const std::string said = "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]",
                    tools = ",\"tools\":[" + function("") + "]}";
  EXPECT_EQ(read((said + "}").c_str(), talk), 0);
  EXPECT_EQ(read((said + tools).c_str(), talk = {}), 0);
  EXPECT_EQ(talk.tools.tools.size(), 1u);
  EXPECT_EQ(read((said + ",\"tools\":null}").c_str(), talk = {}), 0);
  EXPECT_EQ(read(("{\"prompt\":\"a\"" + tools).c_str(), talk = {}), 611);
  for (const char *body :
       {"{}", "{\"prompt\":1}", "{\"prompt\":\"a\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}",
        "{\"prompt\":\"a\",\"x\":1}", "[]"})
    EXPECT_EQ(read(body, none = {}), 611) << body;
}

} // namespace
