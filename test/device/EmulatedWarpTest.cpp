// Operations of a warp and of a cluster, against what the PTX ISA says of them, computed here.
#include "test/device/EmulatedKernel.h"
#include <gtest/gtest.h>

using namespace stepdown;
using namespace stepdown::test;

namespace {

/// @k(out, maps...) with `body`, a result for each thread at %o.
std::string module(const std::string &body, const char *attributes = "", const std::string &parameters = "") {
  return "module attributes {gpu.container_module} {\ngpu.module @kernels {\n"
         "llvm.mlir.global external @smem() {addr_space = 3 : i32, alignment = 1024 : i64} : !llvm.array<0 x i8>\n"
         "llvm.func @k(%out: !llvm.ptr<1>" +
         parameters + ") attributes {nvvm.kernel" + attributes +
         "} {\n%c0 = arith.constant 0 : i32\n%c1 = arith.constant 1 : i32\n%all = arith.constant -1 : i32\n%true = "
         "arith.constant true\n"
         "%tid = nvvm.read.ptx.sreg.tid.x : i32\n%cta = nvvm.read.ptx.sreg.ctaid.x : i32\n%ntid = "
         "nvvm.read.ptx.sreg.ntid.x : i32\n"
         "%smem = llvm.mlir.addressof @smem : !llvm.ptr<3>\n%cb = arith.muli %cta, %ntid : i32\n%gid = arith.addi %cb, "
         "%tid : i32\n"
         "%o = llvm.getelementptr %out[%gid] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i32\n"
         "%first = arith.cmpi eq, %tid, %c0 : i32\n" +
         body + "\nllvm.return\n}\n}\n}\n";
}

struct Launched {
  std::vector<uint32_t> out = std::vector<uint32_t>(64, 0xdead);
  std::string error;
  emulated::Statistics statistics;
  Launched(const std::string &text, emulated::LaunchShape shape, std::vector<uint8_t> more = {},
           const char *chip = "sm_90a", uint64_t seed = 0) {
    EmulatedKernel kernel(text, chip);
    error = kernel.error;
    if (!error.empty())
      return;
    kernel.emulator.map(out.data(), out.size() * 4);
    std::vector<uint8_t> parameters(64);
    void *address = out.data();
    std::memcpy(parameters.data(), &address, 8);
    parameters.insert(parameters.end(), more.begin(), more.end());
    emulated::Options options;
    options.seed = seed;
    if (source.size())
      kernel.emulator.map(source.data(), source.size() * 2, false);
    if (Status status = kernel.emulator.launch("k", shape, parameters.data(), parameters.size(), options); !status)
      error = status.error().text();
    statistics = kernel.emulator.statistics();
  }
  static std::vector<uint16_t> source;
};
std::vector<uint16_t> Launched::source;

emulated::LaunchShape oneWarp(uint32_t sharedBytes = 0) {
  emulated::LaunchShape shape;
  shape.block = {32, 1, 1};
  shape.sharedBytes = sharedBytes;
  return shape;
}

const std::string store = "llvm.store %x, %o : i32, !llvm.ptr<1>";

} // namespace

TEST(EmulatedWarp, ShufflesTakeFromTheLaneTheyName) {
  struct {
    const char *kind;
    int by, clamp;
    uint32_t (*from)(uint32_t);
  } const cases[] = {
      {"idx", 5, 31, [](uint32_t) { return 5u; }},
      {"bfly", 3, 31, [](uint32_t lane) { return lane ^ 3; }},
      {"up", 3, 0, [](uint32_t lane) { return lane < 3 ? lane : lane - 3; }},
      {"down", 7, 31, [](uint32_t lane) { return lane > 24 ? lane : lane + 7; }},
      {"idx", 2, 31 | 24 << 8, [](uint32_t lane) { return (lane & 24) + 2; }}, // segments of 8 lanes
  };
  for (const auto &c : cases) {
    Launched run(module("%by = arith.constant " + std::to_string(c.by) + " : i32\n%clamp = arith.constant " +
                        std::to_string(c.clamp) + " : i32\n%s = arith.muli %tid, %tid : i32\n%x = nvvm.shfl.sync " +
                        c.kind + " %all, %s, %by, %clamp : i32 -> i32\n" + store),
                 oneWarp());
    ASSERT_EQ(run.error, "");
    for (uint32_t lane = 0; lane < 32; ++lane)
      EXPECT_EQ(run.out[lane], c.from(lane) * c.from(lane)) << c.kind << " lane " << lane;
  }
}

