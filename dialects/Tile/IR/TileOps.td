// Operations of the tile dialect.
#ifndef STEPDOWN_TILE_OPS_TD
#define STEPDOWN_TILE_OPS_TD
include "dialects/Tile/IR/TileAttrs.td"
include "dialects/Tile/IR/TileKernelOps.td"
include "dialects/Transformer/IR/TransformerAttrs.td"
include "dialects/Transformer/IR/TransformerTypes.td"
include "mlir/Interfaces/DestinationStyleOpInterface.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

//===-- Operands -------------------------------------------------------------------------------------------------===//

class Tile_Element<string predicate, string text> : Type<CPred<predicate>, text>;
def Tile_Lanes : Tile_Element<"::stepdown::tile::isLanes($_self)", "a vector of a layout's lanes of f32">;
def Tile_Block : Tile_Element<"::llvm::isa<::stepdown::transformer::BlockType>($_self)", "!transformer.block">;
def Tile_Activation : Tile_Element<"::llvm::isa<::stepdown::transformer::ActivationType>($_self)", "!transformer.activation">;
def Tile_Index : Tile_Element<"$_self.isSignlessInteger(32)", "i32">;
def Tile_Float : Tile_Element<"$_self.isF32()", "f32">;
def Tile_Cached : Tile_Element<"$_self.isF16() || $_self.isF32() || ::llvm::isa<::mlir::Float8E4M3FNType>($_self) || $_self.isInteger(8)", "f16, f32, f8E4M3FN or i8">;

/// A tensor or memref of this rank and element.
class Tile_Shaped<int rank, Type element>
    : Type<And<[Or<[IsTensorTypePred, IsBaseMemRefTypePred]>,
                CPred<"::llvm::cast<::mlir::ShapedType>($_self).hasRank()">,
                CPred<"::llvm::cast<::mlir::ShapedType>($_self).getRank() == " # rank>,
                SubstLeaves<"$_self", "::llvm::cast<::mlir::ShapedType>($_self).getElementType()", element.predicate>]>,
           "tensor or memref of rank " # rank # " and element " # element.summary>;
def Tile_Rows : Tile_Shaped<2, Tile_Lanes>;
def Tile_Indices : Tile_Shaped<1, Tile_Index>;
def Tile_BlockTable : Tile_Shaped<2, Tile_Index>;
def Tile_Half : Tile_Element<"$_self.isF16()", "f16">;
def Tile_Slots : Tile_Shaped<3, Tile_Half>;
def Tile_Keys : Tile_Shaped<5, Tile_Cached>;
def Tile_Values : Tile_Shaped<4, Tile_Cached>;

//===-- Structured operations ------------------------------------------------------------------------------------===//

/// The last `written` operands are written, and are the results where they are tensors.
class Tile_StructuredOp<string mnemonic, int written = 1, list<Trait> traits = []>
    : Op<Tile_Dialect, mnemonic,
         traits # [DestinationStyleOpInterface, DeclareOpInterfaceMethods<MemoryEffectsOpInterface>]> {
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let extraClassDeclaration = [{
    ::mlir::MutableOperandRange getDpsInitsMutable() {
      return {getOperation(), getNumOperands() - }] # written # [{, }] # written # [{};
    }
  }];
  let extraClassDefinition = [{
    void $cppClass::getEffects(
        ::llvm::SmallVectorImpl<::mlir::SideEffects::EffectInstance<::mlir::MemoryEffects::Effect>> &effects) {
      ::stepdown::tile::structuredEffects(*this, effects);
    }
  }];
}

def Tile_PackActivationOp : Tile_StructuredOp<"pack_activation"> {
  let summary = "rows of float32 as activation blocks";
  let description = [{
    x [R, 2 B] of vector<16xf32> into a [ceil(R / tokens), B] of !transformer.activation; row r becomes token r mod tokens of tile
    r div tokens. `groups` as in transformer.quantize; x then has as many vectors as it needs. Blocks of one token may have a
    dimension more, a [R / ranks, ranks, B]: row r becomes rank r mod ranks of token r div ranks.

    Example: `tile.pack_activation ins(%x : memref<?x4xvector<16xf32>>) outs(%a : memref<?x2x!transformer.activation<q8, tokens = 4>>)`
  }];
  let arguments = (ins Tile_Rows:$x,
                       AnyTypeOf<[Tile_Shaped<2, Tile_Activation>, Tile_Shaped<3, Tile_Activation>]>:$a, OptionalAttr<DenseI64ArrayAttr>:$groups);
  let assemblyFormat = "`ins` `(` $x `:` type($x) `)` `outs` `(` $a `:` type($a) `)` attr-dict (`->` type($results)^)?";
}

