// RUN: stepdown-opt %s -split-input-file -lower-tile-to-rocdl=chip=gfx950 -canonicalize | FileCheck %s --check-prefixes=CHECK,MFMA
// RUN: stepdown-opt %s -split-input-file -lower-tile-to-rocdl=chip=gfx1201 -canonicalize | FileCheck %s --check-prefixes=CHECK,WMMA
// RUN: not stepdown-opt %s -split-input-file -lower-tile-to-rocdl=chip=gfx942 2>&1 | FileCheck %s --check-prefix=FNUZ
// RUN: sed '/kernel @scaled/,$s/tile.copy %%b\[%%j/tile.copy %%b[%%five/; s/^ *tile.role "load".*/&%%five = arith.constant 64 : index/' %s | not stepdown-opt -split-input-file -lower-tile-to-rocdl=chip=gfx950 2>&1 | FileCheck %s --check-prefix=ROLE
// RUN: sed '/kernel @scaled/,$s/tile.copy %%b\[%%j/tile.copy %%b[%%five/; s/^ *tile.role "load".*/&%%five = arith.constant 64 : index/' %s | not stepdown-opt -split-input-file -lower-tile-to-rocdl=chip=gfx1201 2>&1 | FileCheck %s --check-prefix=ROLE
// RUN: sed '/kernel @product/,/^}/s/tile.copy %%b\[%%j/tile.copy %%b[%%five/; s/^ *tile.role "load".*/&%%five = arith.constant 64 : index/' %s | not stepdown-opt -split-input-file -lower-tile-to-rocdl=chip=gfx950 2>&1 | FileCheck %s --check-prefix=ROLE
// RUN: sed 's/%%step = arith.constant 128/%%step = arith.constant 64/' %s | not stepdown-opt -split-input-file -lower-tile-to-rocdl=chip=gfx950 2>&1 | FileCheck %s --check-prefix=TURNS

// TURNS: [E1018] expects turns of a tile's 128 columns on gfx950
// TURNS: [E1018] expects turns of a tile's 128 columns on gfx950
// ROLE: [E1018] expects numbers of a tile's place and of the kernel in the schedule that fills slots on gfx{{950|1201}}, but got one of its role
// FNUZ: [E1016] expects tiles of bf16, f16, f8E4M3FN or i8 on gfx942, but got 'memref<64x128xf8E5M2, 3>', which sm_90a, gfx950 or gfx1201 multiplies

!matrix = memref<?x?xf8E5M2>
!result = memref<?x?xf32>
!tile = memref<64x128xf8E5M2, 3>
!ring = !tile.channel<2 x memref<64x128xf8E5M2, 3>, memref<64x128xf8E5M2, 3>>
!sum = !tile.accumulator<64x64xf32>

// An MFMA takes 32 bytes of a lane, which are two chunks of 16, and both types as numbers; a WMMA 8.
// CHECK-LABEL: llvm.func @product
// MFMA: llvm.load %{{.*}} : !llvm.ptr<3> -> vector<8xi16>
// MFMA: llvm.shufflevector %{{.*}} [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15] : vector<8xi16>
// MFMA: llvm.call_intrinsic "llvm.amdgcn.mfma.scale.f32.32x32x64.f8f6f4"(%{{.*}}, %{{.*}}, %{{.*}}, %[[ONE:.*]], %[[ONE]], %[[ZERO:.*]], %[[ZERO]], %[[ZERO]], %[[ZERO]]) : (vector<8xi32>, vector<8xi32>, vector<16xf32>, i32, i32, i32, i32, i32, i32) -> vector<16xf32>
// WMMA: llvm.call_intrinsic "llvm.amdgcn.wmma.f32.16x16x16.bf8.bf8"(%{{.*}}) : (vector<2xi32>, vector<2xi32>, vector<8xf32>) -> vector<8xf32>
tile.kernel @product(%a: !matrix, %b: !matrix, %c: !result) {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %step = arith.constant 128 : index
  %m = memref.dim %c, %zero : !result
  %n = memref.dim %c, %one : !result
  %k = memref.dim %a, %one : !matrix
  %ab = tile.channel : !ring
  tile.role "load" warps 4 registers 40 {
    tile.schedule (%i, %j) in (%m by 64, %n by 64) grouped 1 {
      scf.for %l = %zero to %k step %step {
        %s:2 = tile.acquire %ab : !ring -> !tile, !tile
        tile.copy %a[%i, %l] to %s#0 : !matrix to !tile
        tile.copy %b[%j, %l] to %s#1 : !matrix to !tile
        tile.commit %ab : !ring
      }
    }
  }
  tile.role "multiply" warps 4 registers 168 {
    tile.schedule (%i, %j) in (%m by 64, %n by 64) grouped 1 {
      %s:2 = tile.wait %ab : !ring -> !tile, !tile
      %first = tile.mma %s#0, %s#1 {transpose_b} : !tile, !tile -> !sum
      %last = scf.for %l = %step to %k step %step iter_args(%sum = %first) -> (!sum) {
        %t:2 = tile.wait %ab : !ring -> !tile, !tile
        %next = tile.mma %t#0, %t#1, %sum {transpose_b} : !tile, !tile -> !sum
        tile.mma_wait 1
        tile.release %ab : !ring
        scf.yield %next : !sum
      }
      %value = tile.mma_wait 0 for %last : !sum
      tile.release %ab : !ring
      tile.store %value to %c[%i, %j] : vector<64x64xf32> to !result
    }
  }
}

