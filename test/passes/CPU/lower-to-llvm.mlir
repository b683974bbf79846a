// RUN: stepdown-opt %s -split-input-file -verify-diagnostics -lower-to-llvm | FileCheck %s

// A packed q4_1 block of 16 rows has 16 * (2 + 2 + 16) bytes.
// CHECK-LABEL: llvm.func @address_of_a_block
// CHECK: llvm.getelementptr %{{.*}}[%{{.*}}] : (!llvm.ptr, i64) -> !llvm.ptr, !llvm.array<320 x i8>
func.func @address_of_a_block(%w: memref<4x2x!transformer.block<q4_1, rows = 16>>, %i: index) -> !llvm.ptr {
  %0 = tile.block_ptr %w[%i, %i] : memref<4x2x!transformer.block<q4_1, rows = 16>> -> !llvm.ptr
  return %0 : !llvm.ptr
}

// -----

// Scale, two scaled sums and 32 codes for each of 4 tokens.
// CHECK-LABEL: llvm.func @address_of_an_activation
// CHECK: !llvm.array<208 x i8>
func.func @address_of_an_activation(%a: memref<?x!transformer.activation<q8, tokens = 4>>, %i: index) -> !llvm.ptr {
  %0 = tile.block_ptr %a[%i] : memref<?x!transformer.activation<q8, tokens = 4>> -> !llvm.ptr
  return %0 : !llvm.ptr
}

// -----

// Contraction is explicit: what was no fused multiply-add becomes none.
// CHECK-LABEL: llvm.func @separate_roundings
// CHECK: llvm.fmul
// CHECK-NEXT: llvm.fadd
func.func @separate_roundings(%x: vector<16xf32>) -> vector<16xf32> {
  %0 = arith.mulf %x, %x : vector<16xf32>
  %1 = arith.addf %0, %x : vector<16xf32>
  return %1 : vector<16xf32>
}

// -----

// A loop belongs to an earlier step of the phase.
func.func @loop_is_left(%n: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  // expected-error @+1 {{'scf.for' op expects to be lowered before kernels become LLVM, but is left in @loop_is_left}}
  scf.for %i = %c0 to %n step %c1 {
  }
  return
}

// -----

// expected-error @+1 {{expects types of numbers, vectors, memrefs and blocks in @tensor_is_left, but got 'tensor<4xf32>'}}
func.func @tensor_is_left(%x: tensor<4xf32>) {
  return
}

// -----

// The dialect has operations that the conversion knows, but this is none of them.
func.func @no_form_in_machine_code(%x: f32) -> f32 {
  // expected-error @+1 {{'math.cbrt': expects an operation that has a form in machine code, but this has none}}
  %0 = math.cbrt %x : f32
  return %0 : f32
}

// -----

// A value of the operation's own type goes to what was converted: the cast between is not what is told of.
func.func @one_of_several(%x: vector<4xf32>) -> vector<4xf32> {
  %0 = arith.addf %x, %x : vector<4xf32>
  // expected-error @+1 {{'math.acosh': expects an operation that has a form in machine code, but this has none}}
  %1 = math.acosh %0 : vector<4xf32>
  %2 = arith.mulf %1, %0 : vector<4xf32>
  return %2 : vector<4xf32>
}

// -----

// What nothing reaches is not converted, but gone: a condition that turned out to be constant leaves such blocks.
// CHECK-LABEL: llvm.func @unreached
// CHECK-NOT: arith
// CHECK-NOT: ^bb
// CHECK: llvm.return
func.func @unreached(%x: f32) -> f32 {
  return %x : f32
^bb1(%y: f32):
  %0 = arith.addf %y, %y : f32
  cf.br ^bb1(%0 : f32)
}
