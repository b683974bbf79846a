// Generates code from LLVM dialect, maps it as the runtime does, and calls it through the kernel ABI.
#include "lib/CodeGen/CodeGenerator.h"
#include "dialects/Tile/IR/TileDialect.h"
#include "dialects/Transformer/IR/TransformerDialect.h"
#include "lib/Artifact/ProgramBuilder.h"
#include "mlir/Dialect/DLTI/DLTI.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Parser/Parser.h"
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <sys/mman.h>

using namespace mlir;
using namespace stepdown;

namespace {
using Kernel = void (*)(const uint64_t *operands, int64_t thread, int64_t threads);

// axpy: y[i] += c[i % 4] * x[i] for the thread's share of 16-float groups, where c is a constant vector.
// scratch: y[i] = sum of x[0..i], through an alloca that a loop clears first.
// copy: what a compiler would like to turn into memset and memcpy.
const char *kKernels = R"mlir(
llvm.func @axpy(%operands: !llvm.ptr, %thread: i64, %threads: i64) {
  %c = llvm.mlir.constant(dense<[1.0, -2.0, 0.5, 4.0, 1.0, -2.0, 0.5, 4.0, 1.0, -2.0, 0.5, 4.0, 1.0, -2.0, 0.5, 4.0]> : vector<16xf32>) : vector<16xf32>
  %x = llvm.load %operands : !llvm.ptr -> !llvm.ptr
  %np = llvm.getelementptr %operands[1] : (!llvm.ptr) -> !llvm.ptr, i64
  %n = llvm.load %np : !llvm.ptr -> i64
  %yp = llvm.getelementptr %operands[2] : (!llvm.ptr) -> !llvm.ptr, i64
  %y = llvm.load %yp : !llvm.ptr -> !llvm.ptr
  llvm.br ^head(%thread : i64)
^head(%i: i64):
  %more = llvm.icmp "slt" %i, %n : i64
  llvm.cond_br %more, ^body, ^exit
^body:
  %xi = llvm.getelementptr %x[%i] : (!llvm.ptr, i64) -> !llvm.ptr, vector<16xf32>
  %yi = llvm.getelementptr %y[%i] : (!llvm.ptr, i64) -> !llvm.ptr, vector<16xf32>
  %a = llvm.load %xi {alignment = 64 : i64} : !llvm.ptr -> vector<16xf32>
  %b = llvm.load %yi {alignment = 64 : i64} : !llvm.ptr -> vector<16xf32>
  %r = llvm.intr.fma(%a, %c, %b) : (vector<16xf32>, vector<16xf32>, vector<16xf32>) -> vector<16xf32>
  llvm.store %r, %yi {alignment = 64 : i64} : vector<16xf32>, !llvm.ptr
  %next = llvm.add %i, %threads : i64
  llvm.br ^head(%next : i64)
^exit:
  llvm.return
}
llvm.mlir.global private constant @step(dense<[1, 2, 3, 4]> : tensor<4xi32>) : !llvm.array<4 x i32>
llvm.func @scratch(%operands: !llvm.ptr, %thread: i64, %threads: i64) {
  %zero = llvm.mlir.constant(0 : i64) : i64
  %one = llvm.mlir.constant(1 : i64) : i64
  %three = llvm.mlir.constant(3 : i64) : i64
  %count = llvm.mlir.constant(256 : i64) : i64
  %none = llvm.mlir.constant(0 : i32) : i32
  %table = llvm.mlir.addressof @step : !llvm.ptr
  %room = llvm.alloca %count x i32 {alignment = 64 : i64} : (i64) -> !llvm.ptr
  %y = llvm.load %operands : !llvm.ptr -> !llvm.ptr
  %np = llvm.getelementptr %operands[1] : (!llvm.ptr) -> !llvm.ptr, i64
  %n = llvm.load %np : !llvm.ptr -> i64
  llvm.br ^clear(%zero : i64)
^clear(%i: i64):
  %pi = llvm.getelementptr %room[%i] : (!llvm.ptr, i64) -> !llvm.ptr, i32
  llvm.store %none, %pi : i32, !llvm.ptr
  %i1 = llvm.add %i, %one : i64
  %c = llvm.icmp "ult" %i1, %n : i64
  llvm.cond_br %c, ^clear(%i1 : i64), ^sum(%zero, %none : i64, i32)
^sum(%j: i64, %s: i32):
  %slot = llvm.and %j, %three : i64
  %ps = llvm.getelementptr %table[%slot] : (!llvm.ptr, i64) -> !llvm.ptr, i32
  %v = llvm.load %ps : !llvm.ptr -> i32
  %pj = llvm.getelementptr %room[%j] : (!llvm.ptr, i64) -> !llvm.ptr, i32
  %w = llvm.load %pj : !llvm.ptr -> i32
  %s1 = llvm.add %s, %v : i32
  %s2 = llvm.add %s1, %w : i32
  llvm.store %s2, %pj : i32, !llvm.ptr
  %j1 = llvm.add %j, %one : i64
  %d = llvm.icmp "ult" %j1, %n : i64
  llvm.cond_br %d, ^sum(%j1, %s2 : i64, i32), ^copy(%zero : i64)
^copy(%k: i64):
  %pk = llvm.getelementptr %room[%k] : (!llvm.ptr, i64) -> !llvm.ptr, i32
  %u = llvm.load %pk : !llvm.ptr -> i32
  %qk = llvm.getelementptr %y[%k] : (!llvm.ptr, i64) -> !llvm.ptr, i32
  llvm.store %u, %qk : i32, !llvm.ptr
  %k1 = llvm.add %k, %one : i64
  %e = llvm.icmp "ult" %k1, %n : i64
  llvm.cond_br %e, ^copy(%k1 : i64), ^exit
^exit:
  llvm.return
}
llvm.func @fill(%operands: !llvm.ptr, %thread: i64, %threads: i64) {
  %seven = llvm.mlir.constant(7 : i8) : i8
  %y = llvm.load %operands : !llvm.ptr -> !llvm.ptr
  %np = llvm.getelementptr %operands[1] : (!llvm.ptr) -> !llvm.ptr, i64
  %n = llvm.load %np : !llvm.ptr -> i64
  %zp = llvm.getelementptr %operands[2] : (!llvm.ptr) -> !llvm.ptr, i64
  %z = llvm.load %zp : !llvm.ptr -> !llvm.ptr
  "llvm.intr.memset"(%y, %seven, %n) <{isVolatile = false}> : (!llvm.ptr, i8, i64) -> ()
  "llvm.intr.memcpy"(%z, %y, %n) <{isVolatile = false}> : (!llvm.ptr, !llvm.ptr, i64) -> ()
  llvm.return
}
)mlir";

