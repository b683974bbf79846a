// stepdown-run as a user sees it, on the toy model: what it prints, and what it exits with.
#include "test/unit/MadeModel.h"
#include "test/unit/RunOutput.h"
#include "test/unit/ToyModel.h"
#include <algorithm>
#include <fstream>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <sys/wait.h>
#include <tuple>
#include <unistd.h>

using nlohmann::json;
using stepdown::test::linesOf;
using stepdown::test::Output;
using stepdown::test::run;
using stepdown::test::temporaryFile;
using stepdown::test::textOf;
using stepdown::test::ToyModel;

namespace {

std::vector<int32_t> greedy(const ToyModel &toy, std::vector<int32_t> tokens, size_t count) {
  std::vector<int32_t> drawn;
  while (drawn.size() < count) {
    auto logits = toy.logits(tokens);
    drawn.push_back(static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin()));
    tokens.push_back(drawn.back());
  }
  return drawn;
}

struct RunCommand : testing::Test {
  ToyModel toy;
  std::string model = toy.write();
};

TEST_F(RunCommand, generatesGreedily) {
  Output done = run("generate " + model + " --tokens 1,5,9 -n 6 --ignore-eos --json");
  ASSERT_EQ(done.status, 0) << done.err;
  json object = linesOf(done.out).at(0);
  EXPECT_EQ(object["prompt_tokens"], json({1, 5, 9}));
  EXPECT_EQ(object["tokens"].get<std::vector<int32_t>>(), greedy(toy, {1, 5, 9}, 6));
  EXPECT_EQ(object["finish_reason"], "length");
  EXPECT_TRUE(object["timing"].is_object());
}

// Before a checkpoint is compiled for it.
TEST_F(RunCommand, aDeviceThatIsNotThereIsRefusedWithTheList) {
  for (const char *command : {"generate --tokens 1", "eval --tokens 1,2", "bench", "chat"}) {
    const size_t space = std::string(command).find(' ');
    const std::string name = std::string(command).substr(0, space);
    const std::string more = space == std::string::npos ? "" : std::string(command).substr(space);
    Output done = run(name + " " + model + more + " --device tpu </dev/null");
    EXPECT_EQ(done.status, 1) << command;
    EXPECT_NE(done.err.find(
                  "error E0911: device: expects one of cpu, emulated:sm_80, emulated:sm_90a, emulated:gfx90a, "
                  "emulated:gfx942, emulated:gfx950, emulated:gfx1100, emulated:gfx1201, nvidia:sm_80, nvidia:sm_90a, "
                  "amd:gfx90a, amd:gfx942, amd:gfx950, amd:gfx1100, amd:gfx1201, but got \"tpu\""),
              std::string::npos)
        << command << ": " << done.err;
  }
}

TEST_F(RunCommand, hashIsTheSameHoweverItIsRun) {
  std::string prompt;
  for (int i = 0; i < 90; ++i)
    prompt += (i ? "," : "") + std::to_string((i * 7 + 3) % 40);
  std::string base = "generate " + model + " --tokens " + prompt + " -n 12 --ignore-eos --json --hash-logits ";
  std::string expected = linesOf(run(base).out).at(0)["logits_sha256"];
  EXPECT_EQ(expected.size(), 64u);
  for (const char *how :
       {"-t 1", "-t 4", "--chunk 1", "--chunk 7", "--chunk 64", "--kv-block 16", "--kv-block 64", "--device cpu"})
    EXPECT_EQ(linesOf(run(base + how).out).at(0)["logits_sha256"], expected) << how;
  std::string requests;
  for (int i = 0; i < 8; ++i)
    requests +=
        i == 5 ? "{\"id\":\"mine\",\"tokens\":[" + prompt + "],\"max_tokens\":12}\n"
               : "{\"tokens\":[1," + std::to_string(i + 3) + "],\"max_tokens\":" + std::to_string(3 * i + 1) + "}\n";
  std::string file = temporaryFile({requests.begin(), requests.end()}, ".jsonl");
  Output all = run("generate " + model + " --requests " + file + " --ignore-eos --json --hash-logits");
  ASSERT_EQ(all.status, 0) << all.err;
  auto lines = linesOf(all.out);
  ASSERT_EQ(lines.size(), 8u);
  EXPECT_EQ(lines[5]["id"], "mine");
  EXPECT_EQ(lines[5]["logits_sha256"], expected);
  EXPECT_EQ(lines[2]["tokens"].size(), 7u);
}

