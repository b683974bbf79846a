// What lies between kernels: the dispatch that runs one, and the forms that one leaves for another.
#ifndef STEPDOWN_KERNEL_OPS_TD
#define STEPDOWN_KERNEL_OPS_TD
include "dialects/Transformer/IR/TransformerAttrs.td"
include "dialects/Transformer/IR/TransformerTypes.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "mlir/IR/OpBase.td"

def Transformer_QuantizeOp : Op<Transformer_Dialect, "quantize", [Pure]> {
  let summary = "rows of float32 as activation blocks, the form that linear layers read";
  let description = [{
    y[t, b] holds x[t, 32 b ... 32 b + 31]: for q8 a scale d = max |x| / 127 and codes round(x / d), ties to even; for q8x2 also codes
    of what that leaves, in steps of d / 256; for q8o2 d = max |x| / 127 over the columns but those of the two quads with the largest
    values (and at least max |x| / 16319), and 15 bits for these; for f32 the values. The last block is filled up with zeros.
    `groups [n, m]` reads the first n of every m columns of x and leaves out the others: heads that pad-sizes has spread.
    `by_token`: blocks never hold several tokens side by side, since an expert's product reads one token's.

    Example: `%a = transformer.quantize %x : tensor<?x576xf32> -> tensor<?x18x!transformer.activation<q8>>`

    C1: the result has a block for every 32 columns of x that are read, the last perhaps for fewer, and blocks of one token.
    C2: groups is [n, m] with 1 <= n <= m, and m divides x's columns.
  }];
  let arguments = (ins AnyRankedTensor:$x, OptionalAttr<DenseI64ArrayAttr>:$groups, UnitAttr:$by_token);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$x (`groups` $groups^)? (`by_token` $by_token^)? attr-dict `:` type($x) `->` type($result)";
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
#endif
