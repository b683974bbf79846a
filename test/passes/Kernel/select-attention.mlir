// RUN: stepdown-opt %s -split-input-file -select-attention | FileCheck %s
// RUN: stepdown-opt %s -split-input-file -select-attention=chip=gfx1100 | FileCheck %s --check-prefix=AMD

func.func @heads_of_64(%q: tensor<?x128xbf16>, %batch: !transformer.batch,
                       %cache: !transformer.cache<heads = 1, key = 64, value = 64, element = bf16>) -> tensor<?x128xbf16> {
  %y = transformer.attention %q, %batch, %cache {scale = 0.125 : f64}
      : (tensor<?x128xbf16>, !transformer.batch, !transformer.cache<heads = 1, key = 64, value = 64, element = bf16>) -> tensor<?x128xbf16>
  return %y : tensor<?x128xbf16>
}
// CHECK-LABEL: func.func @heads_of_64
// CHECK: tile.launch @attention_192x128x64_bf16_bf16 ins
// CHECK: tile.kernel @attention_192x128x64_bf16_bf16
// AMD-LABEL: func.func @heads_of_64
// AMD: tile.launch @attention_128x64x64_bf16_bf16 ins

// -----

!cache = !transformer.cache<heads = 2, key = 64, value = 64, element = bf16>

// Four heads of queries on two of keys. How many tiles there are depends on whether positions follow each other.
func.func @causal(%q: tensor<?x256xbf16>, %batch: !transformer.batch, %cache: !cache) -> tensor<?x256xbf16> {
  %y = transformer.attention %q, %batch, %cache {scale = 0.125 : f64, window = 37 : i64, softcap = 30.0 : f64}
      : (tensor<?x256xbf16>, !transformer.batch, !cache) -> tensor<?x256xbf16>
  return %y : tensor<?x256xbf16>
}
// CHECK-LABEL: func.func @causal
// CHECK-SAME: %[[Q:.*]]: tensor<?x256xbf16>, %[[BATCH:.*]]: !transformer.batch, %[[CACHE:[^:]*]]:
// CHECK: %[[POSITIONS:.*]] = builtin.unrealized_conversion_cast %[[BATCH]] : !transformer.batch to tensor<?xi32>
// CHECK: %[[KEYS:.*]] = builtin.unrealized_conversion_cast %[[CACHE]] : {{.*}} to tensor<?x256xbf16>
// CHECK: %[[TOKENS:.*]] = tensor.dim %[[Q]]
// CHECK: %[[P:.*]] = tensor.dim %[[KEYS]]
// CHECK: cf.assert %{{.*}}, "transformer.attention: expects dimension 0 of operand 1 to equal dimension 0 of operand 0
// CHECK: %[[FOUND:.*]] = tensor.extract %
// CHECK: %[[ORDER:.*]] = arith.cmpi eq, %[[FOUND]]
// CHECK: %[[STEP:.*]] = arith.select %[[ORDER]], %c192, %c1_{{.*}}
// CHECK: tensor.extract_slice %[[POSITIONS]][0] [%{{.*}}] [%[[STEP]]]
// CHECK: %[[WORK:.*]] = linalg.generic
// CHECK-SAME: outs(%{{.*}} : tensor<?x5xi32>)
// CHECK: %[[NONE:.*]] = arith.cmpi eq, %[[P]], %c0
// CHECK: scf.if %[[NONE]]
// CHECK: linalg.fill
// CHECK: } else {
// CHECK: tile.launch @attention_192x128x64_bf16_bf16 ins(%[[Q]], %[[KEYS]], %[[KEYS]], %[[WORK]] :
// CHECK: tile.kernel @attention_192x128x64_bf16_bf16
// CHECK: math.tanh
// CHECK: from %{{.*}} below %{{.*}}

// -----

!cache = !transformer.cache<heads = 1, key = 128, value = 128, element = f16>

// Where each token sees all keys, nothing is asked of positions. Few queries have smaller tiles; a result may be f32.
func.func @full(%q: tensor<61x128xf16>, %batch: !transformer.batch, %cache: !cache) -> tensor<61x128xf32> {
  %y = transformer.attention %q, %batch, %cache {scale = 0.125 : f64, causal = false}
      : (tensor<61x128xf16>, !transformer.batch, !cache) -> tensor<61x128xf32>
  return %y : tensor<61x128xf32>
}
// CHECK-LABEL: func.func @full
// CHECK-NOT: tensor.extract %
// CHECK: tile.launch @attention_64x128x128_f16_f32
// CHECK: tile.kernel @attention_64x128x128_f16_f32

// -----

!cache = !transformer.cache<heads = 1, key = 64, value = 64, element = bf16>