/// Of every processor.
std::vector<const char *> names() {
  std::vector<const char *> all;
  for (const Target &target : targets())
    if (!target.chip)
      all.push_back(target.name);
  return all;
}

bool isX86(const Target &level) { return level.architecture == std::string("x86_64"); }

bool executes(const Target &level) {
  if (!isX86(level))
    return false; // test/run/aarch64.py has an emulator
  __builtin_cpu_init();
  if (level.instructions.lanes == 16)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vnni");
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
}

class Mapped {
public:
  explicit Mapped(const NativeCode &code) : code(code) {
    bytes = mmap(nullptr, code.bytes.size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(bytes, code.bytes.data(), code.bytes.size());
    mprotect(bytes, code.bytes.size(), PROT_READ | PROT_EXEC);
  }
  ~Mapped() { munmap(bytes, code.bytes.size()); }
  Kernel operator[](const char *name) const {
    return reinterpret_cast<Kernel>(static_cast<char *>(bytes) + code.entries.at(name));
  }

private:
  const NativeCode &code;
  void *bytes;
};

class CodeGenerator : public testing::TestWithParam<const char *> {
protected:
  CodeGenerator() { context.loadDialect<LLVM::LLVMDialect, DLTIDialect>(); }

  Result<NativeCode> generate(const char *text, int jobs = 1, std::function<void(int, int)> progress = {}) {
    module = parseSourceString<ModuleOp>(text, &context);
    EXPECT_TRUE(module);
    return generateCode(*module, level(), jobs, std::move(progress));
  }
  const Target &level() { return *findTarget(GetParam()); }

  /// The refusal of a function with this body.
  Error refusal(const std::string &before, const std::string &body) {
    Result<NativeCode> code =
        generate((before + "llvm.func @kernel(%o: !llvm.ptr, %t: i64, %n: i64) {" + body + "\nllvm.return }").c_str());
    EXPECT_FALSE(code);
    return code ? Error{ErrorCode::FileOpen, ""} : code.error();
  }

  MLIRContext context;
  OwningOpRef<ModuleOp> module;
};
} // namespace

