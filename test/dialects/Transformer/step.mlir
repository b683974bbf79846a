// RUN: stepdown-opt %s | stepdown-opt | FileCheck %s
// RUN: stepdown-opt %s --mlir-print-op-generic | stepdown-opt | FileCheck %s

!cache = !transformer.cache<heads = 1, key = 16, value = 16, element = f16>

// CHECK: module attributes {transformer.model = #transformer.model<name = "tiny", architecture = "llama", positions = 64, width = 32, layers = 3, vocabulary = 96>}
module attributes {transformer.model = #transformer.model<name = "tiny", architecture = "llama", positions = 64, width = 32,
                                                          layers = 3, vocabulary = 96>} {
  // CHECK-LABEL: func.func @local
  // CHECK-SAME: !transformer.batch
  // CHECK-SAME: !transformer.cache<heads = 1, key = 16, value = 16, element = f16>
  func.func @local(%x: tensor<?x32xf32>, %batch: !transformer.batch, %cache: !cache) -> (tensor<?x32xf32>, !cache) {
    // CHECK: transformer.weight "blk.{layer}.attn_norm.weight" : tensor<32xf32>
    %norm = transformer.weight "blk.{layer}.attn_norm.weight" : tensor<32xf32>
    // CHECK: transformer.weight "blk.{layer}.attn_qkv.weight" rows [0, 32] : tensor<32x1x!transformer.block<q4_1>>
    %wq = transformer.weight "blk.{layer}.attn_qkv.weight" rows [0, 32] : tensor<32x1x!transformer.block<q4_1>>
    %wk = transformer.weight "blk.{layer}.attn_qkv.weight" rows [32, 48] : tensor<16x1x!transformer.block<q4_1>>
    %wv = transformer.weight "blk.{layer}.attn_qkv.weight" rows [48, 64] : tensor<16x1x!transformer.block<q4_1>>
    %bq = transformer.weight "blk.{layer}.attn_q.bias" : tensor<32xf32>
    // CHECK: transformer.rms_norm %{{.*}}, %{{.*}} {eps = 1.000000e-05 : f64} : tensor<?x32xf32>, tensor<32xf32>
    %h = transformer.rms_norm %x, %norm {eps = 1.0e-5 : f64} : tensor<?x32xf32>, tensor<32xf32>
    // CHECK: transformer.linear %{{.*}}, %{{.*}}, %{{.*}} : (tensor<?x32xf32>, tensor<32x1x!transformer.block<q4_1>>, tensor<32xf32>) -> tensor<?x32xf32>
    %q = transformer.linear %h, %wq, %bq
        : (tensor<?x32xf32>, tensor<32x1x!transformer.block<q4_1>>, tensor<32xf32>) -> tensor<?x32xf32>
    %k = transformer.linear %h, %wk : (tensor<?x32xf32>, tensor<16x1x!transformer.block<q4_1>>) -> tensor<?x16xf32>
    %v = transformer.linear %h, %wv : (tensor<?x32xf32>, tensor<16x1x!transformer.block<q4_1>>) -> tensor<?x16xf32>
    // CHECK: transformer.rope half %{{.*}}, %{{.*}} {head_dim = 16 : i64, inverse_frequencies = array<f64: 1.000000e+00, 0.31622776601683794>} : tensor<?x32xf32>
    %qr = transformer.rope half %q, %batch
        {head_dim = 16 : i64, inverse_frequencies = array<f64: 1.0, 0.31622776601683794>} : tensor<?x32xf32>
    // CHECK: transformer.rope adjacent
    // CHECK-SAME: attention_factor = 1.250000e+00 : f64
    %kr = transformer.rope adjacent %k, %batch
        {attention_factor = 1.25 : f64, head_dim = 16 : i64, inverse_frequencies = array<f64: 1.0>} : tensor<?x16xf32>
    // CHECK: transformer.kv_append %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} : tensor<?x16xf32>, tensor<?x16xf32>, !transformer.cache<
    %filled = transformer.kv_append %kr, %v, %batch, %cache : tensor<?x16xf32>, tensor<?x16xf32>, !cache
    // CHECK: transformer.attention %{{.*}}, %{{.*}}, %{{.*}} {scale = 2.500000e-01 : f64, window = 8 : i64} : (tensor<?x32xf32>, !transformer.batch, !transformer.cache<
    %a = transformer.attention %qr, %batch, %filled {scale = 0.25 : f64, window = 8 : i64}
        : (tensor<?x32xf32>, !transformer.batch, !cache) -> tensor<?x32xf32>
    // CHECK: transformer.add %{{.*}}, %{{.*}} : tensor<?x32xf32>
    %y = transformer.add %x, %a : tensor<?x32xf32>
    // CHECK: transformer.gated_activation gelu_tanh %{{.*}}, %{{.*}} : tensor<?x32xf32>
    %g = transformer.gated_activation gelu_tanh %y, %h : tensor<?x32xf32>
    return %g, %filled : tensor<?x32xf32>, !cache
  }

  // CHECK-LABEL: func.func @global
  func.func @global(%x: tensor<?x32xf32>, %batch: !transformer.batch, %cache: !cache) -> (tensor<?x32xf32>, !cache) {
    // CHECK: transformer.weight "blk.{layer}.attn_sinks.weight" : tensor<2xf32>
    %sinks = transformer.weight "blk.{layer}.attn_sinks.weight" : tensor<2xf32>
    %norm = transformer.weight "blk.{layer}.attn_norm.weight" : tensor<32xf32>
    // CHECK: transformer.layer_norm %{{.*}}, %{{.*}}, %{{.*}} {eps = 1.000000e-05 : f64} : tensor<?x32xf32>, tensor<32xf32>, tensor<32xf32>
    %h = transformer.layer_norm %x, %norm, %norm {eps = 1.0e-5 : f64} : tensor<?x32xf32>, tensor<32xf32>, tensor<32xf32>
    // CHECK: transformer.attention %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} {causal = false, scale = 2.500000e-01 : f64, softcap = 5.000000e+01 : f64} :
    %a = transformer.attention %h, %batch, %cache, %sinks {causal = false, scale = 0.25 : f64, softcap = 50.0 : f64}
        : (tensor<?x32xf32>, !transformer.batch, !cache, tensor<2xf32>) -> tensor<?x32xf32>
    // CHECK: transformer.layer_norm %{{.*}}, %{{.*}} {eps = 1.000000e-05 : f64} : tensor<?x32xf32>, tensor<32xf32>{{$}}
    %n = transformer.layer_norm %a, %norm {eps = 1.0e-5 : f64} : tensor<?x32xf32>, tensor<32xf32>
    // CHECK: transformer.activation sigmoid
    %y = transformer.activation sigmoid %n : tensor<?x32xf32>
    return %y, %cache : tensor<?x32xf32>, !cache
  }

  // CHECK-LABEL: func.func @step
  func.func @step(%tokens: tensor<?xi32>, %rows: tensor<?xi32>, %batch: !transformer.batch) -> tensor<?x96xf32> {
    %table = transformer.weight "token_embd.weight" : tensor<96x1x!transformer.block<q8_0>>
    // CHECK: transformer.embedding %{{.*}}, %{{.*}} {scale = 5.000000e+00 : f64} : (tensor<?xi32>, tensor<96x1x!transformer.block<q8_0>>) -> tensor<?x32xf32>
    %x = transformer.embedding %tokens, %table {scale = 5.0 : f64}
        : (tensor<?xi32>, tensor<96x1x!transformer.block<q8_0>>) -> tensor<?x32xf32>
    // CHECK: transformer.layers %{{.*}}, %{{.*}} kinds [@local, @global] order [0, 0, 1] : tensor<?x32xf32>
    %y = transformer.layers %x, %batch kinds [@local, @global] order [0, 0, 1] : tensor<?x32xf32>
    // CHECK: transformer.select_rows %{{.*}}, %{{.*}} : (tensor<?x32xf32>, tensor<?xi32>) -> tensor<?x32xf32>
    %r = transformer.select_rows %y, %rows : (tensor<?x32xf32>, tensor<?xi32>) -> tensor<?x32xf32>
    %norm = transformer.weight "output_norm.weight" : tensor<32xf32>
    // CHECK: transformer.kernel "head_norm" (%[[X:.*]] = %{{.*}} : tensor<?x32xf32>, %[[W:.*]] = %{{.*}} : tensor<32xf32>) -> (tensor<?x32xf32>) {
    // CHECK-NEXT: %[[N:.*]] = transformer.rms_norm %[[X]], %[[W]]
    // CHECK-NEXT: transformer.yield %[[N]] : tensor<?x32xf32>
    %n = transformer.kernel "head_norm" (%a = %r : tensor<?x32xf32>, %w = %norm : tensor<32xf32>) -> (tensor<?x32xf32>) {
      %0 = transformer.rms_norm %a, %w {eps = 1.0e-5 : f64} : tensor<?x32xf32>, tensor<32xf32>
      transformer.yield %0 : tensor<?x32xf32>
    }
    // CHECK: transformer.logits %{{.*}}, %{{.*}} {softcap = 3.000000e+01 : f64} : (tensor<?x32xf32>, tensor<96x1x!transformer.block<q8_0>>) -> tensor<?x96xf32>
    %z = transformer.logits %n, %table {softcap = 30.0 : f64}
        : (tensor<?x32xf32>, tensor<96x1x!transformer.block<q8_0>>) -> tensor<?x96xf32>
    return %z : tensor<?x96xf32>
  }
}
