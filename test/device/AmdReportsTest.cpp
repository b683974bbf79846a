// What the emulator reports of kernels of AMD, and how it counts: each rule broken by hand, and kept beside it.
#include "test/device/EmulatedKernel.h"
#include <gtest/gtest.h>

using namespace stepdown;
using namespace stepdown::test;

namespace {

/// A kernel of one block of 128 threads, two waves of gfx942, with 1024 bytes of LDS and `body` in the llvm dialect.
std::string kernelOf(const std::string &body) {
  return R"(module attributes {gpu.container_module} {
  gpu.module @kernels {
  llvm.mlir.global internal @lds() {addr_space = 3 : i32, alignment = 16 : i64} : !llvm.array<4096 x i8> {
    %p = llvm.mlir.poison : !llvm.array<4096 x i8>
    llvm.return %p : !llvm.array<4096 x i8>
  }
  llvm.func @kernel(%in: !llvm.ptr<1>, %out: !llvm.ptr<1>) attributes {rocdl.kernel, rocdl.flat_work_group_size = "128,128"} {
    %lds = llvm.mlir.addressof @lds : !llvm.ptr<3>
    %c0 = llvm.mlir.constant(0 : i32) : i32
    %c4 = llvm.mlir.constant(4 : i32) : i32
    %c127 = llvm.mlir.constant(127 : i32) : i32
    %tid = llvm.call_intrinsic "llvm.amdgcn.workitem.id.x"() : () -> i32
    %mine = llvm.mul %tid, %c4 : i32
    %other = llvm.xor %mine, %c127 : i32
    %far = llvm.mlir.constant(256 : i32) : i32
    %there = llvm.xor %mine, %far : i32
    %at = llvm.getelementptr %lds[%mine] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i8
    %from = llvm.getelementptr %lds[%there] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i8
    %to = llvm.getelementptr %out[%tid] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i32
)" + body +
         R"(
    llvm.return
  }
  }
}
)";
}

/// Runs `body` over 128 words, in[i] = i; the report, or "" and what it wrote.
struct Emulated {
  std::string report;
  std::vector<uint32_t> out = std::vector<uint32_t>(128, 0xffffffff);
  emulated::Statistics statistics;

  explicit Emulated(const std::string &body, const char *chip = "gfx942") {
    EmulatedKernel kernel(kernelOf(body), chip);
    if (!kernel.error.empty()) {
      report = kernel.error;
      return;
    }
    std::vector<uint32_t> in(128);
    for (uint32_t i = 0; i < 128; ++i)
      in[i] = i;
    kernel.emulator.map(in.data(), in.size() * 4, false);
    kernel.emulator.map(out.data(), out.size() * 4);
    const void *parameters[] = {in.data(), out.data()};
    emulated::LaunchShape shape;
    shape.block = {128, 1, 1};
    const Status status = kernel.emulator.launch("kernel", shape, parameters, sizeof parameters);
    if (!status)
      report = status.error().message;
    statistics = kernel.emulator.statistics();
  }
  bool says(const char *text) const { return report.find(text) != std::string::npos; }
};

const std::string
    writeWord = "    llvm.store volatile %tid, %at : i32, !llvm.ptr<3>\n",
    released = "    llvm.fence syncscope(\"workgroup\") release\n",
    barrier = "    llvm.call_intrinsic \"llvm.amdgcn.s.barrier\"() : () -> ()\n",
    acquired = "    llvm.fence syncscope(\"workgroup\") acquire\n",
    readWord = "    %v = llvm.load volatile %from : !llvm.ptr<3> -> i32\n    llvm.store %v, %to : i32, !llvm.ptr<1>\n";

} // namespace

TEST(AmdReports, BarriersOrderWhatFencesSurround) {
  const Emulated good(writeWord + released + barrier + acquired + readWord);
  EXPECT_EQ(good.report, "");
  EXPECT_EQ(good.out[3], 67u);
  EXPECT_EQ(good.out[127], 63u);
  // Each word has something in it already: what is missing is order alone.
  const std::string before = writeWord + released + barrier + acquired;
  for (const std::string &bad :
       {writeWord + released + acquired + readWord, writeWord + barrier + acquired + readWord,
        writeWord + released + barrier + readWord, barrier + writeWord + released + acquired + readWord})
    EXPECT_TRUE(Emulated(before + bad).says("race: ")) << bad << Emulated(before + bad).report;
}

