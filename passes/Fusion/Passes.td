// The fusion stage: operations that share memory traffic join in one kernel.
#ifndef STEPDOWN_FUSION_PASSES_TD
#define STEPDOWN_FUSION_PASSES_TD
include "mlir/Pass/PassBase.td"

def QuantizeActivations : Pass<"quantize-activations", "::mlir::func::FuncOp"> {
  let summary = "Give every linear layer its input as activation blocks";
  let description = [{
    A quantised weight reads blocks of 8-bit codes, a float weight, or any weight with `exact`, float32 blocks.
    Layers that read the same rows share the blocks. q8: one code a value. q8x2: two, which leaves 0.01 of a logit
    and takes twice the products. q8o2 (the default): one code and 7 bits more for the largest quads around gated
    activations, where most of a prompt's time goes, and q8x2 elsewhere.

    A weight of bfloat16 reads bf16, one bfloat16 for a value, where another would read q8 or q8o2, and bf16x2, the sum
    of two, where it would read q8x2; targets that do not multiply bfloat16 have either as float32.

    Before:
    ```mlir
    func.func @quantised_weights(%x: tensor<?x64xf32>, %q: tensor<32x2x!transformer.block<q4_1>>,
                                 %k: tensor<16x2x!transformer.block<q8_0>>) ...
      %0 = transformer.linear %x, %q : ...
      %1 = transformer.linear %x, %k : ...
    ```
    After:
    ```mlir
    func.func @quantised_weights(%x: tensor<?x64xf32>, %q: ..., %k: ...
      %a = transformer.quantize %x : tensor<?x64xf32> -> tensor<?x2x!transformer.activation<q8x2>>
      %0 = transformer.linear %a, %q : ...
      %1 = transformer.linear %a, %k : ...
    ```
  }];
  let options = [Option<"exact", "exact", "bool", "false", "Keep activations in float32">,
                 Option<"activations", "activations", "std::string", "\"q8o2\"", "Element of the blocks: q8o2, q8x2 or q8">];
  let dependentDialects = ["::stepdown::transformer::TransformerDialect"];
}

def PadSizes : Pass<"pad-sizes", "::mlir::ModuleOp"> {
  let summary = "Pad rows to multiples of 32 columns and heads to whole vectors of the target with zeros";
  let description = [{
    Vectors, activation blocks and cache heads are whole from here on, whatever sizes the checkpoint has; weights
    say which of their rows and columns the file has, norms how many columns their mean counts, and quantize how
    heads are spread. Logits keep their columns.

    Before:
    ```mlir
    func.func @odd_linear(%x: tensor<?x2x!transformer.activation<f32>>) -> tensor<?x29xf32> {
      %w = transformer.weight "w" : tensor<29x37x!transformer.block<f16>>
      %b = transformer.weight "b" : tensor<29xf32>
      %0 = transformer.linear %x, %w, %b
    ```
    After:
    ```mlir
    func.func @odd_linear(%x: tensor<?x2x!transformer.activation<f32>>) -> tensor<?x32xf32> {
      %w = transformer.weight "w" groups [29, 32] columns 37 : tensor<32x64x!transformer.block<f16>>
      %b = transformer.weight "b" groups [29, 32] : tensor<32xf32>
      %0 = transformer.linear %x, %w, %b ...
    ```
  }];
  let options = [Option<"targetName", "target", "std::string", "\"x86-64-v4-vnni\"", "Target of lib/Base/Targets.def">];
  let dependentDialects = ["::stepdown::transformer::TransformerDialect"];
}

def HoistSelectRows : Pass<"hoist-select-rows", "::mlir::ModuleOp"> {
  let summary = "Select the wanted rows behind the last layer's attention";
  let description = [{
    Most tokens of a prompt are there for their keys and values alone. What follows the last attention, each row by
    itself, is computed for the rows whose logits are wanted; where the last layer's kind has other layers, it becomes
    a kind of its own.

    Before:
    ```mlir
    func.func @last(%x: !rows, %batch: !transformer.batch, %cache: !cache) -> (!rows, !cache) {
      %w = transformer.weight "blk.{layer}.w" : !w
      %a = transformer.attention %x, %batch, %cache {scale = 0.25 : f64} : ...
      %0 = transformer.linear %a, %w : ...
      %y = transformer.add %x, %0 : !rows
      return %y, %cache : !rows, !cache
    ```
    After:
    ```mlir
    func.func @last(%x: ..., %batch: ..., %cache: ..., %rows: tensor<?xi32>) ...
      %w = transformer.weight "blk.{layer}.w" : ...
      %a = transformer.attention %x, %batch, %cache {scale = 2.500000e-01 : f64} : ...
      %s = transformer.select_rows %a, %rows : ...
      %t = transformer.select_rows %x, %rows : ...
      %0 = transformer.linear %s, %w : ...
      %1 = transformer.add %t, %0 : ...
      return %1, %cache : ...
    ```
  }];
  let statistics = [Statistic<"hoisted", "hoisted", "Number of models whose last layer computes wanted rows">];
  let dependentDialects = ["::stepdown::transformer::TransformerDialect"];
}

