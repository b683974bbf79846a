// What a kernel is made of below the transformer level: the dispatch that runs it, and the structured operations on tiles
// that linalg has no name for. A structured operation reads its inputs, writes its outputs in destination style, and is
// defined on tensors and on memrefs alike; the vector stage says how each is computed.
#ifndef STEPDOWN_KERNEL_OPS_TD
#define STEPDOWN_KERNEL_OPS_TD
include "dialects/Transformer/IR/TransformerAttrs.td"
include "dialects/Transformer/IR/TransformerTypes.td"
include "mlir/Interfaces/DestinationStyleOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "mlir/IR/OpBase.td"

//===-- Between kernels ------------------------------------------------------------------------------------------===//

def Transformer_QuantizeOp : Op<Transformer_Dialect, "quantize", [Pure]> {
  let summary = "rows of float32 as activation blocks, the form that linear layers read";
  let description = [{
    y[t, b] holds x[t, 32 b ... 32 b + 31]: for q8 a scale d = max |x| / 127 and codes round(x / d), ties to even; for q8x2 also codes
    of what that leaves, in steps of d / 256; for q8o2 d = max |x| / 127 over the columns but those of the two quads with the largest
    values (and at least max |x| / 16319), and 15 bits for these; for f32 the values. The last block is filled up with zeros.
    `groups [n, m]` reads the first n of every m columns of x and leaves out the others: heads that pad-sizes has spread.

    Example: `%a = transformer.quantize %x : tensor<?x576xf32> -> tensor<?x18x!transformer.activation<q8>>`

    C1: the result has a block for every 32 columns of x that are read, the last perhaps for fewer, and blocks of one token.
    C2: groups is [n, m] with 1 <= n <= m, and m divides x's columns.
  }];
  let arguments = (ins AnyRankedTensor:$x, OptionalAttr<DenseI64ArrayAttr>:$groups);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$x (`groups` $groups^)? attr-dict `:` type($x) `->` type($result)";
  let extraClassDeclaration = [{
    /// Columns of x that are read.
    int64_t getReadColumns();
  }];
  let hasVerifier = 1;
}

def Transformer_RopeTableOp : Op<Transformer_Dialect, "rope_table", [Pure]> {
  let summary = "cosines and sines of the rotary angles of every `stride`-th position";
  let description = [{
    y[i, 0, k] = factor * cos(i * stride * inverse_frequencies[k]) and y[i, 1, k] the sine, computed in float64 when the
    artifact is written. y [rows, 2, pairs].

    Example: `%t = transformer.rope_table {stride = 64 : i64, inverse_frequencies = array<f64: 1.0, 0.01>} : tensor<32x2x2xf32>`
  }];
  let arguments = (ins DenseF64ArrayAttr:$inverse_frequencies, I64Attr:$stride, DefaultValuedAttr<F64Attr, "1.0">:$factor);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "attr-dict `:` type($result)";
}

def Transformer_DispatchOp : Op<Transformer_Dialect, "dispatch", []> {
  let summary = "runs a kernel on all threads";
  let description = [{
    The kernel is a family of functions, one for each token-count bucket: `@name_b0`, `@name_b1`, ... `sources` says where
    each argument comes from: pairs of an index into inputs followed by results, and a part: of a batch 0 positions, 1
    sequences, 2 block table; of a cache 0 keys, 1 values; else 0. `dims` gives each argument's dimensions as the kernel sees
    them: constants, or a stepdown_symbol of Artifact.h. `inplace` lists pairs (input, result) that may share a buffer.
    `by_rows`: the rows whose logits are wanted, not the tokens, select the bucket.

    Example:
    ```mlir
    %y = transformer.dispatch @linear_0(%a, %w) sources [0, 0, 1, 0, 2, 0] dims [array<i64: -3, 18>, array<i64: 36, 18>,
        array<i64: -3, 1, 36>] : (tensor<?x18x!transformer.activation<q8>>, tensor<576x18x!transformer.block<q4_1>>) -> tensor<?x576xf32>
    ```
    C1: dims has an entry for every pair of sources. C2: sources name inputs or results. C3: inplace are pairs of an input
    and a result.
  }];
  let arguments = (ins FlatSymbolRefAttr:$kernel, Variadic<AnyType>:$inputs, DenseI64ArrayAttr:$sources, ArrayAttr:$dims,
                       UnitAttr:$by_rows, DefaultValuedAttr<DenseI64ArrayAttr, "{}">:$inplace);
  let results = (outs Variadic<AnyType>:$outputs);
  let assemblyFormat = "$kernel `(` $inputs `)` `sources` $sources `dims` $dims attr-dict `:` functional-type($inputs, $outputs)";
  let hasVerifier = 1;
}

//===-- Inside kernels -------------------------------------------------------------------------------------------===//

def Transformer_BlockDotOp : Op<Transformer_Dialect, "block_dot", [Pure, AllTypesMatch<["acc", "result"]>]> {
  let summary = "product of one weight block with one activation block, added to the accumulator";
  let description = [{
    acc + sum_c weight[r, c] * activation[token, c] for the rows r of the block. The scalar body of a quantised linear
    layer as a linalg.generic over (token, row, block).

    Example: `%s = transformer.block_dot %w, %a[%t], %acc : !transformer.block<q4_1, rows = 16>,
        !transformer.activation<q8, tokens = 4>, vector<16xf32>`

    C1: the accumulator has an element for every row of the weight block.
  }];
  let arguments = (ins Transformer_BlockType:$weight, Transformer_ActivationType:$activation, Index:$token, AnyType:$acc);
  let results = (outs AnyType:$result);
  let assemblyFormat = "$weight `,` $activation `[` $token `]` `,` $acc attr-dict `:` type($weight) `,` type($activation) `,` type($acc)";
  let hasVerifier = 1;
}

