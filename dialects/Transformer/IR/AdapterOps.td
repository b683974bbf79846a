// Adapters beside the weights: which one a token has, and what it adds to a linear. TransformerOps.td includes them in
// its order.
#ifndef STEPDOWN_TRANSFORMER_ADAPTER_OPS_TD
#define STEPDOWN_TRANSFORMER_ADAPTER_OPS_TD

def Transformer_Slots : Type<CPred<"::stepdown::transformer::isAdapter($_self)">,
    "static f16 tensor of slots x rows x columns", "::mlir::RankedTensorType">;

def Transformer_AdapterSlotsOp : Transformer_Op<"adapter_slots", [Pure]> {
  let summary = "the slot of the adapter of each token of the step";
  let description = [{
    y[t] = the slot of the adapter that s(t) has, 0 where it has none, y [T].

    Example:
    ```mlir
    %s = transformer.adapter_slots %batch : tensor<?xi32>
    ```
    C1: the result is an i32 tensor of rank 1.
  }];
  let arguments = (ins Transformer_BatchType:$batch);
  let results = (outs Transformer_Indices:$result);  // C1
  let assemblyFormat = "$batch attr-dict `:` type($result)";
}

def Transformer_AdapterOp : Transformer_Op<"adapter", [Pure]> {
  let summary = "one of the two low-rank matrices that adapters have for a linear, of every slot";
  let description = [{
    `down` is A transposed, slot by slot [S, in, R], and `up` s B transposed, [S, rank, out], of the linear whose weight is the
    tensor; R is the rank in whole vectors. They lie in memory that a session fills while it runs. `groups [n, m]` puts m - n rows
    of zeros behind every n of `down`, and as many columns behind every n of `up`: how pad-sizes makes tiles whole.

    Example:
    ```mlir
    %a = transformer.adapter "blk.{layer}.attn_q.weight" down : tensor<9x576x16xf16>
    %b = transformer.adapter "blk.{layer}.attn_q.weight" up groups [14, 16] : tensor<9x5x48xf16>
    ```
    C1: the result is a static f16 tensor of rank 3. C2: the name is not empty. C3: it is one of down and up. C4: groups is [n,
    m] with 1 <= n <= m, and m divides the rows of down, or the columns of up.
  }];
  let arguments = (ins StrAttr:$tensor, UnitAttr:$down, UnitAttr:$up, OptionalAttr<DenseI64ArrayAttr>:$groups);
  let results = (outs Transformer_Slots:$result); // C1
  let assemblyFormat = "$tensor (`down` $down^)? (`up` $up^)? (`groups` $groups^)? attr-dict `:` type($result)";
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    bool isPerLayer() { return getTensor().contains("{layer}"); }
    /// What the artifact calls it in layer `index`: "blk.3.attn_q.weight.lora_a".
    std::string getName(int64_t index);
  }];
}

def Transformer_AdaptOp : Transformer_Op<"adapt", [Pure]> {
  let summary = "what a linear gives, with what the adapter of each token adds to it";
  let description = [{
    y[t, o] = x[t, o] + sum_r up[z, r, o] * h[t, r], h[t, r] = sum_c down[z, c, r] * of[t, c], where z = slots[t] is not 0; else
    y[t, o] = x[t, o]. x, y [T, out], of [T, in], down [S, in, at least R], up [S, R, out]. A slot beyond the last is the last.

    Example:
    ```mlir
    %y = transformer.adapt %x, %of, %slots, %down, %up
        : (tensor<?x32xf32>, tensor<?x64xf32>, tensor<?xi32>, tensor<9x64x16xf16>, tensor<9x5x32xf16>) -> tensor<?x32xf32>
    ```
    C1: x, of and the result are tokens x columns of f32. C2: down and up are static f16 tensors of rank 3 with as many slots, at
    least 1. C3: down has the rows that of has columns. C4: up has the columns that x has, and the result. C5: down has a column
    for each row of up. C6: all have as many tokens.
  }];
  let arguments = (ins Transformer_Rows:$x, Transformer_Rows:$of /* C1 */, Transformer_Indices:$slots,
                       Transformer_Slots:$down, Transformer_Slots:$up /* C2 */);
  let results = (outs Transformer_Rows:$result);
  let assemblyFormat = "$x `,` $of `,` $slots `,` $down `,` $up attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

#endif