// What one barrier has told stays until a lane acquires, whatever comes in between; what a lane stores behind its
// release is told by no barrier, also where it acquires what an earlier one told before it comes to the next.
TEST(AmdReports, BarriersTellWhatWasReleasedUntilItIsAcquired) {
  for (const std::string &good :
       {writeWord + released + barrier + barrier + acquired + readWord,
        writeWord + barrier + released + barrier + acquired + readWord,
        writeWord + released + barrier + released + barrier + acquired + readWord,
        writeWord + released + barrier + released + acquired + barrier + readWord,
        writeWord + released + barrier + released + acquired + barrier + acquired + readWord}) {
    const Emulated emulated(good);
    EXPECT_EQ(emulated.report, "") << good;
    EXPECT_EQ(emulated.out[3], 67u) << good;
  }
  const std::string before = writeWord + released + barrier;
  for (const std::string &bad : {barrier + readWord, released + acquired + writeWord + barrier + acquired + readWord,
                                 acquired + writeWord + released + acquired + barrier + readWord,
                                 acquired + released + writeWord + barrier + barrier + acquired + readWord})
    EXPECT_TRUE(Emulated(before + bad).says("race: ")) << bad << Emulated(before + bad).report;
}

// Lanes stop once for products that stand together and need nothing of each other, up to 16.
TEST(AmdReports, LanesStopOnceForProductsThatStandTogether) {
  auto products = [](int count, bool each) {
    const std::string sums = "vector<16xf32>";
    std::string text = "    %a = llvm.mlir.constant(dense<16256> : vector<4xi16>) : vector<4xi16>\n", behind; // of ones
    for (int i = 0; i < count; ++i) {
      const std::string n = std::to_string(i), from = each || !i ? "%z" + n : "%v" + std::to_string(i - 1);
      text = "    %z" + n + " = llvm.mlir.constant(dense<" + n + ".0> : " + sums + ") : " + sums + "\n" + text +
             "    %v" + n + " = llvm.call_intrinsic \"llvm.amdgcn.mfma.f32.32x32x8bf16.1k\"(%a, %a, " + from +
             ", %c0, %c0, %c0) : (vector<4xi16>, vector<4xi16>, " + sums + ", i32, i32, i32) -> " + sums + "\n";
      behind += "    %e" + n + " = llvm.extractelement %v" + n + "[%c4 : i32] : " + sums + "\n    %s" + n + " = " +
                (i ? "llvm.fadd %s" + std::to_string(i - 1) + ", %e" + n : "llvm.fadd %e0, %e0") + " : f32\n";
    }
    return text + behind + "    llvm.store %s" + std::to_string(count - 1) + ", %to : f32, !llvm.ptr<1>\n";
  };
  struct Case {
    int count;
    bool each; ///< begins with numbers of its own, else with what the one before it gives
    float sum; ///< of the first twice and the others once
    uint32_t stops;
  };
  for (const Case &c : {Case{1, true, 16, 1},
                        {16, true, 16 * 8 + 120 + 8, 1},
                        {17, true, 17 * 8 + 136 + 8, 2},
                        {2, false, 8 + 8 + 16, 2},
                        {3, false, 8 + 8 + 16 + 24, 3}}) {
    SCOPED_TRACE(c.count);
    const Emulated got(products(c.count, c.each));
    ASSERT_EQ(got.report, "");
    float sum;
    std::memcpy(&sum, &got.out[5], 4);
    EXPECT_EQ(sum, c.sum);
    EXPECT_EQ(got.statistics.switches, c.stops * 128u);
  }
}

// Bytes 0 to 3 are the second operand's; 8 to 11 ask for signs, 12 is zero, 13 all ones (v_perm_b32 of the instruction
// set guides).
TEST(AmdReports, PermSelectsBytes) {
  for (auto [selector, expected] : {std::pair(0x07040100, 0xf7c41180u), std::pair(0x0b0a0302, 0xffff03a2u),
                                    std::pair(0x0d0c0908, 0xff000000u), std::pair(0x00000506, 0x8080d5e6u)}) {
    const Emulated perm(
        "    %mineof = llvm.getelementptr %in[%tid] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i32\n"
        "    %i = llvm.load %mineof : !llvm.ptr<1> -> i32\n"
        "    %h = llvm.mlir.constant(-135866940 : i32) : i32\n" // 0xf7e6d5c4
        "    %l = llvm.mlir.constant(60952960 : i32) : i32\n"   // 0x03a21180
        "    %high = llvm.xor %h, %i : i32\n    %s = llvm.mlir.constant(" +
        std::to_string(selector) +
        " : i32) : i32\n    %got = llvm.call_intrinsic \"llvm.amdgcn.perm\"(%high, %l, %s) : (i32, i32, "
        "i32) -> i32\n    llvm.store %got, %to : i32, !llvm.ptr<1>\n");
    EXPECT_EQ(perm.report, "");
    EXPECT_EQ(perm.out[0], expected) << std::hex << selector;
  }
}

