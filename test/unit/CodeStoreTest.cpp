// Code that LLVM made before: what is taken, what is made again, and what becomes of the folder.
#include "lib/CodeGen/CodeStore.h"
#include "lib/CodeGen/CodeGenerator.h"
#include "lib/CodeGen/KernelImages.h"
#include "lib/CodeGen/KernelModule.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Parser/Parser.h"
#include <csignal>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

using namespace mlir;
using namespace stepdown;

namespace {

/// A folder of kept code, which the code generator takes from and adds to while the test runs.
class KeptCode : public testing::Test {
protected:
  KeptCode() : folder(std::filesystem::temp_directory_path() / ("stepdown-kept-" + std::to_string(getpid()))) {
    DialectRegistry registry;
    registerKernelDialects(registry);
    context.appendDialectRegistry(registry);
    std::filesystem::remove_all(folder);
    setenv("STEPDOWN_CODE_STORE", folder.c_str(), 1);
  }
  ~KeptCode() override {
    unsetenv("STEPDOWN_CODE_STORE");
    std::filesystem::remove_all(folder);
  }
  void SetUp() override {
    if (!CodeStore::ofEnvironment().isOpen())
      GTEST_SKIP() << "this program was linked without a build identifier";
  }

  std::vector<std::filesystem::path> files() const {
    std::vector<std::filesystem::path> all;
    if (std::filesystem::exists(folder))
      for (const auto &entry : std::filesystem::recursive_directory_iterator(folder))
        if (entry.is_regular_file())
          all.push_back(entry.path());
    return all;
  }
  Result<NativeCode> generate(const std::string &text, const Target &level = *findTarget("x86-64-v3")) {
    OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(text, &context);
    EXPECT_TRUE(module);
    return generateCode(*module, level, 1);
  }
  /// The same without the folder.
  Result<NativeCode> generateAnew(const std::string &text, const Target &level) {
    unsetenv("STEPDOWN_CODE_STORE");
    Result<NativeCode> code = generate(text, level);
    setenv("STEPDOWN_CODE_STORE", folder.c_str(), 1);
    return code;
  }

  const std::filesystem::path folder;
  MLIRContext context;
};

std::string function(const char *name, const std::string &body) {
  return "llvm.func @" + std::string(name) + "(%o: !llvm.ptr, %t: i64, %n: i64) {\n" + body + "llvm.return }\n";
}

std::string returning(const char *name, int number) {
  return function(name, "%c = llvm.mlir.constant(" + std::to_string(number) +
                            " : i64) : i64\nllvm.store %c, %o : i64, !llvm.ptr\n");
}

/// Two functions, one of which reads a table that has the name which functions get while they are kept.
std::string two() {
  return "llvm.mlir.global private constant @stepdown.kept(dense<[2, 3, 5, 7]> : tensor<4xi64>) : "
         "!llvm.array<4 x i64>\n" +
         returning("one", 11) +
         function("looks", "%a = llvm.mlir.addressof @stepdown.kept : !llvm.ptr\n"
                           "%p = llvm.getelementptr %a[%t] : (!llvm.ptr, i64) -> !llvm.ptr, i64\n"
                           "%v = llvm.load %p : !llvm.ptr -> i64\nllvm.store %v, %o : i64, !llvm.ptr\n");
}

std::string contents(const std::filesystem::path &file) {
  std::string bytes(std::filesystem::file_size(file), 0);
  std::ifstream(file, std::ios::binary).read(bytes.data(), std::streamsize(bytes.size()));
  return bytes;
}

} // namespace

TEST_F(KeptCode, IsTheSameOfEveryLevel) {
  for (const Target &level : targets()) {
    if (level.chip)
      continue;
    Result<NativeCode> plain = generateAnew(two(), level);
    ASSERT_TRUE(plain) << level.name << ": " << plain.error().text();
    ASSERT_EQ(plain->entries.size(), 2u);
    const size_t before = files().size(); // of other levels
    for (const char *when : {"made", "taken"}) {
      Result<NativeCode> code = generate(two(), level);
      ASSERT_TRUE(code) << level.name << ": " << code.error().text();
      EXPECT_EQ(code->bytes, plain->bytes) << level.name << ' ' << when;
      EXPECT_EQ(code->entries, plain->entries) << level.name << ' ' << when;
      for (const auto &[name, figures] : plain->statistics) {
        EXPECT_EQ(code->statistics.at(name).codeBytes, figures.codeBytes) << level.name << ' ' << when << ' ' << name;
        EXPECT_EQ(code->statistics.at(name).stackBytes, figures.stackBytes) << level.name << ' ' << when << ' ' << name;
      }
      EXPECT_EQ(files().size(), before + 2) << level.name << ' ' << when;
    }
  }
}

