// Constraints as a user of stepdown-run states them, on the toy model and on texts alone.
#include "test/unit/RunOutput.h"
#include "test/unit/ToyModel.h"
#include <algorithm>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

using nlohmann::json;
using stepdown::test::Output;
using stepdown::test::run;
using stepdown::test::temporaryFile;
using stepdown::test::ToyModel;

namespace {

std::string fileOf(const std::string &text, const char *ending) {
  return temporaryFile({text.begin(), text.end()}, ending);
}

TEST(RunConstraint, answersAreTextsOfIt) {
  const std::string model = ToyModel().write(), grammar = fileOf("root ::= [xyz] \"q\"\n", ".gbnf");
  for (const std::string &how :
       {"--grammar " + grammar, std::string("--regex '[xyz]q'"), std::string("--choices xq,yq,zq")})
    for (const char *drawn : {"", " --temperature 1 --seed 3"}) {
      Output done = run("generate " + model + " -p ab " + how + drawn);
      ASSERT_EQ(done.status, 0) << done.err;
      EXPECT_TRUE(done.out == "xq\n" || done.out == "yq\n" || done.out == "zq\n") << how << ": " << done.out;
    }
  Output schema = run("generate " + model + " -p ab --json-schema '{\"enum\": [null, true]}'");
  EXPECT_TRUE(schema.out == "null\n" || schema.out == "true\n") << schema.out << schema.err;
  Output chat = run("chat " + model + " --temperature 0 --choices one,two <" + fileOf("hi\nho\n", ".txt"));
  EXPECT_EQ(chat.status, 0) << chat.err;
  ASSERT_EQ(chat.out.size(), 8u) << chat.out;
  for (const std::string &answer : {chat.out.substr(0, 4), chat.out.substr(4)})
    EXPECT_TRUE(answer == "one\n" || answer == "two\n") << chat.out;
  Output kept = run("chat " + model + " --grammar " + grammar + " <" + fileOf("/save " + grammar + "\n", ".txt"));
  EXPECT_NE(kept.err.find("error E0960: " + grammar), kept.err.npos) << kept.err;
  // What /set named, now or before.
  const std::string schemaFile = fileOf("{\"enum\": [null, true]}\n", ".json"), other = fileOf("", ".json");
  kept = run("chat " + model + " <" +
             fileOf("/set grammar " + grammar + "\n/save " + grammar + "\n/save " + other + "\n", ".txt"));
  EXPECT_NE(kept.err.find("error E0960: " + grammar), kept.err.npos) << kept.err;
  EXPECT_EQ(kept.err.find("error E0960: " + other), kept.err.npos) << kept.err;
  kept = run("chat " + model + " <" +
             fileOf("/set json-schema " + schemaFile + "\n/set json-schema {}\n/save " + schemaFile + "\n", ".txt"));
  EXPECT_NE(kept.err.find("error E0960: " + schemaFile), kept.err.npos) << kept.err;
}

// Each request has a grammar of its own or none, and the answer that it has alone.
TEST(RunConstraint, aBatchChangesNoAnswer) {
  const std::string model = ToyModel().write();
  std::vector<json> requests;
  for (int i = 0; i < 13; ++i) {
    json request = {
        {"id", std::to_string(i)}, {"tokens", {1, 4 + i}}, {"max_tokens", 11}, {"temperature", 1}, {"seed", i}};
    if (i % 5 == 0)
      request["regex"] = "[a-f ]*[xyz]";
    if (i % 5 == 1)
      request["grammar"] = "root ::= (\"ab\" root?) | \"q\"";
    if (i % 5 == 2)
      request["choices"] = {"hello", "h"};
    if (i % 5 == 3)
      request["json_schema"] = {{"enum", {true, nullptr}}};
    requests.push_back(request);
  }
  std::string lines;
  for (const json &request : requests)
    lines += request.dump() + "\n";
  Output all = run("generate " + model + " --requests " + fileOf(lines, ".jsonl") + " --json");
  ASSERT_EQ(all.status, 0) << all.err;
  std::vector<json> answers = stepdown::test::linesOf(all.out);
  ASSERT_EQ(answers.size(), requests.size());
  for (size_t i = 0; i < requests.size(); ++i) {
    Output alone =
        run("generate " + model + " --requests " + fileOf(requests[i].dump(), ".jsonl") + " --json --chunk 1");
    ASSERT_EQ(alone.status, 0) << alone.err;
    const json answer = stepdown::test::linesOf(alone.out).at(0);
    EXPECT_EQ(answers[i]["tokens"], answer["tokens"]) << requests[i];
    EXPECT_EQ(answers[i]["finish_reason"], answer["finish_reason"]) << requests[i];
    const std::string text = answer["text"];
    if (i % 5 == 2) {
      EXPECT_TRUE(text == "hello" || text == "h") << text;
    }
    if (i % 5 == 3) {
      EXPECT_TRUE(text == "true" || text == "null") << text;
    }
  }
}

TEST(RunConstraint, refusals) {
  const std::string model = ToyModel().write();
  const std::pair<std::string, std::string> wrong[] = {
      {"--regex a --choices b,c", "error E0905: generate: expects --regex or --choices, but got both"},
      {"--regex '('", "error E1307"},
      {"--choices a,,b", "error E1309"},
      {"--json-schema '{\"typ\": 1}'", "error E1311: schema: #: the keyword typ is not supported"},
      {"--json-schema '{\"a\"'", "error E0908: --json-schema: expects JSON"},
      {"--grammar /no/such", "error E0901"},
      {"--grammar " + fileOf("root ::= x", ".gbnf"), "error E1303: grammar: line 1: rule x is used and not defined"},
  };
  for (const auto &[words, said] : wrong) {
    Output done = run("generate " + model + " -p a " + words);
    EXPECT_EQ(done.status, words.find("--choices b") != words.npos ? 2 : 1) << words;
    EXPECT_NE(done.err.find(said), std::string::npos) << done.err;
  }
  const std::string lines =
      "{\"prompt\":\"a\",\"regex\":\"(\"}\n{\"prompt\":\"a\",\"regex\":\"b\",\"choices\":[\"c\"]}\n"
      "{\"prompt\":\"a\",\"choices\":7}\n{\"prompt\":\"a\",\"regex\":\"b\"}\n";
  Output done = run("generate " + model + " --requests " + fileOf(lines, ".jsonl"));
  EXPECT_EQ(done.status, 1);
  EXPECT_EQ(done.out, "b\n");
  for (const char *said :
       {"line 1: regex: regular expression: offset 1", "line 2: expects choices or regex, but got both",
        "line 3: choices: expects an array of strings, but got 7"})
    EXPECT_NE(done.err.find(said), std::string::npos) << done.err;
}

TEST(RunConstraint, theGrammarCommandChecksAndDraws) {
  const std::string good = fileOf("2026-11", ".txt"), line = fileOf("2026-12\n", ".txt"),
                    bad = fileOf("2026-x", ".txt"), early = fileOf("2026-1", ".txt");
  Output checked = run("grammar --regex '[0-9]{4}-[0-9]{2}' --check " + good + " " + line + " " + bad + " " + early);
  ASSERT_EQ(checked.status, 0) << checked.err;
  EXPECT_EQ(checked.out, "accepted " + good + "\naccepted " + line + "\nrefused " + bad +
                             ": offset 5: the byte 78 cannot follow\nrefused " + early +
                             ": offset 6: the text ends too early\n");
  Output drawn = run("grammar --choices a,b --sample 17 --seed 5"),
         again = run("grammar --choices a,b --sample 17 --seed 5");
  EXPECT_EQ(std::count(drawn.out.begin(), drawn.out.end(), '\n'), 17);
  EXPECT_EQ(drawn.out, again.out);
  EXPECT_EQ(run("grammar --regex 'a\\n?' --sample 3 --json").out.substr(0, 2), "\"a");
  EXPECT_EQ(run("grammar --regex ab").out, "3 states in 1 rule\n");
  EXPECT_EQ(run("grammar").status, 2);
  EXPECT_EQ(run("grammar --regex a file").status, 2);
  EXPECT_EQ(run("grammar --regex a --check " + good + " --sample 2").status, 2);
}

TEST(RunConstraint, anEmptyChoiceOfARequestIsRefused) {
  const std::string model = ToyModel().write();
  for (const json &choices : {json({"", "a"}), json({"a", ""}), json({"a", "", "b"})}) {
    const json request = {{"tokens", {1, 4}}, {"max_tokens", 3}, {"choices", choices}};
    Output done = run("generate " + model + " --requests " + fileOf(request.dump() + "\n", ".jsonl") + " --json");
    EXPECT_NE((done.out + done.err).find("E1309"), std::string::npos) << done.out << done.err;
  }
}

} // namespace
