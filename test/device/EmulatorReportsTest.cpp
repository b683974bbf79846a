// One small kernel for each rule that the emulator holds kernels to: the report names what and where.
#include "test/device/EmulatedKernel.h"
#include <gtest/gtest.h>

using namespace stepdown;
using namespace stepdown::test;

namespace {

std::string module(const std::string &body, const std::string &more = "") {
  return std::string(
             "module attributes {gpu.container_module} {\ngpu.module @kernels {\n"
             "llvm.mlir.global external @smem() {addr_space = 3 : i32, alignment = 1024 : i64} : !llvm.array<0 x i8>\n"
             "llvm.func @k(%out: !llvm.ptr<1>, %n: i32) attributes {nvvm.kernel, nvvm.maxntid = array<i32: ") +
         "64, 1, 1>" + more +
         "} {\n%c0 = arith.constant 0 : i32\n%c1 = arith.constant 1 : i32\n%c4 = arith.constant 4 : i32\n%true "
         "= arith.constant true\n"
         "%tid = nvvm.read.ptx.sreg.tid.x : i32\n%smem = llvm.mlir.addressof @smem : !llvm.ptr<3>\n"
         "%mine = llvm.getelementptr %smem[%tid] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i32\n"
         "%o = llvm.getelementptr %out[%tid] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i32\n"
         "%first = arith.cmpi eq, %tid, %c0 : i32\n" +
         body + "\nllvm.return\n}\n}\n}\n";
}

/// Runs `body` in one cluster of so many blocks of 64 threads with 1024 bytes of shared memory; "" or the report.
std::string run(const std::string &body, uint64_t seed = 0, const char *chip = "sm_90a", uint32_t outBytes = 256,
                uint32_t cluster = 1) {
  EmulatedKernel kernel(
      module(body, cluster == 1 ? "" : ", nvvm.cluster_dim = array<i32: " + std::to_string(cluster) + ", 1, 1>"), chip);
  if (!kernel.error.empty())
    return kernel.error;
  alignas(64) static uint8_t out[256];
  kernel.emulator.map(out, outBytes);
  struct {
    void *out;
    int32_t n;
  } parameters = {out, 3};
  emulated::LaunchShape shape;
  shape.block = {64, 1, 1};
  shape.grid = {cluster, 1, 1};
  shape.cluster = cluster;
  shape.sharedBytes = 1024;
  emulated::Options options;
  options.seed = seed;
  options.bound = 10000;
  Status status = kernel.emulator.launch("k", shape, &parameters, 12, options);
  return status ? "" : status.error().text();
}

#define EXPECT_REPORT(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

const std::string exchange =
    "llvm.store %tid, %mine : i32, !llvm.ptr<3>\n%BARRIER\n"
    "%c63 = arith.constant 63 : i32\n%other = arith.subi %c63, %tid : i32\n"
    "%theirs = llvm.getelementptr %smem[%other] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i32\n"
    "%x = llvm.load volatile %theirs : !llvm.ptr<3> -> i32\nllvm.store %x, %o : i32, !llvm.ptr<1>";

std::string with(std::string text, const std::string &barrier) {
  return text.replace(text.find("%BARRIER"), 8, barrier);
}

} // namespace

TEST(EmulatorReports, RaceInSharedMemory) {
  EXPECT_EQ(run(with(exchange, "nvvm.barrier0")), "");
  const std::string report = run("llvm.store %c0, %mine : i32, !llvm.ptr<3>\nnvvm.barrier0\n" + with(exchange, ""));
  EXPECT_REPORT(report, "error E1004: kernel k, kernel.mlir:");
  EXPECT_REPORT(report, "race: ");
  // A warp of its own barrier does not order the other one.
  EXPECT_REPORT(run(with(exchange, "%m = arith.constant -1 : i32\nnvvm.bar.warp.sync %m : i32")), "unwritten memory: ");
}

TEST(EmulatorReports, RaceInGlobalMemory) {
  EXPECT_REPORT(run("llvm.store %tid, %out : i32, !llvm.ptr<1>"),
                "race: writes global memory at 0, which nothing orders after st.global");
  EXPECT_EQ(run("%old = llvm.atomicrmw add %out, %c1 monotonic : !llvm.ptr<1>, i32"), "");
}