TEST(AmdReports, NamesTheWaveAndAMDsInstruction) {
  const Emulated bad(writeWord + readWord);
  EXPECT_TRUE(bad.says("(ds_read)") || bad.says("(ds_write)")) << bad.report;
  EXPECT_TRUE(bad.says("race: ") || bad.says("unwritten memory: ")) << bad.report;
}

TEST(AmdReports, UnwrittenAndOutsideOfLDS) {
  EXPECT_TRUE(Emulated(readWord).says("unwritten memory: reads shared memory at")) << Emulated(readWord).report;
  const std::string outside = "    %big = llvm.mlir.constant(4096 : i32) : i32\n    %o = llvm.add %mine, %big : i32\n"
                              "    %p = llvm.getelementptr %lds[%o] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i8\n"
                              "    llvm.store volatile %tid, %p : i32, !llvm.ptr<3>\n";
  EXPECT_TRUE(Emulated(outside).says("out of bounds: expects shared memory below 4096")) << Emulated(outside).report;
}

/// A load of the word at offset 4 t + `add` and scalar offset `scalar` of a buffer of `records` bytes that begins at
/// %in, into out[t].
static std::string throughBuffer(int add, int records, int scalar = 0) {
  return "    %s = llvm.mlir.constant(0 : i16) : i16\n    %n = llvm.mlir.constant(" + std::to_string(records) +
         " : i64) : i64\n    %f = llvm.mlir.constant(159744 : i32) : i32\n    %add = llvm.mlir.constant(" +
         std::to_string(add) + " : i32) : i32\n    %turn = llvm.mlir.constant(" + std::to_string(scalar) +
         " : i32) : i32\n    %r = llvm.call_intrinsic \"llvm.amdgcn.make.buffer.rsrc\"(%in, %s, %n, %f) : "
         "(!llvm.ptr<1>, i16, i64, i32) -> !llvm.ptr<8>\n    %o = llvm.add %mine, %add : i32\n    %v = "
         "llvm.call_intrinsic \"llvm.amdgcn.raw.ptr.buffer.load\"(%r, %o, %turn, %c0) : (!llvm.ptr<8>, i32, i32, i32) "
         "-> "
         "i32\n    llvm.store %v, %to : i32, !llvm.ptr<1>\n";
}

TEST(AmdReports, BuffersEndWhereTheySay) {
  const Emulated cut(throughBuffer(4, 400));
  EXPECT_EQ(cut.report, "");
  EXPECT_EQ(cut.out[98], 99u);
  EXPECT_EQ(cut.out[99], 0u); // at 400
  EXPECT_EQ(cut.out[127], 0u);
  EXPECT_TRUE(Emulated(throughBuffer(0, 402)).says("expects all or nothing of 4 bytes inside of its buffer of 402"))
      << Emulated(throughBuffer(0, 402)).report;
  EXPECT_TRUE(
      Emulated(throughBuffer(4, 1024)).says("out of bounds: expects mapped memory")); // a buffer that promises more
  EXPECT_TRUE(Emulated(throughBuffer(2, 400)).says("misaligned"));
  const Emulated turned(throughBuffer(0, 400, 12));
  EXPECT_TRUE(turned.says("expects 4 bytes inside of their buffer of 400 whether the scalar offset counts or not, but "
                          "got offset 388 and scalar offset 12"))
      << turned.report;
}

