// RUN: stepdown-opt %s -split-input-file -verify-diagnostics -lower-tile-to-nvvm=chip=sm_80 -canonicalize | FileCheck %s
// RUN: not stepdown-opt %s -split-input-file -lower-tile-to-nvvm=chip=gfx942 2>&1 | FileCheck %s --check-prefix=CHIP

// CHIP: error: lower-tile-to-nvvm: expects a chip of sm_80, sm_90a, but got "gfx942"

!matrix = memref<?x?xbf16>
!result = memref<?x?xf32>
!tile_a = memref<64x64xbf16, 3>
!tile_b = memref<64x64xbf16, 3>
!ring = !tile.channel<3 x memref<64x64xbf16, 3>, memref<64x64xbf16, 3>>
!sum = !tile.accumulator<64x64xf32>

// Copies are of threads: each matrix is a pointer, the distance of its rows, its sizes. One role of two is launched.
// CHECK-LABEL: gpu.module @product
// CHECK: llvm.func @product(%{{[^:]*}}: !llvm.ptr<1>, %{{[^:]*}}: i64, %{{[^:]*}}: i32, %{{[^:]*}}: i32, %{{[^:]*}}: !llvm.ptr<1>
// CHECK-SAME: nvvm.maxntid = array<i32: 128, 1, 1>
// CHECK-SAME: shared_bytes = 49152
// Two of three slots begin to be filled, behind a barrier: warps may still read them. A group is committed for each.
// CHECK: scf.for
// CHECK: nvvm.barrier0
// CHECK: scf.if
// CHECK-COUNT-8: nvvm.cp.async.shared.global %{{.*}}, 16, cache =  cg
// CHECK: nvvm.cp.async.commit.group
// CHECK: scf.if
// CHECK-COUNT-8: nvvm.cp.async.shared.global
// CHECK: nvvm.cp.async.commit.group
// The first is waited for, and the third filled in its stead.
// CHECK: nvvm.cp.async.wait.group 1
// CHECK-NEXT: nvvm.barrier0
// CHECK: scf.if
// CHECK-COUNT-8: nvvm.cp.async.shared.global
// CHECK: nvvm.cp.async.commit.group
// A warp's 32 x 32 of the sum: of each 16 along k two loads of A and two of B, turned, for eight instructions.
// CHECK-COUNT-2: nvvm.ldmatrix %{{.*}} layout = #nvvm.mma_layout<row>, num = 4
// CHECK-COUNT-2: nvvm.ldmatrix %{{.*}} layout = #nvvm.mma_layout<col>, num = 4
// CHECK-COUNT-8: nvvm.mma.sync A[%{{.*}}] B[%{{.*}}] C[%{{.*}}] {{.*}}shape = #nvvm.shape<m = 16, n = 8, k = 16>
// CHECK: nvvm.ldmatrix
// A turn of the loop over k carries 32 sums, the slot that it multiplies and the one that it fills.
// CHECK: scf.for {{.*}} -> (f32, {{.*}}, f32, i32, i32)
// CHECK: nvvm.cp.async.wait.group 1
// CHECK-NEXT: nvvm.barrier0
// CHECK: nvvm.cp.async.commit.group
// CHECK: nvvm.mma.sync
// CHECK: scf.yield
// CHECK: llvm.store %{{.*}} {alignment = 8 : i64} : vector<2xf32>, !llvm.ptr<1>
tile.kernel @product(%a: !matrix, %b: !matrix, %c: !result) {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %step = arith.constant 64 : index
  %m = memref.dim %c, %zero : !result
  %n = memref.dim %c, %one : !result
  %k = memref.dim %a, %one : !matrix
  %ab = tile.channel : !ring
  tile.role "load" warps 4 registers 40 {
    tile.schedule (%i, %j) in (%m by 64, %n by 64) grouped 1 {
      scf.for %l = %zero to %k step %step {
        %s:2 = tile.acquire %ab : !ring -> !tile_a, !tile_b
        tile.copy %a[%i, %l] to %s#0 : !matrix to !tile_a
        tile.copy %b[%l, %j] to %s#1 : !matrix to !tile_b
        tile.commit %ab : !ring
      }
    }
  }
  tile.role "multiply" warps 4 registers 168 {
    tile.schedule (%i, %j) in (%m by 64, %n by 64) grouped 1 {
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
!result = memref<?x?xf32>
!tile_a = memref<64x64xbf16, 3>
!tile_b = memref<64x64xbf16, 3>
!ring = !tile.channel<3 x memref<64x64xbf16, 3>, memref<64x64xbf16, 3>>
!sum = !tile.accumulator<64x64xf32>

// expected-error @+1 {{expects a launch of one product on sm_80, but got one of 2}}
tile.kernel @products(%a: !matrix, %b: !matrix, %c: !result, %d: !result) attributes {tile.grid = array<i64: 64, 128, 49152, 64, 2>} {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %step = arith.constant 64 : index
  %m = memref.dim %c, %zero : !result
  %n = memref.dim %c, %one : !result
  %k = memref.dim %a, %one : !matrix
  %ab = tile.channel : !ring
  tile.role "load" warps 4 registers 40 {
    tile.schedule (%i, %j) in (%m by 64, %n by 64) grouped 1 {
      scf.for %l = %zero to %k step %step {
        %s:2 = tile.acquire %ab : !ring -> !tile_a, !tile_b
        tile.copy %a[%i, %l] to %s#0 : !matrix to !tile_a
        tile.copy %b[%l, %j] to %s#1 : !matrix to !tile_b
        tile.commit %ab : !ring
      }
    }
  }
  tile.role "multiply" warps 4 registers 168 {
    tile.schedule (%i, %j) in (%m by 64, %n by 64) grouped 1 {
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

!tile = memref<64x64xbf16, 3>
!ring = !tile.channel<1 x memref<64x64xbf16, 3>>
// expected-error @+1 {{expects a product: a role that copies, one that multiplies, and one channel between them on sm_80}}
tile.kernel @no_product(%a: memref<?x?xbf16>, %zero: index) {
  %ring = tile.channel : !ring
  tile.role "load" warps 4 registers 40 {
    %s = tile.acquire %ring : !ring -> !tile
    tile.copy %a[%zero, %zero] to %s : memref<?x?xbf16> to !tile
    tile.commit %ring : !ring
  }
  tile.role "read" warps 4 registers 40 {
    %s = tile.wait %ring : !ring -> !tile
    tile.release %ring : !ring
  }
}

// -----

!matrix = memref<?x?xbf16>
!result = memref<?x?xf32>
!tile_a = memref<64x64xbf16, 3>
!tile_b = memref<64x64xbf16, 3>
!ring = !tile.channel<1 x memref<64x64xbf16, 3>, memref<64x64xbf16, 3>>
!sum = !tile.accumulator<64x64xf32>

tile.kernel @one_slot(%a: !matrix, %b: !matrix, %c: !result) {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %step = arith.constant 64 : index
  %m = memref.dim %c, %zero : !result
  %n = memref.dim %c, %one : !result
  %k = memref.dim %a, %one : !matrix
  // expected-error @+1 {{expects a channel of two slots or more on sm_80, but got}}
  %ab = tile.channel : !ring
  tile.role "load" warps 4 registers 40 {
    tile.schedule (%i, %j) in (%m by 64, %n by 64) grouped 1 {
      scf.for %l = %zero to %k step %step {
        %s:2 = tile.acquire %ab : !ring -> !tile_a, !tile_b
        tile.copy %a[%i, %l] to %s#0 : !matrix to !tile_a
        tile.copy %b[%l, %j] to %s#1 : !matrix to !tile_b
        tile.commit %ab : !ring
      }
    }
  }
  tile.role "multiply" warps 4 registers 168 {
    tile.schedule (%i, %j) in (%m by 64, %n by 64) grouped 1 {
      %s:2 = tile.wait %ab : !ring -> !tile_a, !tile_b
      %first = tile.mma %s#0, %s#1 : !tile_a, !tile_b -> !sum
      tile.mma_wait 0
      tile.release %ab : !ring
      %last = scf.for %l = %step to %k step %step iter_args(%sum = %first) -> (!sum) {
        %t:2 = tile.wait %ab : !ring -> !tile_a, !tile_b
        %next = tile.mma %t#0, %t#1, %sum : !tile_a, !tile_b -> !sum
        tile.mma_wait 0
        tile.release %ab : !ring
        scf.yield %next : !sum
      }
      %value = tile.mma_wait 0 for %last : !sum
      tile.store %value to %c[%i, %j] : vector<64x64xf32> to !result
    }
  }
}


// -----

!matrix = memref<?x?xbf16>
!result = memref<?x?xf32>
!tile_a = memref<64x64xbf16, 3>
!tile_b = memref<64x64xbf16, 3>
!ring = !tile.channel<11 x memref<64x64xbf16, 3>, memref<64x64xbf16, 3>>
!sum = !tile.accumulator<64x64xf32>

// expected-error @+1 {{expects at most 166912 bytes of shared memory on sm_80, but its slots take 180224}}
tile.kernel @too_much(%a: !matrix, %b: !matrix, %c: !result) {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %step = arith.constant 64 : index
  %m = memref.dim %c, %zero : !result
  %n = memref.dim %c, %one : !result
  %k = memref.dim %a, %one : !matrix
  %ab = tile.channel : !ring
  tile.role "load" warps 4 registers 40 {
    tile.schedule (%i, %j) in (%m by 64, %n by 64) grouped 1 {
      scf.for %l = %zero to %k step %step {
        %s:2 = tile.acquire %ab : !ring -> !tile_a, !tile_b
        tile.copy %a[%i, %l] to %s#0 : !matrix to !tile_a
        tile.copy %b[%l, %j] to %s#1 : !matrix to !tile_b
        tile.commit %ab : !ring
      }
    }
  }
  tile.role "multiply" warps 4 registers 168 {
    tile.schedule (%i, %j) in (%m by 64, %n by 64) grouped 1 {
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

// Of 32 elements a row is half of 128 bytes.
!matrix = memref<?x?xbf16>
!result = memref<?x?xf32>
!tile_a = memref<64x32xbf16, 3>
!tile_b = memref<32x64xbf16, 3>
!ring = !tile.channel<2 x memref<64x32xbf16, 3>, memref<32x64xbf16, 3>>
!sum = !tile.accumulator<64x64xf32>

tile.kernel @half_a_row(%a: !matrix, %b: !matrix, %c: !result) {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %step = arith.constant 32 : index
  %m = memref.dim %c, %zero : !result
  %n = memref.dim %c, %one : !result
  %k = memref.dim %a, %one : !matrix
  %ab = tile.channel : !ring
  tile.role "load" warps 4 registers 40 {
    tile.schedule (%i, %j) in (%m by 64, %n by 64) grouped 1 {
      scf.for %l = %zero to %k step %step {
        %s:2 = tile.acquire %ab : !ring -> !tile_a, !tile_b
        tile.copy %a[%i, %l] to %s#0 : !matrix to !tile_a
        tile.copy %b[%l, %j] to %s#1 : !matrix to !tile_b
        tile.commit %ab : !ring
      }
    }
  }
  tile.role "multiply" warps 4 registers 168 {
    tile.schedule (%i, %j) in (%m by 64, %n by 64) grouped 1 {
      %s:2 = tile.wait %ab : !ring -> !tile_a, !tile_b
      // expected-error @+1 {{expects tiles of rows of whole 128 bytes, in eights that 128 threads of sm_80 can share out, but got 'memref<64x32xbf16, 3>'}}
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

!matrix = memref<?x?xf32>
!result = memref<?x?xf32>
!tile_a = memref<64x32xf32, 3>
!tile_b = memref<32x64xf32, 3>
!ring = !tile.channel<2 x memref<64x32xf32, 3>, memref<32x64xf32, 3>>
!sum = !tile.accumulator<64x64xf32>

tile.kernel @floats(%a: !matrix, %b: !matrix, %c: !result) {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %step = arith.constant 32 : index
  %m = memref.dim %c, %zero : !result
  %n = memref.dim %c, %one : !result
  %k = memref.dim %a, %one : !matrix
  %ab = tile.channel : !ring
  tile.role "load" warps 4 registers 40 {
    tile.schedule (%i, %j) in (%m by 64, %n by 64) grouped 1 {
      scf.for %l = %zero to %k step %step {
        %s:2 = tile.acquire %ab : !ring -> !tile_a, !tile_b
        tile.copy %a[%i, %l] to %s#0 : !matrix to !tile_a
        tile.copy %b[%l, %j] to %s#1 : !matrix to !tile_b
        tile.commit %ab : !ring
      }
    }
  }
  tile.role "multiply" warps 4 registers 168 {
    tile.schedule (%i, %j) in (%m by 64, %n by 64) grouped 1 {
      %s:2 = tile.wait %ab : !ring -> !tile_a, !tile_b
      // expected-error @+1 {{expects tiles of bf16, f16 or i8 on sm_80, but got 'memref<64x32xf32, 3>'}}
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
!result = memref<?x?xf32>
!tile_a = memref<64x64xbf16, 3>
!tile_b = memref<64x64xbf16, 3>
!ring = !tile.channel<2 x memref<64x64xbf16, 3>, memref<64x64xbf16, 3>>
!sum = !tile.accumulator<64x64xf32>

tile.kernel @transposed_store(%a: !matrix, %b: !matrix, %c: !result) {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %step = arith.constant 64 : index
  %m = memref.dim %c, %zero : !result
  %n = memref.dim %c, %one : !result
  %k = memref.dim %a, %one : !matrix
  %ab = tile.channel : !ring
  tile.role "load" warps 4 registers 40 {
    tile.schedule (%i, %j) in (%m by 64, %n by 64) grouped 1 {
      scf.for %l = %zero to %k step %step {
        %s:2 = tile.acquire %ab : !ring -> !tile_a, !tile_b
        tile.copy %a[%i, %l] to %s#0 : !matrix to !tile_a
        tile.copy %b[%l, %j] to %s#1 : !matrix to !tile_b
        tile.commit %ab : !ring
      }
    }
  }
  tile.role "multiply" warps 4 registers 168 {
    tile.schedule (%i, %j) in (%m by 64, %n by 64) grouped 1 {
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
      // expected-error @+1 {{expects to store rows as rows on sm_80}}
      tile.store %value to %c[%j, %i] {transposed} : vector<64x64xf32> to !result
    }
  }
}

// -----

!matrix = memref<?x?xbf16>
!result = memref<?x?xf32>
!tile = memref<64x64xbf16, 3>
!ring = !tile.channel<2 x memref<64x64xbf16, 3>, memref<64x64xbf16, 3>>
!sum = !tile.accumulator<64x64xf32>
tile.kernel @factors_change_places(%a: !matrix, %b: !matrix, %c: !result) {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %step = arith.constant 64 : index
  %m = memref.dim %c, %zero : !result
  %n = memref.dim %c, %one : !result
  %k = memref.dim %a, %one : !matrix
  %ab = tile.channel : !ring
  tile.role "load" warps 4 registers 40 {
    tile.schedule (%i, %j) in (%m by 64, %n by 64) grouped 8 {
      scf.for %l = %zero to %k step %step {
        %s:2 = tile.acquire %ab : !ring -> !tile, !tile
        tile.copy %a[%i, %l] to %s#0 : !matrix to !tile
        tile.copy %b[%l, %j] to %s#1 : !matrix to !tile
        tile.commit %ab : !ring
      }
    }
  }
  tile.role "multiply" warps 4 registers 168 {
    tile.schedule (%i, %j) in (%m by 64, %n by 64) grouped 8 {
      %s:2 = tile.wait %ab : !ring -> !tile, !tile
      %first = tile.mma %s#0, %s#1 : !tile, !tile -> !sum
      %last = scf.for %l = %step to %k step %step iter_args(%sum = %first) -> (!sum) {
        %t:2 = tile.wait %ab : !ring -> !tile, !tile
        // expected-error @+1 {{expects the product of a turn to be of the tiles of that in front of the loop, in their ways, on sm_80}}
        %next = tile.mma %t#1, %t#0, %sum : !tile, !tile -> !sum
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