TEST_P(CodeGenerator, ComputesWithVectorConstants) {
  Result<NativeCode> code = generate(kKernels);
  ASSERT_TRUE(code) << code.error().text();
  if (!executes(level()))
    GTEST_SKIP() << "this processor does not execute " << GetParam();
  Mapped mapped(*code);
  alignas(64) float x[48], y[48], expected[48];
  const float c[4] = {1, -2, 0.5f, 4};
  for (int i = 0; i < 48; ++i) {
    x[i] = 0.1f * i - 1;
    y[i] = 3.0f / (i + 1);
    expected[i] = std::fma(x[i], c[i % 4], y[i]);
  }
  const uint64_t operands[] = {reinterpret_cast<uint64_t>(x), 3, reinterpret_cast<uint64_t>(y), 3};
  for (int thread = 0; thread < 2; ++thread)
    mapped["axpy"](operands, thread, 2);
  for (int i = 0; i < 48; ++i)
    EXPECT_EQ(y[i], expected[i]) << i;
}

TEST_P(CodeGenerator, ComputesWithTablesAndScratch) {
  Result<NativeCode> code = generate(kKernels);
  ASSERT_TRUE(code) << code.error().text();
  if (!executes(level()))
    GTEST_SKIP() << "this processor does not execute " << GetParam();
  Mapped mapped(*code);
  int32_t y[201] = {};
  const uint64_t operands[] = {reinterpret_cast<uint64_t>(y), 200};
  mapped["scratch"](operands, 0, 1);
  for (int i = 0, sum = 0; i < 200; ++i)
    EXPECT_EQ(y[i], sum += i % 4 + 1) << i;
  EXPECT_EQ(y[200], 0);
}

TEST_P(CodeGenerator, FillsAndCopiesWithoutLibrary) {
  Result<NativeCode> code = generate(kKernels);
  ASSERT_TRUE(code) << code.error().text();
  if (!executes(level()))
    GTEST_SKIP() << "this processor does not execute " << GetParam();
  Mapped mapped(*code);
  for (int64_t n : {0, 1, 63, 64, 333}) {
    std::vector<uint8_t> y(400, 1), z(400, 2);
    const uint64_t operands[] = {reinterpret_cast<uint64_t>(y.data()), static_cast<uint64_t>(n),
                                 reinterpret_cast<uint64_t>(z.data()), static_cast<uint64_t>(n)};
    mapped["fill"](operands, 0, 1);
    for (int64_t i = 0; i < 400; ++i) {
      EXPECT_EQ(y[i], i < n ? 7 : 1);
      EXPECT_EQ(z[i], i < n ? 7 : 2);
    }
  }
}

TEST_P(CodeGenerator, WritesTheSameBytesWithAnyJobs) {
  Result<NativeCode> one = generate(kKernels, 1);
  Result<NativeCode> two = generate(kKernels, 2);
  Result<NativeCode> many = generate(kKernels, 7);
  ASSERT_TRUE(one && two && many);
  EXPECT_EQ(one->bytes, two->bytes);
  EXPECT_EQ(one->bytes, many->bytes);
  EXPECT_EQ(one->entries, two->entries);
}

TEST_P(CodeGenerator, PlacesEveryFunctionOnACacheLineAndCountsIt) {
  std::vector<int> seen;
  Result<NativeCode> code = generate(kKernels, 2, [&](int done, int total) {
    EXPECT_EQ(total, 3);
    seen.push_back(done);
  });
  ASSERT_TRUE(code) << code.error().text();
  EXPECT_EQ(seen, (std::vector<int>{1, 2, 3}));
  ASSERT_EQ(code->entries.size(), 3u);
  for (auto &[name, offset] : code->entries) {
    EXPECT_EQ(offset % 64, 0u) << name;
    EXPECT_GT(code->statistics.at(name).codeBytes, 0u) << name;
    EXPECT_LE(offset + code->statistics.at(name).codeBytes, code->bytes.size()) << name;
  }
  EXPECT_GE(code->statistics.at("scratch").stackBytes, 1024u); // 256 integers
  EXPECT_LT(code->statistics.at("axpy").stackBytes, 64u);
}

