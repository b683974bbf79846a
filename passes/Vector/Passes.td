// The vector stage: what a tile computes, in vectors of 16 lanes and the target's dot products.
#ifndef STEPDOWN_VECTOR_PASSES_TD
#define STEPDOWN_VECTOR_PASSES_TD
include "mlir/Pass/PassBase.td"

def SelectBlockDot : Pass<"select-block-dot", "::mlir::func::FuncOp"> {
  let summary = "Select instructions for products of weight and activation blocks";
  let description = [{
    A `linalg.generic` whose body is `tile.block_dot` becomes loops over row tiles, token tiles and blocks. Accumulators
    of one token stay in registers, and so do those of tiles of up to 8 tokens where a register holds all 16 rows
    (AVX-512; not with float activations). Those of other tiles lie in the first-level cache, while their tokens stream
    by the unpacked weights. Weights are unpacked as lib/Target/Layout.h says, for every storage type.

    Before:
    ```mlir
    func.func @q4_1_one_token(%w: memref<?x?x!transformer.block<q4_1, rows = 16>>, ...
      ...
        %0 = tile.block_dot %b, %x[%t], %sum : ...
    ```
    After:
    ```mlir
    func.func @q4_1_one_token(%w: memref<?x?x!transformer.block<q4_1, rows = 16>>, ...
      ...
          %dot = scf.for %k = %c0 to %blocks step %c1 iter_args(%sum = %start) -> (vector<16xf32>) {
            %block = tile.block_ptr %w[%n, %k] : ...
            ...
            %d = llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.512"(%zeros, %codes, %quad) : ...
            ...
            %s = math.fma %products, %scales, %minimums : vector<16xf32>
            scf.yield %s : vector<16xf32>
    ```
  }];
  let options = [Option<"targetName", "target", "std::string", "\"x86-64-v4-vnni\"", "Target of lib/Base/Targets.def">];
  let statistics = [Statistic<"selected", "selected", "Products selected">];
  let dependentDialects = ["::stepdown::tile::TileDialect", "::mlir::LLVM::LLVMDialect", "::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect",
                           "::mlir::math::MathDialect", "::mlir::arith::ArithDialect", "::mlir::memref::MemRefDialect"];
}

def SelectTileOps : Pass<"select-tile-ops", "::mlir::func::FuncOp"> {
  let summary = "Select instructions for the structured tile operations";
  let description = [{
    `pack_activation`, `gather`, `rotate`, `cache_store` and `attend` on memrefs become loops of loads, vector
    arithmetic and stores, and so does what is left of linalg: its elements are vectors already.

    Before:
    ```mlir
    func.func @pack_8_bit(%x: memref<?x2x!lanes>, %a: memref<?x1x!transformer.activation<q8, tokens = 4>>) {
      tile.pack_activation ins(%x : ...
    ```
    After:
    ```mlir
    func.func @pack_8_bit(%x: ..., %a: ...
      ...
      scf.for %token = ...
        ...
          %largest = vector.reduction <maxsi>, %magnitudes : vector<16xi32> into i32
          ...
          %rounded = math.roundeven %scaled : vector<16xf32>
          %codes = arith.fptosi %rounded : vector<16xf32> to vector<16xi32>
          ...
          llvm.store %scale, %p {alignment = 4 : i64} : f32, !llvm.ptr
    ```
  }];
  let options = [Option<"targetName", "target", "std::string", "\"x86-64-v4-vnni\"", "Target of lib/Base/Targets.def">];
  let dependentDialects = ["::stepdown::tile::TileDialect", "::mlir::LLVM::LLVMDialect", "::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect",
                           "::mlir::math::MathDialect", "::mlir::arith::ArithDialect", "::mlir::memref::MemRefDialect",
                           "::mlir::affine::AffineDialect"];
}

def VectorizeStructured : Pass<"vectorize-structured", "::mlir::func::FuncOp"> {
  let summary = "Write linalg operations of plain modules as loops over vectors";
  let description = [{
    A loop along which every operand stays or goes to the next element becomes the lanes: 512 bits of the widest
    element. With reductions, blocks of rows and vectors keep their sums in registers, read a copy of the columns
    that all rows share, and a product that feeds a sum is one multiply-add. Sums keep their order, or, where only a
    reduction can be the lanes, are joined in a fixed tree. What has no such loop is left to
    convert-linalg-to-loops.

    Before:
    ```mlir
    func.func @elementwise(%x: memref<?xf32>, %y: memref<?xf32>) {
      linalg.generic {... iterator_types = ["parallel"]} ins(%x : memref<?xf32>) outs(%y : memref<?xf32>) {
      ^bb0(%a: f32, %b: f32):
        %e = math.exp %a : f32
    ```
    After:
    ```mlir
    func.func @elementwise(%x: memref<?xf32>, %y: memref<?xf32>) {
      ...
      scf.for %i = %c0 to %whole step %c16 {
        %a = vector.load %x[%i] : memref<?xf32>, vector<16xf32>
        %e = math.exp %a : vector<16xf32>
        vector.store %e, %y[%i] : memref<?xf32>, vector<16xf32>
      }
      ...
      scf.for %i = %whole to %n step %c1 {
        %a = memref.load %x[%i] : memref<?xf32>
    ```
  }];
  let options = [Option<"targetName", "target", "std::string", "\"x86-64-v4-vnni\"", "Target of lib/Base/Targets.def">];
  let statistics = [Statistic<"vectorized", "vectorized", "Operations written as vectors">];
  let dependentDialects = ["::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect", "::mlir::math::MathDialect",
                           "::mlir::arith::ArithDialect", "::mlir::memref::MemRefDialect", "::mlir::affine::AffineDialect"];
}

