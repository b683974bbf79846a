// stepdown_compile_module in a process of its own: the outcome is that of this process, and whatever ends the other is
// an error here. Programs that end are the real one behind a script that notes its process, so that it can be killed.
#include <chrono>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <set>
#include <stepdown/Compiler.h>
#include <stepdown/Runtime.h>
#include <thread>
#include <unistd.h>

namespace {

constexpr char kSum[] = "func.func @sum(%a: tensor<?xf32>, %b: tensor<?xf32>) -> tensor<?xf32> {\n"
                        "  %0 = arith.addf %a, %b : tensor<?xf32>\n"
                        "  return %0 : tensor<?xf32>\n}\n";

struct Outcome {
  int code;
  std::string text;
  bool operator==(const Outcome &other) const { return code == other.code && text == other.text; }
};
std::ostream &operator<<(std::ostream &out, const Outcome &outcome) {
  return out << "E" << outcome.code << ": " << outcome.text;
}

struct CompilerApi : testing::Test {
  void SetUp() override {
    std::string pattern = testing::TempDir() + "/stepdown-compiler-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder = pattern;
    output = folder + "/sum.stepdown";
    options.size = sizeof options;
    options.targets = "x86-64-v3";
  }
  void TearDown() override { std::filesystem::remove_all(folder); }

