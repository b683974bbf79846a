// Installs the project into a folder, builds a C program against it with find_package and with pkg-config, and runs it.
#include "test/unit/ToyModel.h"
#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <gtest/gtest.h>
#include <set>
#include <sstream>

using stepdown::test::ToyModel;

namespace {

struct Installed : testing::Test {
  static std::string folder;
  static void SetUpTestSuite() {
    std::string pattern = testing::TempDir() + "/stepdown-install-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder = pattern;
    ASSERT_EQ(shell("cmake --install " STEPDOWN_BINARY_DIR " --component Runtime --prefix " + folder + "/tree"), "")
        << folder;
  }
  static void TearDownTestSuite() { shell("rm -rf " + folder); }
  /// Runs a command; what it said where it failed, else "".
  static std::string shell(const std::string &command) {
    std::string log = testing::TempDir() + "/stepdown-embedding.log";
    if (std::system(("{ " + command + "; } >" + log + " 2>&1").c_str()) == 0)
      return "";
    return command + "\n" + read(log);
  }
  static std::string read(const std::string &path) {
    std::ifstream in(path);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  /// Without arguments a program of examples/ says how it is called, and ends with status 2.
  void expectUsage(const std::string &program, const std::string &usage) {
    const std::string said = shell("LD_LIBRARY_PATH=" + folder + "/tree/" STEPDOWN_LIBDIR " " + program +
                                   " || { test $? -eq 2 && echo status 2 && false; }");
    EXPECT_NE(said.find("\nusage: " + usage + "\nstatus 2\n"), std::string::npos) << said;
  }
  /// The text that `program` makes of "hello" must be the toy model's.
  void expectText(const std::string &program) {
    ToyModel toy;
    std::string out = folder + "/out", model = toy.write();
    ASSERT_EQ(
        shell("LD_LIBRARY_PATH=" + folder + "/tree/" STEPDOWN_LIBDIR " " + program + " " + model + " hello 9 >" + out),
        "");
    std::vector<int32_t> tokens = {11, 8, 15, 15, 18};
    std::string expected;
    for (int i = 0; i < 9; ++i) {
      auto logits = toy.logits(tokens);
      int32_t best = static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
      if (best == 2)
        break;
      if (best >= 4 && best < 30)
        expected += static_cast<char>('a' + best - 4);
      else if (best == 3)
        expected += ' ';
      else if (best >= 33)
        expected += ToyModel::pieces()[best];
      tokens.push_back(best);
    }
    EXPECT_EQ(read(out), expected + "\n");
  }
};
std::string Installed::folder;

TEST_F(Installed, findPackageBuildsProgramsThatGenerate) {
  ASSERT_EQ(shell("cmake -S " STEPDOWN_SOURCE_DIR "/examples -B " + folder + "/build -DCMAKE_PREFIX_PATH=" + folder +
                  "/tree -DCMAKE_C_COMPILER=" STEPDOWN_CC " && cmake --build " + folder + "/build"),
            "");
  expectText(folder + "/build/generate");
  expectText(folder + "/build/step");
  expectUsage(folder + "/build/generate", "generate MODEL.stepdown TEXT [TOKENS]");
  expectUsage(folder + "/build/embed", "embed MODEL.stepdown TEXT TEXT");
  expectUsage(folder + "/build/step", "step MODEL.stepdown TEXT [TOKENS]");
  // The tree may be moved, and the static program needs nothing of it.
  ASSERT_EQ(shell("mv " + folder + "/tree " + folder + "/away"), "");
  expectText(folder + "/build/generate-static");
  ASSERT_EQ(shell("mv " + folder + "/away " + folder + "/tree"), "");
}

TEST_F(Installed, findPackageNamesTheComponentThatIsMissing) {
  std::string said = shell("mkdir " + folder +
                           "/needs && echo 'cmake_minimum_required(VERSION 3.16)\n"
                           "project(Needs LANGUAGES C)\nfind_package(Stepdown REQUIRED COMPONENTS Compiler)' >" +
                           folder + "/needs/CMakeLists.txt && cmake -S " + folder + "/needs -B " + folder +
                           "/needs/build -DCMAKE_PREFIX_PATH=" + folder + "/tree -DCMAKE_C_COMPILER=" STEPDOWN_CC);
  EXPECT_NE(said.find("expects the component Compiler"), std::string::npos) << said;
}

TEST_F(Installed, pkgConfigBuildsItToo) {
  if (!shell("pkg-config --version").empty())
    GTEST_SKIP() << "no pkg-config on this machine";
  ASSERT_EQ(setenv("PKG_CONFIG_PATH", (folder + "/tree/" STEPDOWN_LIBDIR "/pkgconfig").c_str(), 1), 0);
  ASSERT_EQ(shell(STEPDOWN_CC " -std=c99 " STEPDOWN_SOURCE_DIR
                              "/examples/generate.c $(pkg-config --cflags --libs stepdown) -o " +
                  folder + "/generate-pc"),
            "");
  expectText(folder + "/generate-pc");
#ifdef STEPDOWN_HAS_COMPILER
  ASSERT_EQ(shell("cmake --install " STEPDOWN_BINARY_DIR " --component Compiler --prefix " + folder +
                  "/tree && " STEPDOWN_CC " -std=c99 " STEPDOWN_SOURCE_DIR
                  "/examples/module.c $(pkg-config --cflags --libs stepdown-compiler stepdown) -o " +
                  folder + "/module-pc"),
            "");
  EXPECT_EQ(shell("export LD_LIBRARY_PATH=" + folder + "/tree/" STEPDOWN_LIBDIR " && test \"$(" + folder +
                  "/module-pc " + folder + "/sum.stepdown | tr '\\n' ' ')\" = '2 5 -8 '"),
            "");
#endif
}

TEST_F(Installed, thePythonPackageGivesTheSameLogits) {
  if (!shell("python3 -c 'import numpy'").empty())
    GTEST_SKIP() << "no python3 with numpy on this machine";
  ToyModel toy;
  std::vector<int32_t> tokens = {11, 8, 15, 15, 18};
  std::ofstream rows(folder + "/rows", std::ios::binary);
  for (size_t n = 1; n <= tokens.size(); ++n) {
    auto logits = toy.logits({tokens.begin(), tokens.begin() + n});
    rows.write(reinterpret_cast<const char *>(logits.data()), logits.size() * sizeof(float));
  }
  rows.close();
  std::ofstream(folder + "/check.py") << R"(
import sys
import numpy as np
import stepdown
model = stepdown.Model(sys.argv[1])
ids = model.tokenize("hello")
assert ids == [11, 8, 15, 15, 18], ids
expected = np.fromfile(sys.argv[2], np.float32).reshape(5, 41)
sequence = model.session(threads=2).sequence()
assert np.array_equal(sequence.logits(ids), expected)
fork = sequence.fork()
assert np.array_equal(sequence.feed([4]), fork.feed([4])) and len(fork) == 6
sequence.truncate(4)
assert np.array_equal(sequence.feed([18]), expected[4])
assert model.detokenize(ids) == "hello"
hello = [{"role": "user", "content": "hi"}]
assert model.chat(hello) == [24, 3, 11, 12, 2, 4, 3], model.chat(hello)
assert model.chat(hello, answer=False) == [24, 3, 11, 12, 2]
copied = stepdown.Model(sys.argv[1], copy=True)
assert np.array_equal(copied.session().sequence().logits(ids), expected)
likeliest = model.session().sequence().generate(ids, 9)
answer = model.session(threads=1).sequence().answer(ids, 9)
assert answer.ids == likeliest and answer.text == model.detokenize(likeliest), answer
assert answer.finish == ("length" if len(likeliest) == 9 else "end"), answer
assert model.generate("hello", 9) == answer.text
heard = []
again = model.generate("hello", 9, on_text=heard.append)
assert "".join(heard) == again == answer.text
stopped = model.session().sequence().answer(ids, 9, stop=[answer.text[2]])
assert stopped.text == answer.text[: answer.text.index(answer.text[2])] and stopped.finish == "stop", stopped
drawn = [model.session().sequence().answer(ids, 9, temperature=3, seed=seed).ids for seed in (1, 1, 2, 3)]
assert drawn[0] == drawn[1] and drawn.count(drawn[0]) < 4, drawn
forbidden = model.session().sequence().answer(ids, 9, bias={likeliest[0]: float("-inf")})
assert likeliest[0] not in forbidden.ids and len(forbidden.ids) > 0
try:
    model.generate("hello", 9, on_text=lambda text: 1 // 0)
    raise AssertionError("what on_text raised was lost")
except ZeroDivisionError:
    pass
try:
    model.generate("hello", 9, temperature=1, top_p=2)
    raise AssertionError("an option out of range was taken")
except stepdown.Error as error:
    assert error.code == 701, error
try:
    sequence.feed([41])
    raise AssertionError("an id outside the vocabulary was taken")
except stepdown.Error as error:
    assert error.code == 603, error
)";
  std::string site = STEPDOWN_SOURCE_DIR "/python";
  if (shell("python3 -m pip --version").empty()) {
    site = folder + "/site";
    ASSERT_EQ(shell("cp -r " STEPDOWN_SOURCE_DIR "/python " + folder + "/package && cd " + folder +
                    "/package && python3 -m pip install -q --no-index --no-deps --target " + site + " ."),
              "");
  }
  EXPECT_EQ(shell("PYTHONPATH=" + site + " PYTHONDONTWRITEBYTECODE=1 STEPDOWN_LIBRARY=" + folder +
                  "/tree/" STEPDOWN_LIBDIR "/libstepdown.so python3 " + folder + "/check.py " + toy.write() + " " +
                  folder + "/rows"),
            "");
}

// A checkpoint through the compiler's C API, and what it gives through Python, against figures that an independent
// float64 implementation computed.
TEST_F(Installed, aCProgramCompilesAModelThatAgreesWithTheOracle) {
#ifndef STEPDOWN_HAS_COMPILER
  GTEST_SKIP() << "the compiler is not built";
#else
  if (!shell("python3 -c 'import numpy, gguf'").empty())
    GTEST_SKIP() << "no python3 with numpy and gguf on this machine";
  ASSERT_EQ(shell("cmake --install " STEPDOWN_BINARY_DIR " --component Compiler --prefix " + folder +
                  "/tree && cmake -S " STEPDOWN_SOURCE_DIR "/examples -B " + folder +
                  "/build-compile -DCMAKE_PREFIX_PATH=" + folder +
                  "/tree -DCMAKE_C_COMPILER=" STEPDOWN_CC " && cmake --build " + folder + "/build-compile"),
            "");
  const std::string compile = folder + "/build-compile/compile ", made = folder + "/made";
  EXPECT_NE(shell(compile + "/no/such/file.gguf " + made + ".stepdown").find("error E0901"), std::string::npos);
  ASSERT_EQ(shell("python3 " STEPDOWN_SOURCE_DIR "/test/data/make_model.py " + made +
                  ".gguf --family llama --type F32 && " + compile + made + ".gguf " + made + ".stepdown && " + folder +
                  "/build-compile/generate " + made + ".stepdown hello 4"),
            "");
  // A checkpoint that leaves embeddings as long as they are, and a cosine all the same.
  ASSERT_EQ(shell("python3 " STEPDOWN_SOURCE_DIR "/test/data/make_encoder.py --no-normalize --folder " + made +
                  "-encoder && " + compile + made + "-encoder " + made + "-encoder.stepdown"),
            "");
  auto cosine = [&](const std::string &texts) {
    EXPECT_EQ(shell(folder + "/build-compile/embed " + made + "-encoder.stepdown " + texts + " >" + made + "-cosine"),
              "");
    return std::strtod(read(made + "-cosine").c_str(), nullptr);
  };
  EXPECT_EQ(cosine("'the house' 'the house'"), 1);
  EXPECT_LT(cosine("'the house' 'a river'"), 0.9999);
  expectUsage(folder + "/build-compile/compile", "compile MODEL.gguf MODEL.stepdown");
  expectUsage(folder + "/build-compile/module", "module SUM.stepdown");
  // A plain module from C, and the same artifact from Python.
  EXPECT_EQ(
      shell("test \"$(" + folder + "/build-compile/module " + made + "-sum.stepdown | tr '\\n' ' ')\" = '2 5 -8 '"),
      "");
  std::ofstream(folder + "/program.py") << R"(
import sys
import numpy as np
from stepdown import Error, Program
program = Program.load(sys.argv[1])
assert list(program.functions) == ["sum"]
assert str(program.functions["sum"].arguments[1]) == "f32 [?]" and len(program.functions["sum"].results) == 1
a = np.arange(40, dtype=np.float32)
[c] = program.call("sum", a[::2], a[1::2])
assert c.dtype == np.float32 and np.array_equal(c, a[::2] + a[1::2])
for code, name, arguments in ((620, "summ", (a, a)), (621, "sum", (a,)), (622, "sum", (a, a.astype(np.float64))),
                              (622, "sum", (a, a.reshape(2, 20))), (623, "sum", (a, a[1:]))):
    try:
        program.call(name, *arguments)
        raise AssertionError(f"expects error {code}")
    except Error as error:
        assert error.code == code, error
)";
  EXPECT_EQ(shell("PYTHONPATH=" STEPDOWN_SOURCE_DIR "/python PYTHONDONTWRITEBYTECODE=1 STEPDOWN_LIBRARY=" + folder +
                  "/tree/" STEPDOWN_LIBDIR "/libstepdown.so python3 " + folder + "/program.py " + made +
                  "-sum.stepdown"),
            "");
  std::ofstream(folder + "/oracle.py") << R"(
import json
import sys
import numpy as np
import stepdown
with open(sys.argv[2]) as file:
    figures = json.load(file)
case = next(case for case in figures["cases"] if case["options"] == "--family llama --type F32")
rows = stepdown.Model(sys.argv[1]).session(threads=2).sequence().logits(figures["tokens"])
expected = np.array(case["logits"])
off = np.abs(rows[:, figures["entries"]] - expected).max()
assert rows.dtype == np.float32 and off < 0.02, off  # the cache holds float16
print(off)
)";
  EXPECT_EQ(shell("PYTHONPATH=" STEPDOWN_SOURCE_DIR "/python PYTHONDONTWRITEBYTECODE=1 STEPDOWN_LIBRARY=" + folder +
                  "/tree/" STEPDOWN_LIBDIR "/libstepdown.so python3 " + folder + "/oracle.py " + made +
                  ".stepdown " STEPDOWN_SOURCE_DIR "/test/data/reference/figures.json"),
            "");
#endif
}