TEST_F(RunCommand, hashIsSha256OfTheRows) {
  auto logits = toy.logits({1, 5});
  std::string rows(reinterpret_cast<const char *>(logits.data()), logits.size() * sizeof(float));
  std::string file = temporaryFile({rows.begin(), rows.end()}, ".rows"), sum = temporaryFile({}, ".sum");
  if (std::system(("sha256sum " + file + " >" + sum).c_str()))
    GTEST_SKIP() << "no sha256sum on this machine";
  std::string expected;
  std::ifstream(sum) >> expected;
  Output done = run("generate " + model + " --tokens 1,5 -n 1 --json --hash-logits");
  EXPECT_EQ(linesOf(done.out).at(0)["logits_sha256"], expected);
}

TEST_F(RunCommand, seedsRepeatAndDiffer) {
  std::string base = "generate " + model + " --tokens 1,5,9 -n 40 --ignore-eos --json --temperature 30 --seed ";
  auto tokens = [&](const std::string &seed) { return linesOf(run(base + seed).out).at(0)["tokens"]; };
  EXPECT_EQ(tokens("3"), tokens("3"));
  EXPECT_NE(tokens("3"), tokens("4"));
  auto answers = linesOf(run(base + "3 --answers 2").out);
  ASSERT_EQ(answers.size(), 2u);
  EXPECT_EQ(answers[0]["tokens"], tokens("3"));
  EXPECT_NE(answers[1]["tokens"], tokens("3"));
}

TEST_F(RunCommand, logProbabilitiesAreThoseOfTheRow) {
  json object = linesOf(run("generate " + model + " --tokens 1,5 -n 1 --json --logprobs 2").out).at(0);
  auto logits = toy.logits({1, 5});
  double highest = *std::max_element(logits.begin(), logits.end()), sum = 0;
  for (float l : logits)
    sum += std::exp(l - highest);
  EXPECT_NEAR(object["logprobs"][0]["logprob"].get<double>(), -std::log(sum), 1e-5);
  EXPECT_EQ(object["logprobs"][0]["top"].size(), 2u);
  EXPECT_EQ(object["logprobs"][0]["top"][0][0], object["tokens"][0]);
}

TEST_F(RunCommand, evalAgreesWithThePlainComputation) {
  std::vector<int32_t> tokens;
  for (int i = 0; i < 50; ++i)
    tokens.push_back((i * 11 + 1) % 40);
  std::string list;
  double nll = 0;
  for (size_t t = 0; t < tokens.size(); ++t) {
    list += (t ? "," : "") + std::to_string(tokens[t]);
    if (t + 1 == tokens.size())
      break;
    auto logits = toy.logits({tokens.begin(), tokens.begin() + t + 1});
    double highest = *std::max_element(logits.begin(), logits.end()), sum = 0;
    for (float l : logits)
      sum += std::exp(l - highest);
    nll += std::log(sum) + highest - logits[tokens[t + 1]];
  }
  std::string npy = temporaryFile({}, ".npy");
  Output done = run("eval " + model + " --tokens " + list + " --json --logits " + npy);
  ASSERT_EQ(done.status, 0) << done.err;
  json object = json::parse(done.out);
  EXPECT_EQ(object["tokens"], 50);
  EXPECT_NEAR(object["mean_nll"].get<double>(), nll / 49, 1e-9 * nll);
  EXPECT_EQ(object["top"].size(), 20u);
  auto last = toy.logits(tokens);
  EXPECT_EQ(object["top"][0][1].get<float>(), *std::max_element(last.begin(), last.end()));
  struct stat info;
  ASSERT_EQ(stat(npy.c_str(), &info), 0);
  EXPECT_EQ(info.st_size % 64, 50 * 41 * 4 % 64);
  EXPECT_EQ(run("eval " + model + " --tokens " + list + " --json --chunk 3 -t 2").out, done.out);
}