TEST(EmulatorReports, UnwrittenSharedMemory) {
  EXPECT_REPORT(run("%x = llvm.load %mine : !llvm.ptr<3> -> i32\nllvm.store %x, %o : i32, !llvm.ptr<1>"),
                "unwritten memory: reads shared memory at 0, where nothing was written");
}

TEST(EmulatorReports, CopiesOfEveryLaneAreKeptApart) {
  // Each lane's copies are an agent of their own, more of them than a launch begins with.
  const std::string copy =
      "nvvm.cp.async.shared.global %mine, %o, 4, cache = ca : !llvm.ptr<3>, !llvm.ptr<1>\nnvvm.cp.async.commit.group\n";
  const std::string read = "%c63 = arith.constant 63 : i32\n%other = arith.subi %c63, %tid : i32\n"
                           "%theirs = llvm.getelementptr %smem[%other] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i32\n"
                           "%x = llvm.load volatile %theirs : !llvm.ptr<3> -> i32";
  EXPECT_EQ(run(copy + "nvvm.cp.async.wait.group 0\nnvvm.barrier0\n" + read), "");
  EXPECT_REPORT(run(copy + "nvvm.barrier0\n" + read), "which nothing orders after cp.async.ca.shared.global.4");
  EXPECT_REPORT(run(copy), "unfinished: expects to be waited for before the block ends");
}

TEST(EmulatorReports, AddedStoresOfOtherTypesThanF32) {
  // A warp adds its lanes' numbers, as f32, to 29 elements of a tensor; the other three of the box lie outside.
  const std::string text =
      "module attributes {gpu.container_module} {\ngpu.module @kernels {\n"
      "llvm.mlir.global external @smem() {addr_space = 3 : i32, alignment = 1024 : i64} : !llvm.array<0 x i8>\n"
      "llvm.func @k(%map: !llvm.ptr {llvm.byval = !llvm.array<128 x i8>, llvm.align = 64 : i64, nvvm.grid_constant}) "
      "attributes {nvvm.kernel} {\n%c0 = arith.constant 0 : i32\n%tid = nvvm.read.ptx.sreg.tid.x : i32\n"
      "%smem = llvm.mlir.addressof @smem : !llvm.ptr<3>\n%mine = llvm.getelementptr %smem[%tid] : (!llvm.ptr<3>, i32) "
      "-> !llvm.ptr<3>, i32\n%first = arith.cmpi eq, %tid, %c0 : i32\n%all = arith.constant -1 : i32\n"
      "%x = arith.uitofp %tid : i32 to f32\nllvm.store %x, %mine : f32, !llvm.ptr<3>\n"
      "nvvm.fence.proxy {kind = #nvvm.proxy_kind<async.shared>, space = #nvvm.shared_space<cta>}\n"
      "nvvm.bar.warp.sync %all : i32\nscf.if %first {\n"
      "nvvm.cp.async.bulk.tensor.reduce %map, %smem, box[%c0] {redKind = #nvvm.tma_redux_kind<add>} : !llvm.ptr, "
      "!llvm.ptr<3>\nnvvm.cp.async.bulk.commit.group\nnvvm.cp.async.bulk.wait_group 0\n}\nllvm.return\n}\n}\n}\n";
  EmulatedKernel kernel(text);
  ASSERT_EQ(kernel.error, "");
  alignas(16) float tensor[32];
  kernel.emulator.map(tensor, sizeof tensor);
  emulated::LaunchShape shape;
  shape.block = {32, 1, 1};
  shape.sharedBytes = 128;
  auto launch = [&](uint8_t type, uint8_t bytes) {
    std::fill_n(tensor, 32, 0.5f);
    stepdown_tensor_map map = {};
    map.address = reinterpret_cast<uint64_t>(tensor);
    map.sizes[0] = 29;
    map.box[0] = 32;
    map.rank = 1;
    map.element_type = type;
    map.element_bytes = bytes;
    map.check = STEPDOWN_EMULATION_MAGIC;
    Status status = kernel.emulator.launch("k", shape, &map, sizeof map);
    return status ? "" : status.error().text();
  };
  EXPECT_EQ(launch(7, 4), "");
  for (int i = 0; i < 32; ++i)
    EXPECT_EQ(tensor[i], i < 29 ? i + 0.5f : 0.5f) << i;
  for (auto [type, bytes] : {std::pair(0, 1), {3, 4}, {6, 2}, {9, 2}, {8, 8}}) { // u8, s32, f16, bf16, f64
    EXPECT_REPORT(launch(uint8_t(type), uint8_t(bytes)), "error E1004: kernel k, kernel.mlir:");
    EXPECT_REPORT(launch(uint8_t(type), uint8_t(bytes)), "expects a tensor of f32, which alone the emulator adds to");
    EXPECT_EQ(tensor[7], 0.5f);
  }
}