TEST_P(CodeGenerator, GeneratesEqualFunctionsOnce) {
  const std::string body = "(%o: !llvm.ptr, %t: i64, %n: i64) {\n%c = llvm.mlir.constant(7 : i64) : i64\n"
                           "%s = llvm.add %t, %c : i64\nllvm.store %s, %o : i64, !llvm.ptr\nllvm.return }\n";
  std::string other = body;
  other.replace(other.find("7"), 1, "8");
  Result<NativeCode> code = generate(("llvm.func @a" + body + "llvm.func @b" + other + "llvm.func @c" + body).c_str());
  ASSERT_TRUE(code) << code.error().text();
  EXPECT_EQ(code->entries.at("c"), code->entries.at("a"));
  EXPECT_NE(code->entries.at("b"), code->entries.at("a"));
  if (!isX86(level()))
    GTEST_SKIP() << "this processor does not execute " << GetParam();
  Mapped mapped(*code);
  uint64_t b = 0, c = 0;
  mapped["b"](&b, 100, 1);
  mapped["c"](&c, 100, 1);
  EXPECT_EQ(b, 108u);
  EXPECT_EQ(c, 107u);
}

TEST_P(CodeGenerator, WritesWhatItGeneratesForReaders) {
  char folder[] = "/tmp/stepdown-code-XXXXXX";
  ASSERT_NE(mkdtemp(folder), nullptr);
  Result<NativeCode> plain = generate(kKernels);
  Result<NativeCode> code = generateCode(*module, level(), 2, {}, folder);
  ASSERT_TRUE(plain && code);
  EXPECT_EQ(code->bytes, plain->bytes);
  const std::string base = std::string(folder) + "/axpy." + GetParam();
  auto text = [&](const char *ending) {
    std::ifstream in(base + ending);
    return std::string{std::istreambuf_iterator<char>(in), {}};
  };
  EXPECT_NE(text(".ll").find("void @axpy(ptr"), std::string::npos);
  EXPECT_NE(text(".s").find(isX86(level()) ? "vfmadd" : "fmla"), std::string::npos);
  EXPECT_EQ(text(".s").find("zmm") != std::string::npos, level().instructions.lanes == 16);
  std::filesystem::remove_all(folder);
  Result<NativeCode> nowhere = generateCode(*module, level(), 1, {}, folder);
  ASSERT_FALSE(nowhere);
  EXPECT_EQ(nowhere.error().code, ErrorCode::FileWrite);
}

TEST_P(CodeGenerator, RefusesACall) {
  Error error = refusal("llvm.func @malloc(i64) -> !llvm.ptr\n",
                        "%p = llvm.call @malloc(%n) : (i64) -> !llvm.ptr\nllvm.store %p, %o : !llvm.ptr, !llvm.ptr");
  EXPECT_EQ(error.code, ErrorCode::CodeUndefined);
  EXPECT_EQ(error.message, "kernel: expects code that calls and reads nothing outside itself, but it uses malloc");
}

TEST_P(CodeGenerator, RefusesAFunctionOfTheMathLibrary) {
  Error error = refusal("", "%x = llvm.load %o : !llvm.ptr -> f32\n%y = llvm.intr.exp(%x) : (f32) -> f32\n"
                            "llvm.store %y, %o : f32, !llvm.ptr");
  EXPECT_EQ(error.code, ErrorCode::CodeUndefined);
  EXPECT_NE(error.message.find("kernel: "), std::string::npos) << error.message;
  EXPECT_NE(error.message.find("expf"), std::string::npos) << error.message;
}

TEST_P(CodeGenerator, RefusesWritableData) {
  Error error = refusal("llvm.mlir.global internal @counter(1 : i64) : i64\n",
                        "%c = llvm.mlir.addressof @counter : !llvm.ptr\n%v = llvm.load volatile %c : !llvm.ptr -> i64\n"
                        "llvm.store volatile %t, %c : i64, !llvm.ptr");
  EXPECT_EQ(error.code, ErrorCode::CodeWritable);
  EXPECT_NE(error.message.find("kernel: "), std::string::npos) << error.message;
  EXPECT_NE(error.message.find("section .data"), std::string::npos) << error.message;
}

TEST_P(CodeGenerator, RefusesAConstantThatHoldsAnAddress) {
  Error error =
      refusal(R"(
    llvm.mlir.global internal constant @a(1 : i64) : i64
    llvm.mlir.global internal constant @table() : !llvm.struct<(ptr, i64)> {
      %0 = llvm.mlir.zero : !llvm.struct<(ptr, i64)>
      %a = llvm.mlir.addressof @a : !llvm.ptr
      %1 = llvm.insertvalue %a, %0[0] : !llvm.struct<(ptr, i64)>
      llvm.return %1 : !llvm.struct<(ptr, i64)>
    })",
              "%c = llvm.mlir.addressof @table : !llvm.ptr\n"
              "%v = llvm.load volatile %c : !llvm.ptr -> !llvm.ptr\nllvm.store %v, %o : !llvm.ptr, !llvm.ptr");
  EXPECT_EQ(error.code, ErrorCode::CodeWritable);
  EXPECT_NE(error.message.find(".data.rel.ro"), std::string::npos) << error.message;
}

