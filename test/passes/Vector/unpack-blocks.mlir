// RUN: stepdown-opt %s -unpack-blocks | FileCheck %s
// RUN: stepdown-opt %s -unpack-blocks=target=emulated:sm_90a | FileCheck %s --check-prefix=NVIDIA
// RUN: stepdown-opt %s -unpack-blocks=target=emulated:gfx942 | FileCheck %s --check-prefix=AMD

// The scale, and a word of four codes.
// CHECK-LABEL: @quad_of_q8_0
// CHECK: llvm.load {{.*}} -> f16
// CHECK: llvm.load {{.*}} -> i32
// CHECK: arith.constant 128 : i32
// CHECK: arith.subi
// CHECK: arith.mulf
// CHECK-NOT: tile.unpack_quad
func.func @quad_of_q8_0(%w: memref<?x?x!transformer.block<q8_0, rows = 16>>, %i: index, %r: index, %q: index) -> (f32, f32) {
  %y0, %y1, %y2, %y3 = tile.unpack_quad %w[%i, %i] row %r quad %q : memref<?x?x!transformer.block<q8_0, rows = 16>>
  return %y0, %y3 : f32, f32
}

// Two planes of codes, and a scale and a minimum of the group.
// CHECK-LABEL: @quad_of_q5_k
// CHECK-COUNT-2: llvm.load {{.*}} -> f16
// CHECK: llvm.load {{.*}} -> i8
// CHECK-COUNT-2: llvm.load {{.*}} -> i32
// CHECK: arith.ori
func.func @quad_of_q5_k(%w: memref<?x?x!transformer.block<q5_k, rows = 16>>, %i: index, %r: index, %q: index) -> f32 {
  %y0, %y1, %y2, %y3 = tile.unpack_quad %w[%i, %i] row %r quad %q : memref<?x?x!transformer.block<q5_k, rows = 16>>
  return %y1 : f32
}

// A table of codes is two words.
// CHECK-LABEL: @quad_of_mxfp4
// CHECK: llvm.load {{.*}} -> f32
// CHECK: arith.select {{.*}} : i64
// CHECK: arith.extsi {{.*}} : i8 to i32
func.func @quad_of_mxfp4(%w: memref<?x?x!transformer.block<mxfp4, rows = 16>>, %i: index, %r: index, %q: index) -> f32 {
  %y0, %y1, %y2, %y3 = tile.unpack_quad %w[%i, %i] row %r quad %q : memref<?x?x!transformer.block<mxfp4, rows = 16>>
  return %y2 : f32
}

// CHECK-LABEL: @quad_of_bf16
// CHECK: llvm.load {{.*}} -> i16
// CHECK: arith.shli
func.func @quad_of_bf16(%w: memref<?x?x!transformer.block<bf16, rows = 16>>, %i: index, %r: index, %q: index) -> f32 {
  %y0, %y1, %y2, %y3 = tile.unpack_quad %w[%i, %i] row %r quad %q : memref<?x?x!transformer.block<bf16, rows = 16>>
  return %y0 : f32
}

// Four channels of a value in the cache are one load.
// CHECK-LABEL: @four_channels
// CHECK: llvm.load {{.*}} {alignment = 8 : i64} : !llvm.ptr -> vector<4xf16>
func.func @four_channels(%x: memref<?x48xf16>, %t: index, %c: index) -> f16 {
  %0 = vector.load %x[%t, %c] : memref<?x48xf16>, vector<4xf16>
  %1 = vector.extract %0[1] : f16 from vector<4xf16>
  return %1 : f16
}

// Four activations that lie together are one load.
// CHECK-LABEL: @four_activations
// CHECK: %[[ALL:.*]] = llvm.load {{.*}} {alignment = 16 : i64} : !llvm.ptr -> vector<4xf32>
// CHECK: llvm.extractelement %[[ALL]]
// CHECK-NOT: vector.load
func.func @four_activations(%x: memref<?x48xf32>, %t: index, %c: index) -> f32 {
  %0 = vector.load %x[%t, %c] : memref<?x48xf32>, vector<4xf32>
  %1 = vector.extract %0[3] : f32 from vector<4xf32>
  return %1 : f32
}

// Two codes become numbers by one permutation and one sum, and are multiplied at once.
// NVIDIA-LABEL: @halves_of_q8_0
// NVIDIA: llvm.load {{.*}} -> f16
// NVIDIA: llvm.load {{.*}} -> i32
// NVIDIA-COUNT-2: llvm.call_intrinsic "llvm.nvvm.prmt"
// NVIDIA-NOT: call_intrinsic
// NVIDIA-LABEL: @halves_of_iq4_nl
// AMD-LABEL: @halves_of_q8_0
// AMD-COUNT-2: llvm.call_intrinsic "llvm.amdgcn.perm"
// AMD-NOT: call_intrinsic
func.func @halves_of_q8_0(%w: memref<?x?x!transformer.block<q8_0, rows = 16>>, %i: index, %r: index, %q: index) -> (f16, f16) {
  %y0, %y1, %y2, %y3 = tile.unpack_halves %w[%i, %i] row %r quad %q : memref<?x?x!transformer.block<q8_0, rows = 16>>
  return %y0, %y3 : f16, f16
}

// A table is two times eight bytes, of which codes pick.
// AMD-LABEL: @halves_of_iq4_nl
// AMD-COUNT-4: llvm.call_intrinsic "llvm.amdgcn.perm"
// AMD-NOT: call_intrinsic
func.func @halves_of_iq4_nl(%w: memref<?x?x!transformer.block<iq4_nl, rows = 16>>, %i: index, %r: index, %q: index) -> f16 {
  %y0, %y1, %y2, %y3 = tile.unpack_halves %w[%i, %i] row %r quad %q : memref<?x?x!transformer.block<iq4_nl, rows = 16>>
  return %y1 : f16
}
