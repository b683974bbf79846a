// Operations of the transformer dialect. In the formulas T is the number of tokens of the step, the first dimension of
// every activation; t is one of them, p(t) its position and s(t) its sequence.
#ifndef STEPDOWN_TRANSFORMER_OPS_TD
#define STEPDOWN_TRANSFORMER_OPS_TD
include "dialects/Transformer/IR/TransformerAttrs.td"
include "dialects/Transformer/IR/TransformerTypes.td"
include "dialects/Transformer/IR/KernelOps.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def Transformer_Rows : Type<CPred<"::stepdown::transformer::isRows($_self)">,
    "f32 tensor of tokens x columns with a static number of columns", "::mlir::RankedTensorType">;
def Transformer_NarrowRows : Type<CPred<"::stepdown::transformer::isRows($_self) || ::stepdown::transformer::isNarrowRows($_self)">,
    "f32, f16 or bf16 tensor of tokens x columns with a static number of columns", "::mlir::RankedTensorType">;
def Transformer_LinearInput : Type<CPred<"::stepdown::transformer::isRows($_self) || ::stepdown::transformer::isActivations($_self)">,
    "f32 tensor of tokens x columns with a static number of columns, or its activation blocks", "::mlir::RankedTensorType">;
def Transformer_Indices : Type<CPred<"::stepdown::transformer::isIndices($_self)">,
    "i32 tensor of rank 1", "::mlir::RankedTensorType">;
def Transformer_Vector : Type<CPred<"::stepdown::transformer::isVector($_self)">,
    "f32 tensor of one static dimension", "::mlir::RankedTensorType">;
def Transformer_Matrix : Type<CPred<"::stepdown::transformer::isMatrix($_self)">,
    "static tensor of out x blocks of !transformer.block with rows = 1", "::mlir::RankedTensorType">;
def Transformer_Stored : Type<Or<[Transformer_Vector.predicate, Transformer_Matrix.predicate]>,
    "static tensor of out x blocks of !transformer.block with rows = 1, or of one dimension of f32",
    "::mlir::RankedTensorType">;

class Transformer_Op<string mnemonic, list<Trait> traits = []> : Op<Transformer_Dialect, mnemonic, traits>;

//===-- Weights and the ends of the model ------------------------------------------------------------------------===//

def Transformer_WeightOp : Transformer_Op<"weight", [Pure]> {
  let summary = "a tensor of the checkpoint, by name";
  let description = [{
    The bytes stay in the file. `{layer}` in the name stands for the index of the layer that runs, so that all layers of
    one kind share one function. A matrix [out, in] is out x in / e blocks of e values; a vector is decoded to float32.
    `rows [begin, end]` takes those rows of a tensor in which the file fuses several (q, k and v; gate and up).
    `groups [n, m]` puts m - n rows (elements of a vector) of zeros behind every n, and `columns n` says that the tensor has n columns and
    the result's further ones are zeros: how pad-sizes makes tiles whole.

    Example:
    ```mlir
    %w = transformer.weight "blk.{layer}.attn_qkv.weight" rows [0, 576] : tensor<576x18x!transformer.block<q4_1>>
    %n = transformer.weight "output_norm.weight" : tensor<576xf32>
    %p = transformer.weight "blk.{layer}.attn_q.weight" groups [100, 112] columns 300 : tensor<336x320x!transformer.block<f16>>
    ```
    C1: the result is a static matrix of blocks with rows = 1, or a static vector of f32.
    C2: the name is not empty, and `{layer}` is the only brace in it.
    C3: rows is [begin, end] with 0 <= begin, and end - begin is the result's first dimension, less what groups adds.
    C4: groups is [n, m] with 1 <= n <= m, and m divides the result's first dimension. C5: columns is at least 1 and at most
    the result's, which is a matrix of blocks of one value.
  }];
  let arguments = (ins StrAttr:$tensor, OptionalAttr<DenseI64ArrayAttr>:$rows, OptionalAttr<DenseI64ArrayAttr>:$groups,
                       OptionalAttr<I64Attr>:$columns);
  let results = (outs Transformer_Stored:$result); // C1
  let assemblyFormat = "$tensor (`rows` $rows^)? (`groups` $groups^)? (`columns` $columns^)? attr-dict `:` type($result)";
  let builders = [OpBuilder<(ins "::mlir::Type":$type, "::mlir::StringAttr":$tensor, "::mlir::DenseI64ArrayAttr":$rows),
                            [{ build($_builder, $_state, type, tensor, rows, ::mlir::DenseI64ArrayAttr(), ::mlir::IntegerAttr()); }]>];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// Whether the tensor differs from layer to layer.
    bool isPerLayer() { return getTensor().contains("{layer}"); }
    /// The checkpoint's name of the tensor in layer `index`.
    std::string getTensorName(int64_t index);
    /// The result's rows (elements of a vector) that the tensor has, and the columns of each (1 of a vector).
    int64_t getStoredRows();
    int64_t getStoredColumns();
  }];
}