def Tile_GatherOp : Tile_StructuredOp<"gather"> {
  let summary = "rows of a packed table, decoded";
  let description = [{
    y[r] = scale * table[tokens[r]] for tokens [R] i32, table [V / 16, B] of !transformer.block<..., rows = 16>, y [R, N / 16] of
    vector<16xf32>.

    Example:
    ```mlir
    tile.gather ins(%tokens, %table : memref<?xi32>, memref<16x2x!transformer.block<q4_1, rows = 16>>)
        outs(%y : memref<?x4xvector<16xf32>>) {scale = 1.0 : f64}
    ```
  }];
  let arguments = (ins Tile_Indices:$tokens, Tile_Shaped<2, Tile_Block>:$table, Tile_Rows:$y, F64Attr:$scale);
  let assemblyFormat = [{
    `ins` `(` $tokens `,` $table `:` type($tokens) `,` type($table) `)` `outs` `(` $y `:` type($y) `)` attr-dict
    (`->` type($results)^)?
  }];
}

def Tile_RotateOp : Tile_StructuredOp<"rotate"> {
  let summary = "rotary position embedding";
  let description = [{
    x [R, N / 16] of vector<16xf32>, positions [R] i32, coarse [C, 2, F] f32, fine [64, 2, F] f32: cosines, then sines, of the angles
    of positions 64 i, and of positions 0 ... 63 (times the attention factor). The angle of p is the sum of those of p div 64 and
    p mod 64. y as x.

    Example:
    ```mlir
    tile.rotate ins(%x, %positions, %coarse, %fine
        : memref<?x1xvector<16xf32>>, memref<?xi32>, memref<4x2x8xf32>, memref<64x2x8xf32>)
        outs(%y : memref<?x1xvector<16xf32>>) {head_dim = 16 : i64, pairs = #transformer<pairs half>}
    ```
  }];
  let arguments = (ins Tile_Rows:$x, Tile_Indices:$positions, Tile_Shaped<3, Tile_Float>:$coarse,
                       Tile_Shaped<3, Tile_Float>:$fine, Tile_Rows:$y, Transformer_PairsAttr:$pairs, I64Attr:$head_dim);
  let assemblyFormat = [{
    `ins` `(` $x `,` $positions `,` $coarse `,` $fine `:` type($x) `,` type($positions) `,` type($coarse) `,` type($fine) `)`
    `outs` `(` $y `:` type($y) `)` attr-dict (`->` type($results)^)?
  }];
}

def Tile_RouteOp : Tile_StructuredOp<"route", 2> {
  let summary = "the experts of each token, and what each counts";
  let description = [{
    transformer.route of z [R, columns / 16] of vector<16xf32>: ids [R, used] i32, weights [R, columns / 16] of vector<16xf32>.

    Example:
    ```mlir
    tile.route ins(%z : memref<?x2xvector<16xf32>>) outs(%ids, %weights : memref<?x3xi32>, memref<?x2xvector<16xf32>>)
        {experts = 29 : i64, normalised = true, scale = 1.0 : f64}
    ```
  }];
  let arguments = (ins Tile_Rows:$z, Tile_BlockTable:$ids, Tile_Rows:$weights, I64Attr:$experts, BoolAttr:$normalised,
                       F64Attr:$scale);
  let assemblyFormat = [{
    `ins` `(` $z `:` type($z) `)` `outs` `(` $ids `,` $weights `:` type($ids) `,` type($weights) `)` attr-dict
    (`->` type($results)^)?
  }];
}

def Tile_CombineOp : Tile_StructuredOp<"combine"> {
  let summary = "what the experts of each token give, weighted and added up";
  let description = [{
    y[i] = sum_r weights[r] * x[r * N / 16 + i], r ascending, of each row of x [R, ranks * N / 16], weights [R, ...] and y [R, N / 16]
    of vector<16xf32>.

    Example:
    ```mlir
    tile.combine ins(%x, %weights : memref<?x6xvector<16xf32>>, memref<?x2xvector<16xf32>>) outs(%y : memref<?x2xvector<16xf32>>)
        {ranks = 3 : i64}
    ```
  }];
  let arguments = (ins Tile_Rows:$x, Tile_Rows:$weights, Tile_Rows:$y, I64Attr:$ranks);
  let assemblyFormat = [{
    `ins` `(` $x `,` $weights `:` type($x) `,` type($weights) `)` `outs` `(` $y `:` type($y) `)` attr-dict (`->` type($results)^)?
  }];
}