TEST_F(Installed, headersAreC99AndCxx17) {
  for (const char *header : {"Artifact", "Compiler", "Element", "Runtime", "Status"})
    for (const char *compiler : {STEPDOWN_CC " -x c -std=c99", STEPDOWN_CXX " -x c++ -std=c++17"})
      EXPECT_EQ(shell("echo '#include <stepdown/" + std::string(header) + ".h>' | " + compiler +
                      " -Wall -Wextra -Werror -pedantic -fsyntax-only -I" + folder + "/tree/include -"),
                "");
}

TEST_F(Installed, onlyTheApiIsVisibleAndVersioned) {
  std::string list = folder + "/symbols";
  if (!shell("nm -D --defined-only " + folder + "/tree/" STEPDOWN_LIBDIR "/libstepdown.so >" + list).empty())
    GTEST_SKIP() << "no nm on this machine";
  std::istringstream in(read(list));
  std::set<std::string> names;
  for (std::string line; std::getline(in, line);) {
    std::string name = line.substr(line.rfind(' ') + 1);
    if (name == "STEPDOWN_0")
      continue;
    EXPECT_EQ(name.rfind("stepdown_", 0), 0u) << line;
    EXPECT_NE(name.find("@@STEPDOWN_0"), std::string::npos) << line;
    names.insert(name.substr(0, name.find('@')));
  }
  // Every function that the header declares is there.
  std::string header = read(STEPDOWN_SOURCE_DIR "/include/stepdown/Runtime.h");
  size_t declared = 0;
  for (size_t at = 0; (at = header.find("STEPDOWN_API ", at)) != std::string::npos; ++at) {
    size_t end = header.find('(', at), begin = header.rfind("stepdown_", end);
    if (header.compare(at, 18, "STEPDOWN_API __att") == 0)
      continue;
    ++declared;
    EXPECT_TRUE(names.count(header.substr(begin, end - begin))) << header.substr(begin, end - begin);
  }
  EXPECT_GE(declared, 25u);
}

} // namespace