def Transformer_EmbeddingOp : Transformer_Op<"embedding", [Pure]> {
  let summary = "the row of the embedding table of each token";
  let description = [{
    y[t, c] = scale * table[tokens[t], c] for tokens [T], table [V, N], y [T, N].

    Example:
    ```mlir
    %x = transformer.embedding %tokens, %table {scale = 24.0 : f64}
        : (tensor<?xi32>, tensor<49152x18x!transformer.block<q8_0>>) -> tensor<?x576xf32>
    ```
    C1: tokens is an i32 tensor of rank 1. C2: the table is a static matrix of blocks. C3: the result is tokens x columns
    of f32. C4: the result has the table's columns. C5: tokens and result have as many tokens. C6: scale is finite.
  }];
  let arguments = (ins Transformer_Indices:$tokens,  // C1
                       Transformer_Matrix:$table,    // C2
                       DefaultValuedAttr<F64Attr, "1.0">:$scale);
  let results = (outs Transformer_Rows:$result);     // C3
  let assemblyFormat = "$tokens `,` $table attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Transformer_PositionsOp : Transformer_Op<"positions", [Pure]> {
  let summary = "the position of each token of the step";
  let description = [{
    y[t] = p(t), y [T]: what a table of learned positions is looked up with.

    Example:
    ```mlir
    %p = transformer.positions %batch : tensor<?xi32>
    ```
    C1: the result is an i32 tensor of rank 1.
  }];
  let arguments = (ins Transformer_BatchType:$batch);
  let results = (outs Transformer_Indices:$result);  // C1
  let assemblyFormat = "$batch attr-dict `:` type($result)";
}

