// The NVIDIA stage: tile kernels become kernels of nvvm and llvm operations.
#ifndef STEPDOWN_NVIDIA_PASSES_TD
#define STEPDOWN_NVIDIA_PASSES_TD
include "mlir/Pass/PassBase.td"

def LowerTileToNVVM : Pass<"lower-tile-to-nvvm", "::mlir::ModuleOp"> {
  let summary = "Lower tile kernels to kernels of sm_90a, products and attention also to those of sm_80";
  let description = [{
    A channel is a ring in shared memory with two barriers for each slot, a copy is TMA with the 128-byte swizzle, a product is wgmma on
    descriptors. A role is a range of warps, one that only copies a single thread. `tile.launch` says what a launch hands in.

    Tiles in registers are the elements that a thread holds of them, as the accumulators of wgmma lie: maps are unrolled, a
    row's reduction ends with two shuffles, and a first operand in registers is inline PTX. 2^x and quotients of a map are
    ex2.approx.ftz and rcp.approx.ftz, within 2 units and 1 unit in the last place, subnormal numbers being zero. The wait that
    makes a vector of a sum is inline PTX that takes and gives its registers: no use can move in front of it.

    A loop over masked blocks becomes several: one in the middle for blocks that all rows of a warpgroup see whole, without the
    mask, and others in front of it and behind it. Where it carries no tiles in registers, the middle one's body stands once for
    each slot. A turn is a named barrier of each warpgroup. What a wait is to come after is held there by a branch on it, which is
    taken where it is not a number and then does nothing: ptxas moves waits over arithmetic, but not over branches.

    Elements of 8 bits (f8E4M3FN, f8E5M2, i8) are multiplied with rows along k in both factors; sums of i8 are of i32, and
    exact. Those of fp8 stay in wgmma as long as the text says, in lib/Kernels/Matmul.mlir from the first column to the last, in
    ScaledMatmul.mlir for 128; hardware keeps fewer bits there than float32 has.

    A matrix of 16-bit elements that is stored to has a tensor map too, where the block has room behind its rings: each warpgroup
    fills boxes of 64 x 64 with stmatrix, of which it has two, and one of its threads has TMA write them, while the warpgroup goes
    on. A launch whose matrix, or its rows, lie at no multiple of 16 bytes has no such map, and the kernel stores from registers.

    A kernel whose `tile.cluster` is 2, 4 or 8 is launched in clusters of so many blocks, which take a turn of the schedule
    together: neighbouring tiles of rows, in the same columns. Of the factor that they all read each block copies its part of the
    rows of a slot into the shared memory of all of them (multicast), once all of them have let go of the slot: who releases one
    arrives at the barrier of each block. They meet before the first copy and behind the last release. The text is the same, and
    has to be a product's, whose blocks all have as many turns.

    Where `tile.shares` says that blocks along y share the sum of a product out, matrices are those of the block's share: as many
    whole slots along k each, rows of the result as many times over. So it is on sm_80 and for AMD.

    On sm_80 the role that copies goes into the role that multiplies, since registers are a warp's once and for all. Where the
    text waits for a slot, each thread waits for its own copies into it (cp.async), all warps meet, and copies into the slot of
    the turn before are issued. A product is mma.sync on what ldmatrix loads, computed where it is issued. Slots lie as on
    sm_90a: the 128-byte swizzle keeps the rows of a matrix in different banks. Of attention each warp has 16 queries; a turn's
    copies, of the next keys and of its own values, run under its products and its softmax. Of a product with a quantised weight
    each warp copies rows of packed blocks, and packed blocks and tokens have a ring each; all copies for 64 columns
    are one group, as far ahead as the tokens' ring has slots to spare.

    Before:
    ```mlir
    tile.kernel @product(%a: !matrix, %c: !result, %zero: index) {
      ...
        tile.copy %a[%zero, %zero] to %s#0 : !matrix to !tile
      ...
        %sum = tile.mma %s#0, %s#1 : !tile, !wide -> !sum
        %v = tile.mma_wait 0 for %sum : !sum
    ```
    After:
    ```mlir
    llvm.func @product(%map: !llvm.ptr {...
      ...
      nvvm.cp.async.bulk.tensor.shared.cluster.global %slot, %map, %full, box[%zero, %zero] : !llvm.ptr<7>, !llvm.ptr
      ...
      nvvm.wgmma.fence.aligned
      %product = nvvm.wgmma.mma_async %a, %b, %undefined, <m = 64, n = 128, k = 16>, D[<f32>, <zero>], ...
      ...
      nvvm.wgmma.commit.group.sync.aligned
    ```
  }];
  let options = [Option<"chip", "chip", "std::string", "\"sm_90a\"", "sm_80 or sm_90a">];
  let dependentDialects = ["::mlir::gpu::GPUDialect", "::mlir::NVVM::NVVMDialect", "::mlir::LLVM::LLVMDialect",
                           "::mlir::scf::SCFDialect", "::mlir::arith::ArithDialect", "::stepdown::tile::TileDialect"];
}

def NameIntrinsics : Pass<"name-intrinsics", "::mlir::gpu::GPUModuleOp"> {
  let summary = "Convert operations of math to the instructions behind them, by LLVM's names";
  let description = [{
    What math operations are left in a kernel are an instruction each, and so are the largest and least of two floats. Upstream's
    conversion of a gpu.module would make calls of libdevice of them.

    Before:
    ```mlir
    gpu.func @roots(%x: f64, %y: memref<f64>) kernel {
      %0 = math.sqrt %x : f64
    ```
    After:
    ```mlir
    gpu.func @roots(%x: f64, %y: memref<f64>) kernel {
      %0 = llvm.call_intrinsic "llvm.sqrt"(%x) : (f64) -> f64
    ```
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::arith::ArithDialect"];
}
#endif
