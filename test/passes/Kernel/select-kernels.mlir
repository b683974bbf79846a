// RUN: stepdown-opt %s -split-input-file -select-kernels | FileCheck %s
// RUN: stepdown-opt %s -split-input-file -select-kernels=chip=gfx942 | FileCheck %s --check-prefix=AMD
// RUN: stepdown-opt %s -split-input-file -select-kernels=chip=gfx950 | FileCheck %s --check-prefixes=FLOATS,MFMA
// RUN: stepdown-opt %s -split-input-file -select-kernels=chip=gfx1201 | FileCheck %s --check-prefixes=FLOATS,WMMA
// RUN: stepdown-opt %s -split-input-file -select-kernels=chip=sm_80 | FileCheck %s --check-prefix=WARPS

func.func @odd_sizes(%a: tensor<131x67xbf16>, %b: tensor<67x129xbf16>) -> tensor<131x129xf32> {
  %zero = arith.constant 0.0 : f32
  %init = tensor.empty() : tensor<131x129xf32>
  %0 = linalg.fill ins(%zero : f32) outs(%init : tensor<131x129xf32>) -> tensor<131x129xf32>
  %1 = linalg.matmul ins(%a, %b : tensor<131x67xbf16>, tensor<67x129xbf16>) outs(%0 : tensor<131x129xf32>) -> tensor<131x129xf32>
  return %1 : tensor<131x129xf32>
}
// CHECK-LABEL: func.func @odd_sizes
// CHECK: %[[A:.*]] = tensor.pad %{{.*}} low[0, 0] high[0, 5]
// CHECK: %[[B:.*]] = tensor.pad %{{.*}} low[0, 0] high[0, 7]
// CHECK: tile.launch @matmul_2x128x256_bf16_f32 ins(%[[A]], %[[B]] : tensor<131x72xbf16>, tensor<67x136xbf16>)
// CHECK: tile.kernel @matmul_2x128x256_bf16_f32{{.*}} attributes {tile.cluster = 2 : i64}
// CHECK: !tile.accumulator<128x256xf32>
// WARPS-LABEL: func.func @odd_sizes
// WARPS: tile.launch @matmul_128x256_bf16_f32
// WARPS-NOT: tile.cluster
// WARPS: tile.channel : <3 x memref<128x64xbf16, 3>, memref<64x256xbf16, 3>>

// -----

