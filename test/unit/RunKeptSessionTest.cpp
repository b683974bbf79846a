// --save-session and --load-session as a user of stepdown-run gives them, on the toy model.
#include "test/unit/RunOutput.h"
#include "test/unit/ToyModel.h"
#include <algorithm>
#include <chrono>
#include <csignal>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

using nlohmann::json;
using stepdown::test::linesOf;
using stepdown::test::Output;
using stepdown::test::run;
using stepdown::test::temporaryFile;
using stepdown::test::textOf;
using stepdown::test::ToyModel;

namespace {

// With penalties, mirostat's state, constraints and stop strings, over windows, in other blocks, and with guesses.
TEST(RunKeptSession, goesOnAsIfItHadNotStopped) {
  ToyModel toy;
  for (uint32_t window : {0u, 7u}) {
    toy.window = window;
    const std::string model = toy.write(), saved = temporaryFile({}, ".session");
    for (const char *how :
         {"--ignore-eos", "--ignore-eos --temperature 3000 --seed 5 --speculate=ngram:2",
          "--ignore-eos --presence-penalty 700 --frequency-penalty 300 --dry-multiplier 900",
          "--ignore-eos --temperature 900 --mirostat-tau 2", "--regex '([a-f]{3} )*[x-z]' --stop 'c '"}) {
      const std::string begin = "generate " + model + " --json " + how;
      const json whole = linesOf(run(begin + " -p 'hello hello ' -n 29").out).at(0);
      for (int first : {0, 1, 11, 16, 28}) {
        const Output one = run(begin + " -p 'hello hello ' -n " + std::to_string(first) + " --save-session " + saved);
        ASSERT_EQ(one.status, 0) << one.err;
        const Output two = run(begin + " --kv-block 16 -n " + std::to_string(29 - first) + " --load-session " + saved);
        ASSERT_EQ(two.status, 0) << how << first << two.err;
        const json begun = linesOf(one.out).at(0), ended = linesOf(two.out).at(0);
        json tokens = begun["tokens"];
        tokens.insert(tokens.end(), ended["tokens"].begin(), ended["tokens"].end());
        EXPECT_EQ(tokens, whole["tokens"]) << how << ", " << first;
        EXPECT_EQ(ended["finish_reason"], whole["finish_reason"]) << how << ", " << first;
      }
    }
  }
}

// By an interrupt while a step computes, which all tokens are then held after; and by a constraint that is met.
TEST(RunKeptSession, goesOnWhereNothingWaitsToBeComputed) {
  ToyModel toy;
  for (uint32_t window : {0u, 7u}) {
    toy.window = window;
    toy.idleDispatches = 3000; // a step takes a while
    const std::string model = toy.write(), saved = temporaryFile({}, ".session"), out = temporaryFile({}, ".out");
    const std::string begin = "generate " + model + " --json --ignore-eos --temperature 900 --seed 3 ";
    // A pipe with room for a few tokens: however late the interrupt comes, the child has not drawn all of them.
    int fds[2];
    ASSERT_EQ(pipe(fds), 0);
    const int size = fcntl(fds[1], F_SETPIPE_SZ, 4096);
    ASSERT_GT(size, 61);
    const std::string filling(size_t(size) - 61, '.');
    ASSERT_EQ(::write(fds[1], filling.data(), filling.size()), ssize_t(filling.size()));
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      dup2(fds[1], 1);
      ::close(fds[0]), ::close(fds[1]);
      execl(STEPDOWN_RUN, STEPDOWN_RUN, "generate", model.c_str(), "--ignore-eos", "--temperature", "900", "--seed",
            "3", "-p", "hello ", "-n", "200", "--save-session", saved.c_str(), nullptr);
      _exit(127);
    }
    ::close(fds[1]);
    for (int held = 0; held <= int(filling.size());) { // until it draws
      ASSERT_EQ(waitpid(child, nullptr, WNOHANG), 0) << "expects a child that draws, but it ended";
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      ASSERT_EQ(ioctl(fds[0], FIONREAD, &held), 0);
    }
    EXPECT_EQ(kill(child, SIGINT), 0);
    char byte;
    while (::read(fds[0], &byte, 1) > 0)
      ;
    ::close(fds[0]);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) != 0);
    const Output rest = run(begin + "-n 9 --load-session " + saved);
    ASSERT_EQ(rest.status, 0) << rest.err;
    const json ended = linesOf(rest.out).at(0);
    const json whole = linesOf(run(begin + "-p 'hello ' -n 209").out).at(0);
    bool found = false; // how many were drawn before is not told
    for (size_t at = 0; at + 9 <= whole["tokens"].size(); ++at)
      found |= std::equal(ended["tokens"].begin(), ended["tokens"].end(), whole["tokens"].begin() + ptrdiff_t(at));
    EXPECT_TRUE(found) << ended.dump() << " in " << whole.dump();

    const std::string met = "generate " + model + " --json --ignore-eos --regex abc -n 9 ";
    ASSERT_EQ(run(met + "-p hello --save-session " + saved).status, 0);
    const Output over = run(met + "--load-session " + saved);
    ASSERT_EQ(over.status, 0) << over.err;
    EXPECT_EQ(linesOf(over.out).at(0)["tokens"], json::array());
    const Output behind = run(begin + "-n 5 -p ' more' --load-session " + saved);
    EXPECT_EQ(linesOf(behind.out).at(0)["tokens"], linesOf(run(begin + "-n 5 -p 'helloabc more'").out).at(0)["tokens"]);
  }
}