def Tile_AdaptOp : Tile_StructuredOp<"adapt"> {
  let summary = "what a linear gives, with what the adapter of each token adds to it";
  let description = [{
    transformer.adapt of x and of [R, columns / 16] of vector<16xf32>, slots [R] i32, down [S, in, 16 n] and up [S, rank, out] of
    f16: y [R, out / 16] of vector<16xf32>. h is the sum of eight partial sums, of every eighth column each.

    Example:
    ```mlir
    tile.adapt ins(%x, %of, %slots, %down, %up : memref<?x2xvector<16xf32>>, memref<?x4xvector<16xf32>>, memref<?xi32>,
                   memref<9x64x16xf16>, memref<9x5x32xf16>) outs(%y : memref<?x2xvector<16xf32>>)
    ```
  }];
  let arguments = (ins Tile_Rows:$x, Tile_Rows:$of, Tile_Indices:$slots, Tile_Slots:$down, Tile_Slots:$up, Tile_Rows:$y);
  let assemblyFormat = [{
    `ins` `(` $x `,` $of `,` $slots `,` $down `,` $up `:` type($x) `,` type($of) `,` type($slots) `,` type($down) `,` type($up) `)`
    `outs` `(` $y `:` type($y) `)` attr-dict (`->` type($results)^)?
  }];
}

def Tile_CacheStoreOp : Tile_StructuredOp<"cache_store", 2> {
  let summary = "keys and values of the step's tokens into the paged cache";
  let description = [{
    k, v [R, heads * key / 16 or value / 16] of vector<16xf32>, positions [R] i32, sequences [R] i32, table [S, W] i32 into keys
    [blocks, heads, g, key, 16], values [blocks, heads, 16 g, value] (see Artifact.h). Position p of sequence s lies in block
    table[s, p div 16g]. A block below zero is not written. Of i8 a head has blocks of 32 channels: codes, then the bytes of
    their scales (dialects/Transformer/IR/CachedRows.h), so that key and value here are 34 for each 32. Storing f8E4M3FN
    saturates: what is beyond 448, infinity too, is 448 with its sign; NaN stays NaN.

    Example:
    ```mlir
    tile.cache_store ins(%k, %v, %positions, %sequences, %table
        : memref<?x1xvector<16xf32>>, memref<?x1xvector<16xf32>>, memref<?xi32>, memref<?xi32>, memref<?x?xi32>)
        outs(%keys, %values : memref<?x1x?x16x16xf16>, memref<?x1x?x16xf16>)
    ```
  }];
  let arguments = (ins Tile_Rows:$k, Tile_Rows:$v, Tile_Indices:$positions, Tile_Indices:$sequences, Tile_BlockTable:$table,
                       Tile_Keys:$keys, Tile_Values:$values);
  let assemblyFormat = [{
    `ins` `(` $k `,` $v `,` $positions `,` $sequences `,` $table `:` type($k) `,` type($v) `,` type($positions) `,`
    type($sequences) `,` type($table) `)` `outs` `(` $keys `,` $values `:` type($keys) `,` type($values) `)` attr-dict
    (`->` type($results)^)?
  }];
}

def Tile_AttendOp : Tile_StructuredOp<"attend"> {
  let summary = "causal attention of some tokens over the paged cache, with online softmax";
  let description = [{
    q [R, H * key / 16] of vector<16xf32>, keys, values, positions [R], sequences [R], table [S, W] as in cache_store, and sinks [H]
    f32 where the model has them. y [R, H * value / 16] of vector<16xf32>. Positions are visited 16 at a time in ascending order,
    so the result depends neither on the size of cache blocks nor on how tokens are batched; scratch is independent of the context.

    Example:
    ```mlir
    tile.attend ins(%q, %keys, %values, %positions, %sequences, %table : memref<?x3xvector<16xf32>>, memref<?x1x?x16x16xf16>,
        memref<?x1x?x16xf16>, memref<?xi32>, memref<?xi32>, memref<?x?xi32>) outs(%y : memref<?x3xvector<16xf32>>)
        {scale = 0.25 : f64, softcap = 0.0 : f64, window = 0 : i64}
    ```
  }];
  let arguments = (ins Tile_Rows:$q, Tile_Keys:$keys, Tile_Values:$values, Tile_Indices:$positions, Tile_Indices:$sequences,
                       Tile_BlockTable:$table, Optional<Tile_Shaped<1, Tile_Float>>:$sinks, Tile_Rows:$y, F64Attr:$scale,
                       I64Attr:$window, F64Attr:$softcap);
  let assemblyFormat = [{
    `ins` `(` $q `,` $keys `,` $values `,` $positions `,` $sequences `,` $table (`,` $sinks^)? `:` type($q) `,` type($keys) `,`
    type($values) `,` type($positions) `,` type($sequences) `,` type($table) (`,` type($sinks)^)? `)`
    `outs` `(` $y `:` type($y) `)` attr-dict (`->` type($results)^)?
  }];
}

