// The vector stage: what a tile computes, in vectors of 16 lanes and the target's dot products.
#ifndef STEPDOWN_VECTOR_PASSES_TD
#define STEPDOWN_VECTOR_PASSES_TD
include "mlir/Pass/PassBase.td"

def SelectBlockDot : Pass<"select-block-dot", "::mlir::func::FuncOp"> {
  let summary = "Select instructions for products of weight and activation blocks";
  let description = [{
    A `linalg.generic` whose body is `tile.block_dot` becomes loops over row tiles, token tiles and blocks, with one
    16-lane accumulator for each token in registers. Weights are unpacked as lib/Target/Layout.h says, for every storage type.

    Before: `linalg.generic {...} ins(%w, %a) outs(%y) { tile.block_dot ... }`
    After:  `scf.for ... iter_args(%acc) { llvm.load; llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.512"; math.fma }`
  }];
  let options = [Option<"targetName", "target", "std::string", "\"x86-64-v4-vnni\"", "Target of lib/Base/Targets.def">];
  let statistics = [Statistic<"selected", "selected", "Products selected">];
  let dependentDialects = ["::stepdown::tile::TileDialect", "::mlir::LLVM::LLVMDialect", "::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect",
                           "::mlir::math::MathDialect", "::mlir::arith::ArithDialect", "::mlir::memref::MemRefDialect"];
}

def SelectTileOps : Pass<"select-tile-ops", "::mlir::func::FuncOp"> {
  let summary = "Select instructions for the structured tile operations";
  let description = [{
    `pack_activation`, `gather`, `rotate`, `cache_store` and `attend` on memrefs become loops of loads, vector arithmetic
    and stores.

    Before: `tile.pack_activation ins(%x) outs(%a)`
    After:  `scf.for ... { llvm.load; math.roundeven; llvm.store }`
  }];
  let options = [Option<"targetName", "target", "std::string", "\"x86-64-v4-vnni\"", "Target of lib/Base/Targets.def">];
  let dependentDialects = ["::stepdown::tile::TileDialect", "::mlir::LLVM::LLVMDialect", "::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect",
                           "::mlir::math::MathDialect", "::mlir::arith::ArithDialect", "::mlir::memref::MemRefDialect"];
}

def VectorizeStructured : Pass<"vectorize-structured", "::mlir::func::FuncOp"> {
  let summary = "Write linalg operations of plain modules as loops over vectors";
  let description = [{
    A loop along which every operand stays or goes to the next element becomes the lanes: 512 bits of the widest element. With
    reductions, blocks of rows and vectors keep their sums in registers, read a copy of the columns that all rows share, and a
    product that feeds a sum is one multiply-add.
    Sums keep their order, or, where only a reduction can be the lanes, are joined in a fixed tree. What has no such loop is
    left to convert-linalg-to-loops.

    Before: `linalg.matmul ins(%a, %b) outs(%c)`
    After:  `scf.for ... iter_args(24 x vector<16xf32>) { vector.load; memref.load; vector.broadcast; math.fma }`
  }];
  let options = [Option<"targetName", "target", "std::string", "\"x86-64-v4-vnni\"", "Target of lib/Base/Targets.def">];
  let statistics = [Statistic<"vectorized", "vectorized", "Operations written as vectors">];
  let dependentDialects = ["::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect", "::mlir::math::MathDialect",
                           "::mlir::arith::ArithDialect", "::mlir::memref::MemRefDialect", "::mlir::affine::AffineDialect"];
}

def ExpandElementary : Pass<"expand-elementary", "::mlir::func::FuncOp"> {
  let summary = "Expand the elementary functions of plain modules in float64";
  let description = [{
    exp, log, sin, tanh, erf, powf and the others become series in float64, rounded once to the type of the result; f16 and
    bf16 are computed in float32. One definition for every vector width. Before that, operations that LLVM lowers wrongly or
    not at all are written as arithmetic: `math.clampf`, `isinf`, `ipowi`, `arith.truncf` with a rounding mode and others
    (ExpandArithmetic.h). Kernels of models have polynomials of their own, which are shorter (expand-math).

    Before: `math.log %x : f32`
    After:  `arith.extf`, `arith.shrui` ..., `math.fma` ..., `arith.truncf`
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::math::MathDialect", "::mlir::scf::SCFDialect"];
}

def ExpandMath : Pass<"expand-math", "::mlir::func::FuncOp"> {
  let summary = "Expand exp, tanh and erf into one polynomial each";
  let description = [{
    One definition for every vector width and for tails, so that a result never depends on where an element lies.

    Before: `math.exp %x : vector<16xf32>`
    After:  `math.roundeven`, `math.fma` ..., `arith.shli`
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::vector::VectorDialect", "::mlir::math::MathDialect",
                           "::mlir::arith::ArithDialect"];
}
#endif