def Transformer_SelectRowsOp : Transformer_Op<"select_rows", [Pure]> {
  let summary = "the tokens whose logits are wanted";
  let description = [{
    y[r, c] = x[rows[r], c] for x [T, N], rows [R], y [R, N].

    Example:
    ```mlir
    %y = transformer.select_rows %x, %rows : (tensor<?x576xf32>, tensor<?xi32>) -> tensor<?x576xf32>
    ```
    C1: x is tokens x columns of f32. C2: rows is an i32 tensor of rank 1. C3: the result is rows x columns of f32.
    C4: x and result have as many columns. C5: rows and result have as many rows.
  }];
  let arguments = (ins Transformer_Rows:$x,          // C1
                       Transformer_Indices:$rows);   // C2
  let results = (outs Transformer_Rows:$result);     // C3
  let assemblyFormat = "$x `,` $rows attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Transformer_LogitsOp : Transformer_Op<"logits", [Pure]> {
  let summary = "the score of every token of the vocabulary";
  let description = [{
    z[r, v] = scale * (sum_c x[r, c] * weight[v, c] + bias[v]); y = z, or softcap * tanh(z / softcap) where softcap is not 0.
    x [R, N], weight [V, N], bias [V], y [R, V].

    Example:
    ```mlir
    %y = transformer.logits %x, %w {softcap = 30.0 : f64}
        : (tensor<?x576xf32>, tensor<49152x18x!transformer.block<q8_0>>) -> tensor<?x49152xf32>
    ```
    C1: x is rows x columns of f32. C2: the weight is a static matrix of blocks. C3: the bias is a static vector. C4: the
    result is rows x columns of f32. C5: the weight has x's columns; as activation blocks x has whole 32. C6: the result has a column
    for every row of the weight. C7: the bias has an element for every row of the weight. C8: x and result have as many rows. C9: scale is
    finite; softcap is finite and not negative.
  }];
  let arguments = (ins Transformer_LinearInput:$x,                 // C1
                       Transformer_Matrix:$weight,          // C2
                       Optional<Transformer_Vector>:$bias,  // C3
                       DefaultValuedAttr<F64Attr, "1.0">:$scale, DefaultValuedAttr<F64Attr, "0.0">:$softcap);
  let results = (outs Transformer_Rows:$result);            // C4
  let assemblyFormat = "$x `,` $weight (`,` $bias^)? attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

//===-- Norms ----------------------------------------------------------------------------------------------------===//

def Transformer_RMSNormOp : Transformer_Op<"rms_norm", [Pure, AllTypesMatch<["x", "result"]>]> {
  let summary = "root mean square norm of each row, or of each head of it";
  let description = [{
    y[t, h, i] = x[t, h, i] / sqrt(mean_j x[t, h, j]^2 + eps) * weight[i] for x [T, H * D] seen as [T, H, D], weight [D].
    A weight of all columns (H = 1) norms the row; a weight of one head's columns norms every head by itself. `padding` of the D columns
    are zeros that the mean does not count.

    Example:
    ```mlir
    %y = transformer.rms_norm %x, %w {eps = 1.0e-5 : f64} : tensor<?x576xf32>, tensor<576xf32>
    ```
    C1: x is tokens x columns of f32. C2: the weight is a static vector. C3: columns are a multiple of the weight's
    elements. C4: eps is finite and not negative. C5: padding is not negative and less than the weight's elements.
  }];
  let arguments = (ins Transformer_Rows:$x,          // C1
                       Transformer_Vector:$weight,   // C2
                       F64Attr:$eps, DefaultValuedAttr<I64Attr, "0">:$padding);
  let results = (outs Transformer_Rows:$result);
  let assemblyFormat = "$x `,` $weight attr-dict `:` type($x) `,` type($weight)";
  let hasVerifier = 1;
}

def Transformer_LayerNormOp : Transformer_Op<"layer_norm", [Pure, AllTypesMatch<["x", "result"]>]> {
  let summary = "mean and variance norm of each row";
  let description = [{
    y[t, i] = (x[t, i] - m) / sqrt(mean_j (x[t, j] - m)^2 + eps) * weight[i] + bias[i] with m = mean_j x[t, j];
    x [T, N], weight [N], bias [N], which may be left out.

    Example:
    ```mlir
    %y = transformer.layer_norm %x, %w, %b {eps = 1.0e-5 : f64} : tensor<?x768xf32>, tensor<768xf32>, tensor<768xf32>
    ```
    C1: x is tokens x columns of f32. C2: weight and bias are static vectors. C3: weight and bias have as many elements
    as x has columns. C4: eps is finite and not negative.
  }];
  let arguments = (ins Transformer_Rows:$x,                                   // C1
                       Transformer_Vector:$weight, Optional<Transformer_Vector>:$bias,  // C2
                       F64Attr:$eps);
  let results = (outs Transformer_Rows:$result);
  let assemblyFormat = "$x `,` $weight (`,` $bias^)? attr-dict `:` type($x) `,` type($weight) (`,` type($bias)^)?";
  let hasVerifier = 1;
}

//===-- Linear and elementwise -----------------------------------------------------------------------------------===//

def Transformer_LinearOp : Transformer_Op<"linear", [Pure]> {
  let summary = "matrix product with a stored weight";
  let description = [{
    y[t, o] = sum_c x[t, c] * weight[o, c] + bias[o] for x [T, N], weight [O, N], bias [O], y [T, O].

    Example:
    ```mlir
    %y = transformer.linear %x, %w, %b
        : (tensor<?x576xf32>, tensor<1536x18x!transformer.block<q4_1>>, tensor<1536xf32>) -> tensor<?x1536xf32>
    ```
    C1: x is tokens x columns of f32. C2: the weight is a static matrix of blocks. C3: the bias is a static vector. C4:
    the result is tokens x columns of f32. C5: the weight has x's columns; as activation blocks x has whole 32. C6: the result has a column for every row of
    the weight. C7: the bias has an element for every row of the weight. C8: x and result have as many tokens.
  }];
  let arguments = (ins Transformer_LinearInput:$x,                  // C1
                       Transformer_Matrix:$weight,           // C2
                       Optional<Transformer_Vector>:$bias);  // C3
  let results = (outs Transformer_Rows:$result);             // C4
  let assemblyFormat = "$x `,` $weight (`,` $bias^)? attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Transformer_GatedActivationOp : Transformer_Op<"gated_activation", [Pure, SameOperandsAndResultType]> {
  let summary = "activation of the gate, times up";
  let description = [{
    y[t, i] = f(gate[t, i]) * up[t, i], all [T, N], with f one of
    silu g / (1 + exp(-g)); gelu_tanh g / 2 * (1 + tanh(sqrt(2 / pi) * (g + 0.044715 * g^3)));
    gelu_erf g / 2 * (1 + erf(g / sqrt(2))); clamped_swish c / (1 + exp(-1.702 * c)), c = min(g, 7), which gpt-oss has: it
    multiplies with max(-7, min(up[t, i], 7)) + 1 in place of up[t, i]; sigmoid 1 / (1 + exp(-g)).

    Example:
    ```mlir
    %y = transformer.gated_activation silu %gate, %up : tensor<?x1536xf32>
    ```
    C1: gate is tokens x columns of f32. C2: gate, up and result have the same type.
  }];
  let arguments = (ins Transformer_GateAttr:$kind, Transformer_Rows:$gate /* C1 */, Transformer_Rows:$up);
  let results = (outs Transformer_Rows:$result);
  let assemblyFormat = "`` $kind $gate `,` $up attr-dict `:` type($result)"; // C2: SameOperandsAndResultType
}

def Transformer_ActivationOp : Transformer_Op<"activation", [Pure, SameOperandsAndResultType]> {
  let summary = "activation of each number";
  let description = [{
    y[t, i] = f(x[t, i]), both [T, N], with f one of those of gated_activation.

    Example:
    ```mlir
    %y = transformer.activation gelu_erf %x : tensor<?x1536xf32>
    ```
    C1: x is tokens x columns of f32. C2: x and result have the same type.
  }];
  let arguments = (ins Transformer_GateAttr:$kind, Transformer_Rows:$x /* C1 */);
  let results = (outs Transformer_Rows:$result);
  let assemblyFormat = "`` $kind $x attr-dict `:` type($result)"; // C2: SameOperandsAndResultType
}

def Transformer_AddBiasOp : Transformer_Op<"add_bias", [Pure, AllTypesMatch<["x", "result"]>]> {
  let summary = "one vector added to every row";
  let description = [{
    y[t, i] = x[t, i] + bias[i] for x and y [T, N], bias [N].

    Example:
    ```mlir
    %y = transformer.add_bias %x, %segment : tensor<?x384xf32>, tensor<384xf32>
    ```
    C1: x is tokens x columns of f32. C2: the bias is a static vector. C3: the bias has as many elements as x has columns.
  }];
  let arguments = (ins Transformer_Rows:$x /* C1 */, Transformer_Vector:$bias /* C2 */);
  let results = (outs Transformer_Rows:$result);
  let assemblyFormat = "$x `,` $bias attr-dict `:` type($x) `,` type($bias)";
  let hasVerifier = 1;
}

def Transformer_AddOp : Transformer_Op<"add", [Pure, SameOperandsAndResultType]> {
  let summary = "residual sum";
  let description = [{
    y[t, i] = a[t, i] + scale * b[t, i], all [T, N].

    Example:
    ```mlir
    %y = transformer.add %x, %attended {scale = 0.22 : f64} : tensor<?x576xf32>
    ```
    C1: a is tokens x columns of f32. C2: a, b and result have the same type. C3: scale is finite.
  }];
  let arguments = (ins Transformer_Rows:$a /* C1 */, Transformer_Rows:$b, DefaultValuedAttr<F64Attr, "1.0">:$scale);
  let results = (outs Transformer_Rows:$result);
  let assemblyFormat = "$a `,` $b attr-dict `:` type($result)"; // C2: SameOperandsAndResultType
  let hasVerifier = 1;
}

//===-- Experts --------------------------------------------------------------------------------------------------===//

include "dialects/Transformer/IR/ExpertOps.td"
include "dialects/Transformer/IR/AdapterOps.td"

//===-- Attention ------------------------------------------------------------------------------------------------===//

def Transformer_Angles : Type<CPred<"::stepdown::transformer::isAngles($_self)">,
    "f32 tensor of rows x 2 x pairs with a static number of pairs", "::mlir::RankedTensorType">;

def Transformer_RopeOp : Transformer_Op<"rope", [Pure, AttrSizedOperandSegments, AllTypesMatch<["x", "result"]>]> {
  let summary = "rotary position embedding of every head";
  let description = [{
    For x [T, H * D] seen as [T, H, D] with D = head_dim, and pair k of the F inverse frequencies, with
    a = p(t) * inverse_frequencies[k], c = attention_factor * cos(a), s = attention_factor * sin(a):
    y[u] = x[u] * c - x[v] * s and y[v] = x[u] * s + x[v] * c, where (u, v) is (2k, 2k + 1) for adjacent pairs and
    (k, k + F) for half. The columns of a head from 2F on pass unchanged.

    Example:
    ```mlir
    %y = transformer.rope half %q, %batch {head_dim = 4 : i64, inverse_frequencies = array<f64: 1.0, 0.01>}
        : tensor<?x12xf32>
    ```
    C1: x is tokens x columns of f32. C2: head_dim is positive and divides the columns. C3: there is at least one inverse
    frequency, and not more than head_dim / 2. C4: inverse frequencies are finite and not negative. C5: attention_factor
    is finite and positive. C6: `tables`, which operations in a transformer.kernel have, are the two transformer.rope_table of
    these angles [rows, 2, F]: `coarse` of every 64th position, and `fine` of positions 0 ... 63.
  }];
  let arguments = (ins Transformer_PairsAttr:$pairs,
                       Transformer_Rows:$x,  // C1
                       Transformer_BatchType:$batch, Optional<Transformer_Angles>:$coarse,
                       Optional<Transformer_Angles>:$fine, I64Attr:$head_dim,
                       DenseF64ArrayAttr:$inverse_frequencies, DefaultValuedAttr<F64Attr, "1.0">:$attention_factor);
  let results = (outs Transformer_Rows:$result);
  let assemblyFormat = "`` $pairs $x `,` $batch (`tables` `(` $coarse^ `,` $fine `:` type($coarse) `,` type($fine) `)`)? "
                       "attr-dict `:` type($x)";
  let hasVerifier = 1;
}

def Transformer_KVAppendOp : Transformer_Op<"kv_append", [Pure, AllTypesMatch<["cache", "result"]>]> {
  let summary = "keys and values of the step's tokens, added to the layer's cache";
  let description = [{
    The result holds what the cache held and, at position p(t) of sequence s(t), key k[t] and value v[t], rounded to the
    cache's element. k [T, heads * key], v [T, heads * value].

    Example:
    ```mlir
    %c1 = transformer.kv_append %k, %v, %batch, %c0 : tensor<?x192xf32>, tensor<?x192xf32>,
        !transformer.cache<heads = 3, key = 64, value = 64, element = f16>
    ```
    C1: k and v are tokens x columns of f32. C2: k has heads * key columns. C3: v has heads * value columns. C4: k and v
    have as many tokens.
  }];
  let arguments = (ins Transformer_Rows:$k, Transformer_Rows:$v,  // C1
                       Transformer_BatchType:$batch, Transformer_CacheType:$cache);
  let results = (outs Transformer_CacheType:$result);
  let assemblyFormat = "$k `,` $v `,` $batch `,` $cache attr-dict `:` type($k) `,` type($v) `,` qualified(type($cache))";
  let hasVerifier = 1;
}

def Transformer_AttentionOp : Transformer_Op<"attention", [Pure]> {
  let summary = "attention of the step's tokens over the cache";
  let description = [{
    For query head h of H, key head g = h div (H / heads), and the positions j of sequence s(t) in the cache that t may
    see: z[j] = scale * sum_i q[t, h, i] * key[j, g, i], then softcap * tanh(z / softcap) where softcap is not 0;
    p[j] = exp(z[j]) / (sum_j exp(z[j]) + exp(sinks[h])); y[t, h, i] = sum_j p[j] * value[j, g, i].
    Causal: j <= p(t); else all. window = W, not 0: p(t) - j < W, so W counts the token itself. No sinks: that term is absent.
    q [T, H * key], y [T, H * value], sinks [H].

    Example:
    ```mlir
    %y = transformer.attention %q, %batch, %cache {scale = 0.125 : f64, window = 512 : i64} : (tensor<?x576xf32>,
        !transformer.batch, !transformer.cache<heads = 3, key = 64, value = 64, element = f16>) -> tensor<?x576xf32>
    ```
    C1: q is tokens x columns of f32, f16 or bf16. C2: sinks is a static vector. C3: the result is tokens x columns of
    f32, f16 or bf16. C4: q's columns are a multiple of the cache's key. C5: the query heads are a multiple of the
    cache's heads. C6: the result has a value for every query head. C7: sinks has an element for every query head. C8: q
    and result have as many tokens. C9: scale is finite and positive; softcap is finite and not negative. C10: window is
    not negative. C11: where q is f32, so is the result; else the cache has q's element, and the result it or f32.

    Sums are f32. Where q is narrower, p may be rounded to its element before it meets the values; the result is rounded
    once. A token that may see no position has zeros.
  }];
  let arguments = (ins Transformer_NarrowRows:$q,           // C1
                       Transformer_BatchType:$batch, Transformer_CacheType:$cache,
                       Optional<Transformer_Vector>:$sinks, // C2
                       F64Attr:$scale, DefaultValuedAttr<I64Attr, "0">:$window,
                       DefaultValuedAttr<F64Attr, "0.0">:$softcap, DefaultValuedAttr<BoolAttr, "true">:$causal);
  let results = (outs Transformer_NarrowRows:$result);      // C3
  let assemblyFormat = "$q `,` $batch `,` $cache (`,` $sinks^)? attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

//===-- Structure ------------------------------------------------------------------------------------------------===//

def Transformer_LayersOp : Transformer_Op<"layers", [AllTypesMatch<["x", "result"]>,
                                                     DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "all layers of the model, each an application of its kind";
  let description = [{
    x(i + 1) = kinds[order[i]](x(i), batch, cache of layer i) for layer i = 0 ... order's length - 1; the result is the
    last. A kind is a function (x [T, N], batch, cache) -> (x [T, N], cache) in which `{layer}` of a weight's name is i.
    With `rows` [R] the kind of the last layer is (x [T, N], batch, cache, rows) -> (y [R, N], cache), the rows of x(i +
    1) that `rows` names, and y is the result.

    Example:
    ```mlir
    %y = transformer.layers %x, %batch kinds [@local, @global] order [0, 0, 0, 1] : tensor<?x640xf32>
    ```
    C1: x is tokens x columns of f32. C2: there is at least one layer. C3: every entry of order is an index into kinds.
    C4: every kind is applied at least once. C5: a kind names a func.func. C6: it takes (x, !transformer.batch,
    !transformer.cache) and returns the types of x and cache; with rows, the kind of the last layer takes them behind
    these. C7: with rows, the number of tokens is dynamic. C8: with rows, no other layer is of the last layer's kind.
  }];
  let arguments = (ins Transformer_Rows:$x /* C1 */, Transformer_BatchType:$batch,
                       Optional<Transformer_Indices>:$rows, FlatSymbolRefArrayAttr:$kinds, DenseI64ArrayAttr:$order);
  let results = (outs Transformer_Rows:$result);
  let assemblyFormat = "$x `,` $batch (`rows` $rows^ `:` type($rows))? `kinds` $kinds `order` $order attr-dict `:` type($x)";
  let hasVerifier = 1;
}

def Transformer_KernelOp : Transformer_Op<"kernel", [IsolatedFromAbove, RecursiveMemoryEffects,
                                                     SingleBlockImplicitTerminator<"YieldOp">]> {
  let summary = "one dispatch: operations that are computed together";
  let description = [{
    The body reads the operands through its arguments and nothing else; the results are what it yields. Its memory traffic
    is its operands and results.

    Example:
    ```mlir
    %y = transformer.kernel "ffn_norm" (%x = %h : tensor<?x576xf32>, %w = %n : tensor<576xf32>) -> (tensor<?x576xf32>) {
      %0 = transformer.rms_norm %x, %w {eps = 1.0e-5 : f64} : tensor<?x576xf32>, tensor<576xf32>
      transformer.yield %0 : tensor<?x576xf32>
    }
    ```
    C1: the name is not empty. C2: the body has an argument of its type for every operand. C3: the body yields a value of
    its type for every result. C4: there is at least one result. C5: a kernel holds no other kernel.
  }];
  let arguments = (ins StrAttr:$label, Variadic<AnyType>:$inputs);
  let results = (outs Variadic<AnyType>:$outputs);
  let regions = (region SizedRegion<1>:$body);
  let hasCustomAssemblyFormat = 1;
  let hasRegionVerifier = 1;
}

def Transformer_YieldOp : Transformer_Op<"yield", [Pure, Terminator, ReturnLike, HasParent<"KernelOp">]> {
  let summary = "the results of a kernel";
  let description = [{
    Example: `transformer.yield %y : tensor<?x576xf32>`

    C1: it stands at the end of a transformer.kernel.
  }];
  let arguments = (ins Variadic<AnyType>:$values);
  let builders = [OpBuilder<(ins), [{ /* yields nothing */ }]>];
  let assemblyFormat = "attr-dict ($values^ `:` type($values))?"; // C1: HasParent, Terminator
}

//===-- Plain modules ---------------------------------------------------------------------------------------------===//

def Transformer_ElementaryOp : Transformer_Op<"elementary", !listconcat([Pure], ElementwiseMappable.traits)> {
  let summary = "an elementary function that nobody evaluates before expand-elementary";
  let description = [{
    y = function(x ...), of numbers, vectors or tensors element by element. It takes the place of `math.exp` and its like in plain
    modules: MLIR folds those of constants with the C library of the machine that compiles, in the type itself, which gives other
    digits than the code does, and a NaN of `math.atan2` where both are 0.

    Example:
    ```mlir
    %y = transformer.elementary "math.exp"(%x) : (f32) -> f32
    ```
    C1: the function is an operation of math on floats that expand-elementary knows. C2: it has as many operands as that. C3: the
    first operand has the result's type.
  }];
  let arguments = (ins StrAttr:$function, Variadic<AnyType>:$operands);
  let results = (outs AnyType:$result);
  let assemblyFormat = "$function `(` $operands `)` attr-dict `:` functional-type($operands, $result)";
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// How many operands `function` has, such as "math.exp"; 0 where it is none of them.
    static unsigned arity(::llvm::StringRef function);
  }];
}
#endif