TEST(EmulatedWarp, VotesAndReductions) {
  Launched run(
      module("%c3 = arith.constant 3 : i32\n%low = arith.cmpi ult, %tid, %c3 : i32\n%x = nvvm.vote.sync ballot "
             "%all, %low -> i32\n" +
             store),
      oneWarp());
  ASSERT_EQ(run.error, "");
  EXPECT_EQ(run.out[17], 7u);
  Launched sum(module("%x = nvvm.redux.sync add %tid, %all : i32 -> i32\n" + store), oneWarp());
  ASSERT_EQ(sum.error, "");
  EXPECT_EQ(sum.out[31], 496u);
  Launched elected(module("%e = nvvm.elect.sync -> i1\n%x = arith.extui %e : i1 to i32\n" + store), oneWarp(), {},
                   "sm_90a", 5);
  ASSERT_EQ(elected.error, "");
  uint32_t leaders = 0;
  for (uint32_t lane = 0; lane < 32; ++lane)
    leaders += elected.out[lane];
  EXPECT_EQ(leaders, 1u);
}

TEST(EmulatedWarp, DivergedLanesMeetAgain) {
  // Turns of a loop differ from lane to lane; the shuffle behind it has them all.
  Launched run(
      module("%n = scf.for %i = %c0 to %tid step %c1 iter_args(%s = %c0) -> (i32) : i32 {\n%t = arith.addi %s, %i "
             ": i32\nscf.yield %t : i32\n}\n"
             "%c31 = arith.constant 31 : i32\n%x = nvvm.shfl.sync bfly %all, %n, %c1, %c31 : i32 -> i32\n" +
             store),
      oneWarp());
  ASSERT_EQ(run.error, "");
  for (uint32_t lane = 0; lane < 32; ++lane)
    EXPECT_EQ(run.out[lane], (lane ^ 1) * ((lane ^ 1) - 1) / 2);
}

TEST(EmulatedWarp, BlocksOfAClusterReadEachOther) {
  const std::string body =
      "%sum = arith.muli %gid, %gid : i32\n%mine = llvm.getelementptr %smem[%tid] : (!llvm.ptr<3>, i32) -> "
      "!llvm.ptr<3>, i32\n"
      "llvm.store %sum, %mine : i32, !llvm.ptr<3>\nnvvm.cluster.arrive {aligned}\nnvvm.cluster.wait {aligned}\n"
      "%rank = nvvm.read.ptx.sreg.cluster.ctaid.x : i32\n%peer = arith.xori %rank, %c1 : i32\n"
      "%theirs = nvvm.mapa %mine, %peer : !llvm.ptr<3> -> !llvm.ptr<7>\n%x = llvm.load %theirs : !llvm.ptr<7> -> "
      "i32\n" +
      store + "\nnvvm.cluster.arrive {aligned}\nnvvm.cluster.wait {aligned}";
  emulated::LaunchShape shape = oneWarp(256);
  shape.grid = {2, 1, 1};
  shape.cluster = 2;
  Launched run(module(body, ", nvvm.cluster_dim = array<i32: 2, 1, 1>"), shape);
  ASSERT_EQ(run.error, "");
  for (uint32_t i = 0; i < 64; ++i)
    EXPECT_EQ(run.out[i], (i ^ 32) * (i ^ 32));
  const std::string early = body.substr(0, body.rfind("\nnvvm.cluster.arrive")); // one may end while the other reads
  EXPECT_NE(
      Launched(module(early, ", nvvm.cluster_dim = array<i32: 2, 1, 1>"), shape).error.find("not to end before, but"),
      std::string::npos);
  std::string without = body;
  without.erase(without.find("nvvm.cluster.arrive"),
                std::string("nvvm.cluster.arrive {aligned}\nnvvm.cluster.wait {aligned}\n").size());
  EXPECT_NE(
      Launched(module(without, ", nvvm.cluster_dim = array<i32: 2, 1, 1>"), shape).error.find("nothing was written"),
      std::string::npos);
}