TEST_F(RunCommand, stopStringsAndCodePointsAreWhole) {
  // Whatever the toy draws, its text never holds the stop string, and is valid UTF-8.
  std::string plain = linesOf(run("generate " + model + " --tokens 1,4 -n 60 --ignore-eos --json").out).at(0)["text"];
  ASSERT_GT(plain.size(), 8u);
  std::string stop = plain.substr(plain.size() / 2, 3);
  json object =
      linesOf(run("generate " + model + " --tokens 1,4 -n 60 --ignore-eos --json --stop '" + stop + "'").out).at(0);
  EXPECT_EQ(object["text"], plain.substr(0, plain.find(stop)));
  EXPECT_EQ(object["finish_reason"], "stop");
  EXPECT_EQ(run("generate " + model + " --tokens 1,4 -n 60 --ignore-eos").out, plain + "\n");
}

TEST_F(RunCommand, aRefusedRequestLetsTheOthersFinish) {
  std::string huge = "[1";
  for (int i = 0; i < 300; ++i)
    huge += ",4";
  std::string requests = "{\"tokens\":[1,4],\"max_tokens\":3}\n{\"id\":\"big\",\"tokens\":" + huge +
                         "]}\n{\"tokens\":[1,5],\"max_tokens\":3}\n";
  std::string file = temporaryFile({requests.begin(), requests.end()}, ".jsonl");
  Output done = run("generate " + model + " --requests " + file + " --ignore-eos --json");
  EXPECT_EQ(done.status, 1);
  EXPECT_NE(done.err.find("stepdown-run: error E0606: request big: "), std::string::npos) << done.err;
  auto lines = linesOf(done.out);
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0]["tokens"].size(), 3u);
  EXPECT_EQ(lines[1]["error"]["code"], 606);
  EXPECT_EQ(lines[2]["tokens"].size(), 3u);
}

TEST_F(RunCommand, everyRefusedRequestIsNamedAndTheOthersGoOn) {
  const std::string requests =
      "{\"id\":\"one\",\"tokens\":[1,4],\"max_tokens\":3}\n{\"id\":\"range\",\"tokens\":[1],\"top_p\":2}\n"
      "{\"tokens\":[1\n{\"id\":\"one\",\"tokens\":[1]}\n{\"id\":\"far\",\"tokens\":[99]}\n"
      "{\"id\":\"bias\",\"tokens\":[1],\"logit_bias\":{\"99\":1}}\n"
      "{\"id\":\"none\",\"tokens\":[]}\n{\"id\":\"last\",\"tokens\":[1,5],\"max_tokens\":3}\n";
  std::string file = temporaryFile({requests.begin(), requests.end()}, ".jsonl");
  Output done = run("generate " + model + " --requests " + file + " --ignore-eos --json");
  EXPECT_EQ(done.status, 1);
  auto lines = linesOf(done.out);
  ASSERT_EQ(lines.size(), 8u) << done.err;
  const std::vector<std::tuple<int, std::string, int>> refused = {
      {1, "range", 701}, {2, "2", 908}, {3, "one", 611}, {4, "far", 324}, {5, "bias", 702}, {6, "none", 611}};
  for (const auto &[index, id, code] : refused) {
    EXPECT_EQ(lines[index]["id"], id);
    EXPECT_EQ(lines[index]["error"]["code"], code) << lines[index];
    char expected[400];
    std::snprintf(expected, sizeof expected, "stepdown-run: error E%04d: request %s: %s: line %d: ", code, id.c_str(),
                  file.c_str(), index + 1);
    EXPECT_NE(done.err.find(expected), std::string::npos) << expected << "\n" << done.err;
  }
  for (size_t index : {0, 7})
    EXPECT_EQ(lines[index]["tokens"].size(), 3u);
  EXPECT_NE(done.err.find("6 of 8 requests were refused"), std::string::npos) << done.err;
  // Answers in text: those that there are, each on a line.
  Output text = run("generate " + model + " --requests " + file + " --ignore-eos");
  EXPECT_EQ(text.status, 1);
  EXPECT_EQ(text.out, lines[0]["text"].get<std::string>() + "\n" + lines[7]["text"].get<std::string>() + "\n");
}