//===-- Operations on blocks -------------------------------------------------------------------------------------===//

def Tile_BlockDotOp : Op<Tile_Dialect, "block_dot", [Pure, AllTypesMatch<["acc", "result"]>]> {
  let summary = "product of one weight block with one activation block, added to the accumulator";
  let description = [{
    acc + sum_c weight[r, c] * activation[token, c] for the rows r of the block. The scalar body of a quantised linear
    layer as a linalg.generic over (token, row, block).

    Example: `%s = tile.block_dot %w, %a[%t], %acc : !transformer.block<q4_1, rows = 16>,
        !transformer.activation<q8, tokens = 4>, vector<16xf32>`

    C1: the accumulator has an element for every row of the weight block.
  }];
  let arguments = (ins Transformer_BlockType:$weight, Transformer_ActivationType:$activation, Index:$token, AnyType:$acc);
  let results = (outs AnyType:$result);
  let assemblyFormat = "$weight `,` $activation `[` $token `]` `,` $acc attr-dict `:` type($weight) `,` type($activation) `,` type($acc)";
  let hasVerifier = 1;
}

def Tile_UnpackQuadOp : Op<Tile_Dialect, "unpack_quad", [Pure]> {
  let summary = "four neighbouring columns of one row of a packed block, as float32";
  let description = [{
    For the block of `blocks` at the indices, which holds `rows` rows of a weight: y_e = its value of row `row` and column 4 quad + e,
    e = 0 ... 3, decoded as lib/Checkpoint/BlockFormat.h says. How a thread of a device reads a weight; weights are never written.

    Example:
    `%v:4 = tile.unpack_quad %w[%i, %k] row %r quad %q : memref<?x?x!transformer.block<q4_1, rows = 16>>`

    C1: there is an index for every dimension. C2: the elements are blocks of a layout of lib/Target.
  }];
  let arguments = (ins AnyMemRef:$blocks, Variadic<Index>:$indices, Index:$row, Index:$quad);
  let results = (outs F32:$y0, F32:$y1, F32:$y2, F32:$y3);
  let assemblyFormat = "$blocks `[` $indices `]` `row` $row `quad` $quad attr-dict `:` type($blocks)";
  let hasVerifier = 1;
}

def Tile_UnpackHalvesOp : Op<Tile_Dialect, "unpack_halves", [Pure]> {
  let summary = "four neighbouring columns of one row of a packed block, as binary16";
  let description = [{
    What tile.unpack_quad reads, as matrix units take it: rounded as tile.unpack rounds, with the arithmetic of
    lib/Kernels/BlockUnpacker.h, two columns at a time. A scale, and a minimum, are rounded to binary16, and then their product with
    the code, and the sum.

    Example:
    `%v:4 = tile.unpack_halves %w[%i, %k] row %r quad %q : memref<?x?x!transformer.block<q4_1, rows = 16>>`

    C1: there is an index for every dimension. C2: the elements are quantised blocks of a layout of lib/Target, whose scales are
    binary16.
  }];
  let arguments = (ins AnyMemRef:$blocks, Variadic<Index>:$indices, Index:$row, Index:$quad);
  let results = (outs F16:$y0, F16:$y1, F16:$y2, F16:$y3);
  let assemblyFormat = "$blocks `[` $indices `]` `row` $row `quad` $quad attr-dict `:` type($blocks)";
  let hasVerifier = 1;
}

def Tile_BlockPtrOp : Op<Tile_Dialect, "block_ptr", [Pure]> {
  let summary = "address of one element of a memref";
  let description = [{
    How the vector stage reads the fields of a block in place. Example:
    `%p = tile.block_ptr %w[%i, %k] : memref<?x?x!transformer.block<q4_1, rows = 16>> -> !llvm.ptr`

    C1: there is an index for every dimension.
  }];
  let arguments = (ins AnyMemRef:$base, Variadic<Index>:$indices);
  let results = (outs AnyType:$result);
  let assemblyFormat = "$base `[` $indices `]` attr-dict `:` type($base) `->` type($result)";
  let hasVerifier = 1;
}
include "dialects/Tile/IR/TileLaunchOps.td"
#endif
