#include "tools/stepdown-run/Request.h"
#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>

using namespace stepdown;
using run::Option;
using run::Request;

namespace {

TEST(Request, isGreedyWhereNothingElseIsSaid) {
  auto requests = run::readRequests("{\"prompt\":\"a\"}\n\n{\"prompt\":\"b\",\"temperature\":0.5}\n", {}, "file");
  ASSERT_TRUE(requests) << requests.error().message;
  ASSERT_EQ(requests->size(), 2u);
  EXPECT_EQ((*requests)[0].request.sampling.temperature, 0.0f);
  EXPECT_EQ((*requests)[1].request.sampling.temperature, 0.5f);
  EXPECT_EQ((*requests)[0].request.id, "0");
  EXPECT_EQ((*requests)[1].request.id, "1");
}

TEST(Request, inheritsWhatTheCommandLineSays) {
  Request defaults;
  defaults.maxTokens = 7;
  defaults.stops = {"end"};
  defaults.sampling.topK = 3;
  auto requests = run::readRequests(
      "{\"tokens\":[1,2],\"top_p\":0.5}\n{\"tokens\":[3],\"stop\":\"x\",\"max_tokens\":0}", defaults, "file");
  ASSERT_TRUE(requests) << requests.error().message;
  EXPECT_EQ((*requests)[0].request.maxTokens, 7);
  EXPECT_EQ((*requests)[0].request.stops, std::vector<std::string>{"end"});
  EXPECT_EQ((*requests)[0].request.sampling.topK, 3);
  EXPECT_EQ((*requests)[0].request.sampling.topP, 0.5f);
  EXPECT_EQ((*requests)[1].request.stops, std::vector<std::string>{"x"});
  EXPECT_EQ((*requests)[1].request.maxTokens, 0);
}

TEST(Request, namesTheLineAndTheField) {
  auto requests = run::readRequests("{\"prompt\":\"a\"}\n{\"prompt\":\"a\",\"seed\":\"x\"}", {}, "file");
  ASSERT_TRUE(requests);
  EXPECT_FALSE((*requests)[0].refusal);
  ASSERT_TRUE((*requests)[1].refusal);
  EXPECT_EQ((*requests)[1].refusal->message, "file: line 2: seed: expects a whole number, but got \"x\"");
}

TEST(Request, neverPrintsDeepNesting) {
  std::string deep = "{\"stop\":" + std::string(100000, '[') + std::string(100000, ']') + "}";
  auto requests = run::readRequests(deep, {}, "file");
  ASSERT_TRUE(requests);
  ASSERT_TRUE((*requests)[0].refusal);
  EXPECT_LT((*requests)[0].refusal->message.size(), 200u);
}

TEST(Request, refusesAnIdThatCameBeforeAndReadsTheRest) {
  // The second line has the id that is given to the third, which has none.
  auto requests = run::readRequests("{\"id\":\"a\",\"tokens\":[1]}\n{\"id\":2,\"tokens\":[1]}\n{\"tokens\":[1]}\n\n"
                                    "{\"tokens\":[],\"id\":\"a\"}\n{\"id\":\"b\",\"tokens\":[1]}",
                                    {}, "file");
  ASSERT_TRUE(requests);
  ASSERT_EQ(requests->size(), 5u);
  for (size_t i : {0, 1, 4})
    EXPECT_FALSE((*requests)[i].refusal) << i;
  EXPECT_EQ((*requests)[2].refusal->message, "file: line 3: id: expects one of its own, but line 2 has it too");
  EXPECT_EQ((*requests)[3].refusal->message, "file: line 5: id: expects one of its own, but line 1 has it too");
}

TEST(Request, tellsWhereALineCeasesToBeJson) {
  auto requests = run::readRequests("{\"tokens\":[1]}\n{\"tokens\":[1,]}\n{\"tokens\":[1]", {}, "file");
  ASSERT_TRUE(requests);
  EXPECT_EQ((*requests)[1].refusal->code, ErrorCode::JsonSyntax);
  EXPECT_NE((*requests)[1].refusal->message.find("file: line 2: expects JSON, but at offset 28: "), std::string::npos)
      << (*requests)[1].refusal->message;
  EXPECT_NE((*requests)[2].refusal->message.find("at offset 44: unexpected end of input"), std::string::npos)
      << (*requests)[2].refusal->message;
}

TEST(Request, tellsWhereANumberIsTooLarge) {
  auto requests =
      run::readRequests("{\"tokens\":[1]}\n{\"tokens\":[1], \"top_p\": 1e999, \"top_k\": 3}\n[1,[-2e400]]", {}, "file");
  ASSERT_TRUE(requests);
  EXPECT_EQ((*requests)[1].refusal->message,
            "file: line 2: expects JSON, but at offset 39: a number that is too large");
  EXPECT_EQ((*requests)[2].refusal->message,
            "file: line 3: expects JSON, but at offset 62: a number that is too large");
}

// The parser keeps the last of them, so that the first would be there for nothing.
TEST(Request, refusesANameThatIsThereTwice) {
  auto requests =
      run::readRequests("{\"tokens\":[1],\"tokens\":[2]}\n{\"tokens\":[1],\"logit_bias\":{\"1\":2,\"1\":3}}\n"
                        "{\"tokens\":[1],\"logit_bias\":{\"1\":2,\"2\":3}}",
                        {}, "file");
  ASSERT_TRUE(requests);
  EXPECT_EQ((*requests)[0].refusal->code, ErrorCode::JsonSyntax);
  EXPECT_EQ((*requests)[0].refusal->message,
            "file: line 1: expects objects that have a name once, but \"tokens\" is there twice");
  EXPECT_NE((*requests)[1].refusal->message.find("\"1\" is there twice"), std::string::npos);
  EXPECT_FALSE((*requests)[2].refusal);
}

/// What one road makes of a value: the number of its refusal, 0 for none.
int byCommandLine(const std::string &option, const std::string &value) {
  commandline::Command command{"generate", "", "", {}, "", nullptr};
  command.options = run::samplingOptions(Request().sampling);
  for (const run::RequestField &field : run::requestFields())
    command.options.push_back(run::limited({field.option, 0, "N", ""}));
  command.options.push_back(Option("stop", 0, "TEXT", "").repeats());
  commandline::Tool tool{"tool", "", "", "", {command}};
  const std::string word = "--" + option + "=" + value;
  const char *words[] = {word.c_str()};
  auto arguments = commandline::Arguments::parse(tool, tool.commands[0], 1, words);
  if (!arguments)
    return static_cast<int>(arguments.error().code);
  Request request;
  Status read = run::readRequest(*arguments, request);
  return read ? 0 : static_cast<int>(read.error().code);
}

int byJson(const std::string &name, const std::string &value) {
  auto requests = run::readRequests("{\"tokens\":[1],\"" + name + "\":" + value + "}", {}, "file");
  return !(*requests)[0].refusal ? 0 : static_cast<int>((*requests)[0].refusal->code);
}

/// Both roads give `number`; what the text of a command line makes E0905 is E0611 in JSON.
void bothGive(int number, const std::string &name, const std::string &option, const std::string &value) {
  EXPECT_EQ(byCommandLine(option, value), number == 611 ? 905 : number) << option << " " << value;
  EXPECT_EQ(byJson(name, value), number) << name << " " << value;
}

TEST(Request, bothRoadsHaveTheSameLimits) {
  auto text = [](double value) {
    char digits[40];
    std::snprintf(digits, sizeof digits, "%.9g", value);
    return std::string(digits);
  };
  auto whole = [](double value) { return std::to_string(static_cast<int64_t>(value)); };
  for (const SamplingField &field : samplingFields()) {
    std::string option = field.name;
    std::replace(option.begin(), option.end(), '_', '-');
    auto give = [&](int number, double value) {
      bothGive(number, field.name, option, field.whole ? whole(value) : text(value));
    };
    give(field.openLow ? 701 : 0, field.low);
    give(0, field.high);
    if (field.whole) {
      give(0, field.low + 1);
      give(701, field.low - 1);
      give(701, field.high + 1);
      bothGive(611, field.name, option, "1.5");
      bothGive(701, field.name, option, "-9000000000000000000");
    } else { // a float beside the limit, and its other side
      const float low = static_cast<float>(field.low), high = static_cast<float>(field.high);
      give(0, std::nextafter(low, high));
      give(701, std::nextafter(low, -INFINITY));
      give(0, std::nextafter(high, low));
      give(701, std::nextafter(high, INFINITY));
    }
    EXPECT_EQ(byCommandLine(option, "x"), 905) << option;
    EXPECT_EQ(byJson(field.name, "\"x\""), 611) << option;
  }
  for (const run::RequestField &field : run::requestFields()) {
    for (int64_t value : {field.low, field.low + 1, field.high - 1, field.high})
      bothGive(0, field.name, field.option, std::to_string(value));
    for (int64_t value : {field.low - 1, field.high + 1, INT64_MIN, INT64_MAX})
      bothGive(611, field.name, field.option, std::to_string(value));
    bothGive(611, field.name, field.option, "1.5");
    bothGive(611, field.name, field.option, "18446744073709551616");
  }
  for (const char *seed : {"-9223372036854775808", "-1", "0", "9223372036854775808", "18446744073709551615"})
    bothGive(0, "seed", "seed", seed);
  for (const char *seed : {"-9223372036854775809", "18446744073709551616", "1.5"})
    bothGive(611, "seed", "seed", seed);
  EXPECT_EQ(byCommandLine("stop", ""), 905);
  EXPECT_EQ(byJson("stop", "\"\""), 611);
  EXPECT_EQ(byCommandLine("stop", "x"), 0);
  EXPECT_EQ(byJson("stop", "\"x\""), 0);
}

TEST(Request, bothRoadsSuggestTheSameStep) {
  EXPECT_EQ(byCommandLine("sampling-order", "bias,top_k"), 0);
  EXPECT_EQ(byJson("sampling_order", "\"bias,top_k\""), 0);
  EXPECT_EQ(byCommandLine("sampling-order", "bias,topk"), 701);
  EXPECT_EQ(byJson("sampling_order", "\"bias,topk\""), 701);
}

TEST(Request, aBiasCanForbidATokenOnBothRoads) {
  for (const char *value : {"-inf", "-2.5"}) {
    EXPECT_EQ(byCommandLine("logit-bias", std::string("3=") + value), 0);
    EXPECT_EQ(
        byJson("logit_bias", std::string("{\"3\":") + (*value == '-' && value[1] == 'i' ? "\"-inf\"" : value) + "}"),
        0);
  }
  EXPECT_EQ(byCommandLine("logit-bias", "-1=2"), 905);
  EXPECT_EQ(byJson("logit_bias", "{\"-1\":2}"), 611);
  EXPECT_EQ(byCommandLine("logit-bias", "2147483648=2"), 905);
  EXPECT_EQ(byJson("logit_bias", "{\"2147483648\":2}"), 611);
  EXPECT_EQ(byCommandLine("logit-bias", "1=nan"), 905);
  EXPECT_EQ(byJson("logit_bias", "{\"1\":\"nan\"}"), 611);
}

} // namespace