// -----

!matrix = memref<?x?xf8E4M3FN>
!scales = memref<?x?xf32>
!result = memref<?x?xf32>
!tile = memref<64x128xf8E4M3FN, 3>
!ring = !tile.channel<2 x memref<64x128xf8E4M3FN, 3>, memref<64x128xf8E4M3FN, 3>>
!sum = !tile.accumulator<64x64xf32>
!sums = vector<64x64xf32>
!rows = vector<64x1xf32>

// Sums begin anew in each turn, which carries what was made of those before and the slot that it reads; the loads of the
// next slot come before its products, and one barrier behind them.
// CHECK-LABEL: llvm.func @scaled
// CHECK: llvm.call_intrinsic "llvm.amdgcn.s.barrier"
// CHECK: %{{.*}}:[[CARRIED:[0-9]+]] = scf.for {{.*}} iter_args
// CHECK: llvm.call_intrinsic "llvm.amdgcn.raw.ptr.buffer.load"(%{{.*}}) : (!llvm.ptr<8>, i32, i32, i32) -> vector<4xi32>
// MFMA: llvm.call_intrinsic "llvm.amdgcn.sched.barrier"
// MFMA: llvm.call_intrinsic "llvm.amdgcn.mfma.scale.f32.32x32x64.f8f6f4"(%{{.*}}, %{{.*}}, %cst{{.*}}, %[[ZERO:.*]], %[[ZERO]], %[[ZERO]], %[[ZERO]], %[[ZERO]], %[[ZERO]])
// WMMA: llvm.call_intrinsic "llvm.amdgcn.wmma.f32.16x16x16.fp8.fp8"(%{{.*}}, %{{.*}}, %cst{{.*}})
// CHECK: llvm.call_intrinsic "llvm.amdgcn.raw.ptr.buffer.load"(%{{.*}}) : (!llvm.ptr<8>, i32, i32, i32) -> i32
// CHECK: arith.mulf %{{.*}} : f32
// CHECK: math.fma %{{.*}} : f32
// CHECK: llvm.store %{{.*}} : vector<8xi16>, !llvm.ptr<3>
// CHECK: llvm.call_intrinsic "llvm.amdgcn.s.barrier"
// CHECK-NOT: llvm.call_intrinsic "llvm.amdgcn.s.barrier"
// CHECK: scf.yield
// CHECK: %{{.*}}:[[CARRIED]] = scf.for {{.*}} iter_args
tile.kernel @scaled(%a: !matrix, %b: !matrix, %sa: !scales, %c: !result) {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %step = arith.constant 128 : index
  %m = memref.dim %c, %zero : !result
  %n = memref.dim %c, %one : !result
  %k = memref.dim %a, %one : !matrix
  %ab = tile.channel : !ring
  tile.role "load" warps 4 registers 40 {
    tile.schedule (%i, %j) in (%m by 64, %n by 64) grouped 1 {
      scf.for %l = %zero to %k step %step {
        %s:2 = tile.acquire %ab : !ring -> !tile, !tile
        tile.copy %a[%i, %l] to %s#0 : !matrix to !tile
        tile.copy %b[%j, %l] to %s#1 : !matrix to !tile
        tile.commit %ab : !ring
      }
    }
  }
  tile.role "multiply" warps 4 registers 168 {
    %nothing = arith.constant dense<0.0> : !sums
    tile.schedule (%i, %j) in (%m by 64, %n by 64) grouped 1 {
      %value = scf.for %l = %zero to %k step %step iter_args(%total = %nothing) -> (!sums) {
        %block = arith.divui %l, %step : index
        %of_a = tile.read %sa[%i, %block] : !scales -> !rows
        %s:2 = tile.wait %ab : !ring -> !tile, !tile
        %product = tile.mma %s#0, %s#1 {transpose_b} : !tile, !tile -> !sum
        %part = tile.mma_wait 0 for %product : !sum
        tile.release %ab : !ring
        %next = tile.map (%x = %part, %y = %of_a, %t = %total) : !sums, !rows, !sums -> !sums {
          %v = arith.mulf %x, %y : f32
          %w = math.fma %v, %y, %t : f32
          tile.yield %w : f32
        }
        scf.yield %next : !sums
      }
      tile.store %value to %c[%i, %j] : !sums to !result
    }
  }
}