def FuseGatedActivation : Pass<"fuse-gated-activation", "::mlir::func::FuncOp"> {
  let summary = "Fuse a gated activation, and the packing of its result, into the two linears that feed it";
  let description = [{
    Gate and up are computed for the same rows and tokens by the same tile, so that neither goes to memory. The same goes
    for the activation of one linear, as BERT has it.

    Before:
    ```mlir
    func.func @gate_and_up(%a: !a, %g: !w, %u: !w) -> !a {
      %0 = transformer.linear %a, %g : (!a, !w) -> !rows
      %1 = transformer.linear %a, %u : (!a, !w) -> !rows
      %2 = transformer.gated_activation silu %0, %1 : !rows
      %3 = transformer.quantize %2 : !rows -> !a
    ```
    After:
    ```mlir
    func.func @gate_and_up(%a: ..., %g: ..., %u: ...
      %k = transformer.kernel "gated_linear" (%x = %a : ..., %v = %g : ..., %w = %u : ...
        %0 = transformer.linear %x, %v : ...
        %1 = transformer.linear %x, %w : ...
        %2 = transformer.gated_activation silu %0, %1 : tensor<?x32xf32>
        %3 = transformer.quantize %2 : tensor<?x32xf32> -> tensor<?x1x!transformer.activation<q8>>
        transformer.yield %3 : tensor<?x1x!transformer.activation<q8>>
    ```
  }];
  let dependentDialects = ["::stepdown::transformer::TransformerDialect"];
}

def FuseSiblingLinears : Pass<"fuse-sibling-linears", "::mlir::func::FuncOp"> {
  let summary = "Fuse linears that read the same activations";
  let description = [{
    The activations are read once and one barrier serves all (q, k and v).

    Before:
    ```mlir
    func.func @query_key_value(%a: !a, %q: !w, %k: !w, %v: !w) -> (!rows, !rows, !rows) {
      %0 = transformer.linear %a, %q : (!a, !w) -> !rows
      %1 = transformer.linear %a, %k : (!a, !w) -> !rows
      %2 = transformer.linear %a, %v : (!a, !w) -> !rows
    ```
    After:
    ```mlir
    func.func @query_key_value(%a: ..., %q: ..., %k: ..., %v: ...
      %r:3 = transformer.kernel "linear" (%x = %a : ..., %wq = %q : ..., %wk = %k : ..., %wv = %v : ...
        %0 = transformer.linear %x, %wq : ...
        %1 = transformer.linear %x, %wk : ...
        %2 = transformer.linear %x, %wv : ...
        transformer.yield %0, %1, %2 : tensor<?x32xf32>, tensor<?x32xf32>, tensor<?x32xf32>
    ```
  }];
  let dependentDialects = ["::stepdown::transformer::TransformerDialect"];
}

def FuseRopeAppend : Pass<"fuse-rope-append", "::mlir::func::FuncOp"> {
  let summary = "Fuse head norms, rotary embedding and the append to the cache";
  let description = [{
    Each token's query and key are normed, rotated and stored while they are in the nearest cache.

    Before:
    ```mlir
    func.func @normed_heads(%q: !rows, %k: !rows, %v: !rows, %batch: !transformer.batch, %cache: !cache, ...
      %0 = transformer.rms_norm %q, %w {eps = 1.0e-5 : f64} : !rows, tensor<32xf32>
      %1 = transformer.rope half %0, %batch {head_dim = 32 : i64, ...} : !rows
      %2 = transformer.rope half %k, %batch {head_dim = 32 : i64, ...} : !rows
      %3 = transformer.kv_append %2, %v, %batch, %cache : !rows, !rows, !cache
    ```
    After:
    ```mlir
    func.func @normed_heads(...
      %coarse = transformer.rope_table {... stride = 64 : i64} : tensor<4x2x16xf32>
      %fine = transformer.rope_table {... stride = 1 : i64} : tensor<64x2x16xf32>
      %r:2 = transformer.kernel "rope_append" (%q = ..., %c = %coarse : ..., %f = %fine : ...
        %0 = transformer.rms_norm %q, %w {eps = 1.000000e-05 : f64} : tensor<?x32xf32>, tensor<32xf32>
        %1 = transformer.rope half %0, %batch tables(%c, %f : ...
        %2 = transformer.rope half %k, %batch tables(%c, %f : ...
        %3 = transformer.kv_append %2, %v, %batch, %cache : ...
    ```
  }];
  let dependentDialects = ["::stepdown::transformer::TransformerDialect"];
}

