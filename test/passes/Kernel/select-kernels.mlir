// RUN: stepdown-opt %s -split-input-file -select-kernels | FileCheck %s

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
// CHECK: tile.launch @matmul_128x256_bf16_f32 ins(%[[A]], %[[B]] : tensor<131x72xbf16>, tensor<67x136xbf16>)
// CHECK: tile.kernel @matmul_128x256_bf16_f32
// CHECK: !tile.accumulator<128x256xf32>

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

// The kernel's sums begin with zero, and it has no form for float32 operands.
func.func @kept(%a: tensor<64x64xbf16>, %x: tensor<64x64xf32>, %f: tensor<64x64xf32>) -> (tensor<64x64xf32>, tensor<64x64xf32>) {
  %zero = arith.constant 0.0 : f32
  %0 = linalg.matmul ins(%a, %a : tensor<64x64xbf16>, tensor<64x64xbf16>) outs(%x : tensor<64x64xf32>) -> tensor<64x64xf32>
  %1 = linalg.fill ins(%zero : f32) outs(%x : tensor<64x64xf32>) -> tensor<64x64xf32>
  %2 = linalg.matmul ins(%f, %f : tensor<64x64xf32>, tensor<64x64xf32>) outs(%1 : tensor<64x64xf32>) -> tensor<64x64xf32>
  return %0, %2 : tensor<64x64xf32>, tensor<64x64xf32>
}
// CHECK-LABEL: func.func @kept
// CHECK-NOT: tile.launch
// CHECK: linalg.matmul
// CHECK-NOT: tile.launch
// CHECK: linalg.matmul