TEST_F(RunCommand, requestsThatAreWrongAreNamed) {
  const std::pair<const char *, const char *> cases[] = {
      {"{\"tokens\":[1]", "E0908"},
      {"[1]", "E0611"},
      {"{}", "E0611"},
      {"{\"tokens\":[1],\"prompt\":\"a\"}", "E0611"},
      {"{\"tokens\":[-1]}", "E0611"},
      {"{\"tokens\":[99]}", "E0324"},
      {"{\"tokens\":[1],\"temperture\":1}", "temperture"},
      {"{\"tokens\":[1],\"temperature\":\"hot\"}", "E0611"},
      {"{\"tokens\":[1],\"temperature\":-1}", "E0701"},
      {"{\"tokens\":[1],\"max_tokens\":1.5}", "E0611"},
      {"{\"tokens\":[1],\"stop\":[\"\"]}", "E0611"},
      {"{\"tokens\":[1],\"logit_bias\":{\"99\":1}}", "E0702"},
  };
  for (auto [text, expected] : cases) {
    std::string line = text;
    Output done = run("generate " + model + " --requests " + temporaryFile({line.begin(), line.end()}, ".jsonl"));
    EXPECT_EQ(done.status, 1) << text;
    EXPECT_EQ(done.out, "") << text;
    EXPECT_NE(done.err.find(expected), std::string::npos) << text << "\n" << done.err;
  }
}

TEST_F(RunCommand, exitStatusTellsUsageFromRefusal) {
  EXPECT_EQ(run("--help").status, 0);
  EXPECT_EQ(run("--version").status, 0);
  EXPECT_EQ(run("generate --help").status, 0);
  for (const char *wrong : {"", "walk", "generate", "generate a b -p x", "generate a --no-such", "generate a -n",
                            "generate a -n many -p x", "eval a -p x -f y", "inspect a --tensor t", "detokenize a"})
    EXPECT_EQ(run(wrong).status, 2) << wrong;
  Output missing = run("generate /no/such.gguf -p x");
  EXPECT_EQ(missing.status, 1);
  EXPECT_EQ(missing.err.rfind("stepdown-run: error E0901: /no/such.gguf: ", 0), 0u) << missing.err;
  EXPECT_EQ(std::count(missing.err.begin(), missing.err.end(), '\n'), 1);
  EXPECT_EQ(run("generate " + model + " --tokens 1 --isa sparc").status, 1);
  Output exact = run("generate " + model + " --tokens 1 --exact");
  EXPECT_EQ(exact.status, 1);
  EXPECT_NE(exact.err.find("--exact"), std::string::npos);
}

TEST_F(RunCommand, tokenizesBothWays) {
  EXPECT_EQ(run("tokenize " + model + " --no-bos -p 'ab z'").out, "[4, 5, 3, 29]\n");
  EXPECT_EQ(run("detokenize " + model + " --tokens 4,5,3,29").out, "ab z\n");
  EXPECT_EQ(run("detokenize " + model + " --tokens 41").status, 1);
}

TEST_F(RunCommand, rendersWithAModelOrATemplate) {
  std::string messages = "[{\"role\":\"user\",\"content\":\"hi\"}]",
              text = "{{ bos_token }}{{ messages[0].content }}\n";
  std::string file = temporaryFile({messages.begin(), messages.end()}, ".json");
  EXPECT_EQ(run("render " + model + " --messages " + file).out, "u hi</s>a ");
  EXPECT_EQ(run("render --template " + temporaryFile({text.begin(), text.end()}, ".jinja") + " --messages " + file).out,
            "<s>hi");
  EXPECT_EQ(run("render " + model + " --messages /no/such").status, 1);
  EXPECT_EQ(run("render " + model).status, 2);
}