def FuseAttention : Pass<"fuse-attention", "::mlir::func::FuncOp"> {
  let summary = "Fuse attention with the packing of its result";
  let description = [{
    Where the columns of a cache head's queries are a multiple of 32, a tile of the attention fills whole activation
    blocks.

    Before:
    ```mlir
    func.func @whole_blocks(%q: !rows, %batch: !transformer.batch, %cache: !wide) -> !a {
      %0 = transformer.attention %q, %batch, %cache {scale = 0.25 : f64} : ...
      %1 = transformer.quantize %0 : !rows -> !a
    ```
    After:
    ```mlir
    func.func @whole_blocks(%q: ..., %batch: !transformer.batch, %cache: ...
      %k = transformer.kernel "attention" (%x = %q : ..., %b = %batch : ..., %c = %cache : ...
        %0 = transformer.attention %x, %b, %c {scale = 2.500000e-01 : f64} : ...
        %1 = transformer.quantize %0 : tensor<?x32xf32> -> tensor<?x1x!transformer.activation<q8>>
        transformer.yield %1 : tensor<?x1x!transformer.activation<q8>>
    ```
  }];
  let dependentDialects = ["::stepdown::transformer::TransformerDialect"];
}

def FuseResidualNorm : Pass<"fuse-residual-norm", "::mlir::func::FuncOp"> {
  let summary = "Fuse residual sums with the norms around them and the packing of their result";
  let description = [{
    A row goes through memory once: its sum, its norms and its blocks are made while it is in the nearest cache. A norm
    that something else reads, too, is no part of the sum and stays outside. With `behind-products`, for devices, whose
    launches cost more than a number's tile: a sum that no norm of the function reads is part of the linear in front of it.

    Before:
    ```mlir
    func.func @post_norm_add_norm_pack(%x: !rows, %h: !rows, %post: !w, %norm: !w) -> (!rows, !a) {
      %0 = transformer.rms_norm %h, %post {eps = 1.0e-5 : f64} : !rows, !w
      %1 = transformer.add %x, %0 : !rows
      %2 = transformer.rms_norm %1, %norm {eps = 1.0e-5 : f64} : !rows, !w
      %3 = transformer.quantize %2 : !rows -> !a
    ```
    After:
    ```mlir
    func.func @post_norm_add_norm_pack(%x: ..., %h: ..., %post: ..., %norm: ...
      %r:2 = transformer.kernel "residual_norm" (%a = %h : ..., %p = %post : ..., %b = %x : ..., %n = %norm : ...
        %0 = transformer.rms_norm %a, %p {eps = 1.000000e-05 : f64} : tensor<?x32xf32>, tensor<32xf32>
        %1 = transformer.add %b, %0 : tensor<?x32xf32>
        %2 = transformer.rms_norm %1, %n {eps = 1.000000e-05 : f64} : tensor<?x32xf32>, tensor<32xf32>
        %3 = transformer.quantize %2 : tensor<?x32xf32> -> tensor<?x1x!transformer.activation<q8>>
        transformer.yield %1, %3 : ...
    ```
  }];
  let options = [Option<"behindProducts", "behind-products", "bool", "false", "Add behind the product where no norm follows">];
  let dependentDialects = ["::stepdown::transformer::TransformerDialect"];
}

def WrapKernels : Pass<"wrap-kernels", "::mlir::func::FuncOp"> {
  let summary = "Make a kernel of each operation that no fusion took";
  let description = [{
    All that computes is in kernels from here on. What declares (weights), repeats (layers) or is a kernel already stays.

    Before:
    ```mlir
    func.func @operation_by_itself(%tokens: tensor<?xi32>, %table: tensor<96x1x!transformer.block<q8_0>>) -> !rows {
      %0 = transformer.embedding %tokens, %table : ...
    ```
    After:
    ```mlir
    func.func @operation_by_itself(%tokens: tensor<?xi32>, %table: ...
      %k = transformer.kernel "embedding" (%t = %tokens : tensor<?xi32>, %e = %table : ...
        %0 = transformer.embedding %t, %e : ...
        transformer.yield %0 : tensor<?x32xf32>
    ```
  }];
  let dependentDialects = ["::stepdown::transformer::TransformerDialect"];
}
#endif
