// RUN: stepdown-opt %s -phase-fusion | FileCheck %s --check-prefix=FUSION
// RUN: stepdown-opt %s -phase-fusion -phase-linalg | FileCheck %s --check-prefix=LINALG
// RUN: stepdown-opt %s -phase-fusion -phase-linalg -phase-tiles | FileCheck %s --check-prefix=TILES
// RUN: stepdown-opt %s -phase-fusion -phase-linalg -phase-tiles -phase-buffers | FileCheck %s --check-prefix=BUFFERS
// RUN: stepdown-opt %s -phase-fusion -phase-linalg -phase-tiles -phase-buffers -phase-vector=target=x86-64-v3 | FileCheck %s --check-prefix=VECTOR
// RUN: stepdown-opt %s -phase-fusion -phase-linalg -phase-tiles -phase-buffers -phase-vector -phase-cpu | FileCheck %s --check-prefix=CPU

// One linear layer down the whole road.
// FUSION: transformer.kernel "quantize"
// FUSION: transformer.kernel "linear"
// LINALG: transformer.dispatch @linear
// LINALG: func.func @linear
// LINALG-NOT: scf.forall
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
    %0 = transformer.linear %x, %w : (tensor<?x32xf32>, tensor<32x1x!transformer.block<q4_1>>) -> tensor<?x32xf32>
    return %0 : tensor<?x32xf32>
  }
}