TEST_P(CodeGenerator, RefusesAnAbsoluteAddress) {
  const std::string load = isX86(level()) ? "movabsq $$kernel, $0" : "movz $0, #:abs_g3:kernel";
  Error error = refusal("", "%a = llvm.inline_asm has_side_effects \"" + load +
                                "\", \"=r\" : () -> i64\nllvm.store %a, %o : i64, !llvm.ptr");
  EXPECT_EQ(error.code, ErrorCode::CodeRelocation);
  EXPECT_EQ(error.message, std::string("kernel: expects references that do not depend on where the code is mapped, but "
                                       "kernel is reached by ") +
                               (isX86(level()) ? "R_X86_64_64" : "R_AARCH64_MOVW_UABS_G3"));
}

TEST_P(CodeGenerator, LeavesNoTableOfAddresses) {
  if (!isX86(level())) {
    EXPECT_EQ(refusal("", "%a = llvm.inline_asm has_side_effects \"adrp $0, :got:kernel\", \"=r\" : () -> i64\n"
                          "llvm.store %a, %o : i64, !llvm.ptr")
                  .message,
              "kernel: expects references that do not depend on where the code is mapped, but kernel is reached by "
              "R_AARCH64_ADR_GOT_PAGE");
    return;
  }
  Result<NativeCode> code = generate(R"(llvm.func @kernel(%o: !llvm.ptr, %t: i64, %n: i64) {
      %a = llvm.inline_asm has_side_effects "movq kernel@GOTPCREL(%rip), $0", "=r" : () -> i64
      llvm.store %a, %o : i64, !llvm.ptr
      llvm.return })");
  ASSERT_TRUE(code) << code.error().text();
  Mapped mapped(*code);
  uint64_t address = 0;
  mapped["kernel"](&address, 0, 1);
  EXPECT_EQ(address, reinterpret_cast<uint64_t>(mapped["kernel"]));
}

TEST_P(CodeGenerator, ReportsTheFirstFailureWithAnyJobs) {
  std::string text = "llvm.func @gone()\n";
  for (int i = 0; i < 12; ++i) {
    text += "llvm.func @k" + std::to_string(i) + "(%o: !llvm.ptr, %t: i64, %n: i64) {\n";
    text += i >= 5 ? "llvm.call @gone() : () -> ()\n" : "llvm.store %t, %o : i64, !llvm.ptr\n";
    text += "llvm.return }\n";
  }
  for (int jobs : {1, 3}) {
    Result<NativeCode> code = generate(text.c_str(), jobs);
    ASSERT_FALSE(code);
    EXPECT_EQ(code.error().message.substr(0, 3), "k5:");
  }
}