TEST(EmulatedWarp, CopiesReachEveryBlockOfTheirMask) {
  // Block 1 alone loads a box of 2 x 32, which begins one column in front of the tensor, for both.
  const std::string body =
      "%bar = llvm.getelementptr %smem[1024] : (!llvm.ptr<3>) -> !llvm.ptr<3>, i8\n%bytes = arith.constant 128 : "
      "i32\n%m1 = arith.constant -1 : i32\n"
      "scf.if %first {\nnvvm.mbarrier.init %bar, %c1 : !llvm.ptr<3>, i32\nnvvm.fence.mbarrier.init\n"
      "%t = nvvm.mbarrier.arrive.expect_tx %bar, %bytes : !llvm.ptr<3>, i32 -> i64\n}\nnvvm.cluster.arrive "
      "{aligned}\nnvvm.cluster.wait {aligned}\n"
      "%loads = arith.cmpi eq, %gid, %ntid : i32\nscf.if %loads {\n%to = llvm.addrspacecast %smem : !llvm.ptr<3> to "
      "!llvm.ptr<7>\n%mask = arith.constant 3 : i16\n"
      "nvvm.cp.async.bulk.tensor.shared.cluster.global %to, %map, %bar, box[%m1, %c0] multicast_mask = %mask : "
      "!llvm.ptr<7>, !llvm.ptr\n}\n"
      "scf.while : () -> () {\n%d = nvvm.mbarrier.try_wait %bar, %c0 : !llvm.ptr<3>, i32 -> i1\n%a = arith.xori %d, "
      "%true : i1\nscf.condition(%a)\n} do { scf.yield }\n"
      "%p = llvm.getelementptr %smem[%tid] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i32\n%x = llvm.load %p : "
      "!llvm.ptr<3> -> i32\n" +
      store + "\nnvvm.cluster.arrive {aligned}\nnvvm.cluster.wait {aligned}";
  Launched::source.assign(64, 0);
  for (uint32_t i = 0; i < 64; ++i)
    Launched::source[i] = uint16_t(100 + i);
  std::vector<uint8_t> map(128);
  const stepdown_tensor_map encoded = tensorMap(Launched::source.data(), 2, 29, 32, 2, 32, 0);
  std::memcpy(map.data(), &encoded, 128);
  emulated::LaunchShape shape = oneWarp(2048);
  shape.grid = {2, 1, 1};
  shape.cluster = 2;
  for (uint64_t seed : {0, 3}) {
    Launched run(
        module(body, ", nvvm.cluster_dim = array<i32: 2, 1, 1>",
               ", %map: !llvm.ptr {llvm.byval = !llvm.array<128 x i8>, llvm.align = 64 : i64, nvvm.grid_constant}"),
        shape, map, "sm_90a", seed);
    ASSERT_EQ(run.error, "");
    for (uint32_t i = 0; i < 64; ++i)
      for (uint32_t h = 0; h < 2; ++h) {
        const uint32_t element = i % 32 * 2 + h, row = element / 32, column = element % 32;
        const uint32_t expected = column == 0 || column > 29 ? 0 : 100 + row * 32 + column - 1;
        EXPECT_EQ(run.out[i] >> 16 * h & 0xffff, expected) << i << " " << h;
      }
  }
  Launched::source.clear();
}

