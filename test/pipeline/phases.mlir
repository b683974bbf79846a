// RUN: stepdown-opt %s -phase-fusion | FileCheck %s --check-prefix=FUSION
// RUN: stepdown-opt %s -phase-fusion -phase-linalg | FileCheck %s --check-prefix=LINALG
// RUN: stepdown-opt %s -phase-fusion -phase-linalg -phase-packing | FileCheck %s --check-prefix=PACKING
// RUN: stepdown-opt %s -phase-fusion -phase-linalg -phase-packing -phase-tiles | FileCheck %s --check-prefix=TILES
// RUN: stepdown-opt %s -phase-fusion -phase-linalg -phase-packing -phase-tiles -phase-buffers | FileCheck %s --check-prefix=BUFFERS
// RUN: stepdown-opt %s -phase-fusion -phase-linalg -phase-packing -phase-tiles -phase-buffers -phase-vector=target=x86-64-v3 | FileCheck %s --check-prefix=VECTOR
// RUN: stepdown-opt %s -phase-fusion -phase-linalg -phase-packing -phase-tiles -phase-buffers -phase-vector -phase-cpu | FileCheck %s --check-prefix=CPU

// One linear layer down the whole road.
// FUSION: transformer.kernel "quantize"
// FUSION: transformer.kernel "linear"
// LINALG: transformer.kernel "linear"
// LINALG: transformer.linear
// LINALG: linalg.generic
// LINALG-NOT: func.func
// PACKING: transformer.dispatch @linear
// PACKING: func.func @linear
// PACKING-NOT: scf.forall
// TILES: func.func @linear{{.*}}tensor<
// TILES: scf.forall
// BUFFERS: func.func @linear{{.*}}memref<
// BUFFERS: tile.block_dot
// VECTOR: func.func @linear{{.*}}memref<
// VECTOR: llvm.call_intrinsic "llvm.x86.avx2
// CPU: llvm.func @linear{{.*}}(%{{.*}}: !llvm.ptr, %{{.*}}: i64, %{{.*}}: i64)
// CPU: llvm.call_intrinsic "llvm.x86.avx512.vpdp
module attributes {transformer.model = #transformer.model<name = "t", architecture = "llama", positions = 64, width = 32, layers = 1, vocabulary = 96>} {
  func.func @step(%x: tensor<?x32xf32>) -> tensor<?x32xf32> {
    %w = transformer.weight "w" : tensor<32x1x!transformer.block<q4_1>>
    %b = transformer.weight "b" : tensor<32xf32>
    %0 = transformer.linear %x, %w, %b : (tensor<?x32xf32>, tensor<32x1x!transformer.block<q4_1>>, tensor<32xf32>) -> tensor<?x32xf32>
    return %0 : tensor<?x32xf32>
  }
}