TEST_F(RunCommand, chatAnswersAsGenerateDoesAndReusesTheCache) {
  std::string saved = temporaryFile({}, ".json");
  std::string words = "hello\nagain\n/save " + saved + "\n/reset\nhello\n";
  std::string typed = temporaryFile({words.begin(), words.end()}, ".txt");
  Output done = run("chat " + model + " --temperature 0 -n 5 <" + typed);
  ASSERT_EQ(done.status, 0) << done.err;
  std::vector<int32_t> prompt = {24, 3, 11, 8, 15, 15, 18, 2, 4, 3}; // "u hello</s>a "
  std::string list;
  for (int32_t id : greedy(toy, prompt, 5)) {
    if (id == 2)
      break; // </s> ends the answer
    list += (list.empty() ? "" : ",") + std::to_string(id);
  }
  std::string text = run("detokenize " + model + " --tokens " + list).out;
  std::string first = done.out.substr(0, done.out.find('\n') + 1);
  EXPECT_EQ(first, text);
  EXPECT_EQ(done.out.substr(done.out.rfind('\n', done.out.size() - 2) + 1), first) << "after /reset the same again";
  // The second turn finds the first one's prompt in the cache, at the least.
  EXPECT_NE(done.err.find(", 0 of them from the cache"), std::string::npos) << done.err;
  size_t second = done.err.find("of them from the cache", done.err.find("of them from the cache") + 1);
  ASSERT_NE(second, std::string::npos);
  size_t reused = std::stoul(done.err.substr(done.err.rfind(", ", second - 1) + 2));
  EXPECT_GE(reused, prompt.size());
  std::ifstream in(saved);
  json object = json::parse(in);
  ASSERT_EQ(object["messages"].size(), 4u);
  EXPECT_EQ(object["messages"][2]["content"], "again");
}

TEST_F(RunCommand, chatChangesOptionsAndDrawsAnswersAgain) {
  auto chat = [&](const std::string &words) {
    return run("chat " + model + " --logit-bias 2=-inf -n 9 --seed 5 --temperature 1000 --top-p 1 <" +
               temporaryFile({words.begin(), words.end()}, ".txt"));
  };
  const std::string saved = temporaryFile({}, ".json");
  Output again = chat("hello\n/regenerate\n/regenerate\n/save " + saved + "\n");
  ASSERT_EQ(again.status, 0) << again.err;
  std::vector<std::string> answers;
  for (size_t at = 0, end; (end = again.out.find('\n', at)) != again.out.npos; at = end + 1)
    answers.push_back(again.out.substr(at, end - at));
  ASSERT_EQ(answers.size(), 3u) << again.out;
  EXPECT_NE(answers[0], answers[1]);
  EXPECT_NE(answers[1], answers[2]);
  EXPECT_EQ(chat("hello\n/regenerate\n/regenerate\n").out, again.out) << "the same numbers each time";
  std::ifstream in(saved);
  json object = json::parse(in);
  ASSERT_EQ(object["messages"].size(), 2u);
  EXPECT_EQ(object["messages"][1]["content"], answers[2]);

  Output set =
      chat("/set temperature 0\n/set max-tokens 3\nhello\n/set temperatur 1\n/set threads 3\n/set top-k -1\n/set\n");
  EXPECT_EQ(set.out, run("chat " + model + " --logit-bias 2=-inf -n 3 --temperature 0 --top-p 1 <" +
                         temporaryFile({'h', 'e', 'l', 'l', 'o', '\n'}, ".txt"))
                         .out);
  EXPECT_NE(set.err.find("but got \"temperatur\"; did you mean temperature?"), std::string::npos) << set.err;
  EXPECT_NE(set.err.find("but got \"threads\""), std::string::npos) << set.err;
  EXPECT_NE(set.err.find("for --top-k, but got \"-1\""), std::string::npos) << set.err;
  EXPECT_NE(set.err.find("max-tokens          3\n"), std::string::npos) << set.err;
  EXPECT_NE(set.err.find("logit-bias          2=-inf\n"), std::string::npos) << set.err;
  Output none = chat("/regenerate\n");
  EXPECT_NE(none.err.find("E0611"), std::string::npos) << none.err;
}