// The caller's tensors are nothing that a kernel writes into where their elements are not read: they would be copied.
#kept = affine_map<(d0, d1) -> (d0, d1)>
func.func @into_arguments(%a: tensor<64x64xf16>, %c: tensor<64x64xf32>, %x: tensor<?x64xf16>, %d: tensor<?x64xf32>, %e: tensor<64x64xf16>)
    -> (tensor<64x64xf32>, tensor<?x64xf32>, tensor<64x64xf16>) {
  %zero = arith.constant 0.0 : f32
  %0 = linalg.fill ins(%zero : f32) outs(%c : tensor<64x64xf32>) -> tensor<64x64xf32>
  %1 = linalg.matmul ins(%a, %a : tensor<64x64xf16>, tensor<64x64xf16>) outs(%0 : tensor<64x64xf32>) -> tensor<64x64xf32>
  %2 = linalg.fill ins(%zero : f32) outs(%d : tensor<?x64xf32>) -> tensor<?x64xf32>
  %3 = linalg.matmul ins(%x, %a : tensor<?x64xf16>, tensor<64x64xf16>) outs(%2 : tensor<?x64xf32>) -> tensor<?x64xf32>
  %4 = linalg.matmul ins(%a, %a : tensor<64x64xf16>, tensor<64x64xf16>) outs(%0 : tensor<64x64xf32>) -> tensor<64x64xf32>
  %5 = linalg.generic {indexing_maps = [#kept, #kept], iterator_types = ["parallel", "parallel"]} ins(%4 : tensor<64x64xf32>) outs(%e : tensor<64x64xf16>) {
  ^bb0(%p: f32, %old: f16):
    %n = arith.negf %p : f32
    %t = arith.truncf %n : f32 to f16
    linalg.yield %t : f16
  } -> tensor<64x64xf16>
  return %1, %3, %5 : tensor<64x64xf32>, tensor<?x64xf32>, tensor<64x64xf16>
}
// CHECK-LABEL: func.func @into_arguments
// CHECK-NOT: linalg.fill
// CHECK: %[[C:.*]] = tensor.empty() : tensor<64x64xf32>
// CHECK: tile.launch @{{.*}} outs(%[[C]] : tensor<64x64xf32>)
// CHECK: %[[ROWS:.*]] = tensor.dim %arg3, %{{.*}} : tensor<?x64xf32>
// CHECK: %[[D:.*]] = tensor.empty(%[[ROWS]]) : tensor<?x64xf32>
// CHECK: tile.launch @{{.*}} outs(%[[D]] : tensor<?x64xf32>)
// CHECK: %[[E:.*]] = tensor.empty() : tensor<64x64xf16>
// CHECK: tile.launch @{{.*}} outs(%[[E]] : tensor<64x64xf16>)

// -----

// Few tiles of a long sum: four shares of it, each computed by blocks of its own, are added up in pairs; what it is added
// to comes behind, and one rounding.
func.func @long_sum(%a: tensor<61x2053xbf16>, %b: tensor<2053x67xbf16>, %c: tensor<61x67xbf16>) -> tensor<61x67xbf16> {
  %0 = linalg.matmul ins(%a, %b : tensor<61x2053xbf16>, tensor<2053x67xbf16>) outs(%c : tensor<61x67xbf16>) -> tensor<61x67xbf16>
  return %0 : tensor<61x67xbf16>
}
// CHECK-LABEL: func.func @long_sum
// CHECK: %[[ALL:.*]] = tile.launch @matmul_64x128_bf16_f32_4_shares ins(%{{.*}}) outs(%{{.*}} : tensor<244x67xf32>)
// CHECK: tensor.extract_slice %[[ALL]][0, 0] [61, 67]
// CHECK: tensor.extract_slice %[[ALL]][61, 0] [61, 67]
// CHECK: tensor.extract_slice %[[ALL]][122, 0] [61, 67]
// CHECK: tensor.extract_slice %[[ALL]][183, 0] [61, 67]
// CHECK: ^bb0(%[[P:.*]]: f32, %[[Q:.*]]: f32, %[[R:.*]]: f32, %[[S:.*]]: f32, %[[C:.*]]: bf16, %{{.*}}: bf16):
// CHECK: %[[PQ:.*]] = arith.addf %[[P]], %[[Q]] : f32
// CHECK: %[[RS:.*]] = arith.addf %[[R]], %[[S]] : f32
// CHECK: %[[SUM:.*]] = arith.addf %[[PQ]], %[[RS]] : f32
// CHECK: %[[WIDE:.*]] = arith.extf %[[C]]
// CHECK: %[[MADE:.*]] = arith.addf %[[SUM]], %[[WIDE]] : f32
// CHECK: arith.truncf %[[MADE]] : f32 to bf16
// CHECK: tile.kernel @matmul_64x128_bf16_f32_4_shares{{.*}} attributes {tile.shares = 4 : i64}
// AMD-LABEL: func.func @long_sum
// AMD: tile.launch @matmul_128x128_bf16_f32_4_shares
// WARPS-LABEL: func.func @long_sum
// WARPS: tile.launch @matmul_64x128_bf16_f32_4_shares

// -----

// Sums of float32 are not what a result of 64 bits is, with shares or without.
func.func @wide_sum(%a: tensor<61x2053xbf16>, %b: tensor<2053x67xbf16>, %c: tensor<61x67xf64>) -> (tensor<61x67xf64>, tensor<61x67xf64>) {
  %zero = arith.constant 0.0 : f64
  %init = tensor.empty() : tensor<61x67xf64>
  %0 = linalg.fill ins(%zero : f64) outs(%init : tensor<61x67xf64>) -> tensor<61x67xf64>
  %1 = linalg.matmul ins(%a, %b : tensor<61x2053xbf16>, tensor<2053x67xbf16>) outs(%0 : tensor<61x67xf64>) -> tensor<61x67xf64>
  %2 = linalg.matmul ins(%a, %b : tensor<61x2053xbf16>, tensor<2053x67xbf16>) outs(%c : tensor<61x67xf64>) -> tensor<61x67xf64>
  return %1, %2 : tensor<61x67xf64>, tensor<61x67xf64>
}
// CHECK-LABEL: func.func @wide_sum
// CHECK: linalg.matmul
// CHECK: linalg.matmul
// CHECK-NOT: tile.launch

// -----

// There is no tile whose sum could be shared out.
func.func @no_rows(%a: tensor<0x2053xbf16>, %b: tensor<2053x67xbf16>, %c: tensor<0x67xf32>) -> tensor<0x67xf32> {
  %0 = linalg.matmul ins(%a, %b : tensor<0x2053xbf16>, tensor<2053x67xbf16>) outs(%c : tensor<0x67xf32>) -> tensor<0x67xf32>
  return %0 : tensor<0x67xf32>
}
// CHECK-LABEL: func.func @no_rows
// CHECK-NOT: _shares
// CHECK: return

// -----

// Two products of one kind share a kernel; rows that are known to be few, or columns, select a smaller one.
func.func @buckets(%a: tensor<?x64xf16>, %b: tensor<64x512xf16>, %c: tensor<17x64xf16>, %x: tensor<?x512xf32>,
                   %y: tensor<17x512xf32>, %d: tensor<64x64xf16>, %z: tensor<17x64xf32>)
    -> (tensor<?x512xf32>, tensor<?x512xf32>, tensor<17x512xf32>, tensor<17x64xf32>) {
  %zero = arith.constant 0.0 : f32
  %0 = linalg.fill ins(%zero : f32) outs(%x : tensor<?x512xf32>) -> tensor<?x512xf32>
  %1 = linalg.matmul ins(%a, %b : tensor<?x64xf16>, tensor<64x512xf16>) outs(%0 : tensor<?x512xf32>) -> tensor<?x512xf32>
  %2 = linalg.matmul ins(%a, %b : tensor<?x64xf16>, tensor<64x512xf16>) outs(%0 : tensor<?x512xf32>) -> tensor<?x512xf32>
  %3 = linalg.fill ins(%zero : f32) outs(%y : tensor<17x512xf32>) -> tensor<17x512xf32>
  %4 = linalg.matmul ins(%c, %b : tensor<17x64xf16>, tensor<64x512xf16>) outs(%3 : tensor<17x512xf32>) -> tensor<17x512xf32>
  %5 = linalg.fill ins(%zero : f32) outs(%z : tensor<17x64xf32>) -> tensor<17x64xf32>
  %6 = linalg.matmul ins(%c, %d : tensor<17x64xf16>, tensor<64x64xf16>) outs(%5 : tensor<17x64xf32>) -> tensor<17x64xf32>
  return %1, %2, %4, %6 : tensor<?x512xf32>, tensor<?x512xf32>, tensor<17x512xf32>, tensor<17x64xf32>
}
// CHECK-LABEL: func.func @buckets
// CHECK-NOT: tensor.pad
// CHECK: tile.launch @matmul_128x256_f16_f32
// CHECK: tile.launch @matmul_128x256_f16_f32
// CHECK: tile.launch @matmul_64x128_f16_f32
// CHECK: tile.launch @matmul_64x64_f16_f32
// CHECK: tile.kernel @matmul_128x256_f16_f32
// CHECK-NOT: tile.kernel @matmul_128x256_f16_f32

// -----

// The kernel's sums begin with zero: what a product is added to is read before it is stored.
func.func @adds(%a: tensor<64x64xbf16>, %x: tensor<64x64xf32>, %y: tensor<64x64xbf16>) -> (tensor<64x64xf32>, tensor<64x64xbf16>) {
  %0 = linalg.matmul ins(%a, %a : tensor<64x64xbf16>, tensor<64x64xbf16>) outs(%x : tensor<64x64xf32>) -> tensor<64x64xf32>
  %1 = linalg.matmul ins(%a, %a : tensor<64x64xbf16>, tensor<64x64xbf16>) outs(%y : tensor<64x64xbf16>) -> tensor<64x64xbf16>
  return %0, %1 : tensor<64x64xf32>, tensor<64x64xbf16>
}
// CHECK-LABEL: func.func @adds
// CHECK-SAME: %[[A:.*]]: tensor<64x64xbf16>, %[[X:.*]]: tensor<64x64xf32>, %[[Y:.*]]: tensor<64x64xbf16>)
// CHECK: tile.launch @matmul_64x64_bf16_f32_fused ins(%[[A]], %[[A]], %[[X]] :
// CHECK: tile.launch @matmul_64x64_bf16_bf16_fused ins(%[[A]], %[[A]], %[[Y]] :
// CHECK-NOT: linalg.generic
// CHECK: tile.kernel @matmul_64x64_bf16_f32_fused(%{{.*}}: memref<?x?xbf16>, %{{.*}}: memref<?x?xbf16>, %[[C:.*]]: memref<?x?xf32>, %[[OUT:.*]]: memref<?x?xf32>)
// CHECK: %[[SUM:.*]] = tile.mma_wait 0 for
// CHECK: %[[READ:.*]] = tile.read %[[C]][%[[I:.*]], %[[J:.*]]] : memref<?x?xf32> -> vector<64x64xf32>
// CHECK: %[[ALL:.*]] = tile.map (%{{.*}} = %[[SUM]], %{{.*}} = %[[READ]])
// CHECK: tile.store %[[ALL]] to %[[OUT]][%[[I]], %[[J]]]

// -----

// What follows a product element by element is done by its kernel: a bias is a matrix of one row.
#all = affine_map<(i, j) -> (i, j)>
#row = affine_map<(i, j) -> (j)>
func.func @silu(%a: tensor<?x64xbf16>, %b: tensor<64x72xbf16>, %bias: tensor<72xbf16>, %x: tensor<?x72xf32>, %y: tensor<?x72xbf16>) -> tensor<?x72xbf16> {
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %0 = linalg.fill ins(%zero : f32) outs(%x : tensor<?x72xf32>) -> tensor<?x72xf32>
  %1 = linalg.matmul ins(%a, %b : tensor<?x64xbf16>, tensor<64x72xbf16>) outs(%0 : tensor<?x72xf32>) -> tensor<?x72xf32>
  %2 = linalg.generic {indexing_maps = [#all, #row, #all], iterator_types = ["parallel", "parallel"]}
      ins(%1, %bias : tensor<?x72xf32>, tensor<72xbf16>) outs(%y : tensor<?x72xbf16>) {
  ^bb0(%v: f32, %w: bf16, %out: bf16):
    %wide = arith.extf %w : bf16 to f32
    %u = arith.addf %v, %wide : f32
    %n = arith.negf %u : f32
    %e = transformer.elementary "math.exp"(%n) : (f32) -> f32
    %d = arith.addf %e, %one : f32
    %q = arith.divf %u, %d : f32
    %r = arith.truncf %q : f32 to bf16
    linalg.yield %r : bf16
  } -> tensor<?x72xbf16>
  return %2 : tensor<?x72xbf16>
}
// AMD-LABEL: func.func @silu
// AMD: tile.launch @matmul_128x128_bf16_bf16_fused ins(
// AMD-NOT: linalg.generic
// AMD: tile.kernel @matmul_128x128_bf16_bf16_fused
// CHECK-LABEL: func.func @silu
// CHECK: %[[BIAS:.*]] = tensor.expand_shape %{{.*}} {{\[\[}}0, 1]] output_shape [1, 72] : tensor<72xbf16> into tensor<1x72xbf16>
// CHECK: tile.launch @matmul_128x128_bf16_bf16_fused ins(%{{.*}}, %{{.*}}, %[[BIAS]] :
// CHECK-NOT: linalg.generic
// CHECK: tile.kernel @matmul_128x128_bf16_bf16_fused
// CHECK: tile.map
// CHECK-NEXT: arith.addf
// CHECK-NEXT: arith.negf
// CHECK: math.exp2
// CHECK: arith.divf
// CHECK-NEXT: tile.yield

// -----

// A quotient that stays float32 is none of the special function unit, and what is read twice is stored.
#all = affine_map<(i, j) -> (i, j)>
func.func @behind(%a: tensor<64x64xbf16>, %x: tensor<64x64xf32>) -> (tensor<64x64xf32>, tensor<64x64xf32>, tensor<64x64xf32>) {
  %zero = arith.constant 0.0 : f32
  %0 = linalg.fill ins(%zero : f32) outs(%x : tensor<64x64xf32>) -> tensor<64x64xf32>
  %1 = linalg.matmul ins(%a, %a : tensor<64x64xbf16>, tensor<64x64xbf16>) outs(%0 : tensor<64x64xf32>) -> tensor<64x64xf32>
  %2 = linalg.generic {indexing_maps = [#all, #all], iterator_types = ["parallel", "parallel"]} ins(%1 : tensor<64x64xf32>) outs(%x : tensor<64x64xf32>) {
  ^bb0(%v: f32, %out: f32):
    %q = arith.divf %v, %v : f32
    linalg.yield %q : f32
  } -> tensor<64x64xf32>
  %3 = linalg.matmul ins(%a, %a : tensor<64x64xbf16>, tensor<64x64xbf16>) outs(%0 : tensor<64x64xf32>) -> tensor<64x64xf32>
  %4 = linalg.generic {indexing_maps = [#all, #all], iterator_types = ["parallel", "parallel"]} ins(%3 : tensor<64x64xf32>) outs(%x : tensor<64x64xf32>) {
  ^bb0(%v: f32, %out: f32):
    %q = arith.mulf %v, %v : f32
    linalg.yield %q : f32
  } -> tensor<64x64xf32>
  return %2, %3, %4 : tensor<64x64xf32>, tensor<64x64xf32>, tensor<64x64xf32>
}
// CHECK-LABEL: func.func @behind
// CHECK: tile.launch @matmul_64x64_bf16_f32 ins
// CHECK: linalg.generic
// CHECK: tile.launch @matmul_64x64_bf16_f32 ins
// CHECK: linalg.generic

// -----

// A second factor that lies transposed has a kernel of its own; a first one is transposed before.
#m = affine_map<(m, n, k) -> (m, k)>
#w = affine_map<(m, n, k) -> (n, k)>
#o = affine_map<(m, n, k) -> (m, n)>
#t = affine_map<(m, n, k) -> (k, m)>
#b = affine_map<(m, n, k) -> (k, n)>
func.func @transposed(%a: tensor<?x64xbf16>, %w: tensor<512x64xbf16>, %x: tensor<?x512xbf16>, %v: tensor<64x512xbf16>,
                      %y: tensor<64x512xbf16>) -> (tensor<?x512xbf16>, tensor<64x512xbf16>) {
  %zero = arith.constant 0.0 : bf16
  %0 = linalg.fill ins(%zero : bf16) outs(%x : tensor<?x512xbf16>) -> tensor<?x512xbf16>
  %1 = linalg.matmul indexing_maps = [#m, #w, #o] ins(%a, %w : tensor<?x64xbf16>, tensor<512x64xbf16>) outs(%0 : tensor<?x512xbf16>) -> tensor<?x512xbf16>
  %2 = linalg.fill ins(%zero : bf16) outs(%y : tensor<64x512xbf16>) -> tensor<64x512xbf16>
  %3 = linalg.matmul indexing_maps = [#t, #b, #o] ins(%a, %v : tensor<?x64xbf16>, tensor<64x512xbf16>) outs(%2 : tensor<64x512xbf16>) -> tensor<64x512xbf16>
  return %1, %3 : tensor<?x512xbf16>, tensor<64x512xbf16>
}
// CHECK-LABEL: func.func @transposed
// CHECK: tile.launch @matmul_128x256_transposed_bf16_bf16 ins(%{{.*}}, %{{.*}} : tensor<?x64xbf16>, tensor<512x64xbf16>)
// CHECK: %[[T:.*]] = linalg.transpose {{.*}} permutation = [1, 0]
// CHECK: tile.launch @matmul_64x128_bf16_bf16 ins(%{{.*}}, %{{.*}} : tensor<64x?xbf16>, tensor<64x512xbf16>)
// CHECK: tile.kernel @matmul_128x256_transposed_bf16_bf16
// CHECK: tile.copy %{{.*}}[%[[J:.*]], %[[L:.*]]] to %{{.*}} : memref<?x?xbf16> to memref<256x64xbf16, 3>
// CHECK: tile.mma %{{.*}} {transpose_b} : memref<128x64xbf16, 3>, memref<256x64xbf16, 3>

// -----

// A launch for each matrix of a batch; columns that are known later are padded by what is missing then, and a product of
// nothing is zeros.
#a = affine_map<(i, m, n, k) -> (i, m, k)>
#w = affine_map<(i, m, n, k) -> (k, n)>
#o = affine_map<(i, m, n, k) -> (i, m, n)>
func.func @batches(%a: tensor<?x67x?xbf16>, %b: tensor<?x?x61xbf16>, %w: tensor<?x61xbf16>, %x: tensor<?x67x61xf32>)
    -> (tensor<?x67x61xf32>, tensor<?x67x61xf32>) {
  %zero = arith.constant 0.0 : f32
  %0 = linalg.fill ins(%zero : f32) outs(%x : tensor<?x67x61xf32>) -> tensor<?x67x61xf32>
  %1 = linalg.batch_matmul ins(%a, %b : tensor<?x67x?xbf16>, tensor<?x?x61xbf16>) outs(%0 : tensor<?x67x61xf32>) -> tensor<?x67x61xf32>
  %2 = linalg.batch_matmul indexing_maps = [#a, #w, #o] ins(%a, %w : tensor<?x67x?xbf16>, tensor<?x61xbf16>) outs(%0 : tensor<?x67x61xf32>) -> tensor<?x67x61xf32>
  return %1, %2 : tensor<?x67x61xf32>, tensor<?x67x61xf32>
}
// CHECK-LABEL: func.func @batches
// CHECK: %[[K:.*]] = tensor.dim %{{.*}}, %c2
// CHECK: %[[NONE:.*]] = arith.cmpi eq, %[[K]], %c0
// CHECK: scf.if %[[NONE]]
// CHECK: linalg.fill
// CHECK: } else {
// CHECK: %[[MORE:.*]] = arith.subi
// CHECK: %[[A:.*]] = tensor.pad %{{.*}} low[0, 0, 0] high[0, 0, %[[MORE]]]
// CHECK: %[[B:.*]] = tensor.pad %{{.*}} low[0, 0, 0] high[0, 0, 3]
// CHECK: scf.for
// CHECK: %[[ONE:.*]] = tensor.extract_slice %[[A]]
// CHECK: %[[OTHER:.*]] = tensor.extract_slice %[[B]]
// CHECK: tile.launch @matmul_128x128_bf16_f32 ins(%[[ONE]], %[[OTHER]] : tensor<67x?xbf16>, tensor<?x64xbf16>)
// CHECK: tensor.insert_slice
// CHECK: scf.if
// CHECK: %[[W:.*]] = tensor.pad %{{.*}} low[0, 0] high[0, 3]
// CHECK: scf.for
// CHECK: tile.launch @matmul_128x128_bf16_f32 ins(%{{.*}}, %[[W]] : tensor<67x?xbf16>, tensor<?x64xbf16>)

// -----

// Written out, products are products, too: with factors widened, and results of columns first.
func.func @generic(%a: tensor<61x64xf16>, %b: tensor<64x67xf16>, %x: tensor<67x61xf32>) -> tensor<67x61xf32> {
  %zero = arith.constant 0.0 : f32
  %0 = linalg.fill ins(%zero : f32) outs(%x : tensor<67x61xf32>) -> tensor<67x61xf32>
  %1 = linalg.generic {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (n, m)>],
                       iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : tensor<61x64xf16>, tensor<64x67xf16>) outs(%0 : tensor<67x61xf32>) {
  ^bb0(%p: f16, %q: f16, %sum: f32):
    %wide = arith.extf %p : f16 to f32
    %other = arith.extf %q : f16 to f32
    %term = arith.mulf %other, %wide : f32
    %more = arith.addf %term, %sum : f32
    linalg.yield %more : f32
  } -> tensor<67x61xf32>
  return %1 : tensor<67x61xf32>
}
// CHECK-LABEL: func.func @generic
// CHECK: linalg.transpose ins(%{{.*}} : tensor<64x67xf16>)
// CHECK: tile.launch @matmul_128x128_transposed_f16_f32 ins(%{{.*}}, %{{.*}} : tensor<67x64xf16>, tensor<61x64xf16>)

// -----

// What is no product of tensor cores stays: of float32, of products that are rounded before they are added, of nothing.
// CHECK: module attributes {tile.unselected = ["linalg.matmul ({{.*}}): expects factors of one type, of those that sm_90a multiplies, but got f32 and f32",
// CHECK-SAME: "linalg.matmul ({{.*}}): expects products to add up"]}
func.func @kept(%a: tensor<64x64xbf16>, %f: tensor<64x64xf32>, %x: tensor<64x64xf32>, %e: tensor<64x0xbf16>, %g: tensor<0x64xbf16>)
    -> (tensor<64x64xf32>, tensor<64x64xf32>, tensor<64x64xf32>) {
  %1 = linalg.matmul ins(%f, %f : tensor<64x64xf32>, tensor<64x64xf32>) outs(%x : tensor<64x64xf32>) -> tensor<64x64xf32>
  %2 = linalg.generic {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>],
                       iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %a : tensor<64x64xbf16>, tensor<64x64xbf16>) outs(%x : tensor<64x64xf32>) {
  ^bb0(%p: bf16, %q: bf16, %sum: f32):
    %rounded = arith.mulf %p, %q : bf16
    %term = arith.extf %rounded : bf16 to f32
    %more = arith.addf %sum, %term : f32
    linalg.yield %more : f32
  } -> tensor<64x64xf32>
  %3 = linalg.matmul ins(%e, %g : tensor<64x0xbf16>, tensor<0x64xbf16>) outs(%x : tensor<64x64xf32>) -> tensor<64x64xf32>
  return %1, %2, %3 : tensor<64x64xf32>, tensor<64x64xf32>, tensor<64x64xf32>
}
// CHECK-LABEL: func.func @kept
// CHECK-NOT: tile.launch
// CHECK: return
// CHECK-NOT: tile.kernel

// -----

// Signed integers of 8 bits: sums of 32, factors with rows along k, of whole 16 bytes.
func.func @integers(%a: tensor<?x67xi8>, %b: tensor<67x129xi8>, %w: tensor<129x67xi8>, %x: tensor<?x129xi32>) -> (tensor<?x129xi32>, tensor<?x129xi32>) {
  %zero = arith.constant 0 : i32
  %0 = linalg.fill ins(%zero : i32) outs(%x : tensor<?x129xi32>) -> tensor<?x129xi32>
  %1 = linalg.matmul ins(%a, %b : tensor<?x67xi8>, tensor<67x129xi8>) outs(%0 : tensor<?x129xi32>) -> tensor<?x129xi32>
  %2 = linalg.matmul indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]
      ins(%a, %w : tensor<?x67xi8>, tensor<129x67xi8>) outs(%x : tensor<?x129xi32>) -> tensor<?x129xi32>
  return %1, %2 : tensor<?x129xi32>, tensor<?x129xi32>
}
// CHECK-LABEL: func.func @integers
// CHECK: linalg.transpose ins(%{{.*}} : tensor<67x129xi8>)
// CHECK: tensor.pad %{{.*}} low[0, 0] high[0, 13]
// CHECK: tile.launch @matmul_128x256_transposed_i8_i32 ins(%{{.*}}, %{{.*}} : tensor<?x80xi8>, tensor<129x80xi8>)
// CHECK-NOT: linalg.transpose
// CHECK: %[[PRODUCT:.*]] = tile.launch @matmul_128x256_transposed_i8_i32
// CHECK: linalg.generic {{.*}} ins(%[[PRODUCT]], %{{.*}} : tensor<?x129xi32>, tensor<?x129xi32>)
// CHECK: arith.addi
// CHECK: tile.kernel @matmul_128x256_transposed_i8_i32
// CHECK: !tile.accumulator<128x256xi32>
// AMD-LABEL: func.func @integers
// AMD: tile.launch @matmul_256x256_transposed_i8_i32
// AMD: tile.kernel @matmul_256x256_transposed_i8_i32

// -----

// fp8: rows along k, of whole 16 bytes; what is done with the sums, as of scales of rows and columns, is in the kernel.
func.func @eights(%a: tensor<67x127xf8E4M3FN>, %b: tensor<127x257xf8E4M3FN>, %s: tensor<67xf32>, %x: tensor<67x257xf32>) -> tensor<67x257xf32> {
  %zero = arith.constant 0.0 : f32
  %0 = linalg.fill ins(%zero : f32) outs(%x : tensor<67x257xf32>) -> tensor<67x257xf32>
  %1 = linalg.matmul ins(%a, %b : tensor<67x127xf8E4M3FN>, tensor<127x257xf8E4M3FN>) outs(%0 : tensor<67x257xf32>) -> tensor<67x257xf32>
  %2 = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>, affine_map<(i, j) -> (i, j)>],
                       iterator_types = ["parallel", "parallel"]} ins(%1, %s : tensor<67x257xf32>, tensor<67xf32>) outs(%x : tensor<67x257xf32>) {
  ^bb0(%v: f32, %scale: f32, %out: f32):
    %w = arith.mulf %v, %scale : f32
    linalg.yield %w : f32
  } -> tensor<67x257xf32>
  return %2 : tensor<67x257xf32>
}
// CHECK-LABEL: func.func @eights
// CHECK: linalg.transpose ins(%{{.*}} : tensor<127x257xf8E4M3FN>)
// CHECK: tensor.pad %{{.*}} low[0, 0] high[0, 1]
// CHECK: tile.launch @matmul_128x256_transposed_f8E4M3FN_f32_fused ins(%{{.*}}, %{{.*}}, %{{.*}} : tensor<67x128xf8E4M3FN>, tensor<257x128xf8E4M3FN>, tensor<67x1xf32>)
// CHECK: tile.kernel @matmul_128x256_transposed_f8E4M3FN_f32
// CHECK: !tile.accumulator<128x256xf32>
// gfx942 multiplies e4m3 of another kind, which the kernel's codes become on their way.
// AMD-LABEL: func.func @eights
// AMD: tile.launch @matmul_128x256_transposed_f8E4M3FN_f32_fused
// FLOATS-LABEL: func.func @eights
// MFMA: tile.launch @matmul_128x256_transposed_f8E4M3FN_f32_fused
// WMMA: tile.launch @matmul_128x128_transposed_f8E4M3FN_f32_fused

// -----

// A sum of fp8 over more than 128 columns ends behind each 128, as with scales: these are one.
func.func @long_eights(%a: tensor<?x4099xf8E4M3FN>, %b: tensor<257x4099xf8E4M3FN>, %x: tensor<?x257xbf16>) -> tensor<?x257xbf16> {
  %1 = linalg.matmul indexing_maps = [affine_map<(i, j, k) -> (i, k)>, affine_map<(i, j, k) -> (j, k)>, affine_map<(i, j, k) -> (i, j)>]
      ins(%a, %b : tensor<?x4099xf8E4M3FN>, tensor<257x4099xf8E4M3FN>) outs(%x : tensor<?x257xbf16>) -> tensor<?x257xbf16>
  return %1 : tensor<?x257xbf16>
}
// CHECK-LABEL: func.func @long_eights
// CHECK: %[[ONE:.*]] = arith.constant 1.0{{.*}} : f32
// CHECK: %[[SCALE:.*]] = linalg.fill ins(%[[ONE]] : f32)
// CHECK: tile.launch @scaled_matmul_128x128_f8E4M3FN_f32 ins(%{{.*}}, %{{.*}}, %[[SCALE]], %[[SCALE]] : tensor<?x4112xf8E4M3FN>, tensor<257x4112xf8E4M3FN>, tensor<1x1xf32>, tensor<1x1xf32>)
// AMD-LABEL: func.func @long_eights
// AMD: tile.launch @matmul_256x256_transposed_f8E4M3FN_
// Sums of AMD's matrix units are taken to be of float32 throughout, which no hardware has shown.
// FLOATS-LABEL: func.func @long_eights
// MFMA: tile.launch @matmul_128x256_transposed_f8E4M3FN_
// WMMA: tile.launch @matmul_128x128_transposed_f8E4M3FN_

// -----

// Few tiles of a long sum: shares of it where sums stay in the matrix units.
func.func @few_long_eights(%a: tensor<61x4099xf8E4M3FN>, %b: tensor<67x4099xf8E4M3FN>, %x: tensor<61x67xf32>) -> tensor<61x67xf32> {
  %1 = linalg.matmul indexing_maps = [affine_map<(i, j, k) -> (i, k)>, affine_map<(i, j, k) -> (j, k)>, affine_map<(i, j, k) -> (i, j)>]
      ins(%a, %b : tensor<61x4099xf8E4M3FN>, tensor<67x4099xf8E4M3FN>) outs(%x : tensor<61x67xf32>) -> tensor<61x67xf32>
  return %1 : tensor<61x67xf32>
}
// CHECK-LABEL: func.func @few_long_eights
// CHECK: tile.launch @scaled_matmul_
// FLOATS-LABEL: func.func @few_long_eights
// MFMA: tile.launch @matmul_128x128_transposed_f8E4M3FN_f32_4_shares
// WMMA: tile.launch @matmul_128x128_transposed_f8E4M3FN_f32_8_shares

// -----

// Codes times scales, of 128 columns and, of the second factor, 128 rows: the kernel takes both, and puts the scales in
// behind the products of 128 columns.
#rows = affine_map<(i, b, k) -> (i, b, k)>
#scales = affine_map<(i, b, k) -> (i, b)>
#blocks = affine_map<(n, j, b, k) -> (n, j, b, k)>
#scalesOfBlocks = affine_map<(n, j, b, k) -> (n, b)>
func.func @scaled(%a: tensor<?x3x128xf8E4M3FN>, %sa: tensor<?x3xf32>, %b: tensor<2x128x3x128xf8E4M3FN>, %sb: tensor<2x3xf32>, %x: tensor<?x3x128xf32>,
                  %y: tensor<2x128x3x128xf32>, %z: tensor<?x256xf32>) -> tensor<?x256xf32> {
  %zero = arith.constant 0.0 : f32
  %0 = linalg.generic {indexing_maps = [#rows, #scales, #rows], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%a, %sa : tensor<?x3x128xf8E4M3FN>, tensor<?x3xf32>) outs(%x : tensor<?x3x128xf32>) {
  ^bb0(%code: f8E4M3FN, %scale: f32, %out: f32):
    %wide = arith.extf %code : f8E4M3FN to f32
    %v = arith.mulf %wide, %scale : f32
    linalg.yield %v : f32
  } -> tensor<?x3x128xf32>
  %1 = linalg.generic {indexing_maps = [#blocks, #scalesOfBlocks, #blocks], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%b, %sb : tensor<2x128x3x128xf8E4M3FN>, tensor<2x3xf32>) outs(%y : tensor<2x128x3x128xf32>) {
  ^bb0(%code: f8E4M3FN, %scale: f32, %out: f32):
    %wide = arith.extf %code : f8E4M3FN to f32
    %v = arith.mulf %scale, %wide : f32
    linalg.yield %v : f32
  } -> tensor<2x128x3x128xf32>
  %left = tensor.collapse_shape %0 [[0], [1, 2]] : tensor<?x3x128xf32> into tensor<?x384xf32>
  %right = tensor.collapse_shape %1 [[0, 1], [2, 3]] : tensor<2x128x3x128xf32> into tensor<256x384xf32>
  %f = linalg.fill ins(%zero : f32) outs(%z : tensor<?x256xf32>) -> tensor<?x256xf32>
  %c = linalg.matmul indexing_maps = [affine_map<(i, j, k) -> (i, k)>, affine_map<(i, j, k) -> (j, k)>, affine_map<(i, j, k) -> (i, j)>]
      ins(%left, %right : tensor<?x384xf32>, tensor<256x384xf32>) outs(%f : tensor<?x256xf32>) -> tensor<?x256xf32>
  return %c : tensor<?x256xf32>
}
// CHECK-LABEL: func.func @scaled(
// CHECK-SAME: %[[A:.*]]: tensor<?x3x128xf8E4M3FN>, %[[SA:.*]]: tensor<?x3xf32>, %[[B:.*]]: tensor<2x128x3x128xf8E4M3FN>, %[[SB:.*]]: tensor<2x3xf32>,
// CHECK-NOT: linalg.generic
// CHECK: %[[LEFT:.*]] = tensor.collapse_shape %[[A]] {{\[\[}}0], [1, 2]]
// CHECK: %[[RIGHT:.*]] = tensor.collapse_shape %[[B]] {{\[\[}}0, 1], [2, 3]]
// CHECK: tile.launch @scaled_matmul_128x128_f8E4M3FN_f32 ins(%[[LEFT]], %[[RIGHT]], %[[SA]], %[[SB]] : tensor<?x384xf8E4M3FN>, tensor<256x384xf8E4M3FN>, tensor<?x3xf32>, tensor<2x3xf32>)
// CHECK: tile.kernel @scaled_matmul_128x128_f8E4M3FN_f32
// FLOATS-LABEL: func.func @scaled(
// FLOATS: tile.launch @scaled_matmul_128x128_f8E4M3FN_f32 ins({{.*}} : tensor<?x384xf8E4M3FN>, tensor<256x384xf8E4M3FN>, tensor<?x3xf32>, tensor<2x3xf32>)
// AMD-LABEL: func.func @scaled(
// AMD: tile.launch @scaled_matmul_128x128_f8E4M3FN_f32 ins(
// WARPS-LABEL: func.func @scaled(
// WARPS-NOT: tile.launch

// -----

// Both factors may be the same codes, of one scale for all; a factor of another element leaves both to threads.
#codes = affine_map<(i, k) -> (i, k)>
#one = affine_map<(i, k) -> ()>
func.func @of_itself(%a: tensor<61x199xf8E5M2>, %s: tensor<f32>, %c: tensor<61x199xf8E4M3FN>, %x: tensor<61x199xf32>, %z: tensor<61x61xf32>) -> (tensor<61x61xf32>, tensor<61x61xf32>) {
  %zero = arith.constant 0.0 : f32
  %0 = linalg.generic {indexing_maps = [#codes, #one, #codes], iterator_types = ["parallel", "parallel"]}
      ins(%a, %s : tensor<61x199xf8E5M2>, tensor<f32>) outs(%x : tensor<61x199xf32>) {
  ^bb0(%code: f8E5M2, %scale: f32, %out: f32):
    %wide = arith.extf %code : f8E5M2 to f32
    %v = arith.mulf %wide, %scale : f32
    linalg.yield %v : f32
  } -> tensor<61x199xf32>
  %1 = linalg.generic {indexing_maps = [#codes, #one, #codes], iterator_types = ["parallel", "parallel"]}
      ins(%c, %s : tensor<61x199xf8E4M3FN>, tensor<f32>) outs(%x : tensor<61x199xf32>) {
  ^bb0(%code: f8E4M3FN, %scale: f32, %out: f32):
    %wide = arith.extf %code : f8E4M3FN to f32
    %v = arith.mulf %wide, %scale : f32
    linalg.yield %v : f32
  } -> tensor<61x199xf32>
  %f = linalg.fill ins(%zero : f32) outs(%z : tensor<61x61xf32>) -> tensor<61x61xf32>
  %p = linalg.matmul indexing_maps = [affine_map<(i, j, k) -> (i, k)>, affine_map<(i, j, k) -> (j, k)>, affine_map<(i, j, k) -> (i, j)>]
      ins(%0, %0 : tensor<61x199xf32>, tensor<61x199xf32>) outs(%f : tensor<61x61xf32>) -> tensor<61x61xf32>
  %q = linalg.matmul indexing_maps = [affine_map<(i, j, k) -> (i, k)>, affine_map<(i, j, k) -> (j, k)>, affine_map<(i, j, k) -> (i, j)>]
      ins(%1, %0 : tensor<61x199xf32>, tensor<61x199xf32>) outs(%f : tensor<61x61xf32>) -> tensor<61x61xf32>
  return %p, %q : tensor<61x61xf32>, tensor<61x61xf32>
}
// CHECK-LABEL: func.func @of_itself
// CHECK: tile.launch @scaled_matmul_64x128_f8E5M2_f32 ins({{.*}} : tensor<61x208xf8E5M2>, tensor<61x208xf8E5M2>, tensor<1x1xf32>, tensor<1x1xf32>)
// CHECK: linalg.matmul
// CHECK-NOT: tile.launch

// -----

// Unsigned factors are other numbers.
func.func @unsigned(%a: tensor<64x64xi8>, %x: tensor<64x64xi32>) -> tensor<64x64xi32> {
  %0 = linalg.matmul {cast = #linalg.type_fn<cast_unsigned>} ins(%a, %a : tensor<64x64xi8>, tensor<64x64xi8>) outs(%x : tensor<64x64xi32>) -> tensor<64x64xi32>
  return %0 : tensor<64x64xi32>
}
// CHECK-LABEL: func.func @unsigned
// CHECK-NOT: tile.launch
// CHECK: linalg.matmul