TEST(EmulatorReports, OutOfBounds) {
  EXPECT_REPORT(
      run("llvm.store %tid, %o : i32, !llvm.ptr<1>", 0, "sm_90a", 128),
      "block 0,0,0, warp 1: out of bounds: expects mapped memory, but writes 4 bytes: it is byte 128 of memory of 128");
  EXPECT_REPORT(run("%far = llvm.getelementptr %mine[1024] : (!llvm.ptr<3>) -> !llvm.ptr<3>, i8\nllvm.store %tid, %far "
                    ": i32, !llvm.ptr<3>"),
                "out of bounds: expects shared memory below 1024, but touches 4 bytes at 1024");
}

TEST(EmulatorReports, Misaligned) {
  EXPECT_REPORT(run("%odd = llvm.getelementptr %mine[2] : (!llvm.ptr<3>) -> !llvm.ptr<3>, i8\nllvm.store %tid, %odd : "
                    "i32, !llvm.ptr<3>"),
                "misaligned: expects an address that is a multiple of 4, but got one 2 beyond");
}

TEST(EmulatorReports, BarrierOfPartOfAWarp) {
  EXPECT_REPORT(run("%c7 = arith.constant 7 : i32\n%few = arith.cmpi ult, %tid, %c7 : i32\nscf.if %few "
                    "{\nnvvm.barrier0\n} else {\n"
                    "%m = arith.constant -1 : i32\nnvvm.bar.warp.sync %m : i32\n}"),
                "reached by part of its threads: expects all of lanes ffffffff, but lane 7 waits at bar.warp.sync");
}

TEST(EmulatorReports, DeadlockNamesWhoWaitsForWhat) {
  const std::string init = "scf.if %first {\nnvvm.mbarrier.init %smem, %c1 : !llvm.ptr<3>, i32\n}\nnvvm.barrier0\n";
  const std::string wait = "scf.while : () -> () {\n%d = nvvm.mbarrier.try_wait %smem, %c0 : !llvm.ptr<3>, i32 -> i1\n"
                           "%a = arith.xori %d, %true : i1\nscf.condition(%a)\n} do { scf.yield }\n";
  const std::string report = run(init + wait);
  EXPECT_REPORT(report, "deadlock: nobody can go on: block 0 warp 0 from lane 0 waits at mbarrier.try.wait.parity");
  EXPECT_REPORT(report, "mbarrier at shared 0 (mbarrier.init.shared at kernel.mlir:");
  EXPECT_REPORT(report, "1 of 1 arrivals missing, 0 bytes missing");
  const std::string arrive = "scf.if %first {\n%t = nvvm.mbarrier.arrive %smem : !llvm.ptr<3> -> i64\n}\n";
  for (uint64_t seed : {0, 1, 2, 3})
    EXPECT_EQ(run(init + arrive + wait, seed), "");
  // Announced bytes that never come, and an arrival too many.
  const std::string expect = "scf.if %first {\n%c32 = arith.constant 32 : i32\n%t = nvvm.mbarrier.arrive.expect_tx "
                             "%smem, %c32 : !llvm.ptr<3>, i32 -> i64\n}\n";
  EXPECT_REPORT(run(init + expect + wait), "0 of 1 arrivals missing, 32 bytes missing");
  EXPECT_REPORT(run(init + expect + arrive), "expects 0 more arrivals in phase 0, but 1 arrive");
  // Without the barrier behind it, the initialisation is not ordered before the other lanes' use.
  EXPECT_REPORT(run(init.substr(0, init.find("nvvm.barrier0")) + wait),
                "race: reads shared memory at 0, which nothing orders after mbarrier.init.shared at kernel.mlir:");
}