// One kernel for what is the same, another of the name where a number differs.
func.func @three(%q: tensor<?x64xbf16>, %batch: !transformer.batch, %cache: !cache)
    -> (tensor<?x64xbf16>, tensor<?x64xbf16>, tensor<?x64xbf16>) {
  %a = transformer.attention %q, %batch, %cache {scale = 0.125 : f64}
      : (tensor<?x64xbf16>, !transformer.batch, !cache) -> tensor<?x64xbf16>
  %b = transformer.attention %a, %batch, %cache {scale = 0.25 : f64}
      : (tensor<?x64xbf16>, !transformer.batch, !cache) -> tensor<?x64xbf16>
  %c = transformer.attention %b, %batch, %cache {scale = 0.125 : f64}
      : (tensor<?x64xbf16>, !transformer.batch, !cache) -> tensor<?x64xbf16>
  return %a, %b, %c : tensor<?x64xbf16>, tensor<?x64xbf16>, tensor<?x64xbf16>
}
// CHECK-LABEL: func.func @three
// CHECK: tile.launch @attention_192x128x64_bf16_bf16 ins
// CHECK: tile.launch @attention_192x128x64_bf16_bf16_1 ins
// CHECK: tile.launch @attention_192x128x64_bf16_bf16 ins
// CHECK-COUNT-2: tile.kernel
// CHECK-NOT: tile.kernel

// -----

!cache = !transformer.cache<heads = 1, key = 64, value = 64, element = bf16>

// A number for each head of queries, read where the sum of weights is taken.
func.func @sinks(%q: tensor<?x128xbf16>, %batch: !transformer.batch, %cache: !cache, %sinks: tensor<2xf32>) -> tensor<?x128xbf16> {
  %y = transformer.attention %q, %batch, %cache, %sinks {scale = 0.125 : f64, window = 37 : i64, softcap = 30.0 : f64}
      : (tensor<?x128xbf16>, !transformer.batch, !cache, tensor<2xf32>) -> tensor<?x128xbf16>
  return %y : tensor<?x128xbf16>
}
// CHECK-LABEL: func.func @sinks
// CHECK-SAME: %[[SINKS:[^:]*]]: tensor<2xf32>
// CHECK: %[[ROW:.*]] = tensor.expand_shape %[[SINKS]] {{.*}} into tensor<1x2xf32>
// CHECK: tile.launch @attention_192x128x64_bf16_bf16_sinks ins({{.*}}, %[[ROW]] :
// CHECK: tile.kernel @attention_192x128x64_bf16_bf16_sinks
// CHECK-SAME: %[[READ:[^:,]*]]: memref<?x?xf32>, %{{[^:]*}}: memref<?x?xbf16>)
// CHECK: tile.read %[[READ]][%{{.*}}, %{{.*}}] : memref<?x?xf32> -> vector<1x1xf32>
// AMD-LABEL: func.func @sinks
// AMD: tile.launch @attention_128x64x64_bf16_bf16_sinks ins

// -----

// What stays, and why.
// CHECK: module attributes {tile.unselected = [
// CHECK-SAME: "transformer.attention ({{.*}}select-attention.mlir:{{[0-9]+}}:{{[0-9]+}}): expects queries of bf16 or f16, but got f32",
// CHECK-SAME: "transformer.attention ({{.*}}): expects keys and values of one size, but got 64 and 128",
// CHECK-SAME: "transformer.attention ({{.*}}): expects heads of one of 64, 128, 256 columns, but got 96"]}
func.func @left(%q: tensor<?x64xf32>, %n: tensor<?x64xbf16>, %w: tensor<?x96xbf16>, %batch: !transformer.batch,
                %c: !transformer.cache<heads = 1, key = 64, value = 64, element = bf16>,
                %d: !transformer.cache<heads = 1, key = 64, value = 128, element = bf16>,
                %e: !transformer.cache<heads = 1, key = 96, value = 96, element = bf16>)
    -> (tensor<?x64xf32>, tensor<?x128xbf16>, tensor<?x96xbf16>) {
  %0 = transformer.attention %q, %batch, %c {scale = 0.125 : f64}
      : (tensor<?x64xf32>, !transformer.batch, !transformer.cache<heads = 1, key = 64, value = 64, element = bf16>) -> tensor<?x64xf32>
  %1 = transformer.attention %n, %batch, %d {scale = 0.125 : f64}
      : (tensor<?x64xbf16>, !transformer.batch, !transformer.cache<heads = 1, key = 64, value = 128, element = bf16>) -> tensor<?x128xbf16>
  %2 = transformer.attention %w, %batch, %e {scale = 0.125 : f64}
      : (tensor<?x96xbf16>, !transformer.batch, !transformer.cache<heads = 1, key = 96, value = 96, element = bf16>) -> tensor<?x96xbf16>
  return %0, %1, %2 : tensor<?x64xf32>, tensor<?x128xbf16>, tensor<?x96xbf16>
}
// CHECK-COUNT-3: transformer.attention
