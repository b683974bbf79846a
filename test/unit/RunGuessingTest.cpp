// --speculate as a user of stepdown-run gives it, on the toy model.
#include "test/unit/MadeModel.h"
#include "test/unit/RunOutput.h"
#include "test/unit/ToyModel.h"
#include <algorithm>
#include <gtest/gtest.h>

using nlohmann::json;
using stepdown::makeModel;
using stepdown::test::linesOf;
using stepdown::test::Output;
using stepdown::test::run;
using stepdown::test::temporaryFile;
using stepdown::test::ToyModel;

namespace {

std::string fileOf(const std::string &text, const char *ending) {
  return temporaryFile({text.begin(), text.end()}, ending);
}

/// What is drawn, from which rows, without how long it took.
std::string answersOf(const Output &done) {
  EXPECT_EQ(done.status, 0) << done.err;
  std::string all;
  for (json &line : linesOf(done.out)) {
    line.erase("timing");
    line.erase("speculation");
    all += line.dump() + "\n";
  }
  return all;
}

TEST(RunGuessing, changesNoAnswer) {
  ToyModel toy, small;
  small.window = 7;
  const std::string model = toy.write(), windowed = small.write();
  small.maxContext = 48; // guesses end there, the answer does not
  const std::string shorter = small.write();
  const std::string requests = fileOf("{\"prompt\": \"hello hello hel\", \"n\": 2, \"stop\": \"zz\"}\n"
                                      "{\"prompt\": \"abcabcab\", \"max_tokens\": 7, \"logprobs\": 1}\n"
                                      "{\"prompt\": \"ab\", \"regex\": \"[abc]{30}\", \"presence_penalty\": 30}\n",
                                      ".jsonl");
  for (const char *drawn : {"", " --temperature 900 --seed 3 --repetition-penalty 1.1"}) {
    const std::string command = "generate " + model + " --requests " + requests + " -n 61 --json --hash-logits" + drawn;
    const std::string plainly = answersOf(run(command));
    for (const std::string &how :
         {std::string("ngram"), std::string("ngram:1"), "edit:" + fileOf("hello hello abcabc", ".txt"),
          "draft:" + model, "draft:" + windowed, "draft:" + shorter}) {
      const Output done = run(command + " --speculate=" + how);
      EXPECT_EQ(answersOf(done), plainly) << how << drawn;
      const json first = linesOf(done.out).at(0);
      EXPECT_LE(first["speculation"]["accepted"], first["speculation"]["guessed"]);
      // A token for each step and each right guess, but that the last may be both.
      const size_t counted =
          1 + first["speculation"]["steps"].get<size_t>() + first["speculation"]["accepted"].get<size_t>();
      EXPECT_GE(counted, first["tokens"].size());
      EXPECT_LE(counted, first["tokens"].size() + 1);
    }
  }
}

// Over several turns, with an answer that is drawn again and a conversation that begins anew.
TEST(RunGuessing, changesNoChat) {
  ToyModel toy, small;
  small.window = 7;
  const std::string model = toy.write(), windowed = small.write();
  const std::string typed =
      fileOf("hello hello\nagain and again\n/regenerate\n/set max-tokens 31\nabcabcab\n/reset\nhello\n", ".txt");
  for (const char *drawn : {" --temperature 0", " --temperature 900 --seed 3"}) {
    const std::string command = "chat " + model + " -n 17 --logit-bias 2=-inf" + drawn;
    const Output plainly = run(command + " <" + typed);
    EXPECT_EQ(plainly.status, 0) << plainly.err;
    EXPECT_EQ(std::count(plainly.out.begin(), plainly.out.end(), '\n'), 5) << plainly.out;
    for (const std::string &how : {std::string("ngram:2"), "edit:" + fileOf("hello hello abcabc", ".txt"),
                                   "draft:" + model, "draft:" + windowed}) {
      const Output done = run(command + " --speculate=" + how + " <" + typed);
      EXPECT_EQ(done.out, plainly.out) << how << drawn;
      EXPECT_EQ(done.err.find("warning"), done.err.npos) << done.err;
      if (how == "draft:" + model) // two that agree in all
        EXPECT_NE(done.err.find(" guessed ahead; prompt "), done.err.npos) << done.err;
    }
  }
  const Output kept = run("chat " + model + " --speculate=draft:" + windowed + " <" +
                          fileOf("/set speculate ngram\n/save " + windowed + "\n", ".txt"));
  EXPECT_NE(kept.err.find("which can change while the model is loaded, but got \"speculate\""), kept.err.npos)
      << kept.err;
  EXPECT_NE(kept.err.find("error E0960: " + windowed), kept.err.npos) << kept.err;
  const Output luck = run("chat " + model + " --speculate=luck </dev/null");
  EXPECT_NE(luck.err.find("error E0905: chat: expects ngram, ngram:N, draft:MODEL or edit:FILE"), luck.err.npos)
      << luck.err;
}

TEST(RunGuessing, whatGuessesNothingIsRefused) {
  const std::string model = ToyModel().write(), other = makeModel("--family llama --type Q8_0");
  const Output tokens = run("generate " + model + " -p ab --speculate=draft:" + other);
  EXPECT_EQ(tokens.status, 1);
  EXPECT_NE(tokens.err.find("error E1501: draft model: expects the 41 tokens"), tokens.err.npos) << tokens.err;
  for (
      auto [how, expected] : std::vector<std::pair<std::string, std::string>>{
          {"luck",
           "error E0905: generate: expects ngram, ngram:N, draft:MODEL or edit:FILE for --speculate, but got \"luck\""},
          {"edit",
           "error E0905: generate: expects ngram, ngram:N, draft:MODEL or edit:FILE for --speculate, but got \"edit\""},
          {"ngram:0", "error E0905: generate: expects 1 to 16 tokens for --speculate=ngram:N, but got \"0\""},
          {"ngram:x", "error E0905: generate: expects 1 to 16 tokens for --speculate=ngram:N, but got \"x\""},
          {"edit:/nowhere", "error E0901: /nowhere"}}) {
    const Output done = run("generate " + model + " -p ab --speculate=" + how);
    EXPECT_EQ(done.status, expected.find("E0905") == expected.npos ? 1 : 2) << how;
    EXPECT_NE(done.err.find(expected), done.err.npos) << done.err;
    EXPECT_EQ(done.out, "");
  }
}

} // namespace
