// The operations of a mixture of experts; TransformerOps.td includes them in its order.
#ifndef STEPDOWN_TRANSFORMER_EXPERT_OPS_TD
#define STEPDOWN_TRANSFORMER_EXPERT_OPS_TD

def Transformer_Choices : Type<CPred<"::stepdown::transformer::isChoices($_self)">,
    "i32 tensor of tokens x ranks with a static number of ranks", "::mlir::RankedTensorType">;

def Transformer_RouteOp : Transformer_Op<"route", [Pure]> {
  let summary = "the experts of each token, and what each counts";
  let description = [{
    ids[t, r], r = 0 ... K - 1, are the K = `used` experts e < E = `experts` with the largest z[t, e], the largest first and of
    equal ones the lowest e; weights[t, r] = scale * exp(z[t, ids[t, r]] - m) / s with m = max_e z[t, e], and s the sum of exp(z -
    m) over the chosen experts where `normalised`, else over all E. That is the softmax over all, and with `normalised` divided
    by the sum of the chosen. NaN and -infinity count as the lowest finite number, so that the K experts differ whatever z is.
    z [T, columns], of which those from E on are padding, weights [T, at least K] with zeros behind.

    Example:
    ```mlir
    %ids, %weights = transformer.route %z {experts = 5 : i64, used = 2 : i64}
        : tensor<?x5xf32> -> tensor<?x2xi32>, tensor<?x2xf32>
    ```
    C1: z is tokens x columns of f32. C2: experts is at least 1 and at most z's columns. C3: used is at least 1 and at most
    experts and 64. C4: ids are tokens x used of i32. C5: weights are tokens x columns of f32, used or more. C6: all have as
    many tokens. C7: scale is finite and positive.
  }];
  let arguments = (ins Transformer_Rows:$z /* C1 */, I64Attr:$experts, I64Attr:$used,
                       DefaultValuedAttr<BoolAttr, "true">:$normalised, DefaultValuedAttr<F64Attr, "1.0">:$scale);
  let results = (outs Transformer_Choices:$ids, Transformer_Rows:$weights);
  let assemblyFormat = "$z attr-dict `:` type($z) `->` type($ids) `,` type($weights)";
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// The most experts of a token.
    static constexpr int64_t kMostUsed = 64;
  }];
}

def Transformer_ExpertLinearOp : Transformer_Op<"expert_linear", [Pure]> {
  let summary = "matrix products of each token with the weights of its experts";
  let description = [{
    y[t, r * O + o] = sum_c x[t, c] * weight[ids[t, r] * O + o, c] + bias[ids[t, r] * O + o] for the ranks r = 0 ... K - 1 of
    ids [T, K]: the rows of `experts` weights [O, N] lie one behind the other in weight [experts * O, N], and their biases in bias
    [experts * O], which may be left out. x [T, N], or with `by_rank` [T, K * N], of which rank r reads columns r * N ... r * N +
    N - 1; y [T, K * O]. A weight that no token has chosen is not read.

    Example:
    ```mlir
    %y = transformer.expert_linear %x, %ids, %w {experts = 5 : i64}
        : (tensor<?x64xf32>, tensor<?x2xi32>, tensor<160x2x!transformer.block<q4_1>>) -> tensor<?x64xf32>
    ```
    C1: x is tokens x columns of f32, or its activation blocks. C2: ids are tokens x ranks of i32. C3: the weight is a static
    matrix of blocks. C4: the result is tokens x columns of f32. C5: experts is at least 1 and divides the weight's rows. C6:
    x has the weight's columns, by rank as many for each; as activation blocks whole 32. C7: the result has a column for every
    rank and row of one expert. C8: all have as many tokens. C9: the bias is a static vector with an element for every row of
    the weight.
  }];
  let arguments = (ins Transformer_LinearInput:$x /* C1 */, Transformer_Choices:$ids /* C2 */,
                       Transformer_Matrix:$weight /* C3 */, Optional<Transformer_Vector>:$bias /* C9 */, I64Attr:$experts,
                       UnitAttr:$by_rank);
  let results = (outs Transformer_Rows:$result); // C4
  let assemblyFormat = [{$x `,` $ids `,` $weight (`,` $bias^)? (`by_rank` $by_rank^)? attr-dict `:`
                         functional-type(operands, results)}];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// K, and O.
    int64_t getRanks() { return getIds().getType().getDimSize(1); }
    int64_t getRowsOfExpert() { return getWeight().getType().getDimSize(0) / getExperts(); }
  }];
}

def Transformer_CombineExpertsOp : Transformer_Op<"combine_experts", [Pure]> {
  let summary = "what the experts of each token give, weighted and added up";
  let description = [{
    y[t, i] = sum_r weights[t, r] * x[t, r * N + i], r ascending, for x [T, K * N], weights [T, at least K], y [T, N].

    Example:
    ```mlir
    %y = transformer.combine_experts %x, %weights : (tensor<?x128xf32>, tensor<?x2xf32>) -> tensor<?x64xf32>
    ```
    C1: x and weights are tokens x columns of f32. C2: the result is tokens x columns of f32. C3: the result's columns divide
    x's. C4: there is a weight for every rank, of which there are at most 64. C5: all have as many tokens.
  }];
  let arguments = (ins Transformer_Rows:$x, Transformer_Rows:$weights); // C1
  let results = (outs Transformer_Rows:$result);                        // C2
  let assemblyFormat = "$x `,` $weights attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    int64_t getRanks() { return getX().getType().getDimSize(1) / getResult().getType().getDimSize(1); }
  }];
}

#endif