TEST_F(KeptCode, IsFoundByWhatItIsMadeOf) {
  // The same under another name is the same code; another number is other code.
  const size_t counts[] = {1, 1, 2};
  const std::string texts[] = {returning("one", 5), returning("other", 5), returning("one", 7)};
  for (int i = 0; i < 3; ++i) {
    Result<NativeCode> code = generate(texts[i]);
    ASSERT_TRUE(code) << code.error().text();
    EXPECT_EQ(code->entries.count(i == 1 ? "other" : "one"), 1u) << i;
    EXPECT_EQ(files().size(), counts[i]) << i;
  }
}

TEST_F(KeptCode, IsTakenWhole) {
  const std::string text = returning("one", 5);
  Result<NativeCode> five = generate(text);
  ASSERT_TRUE(five) << five.error().text();
  const std::filesystem::path file = files().at(0);
  const std::string whole = contents(file);
  // What was damaged is made again, and kept as it was.
  for (size_t size : {size_t(0), size_t(1), whole.size() - 1, whole.size()}) {
    std::string damaged = whole.substr(0, size);
    if (size == whole.size())
      damaged[size / 2] = char(damaged[size / 2] ^ 16);
    std::ofstream(file, std::ios::binary | std::ios::trunc) << damaged;
    Result<NativeCode> again = generate(text);
    ASSERT_TRUE(again) << again.error().text();
    EXPECT_EQ(again->bytes, five->bytes) << size;
    EXPECT_EQ(contents(file), whole) << size;
  }
  // What was kept is what is used: the object of another function, put in its place, shows.
  Result<NativeCode> seven = generate(returning("one", 7));
  ASSERT_TRUE(seven) << seven.error().text();
  const CodeStore store(folder.string());
  for (const std::filesystem::path &path : files())
    if (path != file) {
      auto object = store.find(path.filename().string());
      ASSERT_TRUE(object);
      ASSERT_TRUE(store.keep(file.filename().string(), {object->data(), object->size()}));
    }
  Result<NativeCode> taken = generate(text);
  ASSERT_TRUE(taken) << taken.error().text();
  EXPECT_EQ(taken->bytes, seven->bytes);
  EXPECT_NE(taken->bytes, five->bytes);
}

TEST_F(KeptCode, IsToldUnderTheFunctionsName) {
  for (bool x86 : {true, false}) {
    // Its own address, in 64 bits (or their upper 16) of an instruction, by the name that LLVM has for it.
    const std::string load = x86 ? "movabsq $$" : "movz $0, #:abs_g3:";
    const auto text = [&](const std::string &name) {
      return function("kernel", "%a = llvm.inline_asm has_side_effects \"" + load + name + (x86 ? ", $0" : "") +
                                    "\", \"=r\" : () -> i64\nllvm.store %a, %o : i64, !llvm.ptr\n");
    };
    const Target &level = *findTarget(x86 ? "x86-64-v3" : "aarch64-dotprod");
    Result<NativeCode> plain = generateAnew(text("kernel"), level), kept = generate(text("stepdown.kept"), level);
    ASSERT_FALSE(plain);
    ASSERT_FALSE(kept);
    EXPECT_EQ(plain.error().code, ErrorCode::CodeRelocation) << plain.error().text();
    EXPECT_NE(plain.error().message.find("but kernel is reached by "), std::string::npos) << plain.error().message;
    EXPECT_EQ(kept.error().text(), plain.error().text());
  }
}

TEST_F(KeptCode, NeedsAFolderThatCanBeWritten) {
  std::ofstream(folder) << "a file";
  Result<NativeCode> code = generate(returning("one", 5));
  ASSERT_FALSE(code);
  EXPECT_EQ(code.error().code, ErrorCode::FileWrite);
  EXPECT_NE(code.error().message.find(folder.string()), std::string::npos) << code.error().message;
}

