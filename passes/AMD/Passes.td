// The AMD stage: tile kernels become kernels of AMD's intrinsics.
#ifndef STEPDOWN_AMD_PASSES_TD
#define STEPDOWN_AMD_PASSES_TD
include "mlir/Pass/PassBase.td"

def LowerTileToROCDL : Pass<"lower-tile-to-rocdl", "::mlir::ModuleOp"> {
  let summary = "Lower tile kernels of products and attention to kernels of an AMD chip";
  let description = [{
    For chips that were emulated alone: nothing of this has run on hardware.

    The role that copies goes into the role that multiplies: AMD's waves cannot hand registers to each other. Where the text waits
    for a slot, every wave issues the loads of the slot's tiles into registers, through buffers that end with the matrix; the products
    in front of it are computed, and what has come goes into the other of two slots in LDS, behind which is the one barrier of a turn.
    A product is computed where the text's `tile.mma_wait` says that it must be. Tiles lie in LDS in chunks of 8 elements along k, each
    at a place that its row and its chunk give it, so that neither writes nor reads meet in a bank; of a matrix whose rows lie along n,
    8 rows are turned in registers on the way. Offsets in a tile are of 32 bits: its rows span less than 4 GiB. A row is read to the
    next multiple of 16 bytes. Maps behind the product are computed with what a lane holds of its sum. Elements of 8 bits are
    multiplied with rows along k in both factors, 16 in a chunk. Those of i8 have sums of i32, which are exact; f8E4M3FN and f8E5M2
    are multiplied on gfx950 and gfx1201, as one MFMA of 64 along k and as WMMA, f8E4M3FN on gfx942 too, whose codes become those of its
    own format as they are written to LDS, and whose sums are multiplied by four. Where sums end with each slot, as those of fp8 with
    scales, a turn reads one slot while the loads of the next are on their way, and what is made of its sums goes through the loop.

    Of attention the products are transposed, so that a lane holds what belongs to one query; queries go from memory into registers,
    keys and values through two slots each, and the weights stay where the first product leaves them.

    Of a product with a quantised weight packed blocks go from memory into the registers of the lanes that unpack them, a turn of the
    loop ahead: no lane reads what another does. Tokens go through a ring of two turns in LDS; rows have whole 16 bytes of them.

    Before:
    ```mlir
    tile.kernel @matmul(%a: !matrix, %b: !matrix, %c: !result) {
      ...
          %t:2 = tile.wait %ab : !ring -> !tile_a, !tile_b
          %next = tile.mma %t#0, %t#1, %sum : !tile_a, !tile_b -> !sum
    ```
    After:
    ```mlir
    llvm.func @matmul(%a: !llvm.ptr<1>, ...
      ...
      %piece = llvm.call_intrinsic "llvm.amdgcn.raw.ptr.buffer.load"(%buffer, %offset, %zero, %zero) : ...
      ...
      %sum = llvm.call_intrinsic "llvm.amdgcn.mfma.f32.32x32x8bf16.1k"(...
      ...
      llvm.fence syncscope("workgroup") release
      llvm.call_intrinsic "llvm.amdgcn.s.barrier"() : () -> ()
      llvm.fence syncscope("workgroup") acquire
    ```
  }];
  let options = [Option<"chip", "chip", "std::string", "\"gfx942\"", "gfx90a, gfx942, gfx950, gfx1100 or gfx1201">];
  let dependentDialects = ["::mlir::gpu::GPUDialect", "::mlir::ROCDL::ROCDLDialect", "::mlir::LLVM::LLVMDialect",
                           "::mlir::scf::SCFDialect", "::mlir::arith::ArithDialect", "::stepdown::tile::TileDialect"];
}
#endif