// Block 1 arrives at the mbarrier of block 0, which waits for it.
TEST(EmulatorReports, ScopesThatDoNotReachAnotherBlock) {
  const std::string cluster = " {scope = #nvvm.mem_scope<cluster>}";
  auto pair = [&](const std::string &arrive, const std::string &wait, uint64_t seed = 0) {
    const std::string meet = "nvvm.cluster.arrive {aligned}\nnvvm.cluster.wait {aligned}\n";
    return run("%rank = nvvm.read.ptx.sreg.cluster.ctaid.x : i32\n%waits = arith.cmpi eq, %rank, %c0 : i32\n"
               "%there = nvvm.mapa %smem, %c0 : !llvm.ptr<3> -> !llvm.ptr<7>\n"
               "scf.if %first {\nnvvm.mbarrier.init %smem, %c1 : !llvm.ptr<3>, i32\nnvvm.fence.mbarrier.init\n}\n" +
                   meet + "scf.if %waits {\nscf.while : () -> () {\n%d = nvvm.mbarrier.try_wait %smem, %c0" + wait +
                   " : !llvm.ptr<3>, i32 -> i1\n%a = arith.xori %d, %true : i1\nscf.condition(%a)\n} do { scf.yield "
                   "}\n} else {\nscf.if %first {\n" +
                   arrive + "\n}\n}\n" + meet,
               seed, "sm_90a", 256, 2);
  };
  const std::string arrive = "nvvm.mbarrier.arrive %there", expect = "nvvm.mbarrier.arrive.expect_tx %there, %c0",
                    type = " : !llvm.ptr<7>", types = " : !llvm.ptr<7>, i32";
  const char *remote = "operand: expects to be of the cluster's scope at an mbarrier of another block";
  for (uint64_t seed : {0, 1, 2, 3}) {
    EXPECT_EQ(pair(arrive + cluster + type, cluster, seed), "");
    EXPECT_EQ(pair(expect + cluster + types, cluster, seed), "");
    EXPECT_REPORT(pair(arrive + cluster + type, "", seed),
                  "operand: expects to be of the cluster's scope at an mbarrier at which another block arrives");
  }
  EXPECT_REPORT(pair(arrive + type, cluster), remote);
  EXPECT_REPORT(pair(expect + types, cluster), remote);
  const std::string announce = "nvvm.mbarrier.expect_tx %there, %c0", wide = arrive + cluster + type;
  EXPECT_EQ(pair(announce + cluster + types + "\n" + wide, cluster), "");
  EXPECT_REPORT(pair(announce + types + "\n" + wide, cluster), remote);
}

// Warp 0 of block 0 arrives at the cluster's barrier and returns: it is not waited for, but stands for nobody who has
// not arrived yet either. Thread 63 of block 1 writes what thread 32 of block 0 reads behind the barrier.
TEST(EmulatorReports, ClusterBarriersWaitForAllThatHaveNotReturned) {
  const std::string body =
      "%c32 = arith.constant 32 : i32\n%c63 = arith.constant 63 : i32\n"
      "%rank = nvvm.read.ptx.sreg.cluster.ctaid.x : i32\n%here = arith.cmpi eq, %rank, %c0 : i32\n"
      "%there = arith.cmpi eq, %rank, %c1 : i32\n%low = arith.cmpi ult, %tid, %c32 : i32\n"
      "%begins = arith.cmpi eq, %tid, %c32 : i32\n%ends = arith.cmpi eq, %tid, %c63 : i32\n"
      "%returns = arith.andi %here, %low : i1\n%writes = arith.andi %there, %ends : i1\n"
      "%reads = arith.andi %here, %begins : i1\nscf.if %returns {\nnvvm.cluster.arrive\n} else {\n"
      "scf.if %writes {\nllvm.store %tid, %out : i32, !llvm.ptr<1>\n}\nnvvm.cluster.arrive\nnvvm.cluster.wait\n"
      "scf.if %reads {\n%x = llvm.load volatile %out : !llvm.ptr<1> -> i32\nllvm.store %x, %o : i32, !llvm.ptr<1>\n}\n"
      "}";
  for (uint64_t seed : {0, 1, 2, 3})
    EXPECT_EQ(run(body, seed, "sm_90a", 256, 2), "") << seed;
}

TEST(EmulatorReports, ThreadsThatDifferAtABarrier) {
  EXPECT_REPORT(
      run("%c32 = arith.constant 32 : i32\n%c64 = arith.constant 64 : i32\n%low = arith.cmpi ult, %tid, %c32 : i32\n"
          "scf.if %low {\nnvvm.barrier id = %c1 number_of_threads = %c64\n} else {\nnvvm.barrier id = %c1 "
          "number_of_threads = %c32\n}"),
      "barrier: expects 64 threads at barrier 1");
}