TEST(AmdReports, NamesUnknownIntrinsics) {
  const Emulated unknown(
      "    %v = llvm.call_intrinsic \"llvm.amdgcn.s.memtime\"() : () -> i64\n    %w = llvm.trunc %v : i64 "
      "to i32\n    llvm.store %w, %to : i32, !llvm.ptr<1>\n");
  EXPECT_TRUE(unknown.says("expects an instruction with a meaning, but got llvm.amdgcn.s.memtime")) << unknown.report;
  EXPECT_TRUE(unknown.says("kernel: kernel.mlir:")) << unknown.report;
  const std::string wide =
      "    %a = llvm.mlir.constant(dense<0> : vector<4xi32>) : vector<4xi32>\n    %z = llvm.mlir.constant(dense<0> : "
      "vector<4xi32>) : vector<4xi32>\n    %i = llvm.mlir.constant(0 : i64) : i64\n    %v = llvm.call_intrinsic "
      "\"llvm.amdgcn.mfma.i32.16x16x32.i8\"(%i, %i, %a, %c0, %c0, %c0) : (i64, i64, vector<4xi32>, i32, i32, i32) -> "
      "vector<4xi32>\n    %e = llvm.extractelement %v[%c0 : i32] : vector<4xi32>\n    llvm.store %e, %to : i32, "
      "!llvm.ptr<1>\n";
  EXPECT_TRUE(Emulated(wide).says("but got llvm.amdgcn.mfma.i32.16x16x32.i8")) << Emulated(wide).report;
}

/// Where lane l of a wave writes: a word at 4 s l.
TEST(AmdReports, CountsBankConflictsOfWavesOf64) {
  auto stride = [](int bytes) {
    return "    %s = llvm.mlir.constant(" + std::to_string(bytes) +
           " : i32) : i32\n    %m = llvm.mlir.constant(31 : i32) : i32\n    %l = llvm.and %tid, %m : i32\n    %o = "
           "llvm.mul %l, %s : i32\n    %p = llvm.getelementptr %lds[%o] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i8\n"
           "    %w = llvm.icmp \"ult\" %tid, %s : i32\n    llvm.store volatile %l, %p : i32, !llvm.ptr<3>\n";
  };
  // Lanes 32 apart and both waves write the same words: a race, but for one wave of one half.
  EXPECT_TRUE(Emulated(stride(4)).says("race"));
  const std::string own = "    %p = llvm.getelementptr %lds[%o] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i8\n"
                          "    llvm.store volatile %tid, %p : i32, !llvm.ptr<3>\n";
  const Emulated together("    %o = llvm.mul %tid, %c4 : i32\n" + own);
  EXPECT_EQ(together.report, "");
  EXPECT_EQ(together.statistics.sharedAccesses, 2u); // of two waves
  EXPECT_EQ(together.statistics.bankConflicts, 0u);
  const Emulated apart("    %c8 = llvm.mlir.constant(8 : i32) : i32\n    %o = llvm.mul %tid, %c8 : i32\n" + own);
  EXPECT_EQ(apart.statistics.bankConflicts, 4u); // 32 lanes go together, and meet in 16 banks
}

TEST(AmdReports, MatrixInstructionsWantTheWholeWave) {
  const std::string product =
      "    %a = llvm.mlir.constant(dense<1> : vector<4xi16>) : vector<4xi16>\n    %z = llvm.mlir.constant(dense<0.0> : "
      "vector<16xf32>) : vector<16xf32>\n    %half = llvm.mlir.constant(32 : i32) : i32\n    %some = llvm.icmp "
      "\"ult\" %tid, %half : i32\n    llvm.cond_br %some, ^in, ^out\n  ^in:\n    %v = llvm.call_intrinsic "
      "\"llvm.amdgcn.mfma.f32.32x32x8bf16.1k\"(%a, %a, %z, %c0, %c0, %c0) : (vector<4xi16>, vector<4xi16>, "
      "vector<16xf32>, i32, i32, i32) -> vector<16xf32>\n    %e = llvm.extractelement %v[%c0 : i32] : vector<16xf32>\n"
      "    llvm.store volatile %e, %to : f32, !llvm.ptr<1>\n    llvm.br ^out\n  ^out:\n";
  EXPECT_TRUE(Emulated(product).says("reached by part of its threads")) << Emulated(product).report;
}