def ExpandElementary : Pass<"expand-elementary", "::mlir::func::FuncOp"> {
  let summary = "Expand the elementary functions of plain modules in float64";
  let description = [{
    exp, log, sin, tanh, erf, powf and the others become series in float64, rounded once to the type of the result;
    f16 and bf16 are computed in float32, and floats of eight bits converted by their bits. One definition for every vector width. Before that, operations that LLVM
    lowers wrongly or not at all are written as arithmetic: `math.clampf`, `isinf`, `ipowi`, `arith.truncf` with a
    rounding mode and others (ExpandArithmetic.h). Kernels of models have polynomials of their own, which are
    shorter (expand-math).

    Before:
    ```mlir
    func.func @in_float64(%x: f32) -> f32 {
      %0 = math.exp %x : f32
    ```
    After:
    ```mlir
    func.func @in_float64(%x: f32) -> f32 {
      %wide = arith.extf %x : f32 to f64
      ...
      %n = math.roundeven %scaled : f64
      ...
      %t = math.fma %c, %r, %d : f64
      ...
      %0 = arith.truncf %y : f64 to f32
      return %0 : f32
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::math::MathDialect", "::mlir::scf::SCFDialect"];
}

def ExpandMath : Pass<"expand-math", "::mlir::func::FuncOp"> {
  let summary = "Expand exp, tanh and erf into one polynomial each";
  let description = [{
    One definition for every vector width and for tails, so that a result never depends on where an element lies.

    Before:
    ```mlir
    func.func @exp_of_lanes(%x: vector<16xf32>) -> vector<16xf32> {
      %0 = math.exp %x : vector<16xf32>
    ```
    After:
    ```mlir
    func.func @exp_of_lanes(%x: vector<16xf32>) -> vector<16xf32> {
      ...
      %n = math.roundeven %y : vector<16xf32>
      ...
      %t = math.fma %c, %r, %d : vector<16xf32>
      ...
      %power = arith.shli %exponent, %c23 : vector<16xi32>
    ```
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::vector::VectorDialect", "::mlir::math::MathDialect",
                           "::mlir::arith::ArithDialect"];
}

def UnpackBlocks : Pass<"unpack-blocks", "::mlir::func::FuncOp"> {
  let summary = "Expand the reading of four values of a packed block into loads and arithmetic";
  let description = [{
    For threads of a device. Where a row's codes and scales lie is what the target's layout says of the format; the values are those
    that the format defines, in its order of operations; as binary16 (tile.unpack_halves) they are rounded as a tile kernel rounds
    them, by the chip's permutation of bytes. Four activations that lie together (`vector.load`) become one load, too.

    Before:
    ```mlir
    func.func @quad_of_q8_0(%w: memref<?x?x!transformer.block<q8_0, rows = 16>>, %i: index, %r: index, %q: index) -> (f32, f32) {
      %y0, %y1, %y2, %y3 = tile.unpack_quad %w[%i, %i] row %r quad %q : memref<?x?x!transformer.block<q8_0, rows = 16>>
    ```
    After:
    ```mlir
    func.func @quad_of_q8_0(%w: memref<?x?x!transformer.block<q8_0, rows = 16>>, %i: index, %r: index, %q: index) -> (f32, f32) {
      ...
      %scale = llvm.load %d {alignment = 2 : i64} : !llvm.ptr -> f16
      ...
      %codes = llvm.load %words {alignment = 4 : i64} : !llvm.ptr -> i32
      ...
      %code = arith.subi %byte, %c128 : i32
    ```
  }];
  let options = [Option<"targetName", "target", "std::string", "\"emulated:sm_90a\"", "Target of lib/Base/Targets.def">];
  let dependentDialects = ["::stepdown::tile::TileDialect", "::mlir::LLVM::LLVMDialect", "::mlir::arith::ArithDialect",
                           "::mlir::vector::VectorDialect"];
}
#endif