TEST(EmulatorReports, EndlessLoop) {
  EXPECT_REPORT(run("scf.while : () -> () {\n%x = llvm.load volatile %o : !llvm.ptr<1> -> i32\n%a = arith.cmpi sge, "
                    "%x, %x : i32\nscf.condition(%a)\n} do { scf.yield }"),
                "endless: expects an end within 10000 turns of loops");
}

TEST(EmulatorReports, UnknownInstructionsAreRefusedByNameAndLine) {
  EXPECT_EQ(run("llvm.inline_asm has_side_effects \"vsetx.sync $0;\", \"r\" %tid : (i32) -> ()").substr(0, 33),
            "error E1001: k: kernel.mlir:14: e");
  EXPECT_REPORT(run("llvm.inline_asm has_side_effects \"vsetx.sync $0;\", \"r\" %tid : (i32) -> ()"),
                "but got PTX \"vsetx.sync\"");
  EXPECT_REPORT(run("%x = nvvm.read.ptx.sreg.smid : i32\nllvm.store %x, %o : i32, !llvm.ptr<1>"),
                "expects an instruction with a meaning, but got llvm.nvvm.read.ptx.sreg.smid");
}

TEST(EmulatorReports, LaunchesThatDoNotFit) {
  EmulatedKernel kernel(module(""));
  ASSERT_EQ(kernel.error, "");
  emulated::LaunchShape shape;
  shape.block = {96, 1, 1};
  auto text = [&](size_t bytes) { return kernel.emulator.launch("k", shape, "000000000000", bytes).error().text(); };
  EXPECT_EQ(text(12), "error E1003: k: block: expects 1 to 64 threads, but got 96");
  shape.block = {64, 1, 1};
  shape.sharedBytes = 232449;
  EXPECT_EQ(text(12), "error E1003: k: shared memory: expects at most 232448 bytes, but got 0 and 232449");
  shape.sharedBytes = 0;
  EXPECT_EQ(text(11), "error E1003: k: parameters: expects 12 bytes, but got 11");
  shape.grid = {3, 1, 1};
  shape.cluster = 2;
  EXPECT_EQ(text(12), "error E1003: k: grid: expects blocks in clusters of 1 to 8, but got 3,1,1 in clusters of 2");
  shape.cluster = 1;
  shape.grid = {3, 1, 65537};
  EXPECT_EQ(text(12), "error E1003: k: grid: expects at most 65535 blocks along y and z, but got 1 and 65537");
  shape.grid = {2053, 2053, 1};
  EXPECT_EQ(text(12), "error E1003: k: grid: expects at most 4194304 blocks on an emulator, but got 2053,2053,1");
  EXPECT_EQ(kernel.emulator.launch("other", shape, "", 0).error().text(),
            "error E1003: other: expects a kernel of the loaded code");
}

TEST(EmulatorReports, BankConflictsAreCounted) {
  for (auto [stride, conflicts] : {std::pair<int, uint64_t>{1, 0}, {2, 1}, {32, 31}, {33, 0}}) {
    EmulatedKernel kernel(module(
        "%s = arith.constant " + std::to_string(stride) +
        " : i32\n%c31 = arith.constant 31 : i32\n%l = arith.andi %tid, %c31 : i32\n"
        "%c32 = arith.constant 32 : i32\n%low = arith.cmpi ult, %tid, %c32 : i32\nscf.if %low {\n"
        "%i = arith.muli %l, %s : i32\n%p = llvm.getelementptr %smem[%i] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i32\n"
        "llvm.store %tid, %p : i32, !llvm.ptr<3>\n}"));
    ASSERT_EQ(kernel.error, "");
    emulated::LaunchShape shape;
    shape.block = {64, 1, 1};
    shape.sharedBytes = 4096;
    const Status status = kernel.emulator.launch("k", shape, "000000000000", 12);
    ASSERT_TRUE(status) << status.error().text();
    EXPECT_EQ(kernel.emulator.statistics().bankConflicts, conflicts) << "stride " << stride;
    EXPECT_EQ(kernel.emulator.statistics().sharedAccesses, 1u);
  }
}