// A turn takes 14 of 64 positions. The fourth would pass three quarters of them, so the oldest turns go until the
// prompt takes at most half: two of them. The system prompt stays.
TEST_F(RunCommand, chatLeavesOutTheOldestTurnsWhenTheContextIsFull) {
  std::string saved = temporaryFile({}, ".json"), words = "hello\nhello\nhello\nthere\n/save " + saved + "\n";
  std::string typed = temporaryFile({words.begin(), words.end()}, ".txt");
  const std::string options = " --temperature 0 -n 3 --logit-bias 2=-inf ";
  Output done = run("chat " + model + options + "--context 64 --system z <" + typed);
  ASSERT_EQ(done.status, 0) << done.err;
  const std::string told = "[the context of 64 tokens is full: the model no longer knows the first 4 messages]";
  EXPECT_NE(done.err.find(told), std::string::npos) << done.err;
  EXPECT_EQ(done.err.find(told), done.err.find("[the context"));
  std::ifstream in(saved);
  json messages = json::parse(in)["messages"];
  ASSERT_EQ(messages.size(), 9u); // what was said is still all there
  messages.erase(messages.begin() + 1, messages.begin() + 5);
  messages.erase(messages.end() - 1);
  const std::string kept = messages.dump();
  const std::string text =
      run("render " + model + " --messages " + temporaryFile({kept.begin(), kept.end()}, ".json")).out;
  const std::string answer =
      run("generate " + model + options + "-f " + temporaryFile({text.begin(), text.end()}, ".txt")).out;
  EXPECT_EQ(done.out.substr(done.out.rfind('\n', done.out.size() - 2) + 1), answer);
}

TEST_F(RunCommand, chatRefusesAMessageThatFillsTheContextAlone) {
  std::string words = std::string(40, 'a') + "\n";
  Output done = run("chat " + model + " --context 32 <" + temporaryFile({words.begin(), words.end()}, ".txt"));
  EXPECT_EQ(done.status, 1);
  EXPECT_NE(done.err.find("error E0606: chat: expects a message that leaves room in a context of 32 tokens"),
            std::string::npos)
      << done.err;
}

TEST_F(RunCommand, chatSaysWhenAnAnswerEndsWithTheContext) {
  std::string words = "hello\n";
  Output done = run("chat " + model + " --temperature 0 --logit-bias 2=-inf --context 32 <" +
                    temporaryFile({words.begin(), words.end()}, ".txt"));
  EXPECT_EQ(done.status, 0) << done.err;
  EXPECT_NE(done.err.find("[22 tokens"), std::string::npos) << done.err;
  EXPECT_NE(done.err.find("[the answer ends here because the context of 32 tokens is full]"), std::string::npos)
      << done.err;
}

TEST_F(RunCommand, chatTextCannotForgeControlTokens) {
  std::string words = "x</s>y\n";
  Output forged =
      run("chat " + model + " --temperature 0 -n 3 <" + temporaryFile({words.begin(), words.end()}, ".txt"));
  ASSERT_EQ(forged.status, 0) << forged.err;
  // u, a space, x, four for "</s>" as plain text, y, the template's own </s>, a, a space.
  EXPECT_NE(forged.err.find("prompt 11,"), std::string::npos) << forged.err;
}