INSTANTIATE_TEST_SUITE_P(Levels, CodeGenerator, testing::ValuesIn(names()),
                         [](const testing::TestParamInfo<const char *> &info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

// Blocks of threads that compute a row's sum and what is made of it read the row again: where it lies stays as it was.
TEST(ProgramBuilder, refusesALaunchOfSeveralResultsThatReplacesWhatItReads) {
  auto build = [](const std::string &results, const std::string &types, const std::string &sources) {
    MLIRContext context(MLIRContext::Threading::DISABLED);
    context.loadDialect<transformer::TransformerDialect, func::FuncDialect>();
    const std::string dims = "array<i64: -1, 16>",
                      cache = "!transformer.cache<heads = 1, key = 16, value = 16, element = f16>";
    const std::string text =
        "module attributes {transformer.model = #transformer.model<name = \"m\", architecture = \"llama\", positions = "
        "64, "
        "width = 16, layers = 1, vocabulary = 16>} {\nfunc.func @layer(%x: tensor<?x16xf32>, %b: !transformer.batch, "
        "%c: " +
        cache + ") -> (tensor<?x16xf32>, " + cache + ") {\n" + results + " = transformer.dispatch @norm(%x) sources [" +
        sources + "] dims [" + dims + ", " + dims + (sources.size() > 10 ? ", " + dims : "") +
        "] : (tensor<?x16xf32>) -> (" + types + ")\nreturn %y#0, %c : tensor<?x16xf32>, " + cache +
        "\n}\nfunc.func @step(%x: tensor<?x16xf32>, %r: tensor<?xi32>, %b: !transformer.batch) -> tensor<?x16xf32> {\n"
        "%y = transformer.layers %x, %b kinds [@layer] order [0] : tensor<?x16xf32>\nreturn %y : "
        "tensor<?x16xf32>\n}\n}";
    OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(text, &context);
    EXPECT_TRUE(module);
    auto built = buildProgram(*module, *findTarget("emulated:sm_90a"), 7, false);
    EXPECT_FALSE(built);
    return built ? std::string() : built.error().text();
  };
  EXPECT_NE(build("%y:2", "tensor<?x16xf32>, tensor<?x16xf32>", "0, 0, 1, 0, 2, 0")
                .find("a launch of several results reads the residual stream that it leaves one of them in"),
            std::string::npos);
  // One result gets a place, and what is missing is its kernel.
  EXPECT_NE(build("%y:1", "tensor<?x16xf32>", "0, 0, 1, 0").find("expects the module @kernels"), std::string::npos);
}

// GPT-2 adds positions to embeddings in place, before there is a layer: what enters the first has to lie in the buffer
// of the residual stream, wherever the embeddings were. So many launches in place that the table of places grows.
TEST(ProgramBuilder, whatEntersTheFirstLayerLiesInTheResidualStream) {
  MLIRContext context(MLIRContext::Threading::DISABLED);
  context.loadDialect<transformer::TransformerDialect, tile::TileDialect, func::FuncDialect>();
  constexpr int count = 100;
  std::string steps;
  for (int i = 0; i < count; ++i)
    steps += "%x" + std::to_string(i + 1) + " = transformer.dispatch @add(%x" + std::to_string(i) +
             ") sources [0, 0, 1, 0] dims [array<i64: -1, 16>, array<i64: -1, 16>] {inplace = array<i64: 0, 0>} : "
             "(tensor<?x16xf32>) -> tensor<?x16xf32>\n";
  const std::string cache = "!transformer.cache<heads = 1, key = 16, value = 16, element = f16>";
  const std::string text =
      "module attributes {transformer.model = #transformer.model<name = \"m\", architecture = \"gpt2\", positions = "
      "64, "
      "width = 16, layers = 1, vocabulary = 16>} {\nmodule @kernels {\n"
      "func.func @embed_b0(%t: tensor<?xi32>, %x: tensor<?x16xf32>) attributes {tile.any_tile} { return }\n"
      "func.func @add_b0(%x: tensor<?x16xf32>, %y: tensor<?x16xf32>) attributes {tile.any_tile} { return }\n}\n"
      "func.func @layer(%x: tensor<?x16xf32>, %b: !transformer.batch, %c: " +
      cache + ") -> (tensor<?x16xf32>, " + cache + ") {\nreturn %x, %c : tensor<?x16xf32>, " + cache +
      "\n}\nfunc.func @step(%t: tensor<?xi32>, %r: tensor<?xi32>, %b: !transformer.batch) -> tensor<?x16xf32> {\n"
      "%x0 = transformer.dispatch @embed(%t) sources [0, 0, 1, 0] dims [array<i64: -1>, array<i64: -1, 16>] : "
      "(tensor<?xi32>) -> tensor<?x16xf32>\n" +
      steps + "%y = transformer.layers %x" + std::to_string(count) +
      ", %b kinds [@layer] order [0] : tensor<?x16xf32>\nreturn %y : tensor<?x16xf32>\n}\n}";
  OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(text, &context);
  ASSERT_TRUE(module);
  auto built = buildProgram(*module, *findTarget("emulated:sm_90a"), 7, false);
  ASSERT_TRUE(built) << built.error().text();
  const std::vector<stepdown_operand> &operands = built->operands; // two of each launch
  ASSERT_EQ(operands.size(), 2 * (count + 1));
  ASSERT_EQ(built->bufferNames[0], "residual");
  const uint32_t embeddings = operands[1].index;
  EXPECT_NE(embeddings, 0);
  for (int i = 0; i < count; ++i) {
    const stepdown_operand &from = operands[2 + 2 * i], &to = operands[3 + 2 * i];
    EXPECT_EQ(from.place, STEPDOWN_AT_BUFFER);
    EXPECT_EQ(to.place, STEPDOWN_AT_BUFFER);
    EXPECT_EQ(from.index, embeddings);
    EXPECT_EQ(to.index, i + 1 < count ? embeddings : 0);
  }
}