  Outcome compile(const std::string &text, bool here = false) {
    options.in_process = here;
    auto status = stepdown_compile_module(text.data(), text.size(), "sum.mlir", output.c_str(), &options);
    return {status.code, status.text};
  }
  static std::string read(const std::string &path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  std::set<std::string> files() const {
    std::set<std::string> names;
    for (auto &entry : std::filesystem::directory_iterator(folder))
      names.insert(entry.path().filename());
    return names;
  }
  /// An executable script.
  std::string script(const std::string &name, const std::string &lines) {
    const std::string path = folder + "/" + name;
    std::ofstream(path) << "#!/bin/sh\n" << lines << "\n";
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    return path;
  }
  /// Compiles, and sends `signal` to the program in the phase linalg.
  Outcome compileAndKill(int signal) {
    struct Plan {
      std::string pidFile;
      int signal;
      bool sent;
    } plan = {folder + "/pid", signal, false};
    const std::string program = script("noted", "echo $$ >" + plan.pidFile + "\nexec " STEPDOWN_COMPILE " \"$@\"");
    options.program = program.c_str();
    options.context = &plan;
    options.on_progress = [](void *context, const char *what, uint64_t, uint64_t) {
      auto &plan = *static_cast<Plan *>(context);
      if (plan.sent || std::strcmp(what, "linalg") != 0)
        return;
      std::this_thread::sleep_for(std::chrono::milliseconds(10)); // the phase is under way
      kill(pid_t(std::stoi(read(plan.pidFile))), plan.signal);
      plan.sent = true;
    };
    // Long enough for the signal to come before the end.
    std::string text = "func.func @f(%a: tensor<101x64xf32>) -> tensor<101x64xf32> {\n";
    for (int i = 0; i < 2000; ++i)
      text +=
          "  %" + std::to_string(i) + " = math.exp %" + (i ? std::to_string(i - 1) : "a") + " : tensor<101x64xf32>\n";
    Outcome outcome = compile(text + "  return %1999 : tensor<101x64xf32>\n}\n");
    EXPECT_TRUE(plan.sent);
    return outcome;
  }

  std::string folder, output;
  stepdown_compile_options options = {};
};

TEST_F(CompilerApi, bothRoadsGiveTheSameBytes) {
  ASSERT_EQ(compile(kSum), (Outcome{0, ""}));
  const std::string apart = read(output);
  ASSERT_EQ(compile(kSum, true), (Outcome{0, ""}));
  EXPECT_EQ(apart, read(output));
  stepdown_module *module = nullptr;
  ASSERT_EQ(stepdown_module_load(output.c_str(), nullptr, &module).code, 0);
  EXPECT_EQ(stepdown_module_function_count(module), 1u);
  stepdown_module_free(module);
}

TEST_F(CompilerApi, bothRoadsRefuseWithTheSameWords) {
  auto both = [&](const std::string &text, int code) {
    const Outcome apart = compile(text), here = compile(text, true);
    EXPECT_EQ(apart, here);
    EXPECT_EQ(apart.code, code) << apart;
  };
  both("func.func @f(%a: tensor<?xf32>) -> tensor<?xf32> {\n  return %b : tensor<?xf32>\n}\n", 833);
  both("func.func private @f()\n", 834);
  options.jobs = 1025;
  both(kSum, 832);
  options.jobs = 0;
  options.targets = "x86-64-v5";
  both(kSum, 832);
  options.targets = nullptr;
  options.activations = "q9";
  both(kSum, 832);
  options.activations = nullptr;
  options.kv_type = "q4_0";
  both(kSum, 832);
  options.exact = 1;
  for (const char *kind : {"f16", "q8_0", "fp8_e4m3"}) {
    options.kv_type = kind;
    both(kSum, 832);
  }
  options.kv_type = "f32";
  both(kSum, 0);
  options.kv_type = nullptr;
  for (const char *kind : {"q8o2", "q8x2", "q8"}) {
    options.activations = kind;
    both(kSum, 832);
  }
  options.activations = nullptr;
  both(kSum, 0);
  options.exact = 0;
  options.quantize = "q4_k_l"; // of modules it means nothing else
  both(kSum, 832);
  options.quantize = "q4_k_m";
  both(kSum, 0);
  options.quantize = nullptr;
  options.adapters = "a.gguf\n=2"; // of the second no file
  both(kSum, 905);
  options.adapters = nullptr;
  output = folder + "/nowhere/sum.stepdown";
  both(kSum, 903);
  options.size = 3;
  both(kSum, 613);
}

TEST_F(CompilerApi, refusesAMissingFileOnBothRoads) {
  for (int here : {0, 1}) {
    options.in_process = here;
    auto status = stepdown_compile((folder + "/none.gguf").c_str(), output.c_str(), &options);
    EXPECT_EQ(status.code, 901) << status.text;
  }
}

TEST_F(CompilerApi, bothRoadsTellTheSameProgress) {
  std::vector<std::string> told;
  options.context = &told;
  options.jobs = 1;
  options.on_progress = [](void *context, const char *what, uint64_t done, uint64_t total) {
    static_cast<std::vector<std::string> *>(context)->push_back(std::string(what) + " " + std::to_string(done) + "/" +
                                                                std::to_string(total));
  };
  ASSERT_EQ(compile(kSum).code, 0);
  const std::vector<std::string> apart = std::exchange(told, {});
  ASSERT_EQ(compile(kSum, true).code, 0);
  EXPECT_EQ(apart, told);
  EXPECT_GE(told.size(), 5u);
}

TEST_F(CompilerApi, aFaultIsAnErrorThatNamesTheInput) {
  const Outcome outcome = compileAndKill(SIGSEGV);
  EXPECT_EQ(outcome.code, 835) << outcome;
  EXPECT_EQ(outcome.text.find("sum.mlir: expects"), 0u) << outcome;
  EXPECT_EQ(files(), (std::set<std::string>{"noted", "pid"})); // nothing of the artifact
}

TEST_F(CompilerApi, aFaultInAPassNamesThePass) {
  options.jobs = 1; // a signal from outside comes to the main thread: let the passes run there
  std::string text;
  for (int round = 0; round < 20; ++round) {
    text = compileAndKill(SIGSEGV).text;
    if (text.find("ended in a fault in ") != std::string::npos && text.find(" of @") != std::string::npos)
      return;
  }
  FAIL() << "no fault inside a pass said so: " << text;
}

TEST_F(CompilerApi, aProgramThatIsEndedIsAnError) {
  const Outcome killed = compileAndKill(SIGKILL);
  EXPECT_EQ(killed.code, 840) << killed;
  EXPECT_NE(killed.text.find("signal 9"), std::string::npos) << killed;
  EXPECT_EQ(files().count("sum.stepdown"), 0u);
  EXPECT_EQ(compileAndKill(SIGTERM).code, 907); // as a user's Ctrl-C
  EXPECT_EQ(files().count("sum.stepdown"), 0u);
}

TEST_F(CompilerApi, tooLittleMemoryIsAnError) {
  const std::string program = script("small", "ulimit -v 300000\nexec " STEPDOWN_COMPILE " \"$@\"");
  options.program = program.c_str();
  options.jobs = 1;
  std::string text = "func.func @f() -> tensor<4194304xf32> {\n  %0 = arith.constant dense<\"0x";
  text += std::string(size_t(8) << 22, '7');
  text += "\"> : tensor<4194304xf32>\n  return %0 : tensor<4194304xf32>\n}\n";
  const Outcome outcome = compile(text);
  EXPECT_NE(outcome.code, 0);
  EXPECT_NE(outcome.text, "");
}

TEST_F(CompilerApi, refusesAProgramThatIsNone) {
  options.program = "/nowhere/stepdown-compile";
  Outcome outcome = compile(kSum);
  EXPECT_EQ(outcome.code, 841) << outcome;
  EXPECT_NE(outcome.text.find("No such file"), std::string::npos) << outcome;
  const std::string quiet = script("quiet", "exit 3"), loud = script("loud", "echo no such option >&2; exit 2");
  options.program = quiet.c_str();
  outcome = compile(kSum);
  EXPECT_EQ(outcome.code, 841) << outcome;
  EXPECT_NE(outcome.text.find("status 3"), std::string::npos) << outcome;
  options.program = loud.c_str();
  outcome = compile(kSum);
  EXPECT_EQ(outcome.code, 841) << outcome;
  EXPECT_NE(outcome.text.find("no such option"), std::string::npos) << outcome;
  // The frame of another build's versions.
  const std::string other = script("other", R"(printf 'h\0\0\0\0\0\0\0\005\0\0\0\0\0\0\0other' >&3)");
  options.program = other.c_str();
  outcome = compile(kSum);
  EXPECT_EQ(outcome.code, 841) << outcome;
  EXPECT_NE(outcome.text.find("but got other"), std::string::npos) << outcome;
}

TEST_F(CompilerApi, worksInHostsOfAllKinds) {
  auto *before = std::signal(SIGCHLD, SIG_IGN); // the system takes the status of children
  EXPECT_EQ(compile(kSum), (Outcome{0, ""}));
  std::signal(SIGCHLD, before);
  sigset_t all, old; // a host that blocks signals
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  EXPECT_EQ(compile(kSum), (Outcome{0, ""}));
  pthread_sigmask(SIG_SETMASK, &old, nullptr);
  const int input = dup(STDIN_FILENO); // one without standard input, whose number the next descriptor takes
  close(STDIN_FILENO);
  EXPECT_EQ(compile(kSum), (Outcome{0, ""}));
  dup2(input, STDIN_FILENO);
  close(input);
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i)
    threads.emplace_back([&, i] {
      auto status =
          stepdown_compile_module(kSum, std::strlen(kSum), "sum.mlir", (output + std::to_string(i)).c_str(), &options);
      EXPECT_EQ(status.code, 0) << status.text;
    });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_EQ(read(output + "0"), read(output + "2"));
}

TEST_F(CompilerApi, deepNestingAndHugeConstantsAreErrorsOnBothRoads) {
  std::string deep = "func.func @f(%c: i1) {\n", wide = deep;
  for (int i = 0; i < 20000; ++i)
    deep += "scf.if %c {\n";
  for (int i = 0; i < 20000; ++i)
    deep += "}\n";
  wide += "  %0 = arith.constant dense<1.0> : tensor<1000003x1009xf32>\n  return\n}\n";
  for (bool here : {false, true}) {
    EXPECT_EQ(compile(deep + "return\n}\n", here).code, 842);
    EXPECT_EQ(compile(wide, here).code, 844);
  }
}

TEST_F(CompilerApi, leavesNoDescriptorsBehind) {
  auto open = [] {
    size_t count = 0;
    for (auto &entry : std::filesystem::directory_iterator("/proc/self/fd"))
      count += !entry.path().empty();
    return count;
  };
  const size_t before = open();
  EXPECT_EQ(compile(kSum).code, 0);
  options.program = "/nowhere/stepdown-compile";
  EXPECT_EQ(compile(kSum).code, 841);
  EXPECT_EQ(open(), before);
}

} // namespace