TEST(AmdReports, Gfx11WantsBothHalvesAlike) {
  auto product = [](const char *from) {
    return std::string("    %i = llvm.trunc ") + from + " : i32 to i16\n    %a0 = llvm.mlir.poison : vector<16xi16>\n" +
           "    %a1 = llvm.insertelement %i, %a0[%c0 : i32] : vector<16xi16>\n    %a = llvm.shufflevector %a1, %a1 "
           "[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0] : vector<16xi16>\n    %z = llvm.mlir.constant(dense<0.0> "
           ": vector<8xf32>) : vector<8xf32>\n    %v = llvm.call_intrinsic \"llvm.amdgcn.wmma.f32.16x16x16.bf16\"(%a, "
           "%a, %z) : (vector<16xi16>, vector<16xi16>, vector<8xf32>) -> vector<8xf32>\n    %e = llvm.extractelement "
           "%v[%c0 : i32] : vector<8xf32>\n    llvm.store %e, %to : f32, !llvm.ptr<1>\n";
  };
  const std::string alike = "    %m = llvm.mlir.constant(15 : i32) : i32\n    %l = llvm.and %tid, %m : i32\n";
  EXPECT_EQ(Emulated(alike + product("%l"), "gfx1100").report, "");
  const Emulated apart(product("%tid"), "gfx1100");
  EXPECT_TRUE(apart.says("expects lanes 16 to 31 to hold what lanes 0 to 15 do")) << apart.report;
}

// Products of int8 on gfx11: whether an operand has a sign, and whether sums stop at the largest, are operands of the
// instruction (v_wmma_i32_16x16x16_iu8). Sums of 16 products of -128 and -128 from 2^31 - 1 on wrap.
TEST(AmdReports, ProductsOfInt8AreSignedAndWrap) {
  auto product = [](bool a, bool b, bool stops) {
    auto flag = [](const char *name, bool set) {
      return std::string("    %") + name + " = llvm.mlir.constant(" + (set ? "true" : "false") + ") : i1\n";
    };
    return flag("sa", a) + flag("sb", b) + flag("stops", stops) +
           "    %a = llvm.mlir.constant(dense<-2139062144> : vector<4xi32>) : vector<4xi32>\n"
           "    %z = llvm.mlir.constant(dense<2147483647> : vector<8xi32>) : vector<8xi32>\n"
           "    %v = llvm.call_intrinsic \"llvm.amdgcn.wmma.i32.16x16x16.iu8\"(%sa, %a, %sb, %a, %z, %stops) : (i1, "
           "vector<4xi32>, i1, vector<4xi32>, vector<8xi32>, i1) -> vector<8xi32>\n"
           "    %e = llvm.extractelement %v[%c0 : i32] : vector<8xi32>\n    llvm.store %e, %to : i32, !llvm.ptr<1>\n";
  };
  const Emulated good(product(true, true, false), "gfx1100");
  EXPECT_EQ(good.report, "");
  EXPECT_EQ(good.out[0], 0x7fffffffu + 16 * 128 * 128);
  for (const auto &[a, b] : {std::pair(false, true), {true, false}, {false, false}}) {
    const Emulated bad(product(a, b, false), "gfx1100");
    EXPECT_TRUE(bad.says("expects operands with a sign")) << bad.report;
  }
  const Emulated stops(product(true, true, true), "gfx1100");
  EXPECT_TRUE(stops.says("expects sums that wrap")) << stops.report;
}