TEST(EmulatedWarp, AmpereCopiesAndMultiplies) {
  // cp.async of 16 x 16 bf16, rows of 32 bytes; ldmatrix; mma with itself as B: C = A A^T of the first 8 columns.
  const std::string body =
      "%c4 = arith.constant 4 : i32\n%c15 = arith.constant 15 : i32\n%c16 = arith.constant 16 : i32\n%c32 = "
      "arith.constant 32 : i32\n"
      "%off = arith.muli %tid, %c16 : i32\n%to = llvm.getelementptr %smem[%off] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, "
      "i8\n"
      "%from = llvm.getelementptr %src[%off] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8\n"
      "nvvm.cp.async.shared.global %to, %from, 16, cache = cg : !llvm.ptr<3>, "
      "!llvm.ptr<1>\nnvvm.cp.async.commit.group\nnvvm.cp.async.wait.group 0\nnvvm.bar.warp.sync %all : i32\n"
      "%row = arith.andi %tid, %c15 : i32\n%half = arith.shrui %tid, %c4 : i32\n%ro = arith.muli %row, %c32 : i32\n%ho "
      "= arith.muli %half, %c16 : i32\n"
      "%ao = arith.addi %ro, %ho : i32\n%ap = llvm.getelementptr %smem[%ao] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i8\n"
      "%a = nvvm.ldmatrix %ap {eltType = #nvvm.ld_st_matrix_elt_type<b16>, layout = #nvvm.mma_layout<row>, num = 4 : "
      "i32, shape = #nvvm.ld_st_matrix_shape<m = 8, n = 8>} : (!llvm.ptr<3>) -> !llvm.struct<(i32, i32, i32, i32)>\n"
      "%a0 = llvm.extractvalue %a[0] : !llvm.struct<(i32, i32, i32, i32)>\n%a1 = llvm.extractvalue %a[1] : "
      "!llvm.struct<(i32, i32, i32, i32)>\n"
      "%a2 = llvm.extractvalue %a[2] : !llvm.struct<(i32, i32, i32, i32)>\n%a3 = llvm.extractvalue %a[3] : "
      "!llvm.struct<(i32, i32, i32, i32)>\n"
      "%z = arith.constant 0.0 : f32\n%d = nvvm.mma.sync A[%a0, %a1, %a2, %a3] B[%a0, %a2] C[%z, %z, %z, %z] {layoutA "
      "= #nvvm.mma_layout<row>, layoutB = #nvvm.mma_layout<col>, "
      "multiplicandAPtxType = #nvvm.mma_type<bf16>, multiplicandBPtxType = #nvvm.mma_type<bf16>, shape = #nvvm.shape<m "
      "= 16, n = 8, k = 16>} : (i32, i32, f32) -> !llvm.struct<(f32, f32, f32, f32)>\n"
      "%f = llvm.extractvalue %d[1] : !llvm.struct<(f32, f32, f32, f32)>\n%x = llvm.bitcast %f : f32 to i32\n" +
      store;
  Launched::source.assign(256, 0);
  std::mt19937 random(11);
  for (uint16_t &x : Launched::source)
    x = toBf16(std::uniform_real_distribution<float>(-1, 1)(random));
  std::vector<uint8_t> more(8);
  const void *address = Launched::source.data();
  std::memcpy(more.data(), &address, 8);
  // Parameters lie at multiples of their size: the second pointer directly behind the first.
  const std::string text = module(
      body, "", ", %pad: !llvm.ptr {llvm.byval = !llvm.array<56 x i8>, llvm.align = 8 : i64}, %src: !llvm.ptr<1>");
  Launched run(text, oneWarp(512), more, "sm_80");
  ASSERT_EQ(run.error, "");
  for (uint32_t lane = 0; lane < 32; ++lane) {
    const uint32_t row = lane / 4, column = lane % 4 * 2 + 1;
    double sum = 0;
    for (uint32_t k = 0; k < 16; ++k)
      sum += double(fromBf16(Launched::source[row * 16 + k])) * fromBf16(Launched::source[column * 16 + k]);
    float got;
    std::memcpy(&got, &run.out[lane], 4);
    EXPECT_NEAR(got, sum, 16 * 16 * 0x1p-24);
  }
  // Without the wait, the words are still to come; without the barrier, those of other lanes are.
  for (const char *missing : {"nvvm.cp.async.wait.group 0\n", "nvvm.bar.warp.sync %all : i32\n"}) {
    std::string without = text;
    without.erase(without.find(missing), std::strlen(missing));
    EXPECT_NE(Launched(without, oneWarp(512), more, "sm_80").error.find("race: reads shared memory"), std::string::npos)
        << missing;
  }
  Launched::source.clear();
}
