// How many mutants of the product of bf16 the emulator reports, as it is lowered for sm_90a, and of stores of results
// alone: those of 16 bits are staged in shared memory, from which TMA writes them.
#include "test/device/MutationScore.h"
#include <random>

using namespace stepdown;
using namespace stepdown::test;

namespace {

/// Two tiles of rows in one block, of each four slots along k, of which two are there: the first, a round of two, and
/// one behind it. A tile of the result is one box, which is filled twice.
struct Product {
  MatmulParameters parameters;
  Matrix a, b, out;
  Product() : a(67, 251, 256, true), b(251, 61, 64, true), out(67, 61, 64, true) {
    parameters.m = parameters.n = parameters.k = 64, parameters.stages = 2, parameters.warps = 4;
    parameters.registers = 168, parameters.group = 1, parameters.result = "bf16";
    fill({&a, &b});
  }
  Status run(emulated::Emulator &emulator, mlir::DictionaryAttr how, uint64_t seed) {
    return runMutant(emulator, "matmul", how, {&a, &b, &out}, seed);
  }
};

/// Three tiles of rows in one pair of blocks, of which one has no rows in the second turn.
struct Pair {
  MatmulParameters parameters = Product().parameters;
  Matrix a, b, out;
  Pair() : a(131, 251, 256, true), b(251, 61, 64, true), out(131, 61, 64, false) {
    parameters.cluster = 2, parameters.result = "f32";
    fill({&a, &b});
  }
  Status run(emulated::Emulator &emulator, mlir::DictionaryAttr how, uint64_t seed) {
    return runMutant(emulator, "matmul", how, {&a, &b, &out}, seed);
  }
};

/// Two tiles of rows in one block, of each three boxes for each of two warpgroups, which have two.
struct Stores {
  Matrix from, out;
  Stores() : from(131, 191, 191, false), out(131, 191, 192, true) { fill({&from}); }
  Status run(emulated::Emulator &emulator, mlir::DictionaryAttr how, uint64_t seed) {
    return runMutant(emulator, "stores", how, {&from, &out}, seed);
  }
};

constexpr const char *kStores = R"(
tile.kernel @stores(%x: memref<?x?xf32>, %y: memref<?x?xbf16>) {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %m = memref.dim %y, %zero : memref<?x?xbf16>
  %n = memref.dim %y, %one : memref<?x?xbf16>
  tile.role "store" warps 8 registers 200 {
    tile.schedule (%i, %j) in (%m by 128, %n by 192) grouped 1 {
      %v = tile.read %x[%i, %j] : memref<?x?xf32> -> vector<128x192xf32>
      %w = tile.map (%e = %v) : vector<128x192xf32> -> vector<128x192xf32> {
        %f = arith.negf %e : f32
        tile.yield %f : f32
      }
      tile.store %w to %y[%i, %j] : vector<128x192xf32> to memref<?x?xbf16>
    }
  }
})";

const std::vector<Equivalent>
    inFlight = {{"wgmma.wait_group.sync.aligned: operand 0 -1", 3,
                 "waits for one product more, which is later than it must"},
                {"wgmma.fence.sync.aligned: deleted", 3,
                 "products of one shape in a chain need no fence for their accumulators"},
                {"wgmma.fence.sync.aligned: moved down", 3, "the same"}},
    ofProduct = ofRoles(
        8, 1,
        {kOtherBarrier,
         inFlight[0],
         inFlight[1],
         inFlight[2],
         {"barrier.cta.sync.aligned.count: operand 0", 4, "of one warpgroup: another number, free at that time"},
         {"barrier.cta.sync.aligned.count: moved up", 1, "a proxy fence may lie on either side of the barrier"},
         {"fence.proxy.async.shared_cta: moved down", 1, "the same"},
         {"barrier.cta.sync.aligned.count: moved down", 1, "over a conversion in registers, before the box's writes"}}),
    ofPair = ofRoles(
        8, 1,
        {inFlight[0],
         inFlight[1],
         inFlight[2],
         {"mbarrier.arrive.scope.cluster.space.cluster: moved", 8, "arrivals at the barriers of two blocks commute"}});
constexpr Equivalent ofStores[] = {
    {"fence.mbarrier_init.release.cluster", 2, "there is no ring"},
    {"fence.proxy.async.shared_cta: deleted", 1, "the same"},
    {"fence.proxy.async.shared_cta: moved up", 1, "the same"},
    {"barrier.cta.sync.aligned.all", 2, "the same"},
    {"setmaxnreg.dec.sync.aligned.u32", 2, "there is no other role to take what is given"},
    {"cp.async.bulk.commit.group: moved up", 1, "the second box goes with the third, for which it is not waited"},
    {"barrier.cta.sync.aligned.count: moved up", 3, "a proxy fence may lie on either side of the barrier"},
    {"fence.proxy.async.shared_cta: moved down", 3, "the same"},
    {"barrier.cta.sync.aligned.count: moved down", 2, "over a conversion in registers, in front of a box's writes"},
    {"cp.async.bulk.wait.group.read: operand 0 -1", 1, "waits for a box more than it must"},
};

} // namespace

TEST(EmulatedMutation, Product) {
  scoreKernel<Product>([](mlir::MLIRContext &context) { return matmulKernel(context, Product().parameters); }, "matmul",
                       ofProduct, 68);
}

TEST(EmulatedMutation, ProductInClusters) {
  scoreKernel<Pair>([](mlir::MLIRContext &context) { return matmulKernel(context, Pair().parameters); }, "matmul",
                    ofPair, 90);
}

TEST(EmulatedMutation, StagedStores) {
  scoreKernel<Stores>([](mlir::MLIRContext &context) { return parseKernel(context, kStores, "stores.mlir", {}); },
                      "stores", ofStores, 34);
}