// A limit of file sizes is a disk that becomes full.
TEST_F(KeptCode, IsNotKeptWhereThereIsNoRoom) {
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit none = {64, before.rlim_max};
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &none), 0);
  Result<NativeCode> code = generate(returning("one", 5));
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_TRUE(code) << code.error().text();
  EXPECT_EQ(files().size(), 0u);
}

// An image is found by the text of its kernel; what is only named in it is not looked for.
TEST_F(KeptCode, OfAnEmulatedChipHasAllOfItInTheText) {
  const auto images = [&](const std::string &attribute, int number) {
    const std::string text = "gpu.module @kernels {\nllvm.func @kernel(%o: !llvm.ptr<1>) attributes {nvvm.kernel" +
                             attribute + "} {\n%c = llvm.mlir.constant(" + std::to_string(number) +
                             " : i32) : i32\nllvm.store %c, %o : i32, !llvm.ptr<1>\nllvm.return }\n}\n"
                             "{-# dialect_resources: { builtin: { words: \"0x040000000B0000000D000000\" } } #-}";
    OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(text, &context);
    EXPECT_TRUE(module);
    NativeCode code;
    auto launched = addKernelImages(*module, *findTarget("emulated:sm_90a"), code);
    EXPECT_TRUE(launched) << launched.error().text();
    return code.bytes;
  };
  unsetenv("STEPDOWN_CODE_STORE");
  const auto five = images("", 5), seven = images("", 7);
  EXPECT_NE(five, seven);
  setenv("STEPDOWN_CODE_STORE", folder.c_str(), 1);
  for (size_t kept : {1, 1}) {
    EXPECT_EQ(images("", 5), five);
    EXPECT_EQ(files().size(), kept);
  }
  EXPECT_EQ(images("", 7), seven);
  EXPECT_EQ(files().size(), 2u);
  images(", words = dense_resource<words> : tensor<2xi32>", 5);
  EXPECT_EQ(files().size(), 2u);
}

TEST_F(KeptCode, OfOtherBuildsGoesButForTheLatest) {
  const auto build = [&](char digit) { return folder / ("build-" + std::string(64, digit)); };
  const auto now = std::filesystem::file_time_type::clock::now();
  for (char digit : {'1', '2', '3', '4', '5'}) {
    std::filesystem::create_directories(build(digit) / "00");
    std::ofstream(build(digit) / "00" / "object") << "code";
    std::filesystem::last_write_time(build(digit), now - std::chrono::hours(digit - '0'));
  }
  // Whatever else somebody has there stays.
  const std::filesystem::path mine[] = {folder / "build-notes", folder / ("build-" + std::string(64, 'x')),
                                        folder / "ab"};
  for (const std::filesystem::path &path : mine) {
    std::filesystem::create_directories(path);
    std::filesystem::last_write_time(path, now - std::chrono::hours(100));
  }
  std::filesystem::create_directory_symlink(mine[0], build('a'));
  std::ofstream(build('b')) << "a file";
  const CodeStore store(folder.string());
  for (int again = 0; again < 2; ++again) {
    Status opened = store.open();
    ASSERT_TRUE(opened) << opened.error().text();
    for (char digit : {'1', '2', '3'})
      EXPECT_TRUE(std::filesystem::exists(build(digit) / "00" / "object")) << digit;
    for (char digit : {'4', '5'})
      EXPECT_FALSE(std::filesystem::exists(build(digit))) << digit;
    for (const std::filesystem::path &path : {mine[0], mine[1], mine[2], build('a'), build('b')})
      EXPECT_TRUE(std::filesystem::exists(path)) << path;
  }
}

TEST(CodeStore, KeysTellPartsApart) {
  const CodeStore store("somewhere");
  if (!store.isOpen())
    GTEST_SKIP() << "this program was linked without a build identifier";
  EXPECT_EQ(store.keyOf({"a", "b"}), store.keyOf({"a", "b"}));
  EXPECT_NE(store.keyOf({"a", "b"}), store.keyOf({"ab", ""}));
  EXPECT_NE(store.keyOf({"a", "b"}), store.keyOf({"b", "a"}));
  EXPECT_NE(store.keyOf({"a"}), store.keyOf({"a", ""}));
  EXPECT_FALSE(CodeStore("").isOpen());
  EXPECT_TRUE(CodeStore("").open());
}
