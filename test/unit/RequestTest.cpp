#include "tools/stepdown-run/Request.h"
#include <gtest/gtest.h>

using namespace stepdown;
using run::Request;

namespace {

TEST(Request, isGreedyWhereNothingElseIsSaid) {
  auto requests = run::readRequests("{\"prompt\":\"a\"}\n\n{\"prompt\":\"b\",\"temperature\":0.5}\n", {}, "file");
  ASSERT_TRUE(requests) << requests.error().message;
  ASSERT_EQ(requests->size(), 2u);
  EXPECT_EQ((*requests)[0].sampling.temperature, 0.0f);
  EXPECT_EQ((*requests)[1].sampling.temperature, 0.5f);
  EXPECT_EQ((*requests)[0].id, "0");
  EXPECT_EQ((*requests)[1].id, "1");
}

TEST(Request, inheritsWhatTheCommandLineSays) {
  Request defaults;
  defaults.maxTokens = 7;
  defaults.stops = {"end"};
  defaults.sampling.topK = 3;
  auto requests = run::readRequests(
      "{\"tokens\":[1,2],\"top_p\":0.5}\n{\"tokens\":[3],\"stop\":\"x\",\"max_tokens\":0}", defaults, "file");
  ASSERT_TRUE(requests) << requests.error().message;
  EXPECT_EQ((*requests)[0].maxTokens, 7);
  EXPECT_EQ((*requests)[0].stops, std::vector<std::string>{"end"});
  EXPECT_EQ((*requests)[0].sampling.topK, 3);
  EXPECT_EQ((*requests)[0].sampling.topP, 0.5f);
  EXPECT_EQ((*requests)[1].stops, std::vector<std::string>{"x"});
  EXPECT_EQ((*requests)[1].maxTokens, 0);
}

TEST(Request, namesTheLineAndTheField) {
  auto requests = run::readRequests("{\"prompt\":\"a\"}\n{\"prompt\":\"a\",\"seed\":\"x\"}", {}, "file");
  ASSERT_FALSE(requests);
  EXPECT_EQ(requests.error().message, "file: line 2: seed: expects a whole number, but got \"x\"");
}

TEST(Request, neverPrintsDeepNesting) {
  std::string deep = "{\"stop\":" + std::string(100000, '[') + std::string(100000, ']') + "}";
  auto requests = run::readRequests(deep, {}, "file");
  ASSERT_FALSE(requests);
  EXPECT_LT(requests.error().message.size(), 200u);
}

} // namespace
