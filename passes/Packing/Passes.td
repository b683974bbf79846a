// The packing stage, where targets part: types, token-count buckets and tiles as the target's layout says.
#ifndef STEPDOWN_PACKING_PASSES_TD
#define STEPDOWN_PACKING_PASSES_TD
include "mlir/Pass/PassBase.td"

def PackKernels : Pass<"pack-kernels", "::mlir::ModuleOp"> {
  let summary = "Make of fused kernels functions on packed tensors";
  let description = [{
    Every `transformer.kernel` becomes a `transformer.dispatch` of a function, once for each token-count bucket of
    the target, in the nested module @kernels; equal kernels share their functions. Packing is a rewrite of the
    types, by the target's layout (16 rows today): rows of float32 become 16-lane vectors, 16 rows of a weight one
    block, the tokens of a tile one activation block. Linalg on rows becomes linalg on lanes, whatever it computes;
    what works on blocks or the cache becomes an operation of the tile dialect.

    Before:
    ```mlir
    func.func @equal_kernels(%a: !a, %w: !w, %u: !w) -> (tensor<?x32xf32>, tensor<?x32xf32>) {
      %0 = transformer.kernel "linear" (%x = %a : !a, %m = %w : !w) -> (tensor<?x32xf32>) {
        %2 = transformer.linear %x, %m : (!a, !w) -> tensor<?x32xf32>
    ```
    After:
    ```mlir
    func.func @equal_kernels(%a: ..., %w: ..., %u: ...
      %0 = transformer.dispatch @linear_0(%a, %w) ...
      ...
    func.func @linear_0_b0(%x: tensor<?x?x!transformer.activation<q8>>,
        %m: tensor<?x?x!transformer.block<q4_1, rows = 16>>, ...
      ...
      %0 = linalg.generic {...} ins(%m, %x : ...
      ^bb0(%rows: ..., %token: ..., %sum: vector<16xf32>):
        %1 = linalg.index 1 : index
        %2 = tile.block_dot %rows, %token[%1], %sum : <q4_1, rows = 16>, <q8>, vector<16xf32>
    ...
    func.func @linear_0_b1(%x: tensor<?x?x!transformer.activation<q8, tokens = 4>>, ...
    ```
  }];
  let options = [Option<"targetName", "target", "std::string", "\"x86-64-v4-vnni\"", "Target of lib/Base/Targets.def">];
  let statistics = [Statistic<"dispatches", "dispatches", "Dispatches">];
  let dependentDialects = ["::stepdown::transformer::TransformerDialect", "::stepdown::tile::TileDialect", "::mlir::func::FuncDialect",
                           "::mlir::linalg::LinalgDialect", "::mlir::tensor::TensorDialect",
                           "::mlir::arith::ArithDialect", "::mlir::math::MathDialect", "::mlir::vector::VectorDialect"];
}

def ThreadKernels : Pass<"thread-kernels", "::mlir::ModuleOp"> {
  let summary = "Make of fused kernels dispatches whose threads compute a number each";
  let description = [{
    For a device. What a `transformer.kernel` yields, and what it sums up on the way, becomes a `transformer.dispatch` of a
    function in the nested module @kernels: a loop over tokens (or wanted rows) and columns, of which a thread has one turn.
    The function takes memory: rows of float32, weights as the layout packs them, the paged cache. All else is computed where
    it is wanted: a bias, gate or residual sum by the thread that has the product. A row's sum or largest number is shared by
    the threads of a block where it has 128 columns or more (RowReduction.cpp), and the blocks of columns of a product by up
    to eight warps whose number divides them (SharedProduct.cpp). Experts are chosen by a block for each token; a product with
    them is that of the row which a token's id leads to (ThreadExperts.cpp).

    Attention is two dispatches: blocks of 128 threads, which meet at barriers, have a cache head and a share of the context
    each, and another function joins what they leave in a fixed order (SplitAttention.cpp). On chips whose warps have a product of
    16 x 16 numbers, and of a cache of binary16, blocks have several tokens of a sequence, and products on matrix units
    (MatrixAttention.cpp). Where a head has no multiple of 4 columns, or more query heads share keys than a block takes, it is one,
    of a thread for each query head.

    On each chip a product with a quantised weight is a dispatch of a tile kernel (lib/Kernels/QuantisedMatmul.mlir), of rows that another dispatch makes: their scales, and what is left of them in binary16. Products of one operand are one dispatch, up
    to three; so are rotated queries, and keys and values that go into the cache. A block of threads has a row of the operand, and
    computes what is summed up or elementwise in front of that too: a residual sum, a norm, a gate (RowReduction.cpp). It is in the
    kernel that yields the operand, which need not lie in memory then. Products with experts are dispatches on matrix units
    as well, behind one that groups the tokens of a step by their experts (MatrixExperts.cpp).

    Before:
    ```mlir
    func.func @product(%a: !a, %w: !w) -> tensor<?x32xf32> {
      %0 = transformer.kernel "linear" (%x = %a : !a, %m = %w : !w) -> (tensor<?x32xf32>) {
        %1 = transformer.linear %x, %m : (!a, !w) -> tensor<?x32xf32>
    ```
    After:
    ```mlir
    func.func @product(%a: ..., %w: ...
      %0 = transformer.dispatch @linear_0(%w, %a) ...
      ...
    func.func private @linear_0_b0(%y: memref<?x32xf32>, %m: memref<2x1x!transformer.block<q4_1, rows = 16>>, %x: memref<?x32xf32>) ...
      ...
      scf.parallel (%token, %row) = ...
        ...
            %y0, %y1, %y2, %y3 = tile.unpack_quad %m[...
            ...
            %1 = vector.load %x[...
            %2 = vector.extract %1[0] ...
    ```
  }];
  let options = [Option<"targetName", "target", "std::string", "\"emulated:sm_90a\"", "Target of lib/Base/Targets.def">,
                 Option<"exact", "exact", "bool", "false", "Multiply in float32, with no tile kernel">];
  let statistics = [Statistic<"dispatches", "dispatches", "Dispatches">];
  let dependentDialects = ["::stepdown::transformer::TransformerDialect", "::stepdown::tile::TileDialect", "::mlir::func::FuncDialect",
                           "::mlir::scf::SCFDialect", "::mlir::memref::MemRefDialect", "::mlir::tensor::TensorDialect",
                           "::mlir::arith::ArithDialect", "::mlir::math::MathDialect", "::mlir::vector::VectorDialect",
                           "::mlir::gpu::GPUDialect"];
}
#endif