// MI200's matrix instructions of bf16 and f16 take subnormal numbers as zeros, and give zeros for them; later chips
// keep them ("MI200 MFMA behavior specifics", MIOpen 6.4.1). Sums of eight products of `a` and `b` from `c` on.
TEST(AmdReports, MatrixInstructionsOfGfx90aFlushSubnormalNumbers) {
  auto product = [](bool half, uint16_t a, uint16_t b, uint32_t c) {
    const std::string of = half ? "vector<4xf16>" : "vector<4xi16>", name = half ? "32x32x8f16" : "32x32x8bf16.1k";
    auto splat = [&](const char *to, uint16_t bits) {
      return std::string("    %") + to + "i = llvm.mlir.constant(dense<" + std::to_string(int16_t(bits)) +
             "> : vector<4xi16>) : vector<4xi16>\n    %" + to + " = llvm.bitcast %" + to + "i : vector<4xi16> to " +
             of + "\n";
    };
    return splat("a", a) + splat("b", b) + "    %ci = llvm.mlir.constant(dense<" + std::to_string(int32_t(c)) +
           "> : vector<16xi32>) : vector<16xi32>\n    %c = llvm.bitcast %ci : vector<16xi32> to vector<16xf32>\n"
           "    %v = llvm.call_intrinsic \"llvm.amdgcn.mfma.f32." +
           name + "\"(%a, %b, %c, %c0, %c0, %c0) : (" + of + ", " + of +
           ", vector<16xf32>, i32, i32, i32) -> vector<16xf32>\n    %e = llvm.extractelement %v[%c0 : i32] : "
           "vector<16xf32>\n    llvm.store %e, %to : f32, !llvm.ptr<1>\n";
  };
  struct Case {
    bool half;
    uint16_t a, b;
    uint32_t c;
    float kept, flushed;
  };
  const uint16_t one = 0x3c00, wide = 0x3f80; // 1 of f16, and of bf16
  for (const Case &each :
       {Case{true, 0x03ff, one, 0, 8 * 0x3ffp-24f, 0}, // the largest below 2^-14, the smallest above
        Case{true, 0x0400, one, 0, 0x1p-11f, 0x1p-11f},
        Case{true, one, 0x83ff, 0, -8 * 0x3ffp-24f, 0},  // of the second factor, and negative
        Case{true, 0, 0, 0x007fffff, 0x7fffffp-149f, 0}, // a sum to begin with
        Case{true, 0, 0, 0x00800000, 0x1p-126f, 0x1p-126f}, Case{false, 0x007f, wide, 0, 8 * 0x7fp-133f, 0},
        Case{false, 0x0080, wide, 0, 0x1p-123f, 0x1p-123f},
        Case{false, 0x1f80, 0x1f80, 0, 0x1p-125f, 0x1p-125f}, // 2^-64
        Case{false, 0x1f80, 0x1f00, 0, 0x1p-126f, 0x1p-126f},
        Case{false, 0x1f00, 0x9f00, 0, -0x1p-127f, 0}}) { // of factors that are not, a sum that is
    SCOPED_TRACE(testing::Message() << std::hex << each.a << " x " << each.b << " from " << each.c);
    for (auto [chip, wanted] : {std::pair("gfx90a", each.flushed), std::pair("gfx942", each.kept)}) {
      const Emulated got(product(each.half, each.a, each.b, each.c), chip);
      ASSERT_EQ(got.report, "");
      float value;
      std::memcpy(&value, &got.out[5], 4);
      EXPECT_EQ(value, wanted) << chip;
    }
  }
}

// Types and scales are operands of gfx950's instruction (v_mfma_f32_32x32x64_f8f6f4). 0x3838 are two ones of e4m3, of
// e5m2 two halves: sums of 64 products.
TEST(AmdReports, ProductsOfFp8AreOfTwoTypesWithoutScales) {
  auto product = [](int a, int b, int scale) {
    auto number = [](const char *name, int value) {
      return std::string("    %") + name + " = llvm.mlir.constant(" + std::to_string(value) + " : i32) : i32\n";
    };
    return number("ta", a) + number("tb", b) + number("scale", scale) +
           "    %a = llvm.mlir.constant(dense<943208504> : vector<8xi32>) : vector<8xi32>\n"
           "    %z = llvm.mlir.constant(dense<0.0> : vector<16xf32>) : vector<16xf32>\n"
           "    %v = llvm.call_intrinsic \"llvm.amdgcn.mfma.scale.f32.32x32x64.f8f6f4\"(%a, %a, %z, %ta, %tb, %c0, "
           "%scale, %c0, %c0) : (vector<8xi32>, vector<8xi32>, vector<16xf32>, i32, i32, i32, i32, i32, i32) -> "
           "vector<16xf32>\n    %e = llvm.extractelement %v[%c0 : i32] : vector<16xf32>\n"
           "    llvm.store %e, %to : f32, !llvm.ptr<1>\n";
  };
  for (auto [a, b, sum] : {std::tuple(0, 0, 64.0f), {1, 0, 32.0f}, {0, 1, 32.0f}, {1, 1, 16.0f}}) {
    const Emulated good(product(a, b, 0));
    EXPECT_EQ(good.report, "");
    float got;
    std::memcpy(&got, &good.out[0], 4);
    EXPECT_EQ(got, sum) << a << ", " << b;
  }
  // Factors of fewer bits are shorter vectors, which LLVM takes by itself.
  for (auto [a, b, types] : {std::tuple(4, 0, "v4i32.v8i32"), {0, 2, "v8i32.v6i32"}}) {
    const Emulated other(product(a, b, 0));
    EXPECT_TRUE(other.says((std::string("but got llvm.amdgcn.mfma.scale.f32.32x32x64.f8f6f4.") + types).c_str()))
        << other.report;
  }
  EXPECT_TRUE(Emulated(product(0, 0, 127)).says("expects no scales"));
}
