// RUN: stepdown-opt %s -split-input-file -verify-diagnostics -lower-tile-to-rocdl -canonicalize | FileCheck %s

!matrix = memref<?x?xbf16>
!result = memref<?x?xf32>
!tile_a = memref<64x32xbf16, 3>
!tile_b = memref<32x64xbf16, 3>
!ring = !tile.channel<2 x memref<64x32xbf16, 3>, memref<32x64xbf16, 3>>
!sum = !tile.accumulator<64x64xf32>

// Two slots of two tiles of 4096 bytes; the module says so.
// CHECK-LABEL: gpu.module @matmul
// CHECK: llvm.mlir.global internal @lds() {addr_space = 3 : i32, alignment = 16 : i64} : !llvm.array<16384 x i8>
// CHECK: llvm.func @matmul(%{{[^:]*}}: !llvm.ptr<1>, %{{[^:]*}}: i64, %{{[^:]*}}: i32, %{{[^:]*}}: i32, %{{.*}}: !llvm.ptr<1>
// CHECK-SAME: rocdl.flat_work_group_size = "128,128", rocdl.kernel
// CHECK-SAME: shared_bytes = 0 : i64, threads = 128 : i64, tile = array<i64: 64, 64>
// The first slot: pieces of 16 bytes of A, then rows of B; they arrive behind a barrier, since waves may still read the
// slot for the tile before.
// CHECK: llvm.call_intrinsic "llvm.amdgcn.make.buffer.rsrc"
// CHECK-COUNT-2: llvm.call_intrinsic "llvm.amdgcn.raw.ptr.buffer.load"
// Behind the last column of A: zeros.
// CHECK: scf.if
// CHECK-COUNT-2: arith.select %{{.*}} : vector<8xi1>, vector<8xi16>
// CHECK: llvm.call_intrinsic "llvm.amdgcn.make.buffer.rsrc"
// CHECK-COUNT-2: llvm.call_intrinsic "llvm.amdgcn.raw.ptr.buffer.load"
// CHECK: llvm.fence syncscope("workgroup") release
// CHECK-NEXT: llvm.call_intrinsic "llvm.amdgcn.s.barrier"() : () -> ()
// CHECK-NEXT: llvm.fence syncscope("workgroup") acquire
// CHECK-COUNT-2: llvm.store %{{.*}} {alignment = 16 : i64} : vector<8xi16>, !llvm.ptr<3>
// Two rows of B at a time are turned: pairs of neighbouring k of eight columns.
// CHECK: llvm.shufflevector %[[LOW:.*]], %[[HIGH:.*]] [0, 8] : vector<8xi16>
// CHECK: llvm.store %{{.*}} : vector<2xi16>, !llvm.ptr<3>
// CHECK: llvm.call_intrinsic "llvm.amdgcn.s.barrier"
// The loop: loads of the next slot, products of this one, arrival.
// CHECK: scf.for
// CHECK: llvm.call_intrinsic "llvm.amdgcn.raw.ptr.buffer.load"
// CHECK: llvm.call_intrinsic "llvm.amdgcn.mfma.f32.32x32x8bf16.1k"(%{{.*}}) : (vector<4xi16>, vector<4xi16>, vector<16xf32>, i32, i32, i32) -> vector<16xf32>
// CHECK: llvm.call_intrinsic "llvm.amdgcn.s.barrier"
// CHECK: scf.yield
// What was last issued is computed behind the loop, and stored where the result has rows and columns.
// CHECK: llvm.call_intrinsic "llvm.amdgcn.mfma.f32.32x32x8bf16.1k"
// CHECK: llvm.call_intrinsic "llvm.amdgcn.raw.ptr.buffer.store"
tile.kernel @matmul(%a: !matrix, %b: !matrix, %c: !result) {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %step = arith.constant 32 : index
  %m = memref.dim %c, %zero : !result
  %n = memref.dim %c, %one : !result
  %k = memref.dim %a, %one : !matrix
  %ab = tile.channel : !ring
  tile.role "load" warps 4 registers 40 {
    tile.schedule (%i, %j) in (%m by 64, %n by 64) grouped 8 {
      scf.for %l = %zero to %k step %step {
        %s:2 = tile.acquire %ab : !ring -> !tile_a, !tile_b
        tile.copy %a[%i, %l] to %s#0 : !matrix to !tile_a
        tile.copy %b[%l, %j] to %s#1 : !matrix to !tile_b
        tile.commit %ab : !ring
      }
    }
  }
  tile.role "multiply" warps 4 registers 168 {
    tile.schedule (%i, %j) in (%m by 64, %n by 64) grouped 8 {
      %s:2 = tile.wait %ab : !ring -> !tile_a, !tile_b
      %first = tile.mma %s#0, %s#1 : !tile_a, !tile_b -> !sum
      %last = scf.for %l = %step to %k step %step iter_args(%sum = %first) -> (!sum) {
        %t:2 = tile.wait %ab : !ring -> !tile_a, !tile_b
        %next = tile.mma %t#0, %t#1, %sum : !tile_a, !tile_b -> !sum
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

!matrix = memref<?x?xbf16>
!tile = memref<64x64xbf16, 3>
!ring = !tile.channel<2 x memref<64x64xbf16, 3>>
// expected-error @+1 {{expects a product: a role that copies, one that multiplies, and one channel between them on gfx942}}
tile.kernel @copies(%a: !matrix, %zero: index) {
  %ring = tile.channel : !ring
  tile.role "load" warps 4 registers 40 {
    %s = tile.acquire %ring : !ring -> !tile
    tile.copy %a[%zero, %zero] to %s : !matrix to !tile
    tile.commit %ring : !ring
  }
  tile.role "take" warps 4 registers 40 {
    %s = tile.wait %ring : !ring -> !tile
    tile.release %ring : !ring
  }
}

// -----

!matrix = memref<?x?xbf16>
!result = memref<?x?xf32>
!tile_a = memref<64x32xbf16, 3>
!tile_b = memref<32x64xbf16, 3>
!ring = !tile.channel<3 x memref<64x32xbf16, 3>, memref<32x64xbf16, 3>>
!sum = !tile.accumulator<64x64xf32>
tile.kernel @three_slots(%a: !matrix, %b: !matrix, %c: !result) {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %step = arith.constant 32 : index
  %m = memref.dim %c, %zero : !result
  %n = memref.dim %c, %one : !result
  %k = memref.dim %a, %one : !matrix
  // expected-error @+1 {{expects a channel of two slots on gfx942}}
  %ab = tile.channel : !ring
  tile.role "load" warps 4 registers 40 {
    tile.schedule (%i, %j) in (%m by 64, %n by 64) grouped 8 {
      scf.for %l = %zero to %k step %step {
        %s:2 = tile.acquire %ab : !ring -> !tile_a, !tile_b
        tile.copy %a[%i, %l] to %s#0 : !matrix to !tile_a
        tile.copy %b[%l, %j] to %s#1 : !matrix to !tile_b
        tile.commit %ab : !ring
      }
    }
  }
  tile.role "multiply" warps 4 registers 168 {
    tile.schedule (%i, %j) in (%m by 64, %n by 64) grouped 8 {
      %s:2 = tile.wait %ab : !ring -> !tile_a, !tile_b
      %first = tile.mma %s#0, %s#1 : !tile_a, !tile_b -> !sum
      %last = scf.for %l = %step to %k step %step iter_args(%sum = %first) -> (!sum) {
        %t:2 = tile.wait %ab : !ring -> !tile_a, !tile_b
        %next = tile.mma %t#0, %t#1, %sum : !tile_a, !tile_b -> !sum
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