// A compiler that is a shell script: what it is called with, how often, and what is left when it fails.
TEST_F(RunCommand, compilesACheckpointOnceIntoTheCache) {
  char folder[] = "/tmp/stepdown-cache-XXXXXX";
  ASSERT_NE(mkdtemp(folder), nullptr);
  std::string place = folder, checkpoint = place + "/tiny.gguf", compiler = place + "/stepdown-compile";
  std::string made = stepdown::makeModel("--family llama --type F32");
  ASSERT_EQ(std::system(("cp " + made + " " + checkpoint).c_str()), 0);
  auto script = [&](const std::string &text) {
    std::ofstream(compiler) << "#!/bin/sh\necho \"$@\" >>" + place + "/calls\necho noise\n" + text + "\n";
    chmod(compiler.c_str(), 0755);
  };
  script("cp " + model + " \"$3\"");
  std::string cached =
      "cd " + place + " && cp -f " STEPDOWN_RUN " . && XDG_CACHE_HOME=" + place + "/cache ./stepdown-run";
  auto runCopy = [&](const std::string &words) {
    std::string out = place + "/out", err = place + "/err";
    int status = std::system((cached + " " + words + " >" + out + " 2>" + err).c_str());
    return Output{WEXITSTATUS(status), textOf(out), textOf(err)};
  };
  auto calls = [&] {
    const std::string text = textOf(place + "/calls");
    return std::count(text.begin(), text.end(), '\n');
  };
  std::string words = "generate tiny.gguf --tokens 1,4 -n 2 --ignore-eos --json";
  Output first = runCopy(words);
  EXPECT_EQ(first.status, 0) << first.err;
  EXPECT_EQ(linesOf(first.out).at(0)["tokens"].get<std::vector<int32_t>>(), greedy(toy, {1, 4}, 2));
  EXPECT_EQ(runCopy(words).status, 0);
  EXPECT_EQ(calls(), 1);
  EXPECT_EQ(runCopy(words + " --exact").status, 1); // the toy is not exact, but it was compiled apart
  EXPECT_EQ(calls(), 2);
  ASSERT_EQ(std::system(("touch -d 2001-02-03 " + checkpoint).c_str()), 0); // another version: compiled again
  EXPECT_EQ(runCopy(words).status, 0);
  EXPECT_EQ(calls(), 3);
  // Of a split checkpoint every file counts, though the first alone is named.
  const std::string second = place + "/tiny-00002-of-00002.gguf";
  ASSERT_EQ(
      std::system(("cd " + place + " && cp tiny.gguf tiny-00001-of-00002.gguf && cp tiny.gguf " + second).c_str()), 0);
  const std::string split = "generate tiny-00001-of-00002.gguf --tokens 1,4 -n 2";
  EXPECT_EQ(runCopy(split).status, 0);
  EXPECT_EQ(runCopy(split).status, 0);
  EXPECT_EQ(calls(), 4);
  ASSERT_EQ(std::system(("touch -d 2001-02-03 " + second).c_str()), 0);
  EXPECT_EQ(runCopy(split).status, 0);
  EXPECT_EQ(calls(), 5);
  // What became damaged in the cache is compiled again, and said to be; once repaired it serves.
  for (const char *damage : {"printf x | dd of=$f bs=1 seek=5000 conv=notrunc", "truncate -s 5000 $f"}) {
    const std::string each = "for f in " + place + "/cache/stepdown/*.stepdown; do " + damage + "; done 2>/dev/null";
    ASSERT_EQ(std::system(each.c_str()), 0);
    const auto before = calls();
    Output repaired = runCopy(words);
    EXPECT_EQ(repaired.status, 0) << repaired.err;
    EXPECT_NE(repaired.err.find("compiling tiny.gguf again"), std::string::npos) << repaired.err;
    EXPECT_EQ(repaired.out.substr(0, 20), first.out.substr(0, 20));
    EXPECT_EQ(calls(), before + 1);
    EXPECT_EQ(runCopy(words).status, 0);
    EXPECT_EQ(calls(), before + 1);
  }
  std::system(("rm -rf " + place + "/cache").c_str());
  script("printf STEPDOWNdamaged >\"$3\"");
  EXPECT_NE(runCopy(words).err.find("E0501"), std::string::npos); // once again, not for ever
  std::system(("rm -rf " + place + "/cache").c_str());
  script("kill -9 $$");
  Output killed = runCopy(words);
  EXPECT_EQ(killed.status, 1);
  EXPECT_NE(killed.err.find("E0906"), std::string::npos) << killed.err;
  EXPECT_EQ(killed.out, "");
  EXPECT_EQ(runCopy("generate tiny.gguf --tokens 1 -n 2").status, 1); // nothing half-made is taken for an artifact
  std::system(("rm -rf " + place + "/cache && touch " + place + "/cache").c_str());
  Output unwritable = runCopy(words);
  EXPECT_NE(unwritable.err.find("E0903"), std::string::npos) << unwritable.err;
  std::system(("rm -rf " + place).c_str());
}

TEST_F(RunCommand, aFullDiskIsAnErrorAndLeavesNothing) {
  Output done = run("eval " + model + " --tokens 1,2 --logits /dev/full/x.npy");
  EXPECT_EQ(done.status, 1);
  EXPECT_NE(done.err.find("E0903"), std::string::npos) << done.err;
  int status = std::system(STEPDOWN_RUN " --help >/dev/full 2>/dev/null");
  EXPECT_EQ(WEXITSTATUS(status), 1);
}
} // namespace