TEST(RunKeptSession, takesAPromptBehindTheAnswer) {
  const std::string model = ToyModel().write(), saved = temporaryFile({}, ".session");
  const std::string begin = "generate " + model + " --json --ignore-eos -n 5 ";
  const json one = linesOf(run(begin + "--tokens 9,8,7 --save-session " + saved).out).at(0);
  const json two = linesOf(run(begin + "--tokens 6,5 --load-session " + saved + " --save-session " + saved).out).at(0);
  const json three = linesOf(run(begin + "-p ab --load-session " + saved).out).at(0);
  std::string all = "9,8,7";
  for (const json *part : {&one, &two}) {
    for (const json &id : (*part)["tokens"])
      all += "," + id.dump();
    all += part == &one ? ",6,5" : ",4,5"; // a and b
    const json whole = linesOf(run(begin + "--tokens " + all).out).at(0);
    EXPECT_EQ((part == &one ? two : three)["tokens"], whole["tokens"]);
  }
}

TEST(RunKeptSession, goesThroughAPipeToAnotherProcess) {
  const std::string model = ToyModel().write(), pipe = temporaryFile({}, ".pipe") + "2";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  const std::string begin = "generate " + model + " --ignore-eos -p hello ";
  const Output whole = run(begin + "-n 9");
  const std::string program = STEPDOWN_RUN " ", into = pipe + "first", outOf = pipe + "second";
  ASSERT_EQ(std::system((program + "generate " + model + " --ignore-eos -n 5 --load-session " + pipe + " >" + outOf +
                         " & " + program + begin + "-n 4 --save-session " + pipe + " >" + into + "; wait")
                            .c_str()),
            0);
  std::string first = textOf(into), second = textOf(outOf);
  ASSERT_FALSE(first.empty() || second.empty());
  first.pop_back();
  EXPECT_EQ(first + second, whole.out);
}

TEST(RunKeptSession, whatCannotGoOnIsRefused) {
  ToyModel toy, other;
  other.layers = 4;
  const std::string model = toy.write(), saved = temporaryFile({}, ".session"), cut = temporaryFile({}, ".session");
  ASSERT_EQ(run("generate " + model + " -p hello -n 3 --save-session " + saved).status, 0);
  const std::string bytes = textOf(saved);
  std::ofstream(cut, std::ios::binary) << bytes.substr(0, bytes.size() - 1);
  const std::string draft = toy.write(), schema = temporaryFile({}, ".json"), rules = temporaryFile({}, ".gbnf");
  std::ofstream(schema) << "{}";
  std::ofstream(rules) << "root ::= \"a\"";
  for (auto [words, expected] : std::vector<std::pair<std::string, std::string>>{
           {model + " -p ab --answers 2 --save-session " + saved, "error E0905: generate: expects one prompt and one "},
           {model + " --load-session " + cut, "error E1511: " + cut},
           {model + " --load-session " + model, "error E1510: " + model},
           {other.write() + " --load-session " + saved, "error E1512: " + saved},
           {model + " --load-session /nowhere", "error E0901: /nowhere"},
           {model + " -p ab -n 1 --save-session " + model, "error E0960: "},
           {model + " -p ab -n 1 --speculate=draft:" + draft + " --save-session " + draft, "error E0960: " + draft},
           {model + " -p ab -n 1 --speculate=edit:" + cut + " --save-session " + cut, "error E0960: " + cut},
           {model + " -f " + cut + " -n 1 --save-session " + cut, "error E0960: " + cut},
           {model + " -p ab -n 1 --grammar " + rules + " --save-session " + rules, "error E0960: " + rules},
           {model + " -p ab -n 1 --json-schema " + schema + " --save-session " + schema, "error E0960: " + schema},
           {model, "error E0905: generate: expects "}}) {
    const Output done = run("generate " + words);
    EXPECT_NE(done.status, 0) << words;
    EXPECT_NE(done.err.find(expected), done.err.npos) << words << ": " << done.err;
  }
  EXPECT_EQ(textOf(saved), bytes);
}

} // namespace