def Transformer_BlockPtrOp : Op<Transformer_Dialect, "block_ptr", [Pure]> {
  let summary = "address of one element of a memref";
  let description = [{
    How the vector stage reads the fields of a block in place. Example:
    `%p = transformer.block_ptr %w[%i, %k] : memref<?x?x!transformer.block<q4_1, rows = 16>>`

    C1: there is an index for every dimension.
  }];
  let arguments = (ins AnyMemRef:$base, Variadic<Index>:$indices);
  let results = (outs AnyType:$result);
  let assemblyFormat = "$base `[` $indices `]` attr-dict `:` type($base) `->` type($result)";
  let hasVerifier = 1;
}

class Transformer_TileOp<string mnemonic, list<Trait> traits = []>
    : Op<Transformer_Dialect, mnemonic,
         traits # [DestinationStyleOpInterface, AttrSizedOperandSegments, DeclareOpInterfaceMethods<MemoryEffectsOpInterface>]> {
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = [{
    `ins` `(` $inputs `:` type($inputs) `)` `outs` `(` $outputs `:` type($outputs) `)` attr-dict (`->` type($results)^)?
  }];
  let extraClassDeclaration = [{
    ::mlir::MutableOperandRange getDpsInitsMutable() { return getOutputsMutable(); }
  }];
  let hasVerifier = 1;
}

def Transformer_PackActivationOp : Transformer_TileOp<"pack_activation"> {
  let summary = "rows of 16-lane vectors into activation blocks";
  let description = [{
    inputs: x [R, 2 B] of vector<16xf32>. outputs: a [ceil(R / tokens), B] of !transformer.activation; row r becomes token
    r mod tokens of tile r div tokens. `groups` as in transformer.quantize; x then has as many vectors as it needs.

    C1: there are as many inputs and outputs as listed. C2: each has the rank and element listed.
  }];
  let arguments = (ins Variadic<AnyShaped>:$inputs, Variadic<AnyShaped>:$outputs, OptionalAttr<DenseI64ArrayAttr>:$groups);
}

def Transformer_GatherOp : Transformer_TileOp<"gather"> {
  let summary = "rows of a packed table, decoded";
  let description = [{
    inputs: tokens [R] i32, table [V / 16, B] of !transformer.block<..., rows = 16>. outputs: y [R, N / 16] of
    vector<16xf32>; y[r] = scale * table[tokens[r]].

    C1: there are as many inputs and outputs as listed. C2: each has the rank and element listed.
  }];
  let arguments = (ins Variadic<AnyShaped>:$inputs, Variadic<AnyShaped>:$outputs, F64Attr:$scale);
}

def Transformer_RotateOp : Transformer_TileOp<"rotate"> {
  let summary = "rotary position embedding";
  let description = [{
    inputs: x [R, N / 16] of vector<16xf32>, positions [R] i32, coarse [C, 2, F] f32, fine [64, 2, F] f32: cosines, then sines, of the angles
    of positions 64 i, and of positions 0 ... 63 (times the attention factor). The angle of p is the sum of those of
    p div 64 and p mod 64. outputs: y as x.

    C1: there are as many inputs and outputs as listed. C2: each has the rank and element listed.
  }];
  let arguments = (ins Variadic<AnyShaped>:$inputs, Variadic<AnyShaped>:$outputs, Transformer_PairsAttr:$pairs, I64Attr:$head_dim);
}

def Transformer_CacheStoreOp : Transformer_TileOp<"cache_store"> {
  let summary = "keys and values of the step's tokens into the paged cache";
  let description = [{
    inputs: k, v [R, heads * key / 16 or value / 16] of vector<16xf32>, positions [R] i32, sequences [R] i32, table [S, W] i32.
    outputs: keys [blocks, heads, g, key, 16], values [blocks, heads, 16 g, value] (see Artifact.h). Position p of sequence
    s lies in block table[s, p div 16g]. A block below zero is not written.

    C1: there are as many inputs and outputs as listed. C2: each has the rank and element listed.
  }];
  let arguments = (ins Variadic<AnyShaped>:$inputs, Variadic<AnyShaped>:$outputs);
}

def Transformer_AttendOp : Transformer_TileOp<"attend"> {
  let summary = "attention of some tokens over the paged cache, with online softmax";
  let description = [{
    inputs: q [R, H * key / 16] of vector<16xf32>, keys, values, positions [R], sequences [R], table [S, W] as in cache_store, and sinks [H] f32
    where the model has them. outputs: y [R, H * value / 16] of vector<16xf32>. Positions are visited 16 at a time in ascending order, so the
    result depends neither on the size of cache blocks nor on how tokens are batched; scratch is independent of the context.

    C1: there are as many inputs and outputs as listed. C2: each has the rank and element listed.
  }];
  let arguments = (ins Variadic<AnyShaped>:$inputs, Variadic<AnyShaped>:$outputs, F64Attr:$scale, I64Attr:$window,
                       F64Attr:$softcap, BoolAttr:$causal);
}
#endif
