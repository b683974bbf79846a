// RUN: stepdown-opt %s -split-input-file -verify-diagnostics -lower-tile-to-rocdl -canonicalize | FileCheck %s
// RUN: sed 's/%%at = arith.addi.*/%%at = memref.dim %%x, %%1 : !tokens/' %s | not stepdown-opt -split-input-file -lower-tile-to-rocdl 2>&1 | FileCheck %s --check-prefix=PLACES

// PLACES: 'memref.dim' op [E1018] expects an operation on numbers, or one of the tile dialect that gfx942 has a form for

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
// Two rows of B at a time become words of two neighbouring k: eight columns are two pieces of 16 bytes.
// CHECK: %[[LOW:.*]] = llvm.shufflevector %[[EVEN:.*]], %[[ODD:.*]] [0, 8, 1, 9, 2, 10, 3, 11] : vector<8xi16>
// CHECK-NEXT: llvm.store %[[LOW]], %{{.*}} {alignment = 16 : i64} : vector<8xi16>, !llvm.ptr<3>
// CHECK: %[[HIGH:.*]] = llvm.shufflevector %[[EVEN]], %[[ODD]] [4, 12, 5, 13, 6, 14, 7, 15] : vector<8xi16>
// CHECK-NEXT: llvm.store %[[HIGH]], %{{.*}} {alignment = 16 : i64} : vector<8xi16>, !llvm.ptr<3>
// CHECK: llvm.call_intrinsic "llvm.amdgcn.s.barrier"
// The loop: loads of the next slot, products of this one, arrival.
// CHECK: scf.for
// CHECK: llvm.call_intrinsic "llvm.amdgcn.raw.ptr.buffer.load"
// CHECK: llvm.call_intrinsic "llvm.amdgcn.sched.barrier"
// CHECK: llvm.call_intrinsic "llvm.amdgcn.mfma.f32.32x32x8bf16.1k"(%{{.*}}) : (vector<4xi16>, vector<4xi16>, vector<16xf32>, i32, i32, i32) -> vector<16xf32>
// CHECK: llvm.call_intrinsic "llvm.amdgcn.s.waitcnt"
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
!result = memref<?x?xf32>
!tile_a = memref<64x32xbf16, 3>
!tile_b = memref<32x64xbf16, 3>
!ring = !tile.channel<2 x memref<64x32xbf16, 3>, memref<32x64xbf16, 3>>
!sum = !tile.accumulator<64x64xf32>

// A tile of one row and one column has that for all, and the last of the matrix in place of what lies behind.
// CHECK-LABEL: llvm.func @reads_for_all
// CHECK-SAME: i32, %[[ROW:[^:]*]]: i32, %[[COLUMN:[^:]*]]: i32) attributes
// CHECK: arith.minsi %[[ROW]], %
// CHECK: arith.minsi %[[COLUMN]], %
// CHECK: llvm.call_intrinsic "llvm.amdgcn.raw.ptr.buffer.load"(%{{.*}}) : ({{.*}}) -> i32
// CHECK: arith.mulf
tile.kernel @reads_for_all(%a: !matrix, %b: !matrix, %x: !result, %c: !result, %i0: index, %j0: index) {
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
      %q = tile.read %x[%i0, %j0] : !result -> vector<1x1xf32>
      %r = tile.map (%y = %value, %z = %q) : vector<64x64xf32>, vector<1x1xf32> -> vector<64x64xf32> {
        %w = arith.mulf %y, %z : f32
        tile.yield %w : f32
      }
      tile.store %r to %c[%i, %j] : vector<64x64xf32> to !result
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

// -----

!block = !transformer.block<q4_0, rows = 16>
!weight = memref<?x?x!block>
!tokens = memref<?x?xf16>
!matrix = memref<?x?xf32>
!packed = memref<2x2x!block, 3>
!token_tile = memref<16x64xf16, 3>
!weight_ring = !tile.channel<2 x memref<2x2x!block, 3>>
!token_ring = !tile.channel<2 x memref<16x64xf16, 3>>
!part = vector<32x64xf16>
!sum = !tile.accumulator<32x16xf32>
!sums = vector<32x16xf32>

// Of packed blocks each wave reads what its lanes unpack, in front of the turn that does: scales, and words of eight
// codes. Tokens, and nothing else, go through LDS.
// CHECK-LABEL: llvm.mlir.global internal @lds() {{.*}} : !llvm.array<4096 x i8>
// CHECK: llvm.func @quantised_matmul
// CHECK: scf.for
// CHECK: scf.for
// CHECK: llvm.call_intrinsic "llvm.amdgcn.raw.ptr.buffer.load"(%{{.*}}) : (!llvm.ptr<8>, i32, i32, i32) -> i16
// CHECK-COUNT-2: llvm.call_intrinsic "llvm.amdgcn.raw.ptr.buffer.load"(%{{.*}}) : (!llvm.ptr<8>, i32, i32, i32) -> i32
// CHECK: llvm.call_intrinsic "llvm.amdgcn.raw.ptr.buffer.load"(%{{.*}}) : (!llvm.ptr<8>, i32, i32, i32) -> vector<4xi32>
// CHECK-NOT: llvm.store
// CHECK: llvm.call_intrinsic "llvm.amdgcn.perm"
// CHECK: arith.mulf %{{.*}} : vector<2xf16>
// CHECK: llvm.load %{{.*}} : !llvm.ptr<3> -> vector<4xi32>
// CHECK-COUNT-4: llvm.call_intrinsic "llvm.amdgcn.mfma.f32.16x16x16f16"(%{{.*}}) : (vector<4xf16>, vector<4xf16>, vector<4xf32>, i32, i32, i32) -> vector<4xf32>
// CHECK: llvm.store %{{.*}} : vector<8xi16>, !llvm.ptr<3>
// CHECK: llvm.call_intrinsic "llvm.amdgcn.s.barrier"
// CHECK-NOT: llvm.call_intrinsic "llvm.amdgcn.s.barrier"
// CHECK: scf.yield
tile.kernel @quantised_matmul(%w: !weight, %x: !tokens, %y: !matrix) {
  %0 = arith.constant 0 : index
  %1 = arith.constant 1 : index
  %64 = arith.constant 64 : index
  %sixteen = arith.constant 16 : index
  %rows = memref.dim %y, %1 : !matrix
  %tokens = memref.dim %y, %0 : !matrix
  %columns = memref.dim %x, %1 : !tokens
  %cw = tile.channel : !weight_ring
  %cx = tile.channel : !token_ring
  tile.role "load" warps 4 registers 40 {
    tile.schedule (%i, %j) in (%rows by 32, %tokens by 16) grouped 1 {
      %tile = arith.divui %i, %sixteen : index
      scf.for %k = %0 to %columns step %64 {
        %sw = tile.acquire %cw : !weight_ring -> !packed
        tile.copy %w[%tile, %k] to %sw : !weight to !packed
        tile.commit %cw : !weight_ring
        scf.for %l = %0 to %64 step %64 {
          %at = arith.addi %k, %l : index
          %sx = tile.acquire %cx : !token_ring -> !token_tile
          tile.copy %x[%j, %at] to %sx : !tokens to !token_tile
          tile.commit %cx : !token_ring
        }
      }
    }
  }
  tile.role "multiply" warps 4 registers 168 {
    %nothing = arith.constant dense<0.0> : !sums
    tile.schedule (%i, %j) in (%rows by 32, %tokens by 16) grouped 1 {
      %total = scf.for %k = %0 to %columns step %64 iter_args(%sum = %nothing) -> (!sums) {
        %sw = tile.wait %cw : !weight_ring -> !packed
        %a = tile.unpack %sw[%0] : !packed -> !part
        tile.release %cw : !weight_ring
        %b = tile.wait %cx : !token_ring -> !token_tile
        %p = tile.mma %a, %b, %sum {transpose_b} : !part, !token_tile, !sums -> !sum
        %next = tile.mma_wait 0 for %p : !sum
        tile.release %cx : !token_ring
        scf.yield %next : !sums
      }
      tile.store %total to %y[%j, %i] {transposed} : !sums to !matrix
    }
  }
}

// -----

!block = !transformer.block<q4_0, rows = 16>
!weight = memref<?x?x!block>
!tokens = memref<?x?xf16>
!matrix = memref<?x?xf32>
!packed = memref<2x2x!block, 3>
!token_tile = memref<16x64xf16, 3>
!weight_ring = !tile.channel<2 x memref<2x2x!block, 3>>
!token_ring = !tile.channel<3 x memref<16x64xf16, 3>>
!part = vector<32x64xf16>
!sum = !tile.accumulator<32x16xf32>
!sums = vector<32x16xf32>
tile.kernel @a_turn_and_a_half(%w: !weight, %x: !tokens, %y: !matrix) {
  %0 = arith.constant 0 : index
  %64 = arith.constant 64 : index
  %rows = memref.dim %y, %0 : !matrix
  %cw = tile.channel : !weight_ring
  // expected-error @+1 {{expects a ring of the tiles of two turns, 2, on gfx942, but got '!tile.channel<3 x memref<16x64xf16, 3>>'}}
  %cx = tile.channel : !token_ring
  tile.role "load" warps 4 registers 40 {
    tile.schedule (%i, %j) in (%rows by 32, %rows by 16) grouped 1 {
      scf.for %k = %0 to %rows step %64 {
        %sw = tile.acquire %cw : !weight_ring -> !packed
        tile.copy %w[%i, %k] to %sw : !weight to !packed
        tile.commit %cw : !weight_ring
        scf.for %l = %0 to %64 step %64 {
          %sx = tile.acquire %cx : !token_ring -> !token_tile
          tile.copy %x[%j, %k] to %sx : !tokens to !token_tile
          tile.commit %cx : !token_ring
        }
      }
    }
  }
  tile.role "multiply" warps 4 registers 168 {
    %nothing = arith.constant dense<0.0> : !sums
    tile.schedule (%i, %j) in (%rows by 32, %rows by 16) grouped 1 {
      %total = scf.for %k = %0 to %rows step %64 iter_args(%sum = %nothing) -> (!sums) {
        %sw = tile.wait %cw : !weight_ring -> !packed
        %a = tile.unpack %sw[%0] : !packed -> !part
        tile.release %cw : !weight_ring
        %b = tile.wait %cx : !token_ring -> !token_tile
        %p = tile.mma %a, %b, %sum {transpose_b} : !part, !token_tile, !sums -> !sum
        %next = tile.mma_wait 0 for %p : !sum
        tile.release %cx : !token_ring
        scf.yield %next : !sums
      }
      tile.store %total to %y[%j, %i] {transposed} : !sums to !matrix
    }
  }
}

// -----

!matrix = memref<?x?xbf16>
!values = memref<?x?xbf16>
!result = memref<?x?xf32>
!tile = memref<64x64xbf16, 3>
!value_tile = memref<64x64xbf16, 3>
!query_ring = !tile.channel<1 x memref<64x64xbf16, 3>>
!key_ring = !tile.channel<2 x memref<64x64xbf16, 3>>
!value_ring = !tile.channel<2 x memref<64x64xbf16, 3>>
!sum = !tile.accumulator<64x64xf32>
!numbers = vector<64x64xf32>
!weights = vector<64x64xbf16>
// Emitted as one program of all products of a kind, whose elements and ways are one.
// CHECK-LABEL: llvm.func @attention_of_one_type
// CHECK: llvm.amdgcn.mfma
tile.kernel @attention_of_one_type(%q: !matrix, %k: !matrix, %v: !values, %o: !result) {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %step = arith.constant 64 : index
  %m = memref.dim %o, %zero : !result
  %n = memref.dim %o, %one : !result
  %keys = memref.dim %k, %zero : !matrix
  %cq = tile.channel : !query_ring
  %ck = tile.channel : !key_ring
  %cv = tile.channel : !value_ring
  tile.role "load" warps 4 registers 40 {
    tile.schedule (%i, %j) in (%m by 64, %n by 64) grouped 1 {
      %sq = tile.acquire %cq : !query_ring -> !tile
      tile.copy %q[%i, %j] to %sq : !matrix to !tile
      tile.commit %cq : !query_ring
      scf.for %l = %zero to %keys step %step {
        %sk = tile.acquire %ck : !key_ring -> !tile
        tile.copy %k[%l, %j] to %sk : !matrix to !tile
        tile.commit %ck : !key_ring
        %sv = tile.acquire %cv : !value_ring -> !value_tile
        tile.copy %v[%l, %j] to %sv : !values to !value_tile
        tile.commit %cv : !value_ring
      }
    }
  }
  tile.role "attend" warps 4 registers 168 {
    %empty = arith.constant dense<0.0> : !numbers
    tile.schedule (%i, %j) in (%m by 64, %n by 64) grouped 1 {
      %sq = tile.wait %cq : !query_ring -> !tile
      %sk0 = tile.wait %ck : !key_ring -> !tile
      %qk0 = tile.mma %sq, %sk0 {transpose_b} : !tile, !tile -> !sum
      %s0 = tile.mma_wait 0 for %qk0 : !sum
      tile.release %ck : !key_ring
      %p0 = tile.convert %s0 : !numbers to !weights
      %r:2 = scf.for %l = %step to %keys step %step iter_args(%out = %empty, %p = %p0) -> (!numbers, !weights) {
        %sk = tile.wait %ck : !key_ring -> !tile
        %qk = tile.mma %sq, %sk {transpose_b} : !tile, !tile -> !sum
        %sv = tile.wait %cv : !value_ring -> !value_tile
        %pv = tile.mma %p, %sv, %out : !weights, !value_tile, !numbers -> !sum
        %s = tile.mma_wait 1 for %qk : !sum
        tile.release %ck : !key_ring
        %o1 = tile.mma_wait 0 for %pv : !sum
        tile.release %cv : !value_ring
        %p1 = tile.convert %s : !numbers to !weights
        scf.yield %o1, %p1 : !numbers, !weights
      }
      tile.release %cq : !query_ring
      %sv = tile.wait %cv : !value_ring -> !value_tile
      %pv = tile.mma %r#1, %sv, %r#0 : !weights, !value_tile, !numbers -> !sum
      %o1 = tile.mma_wait 0 for %pv : !sum
      tile.release %cv : !value_ring
      tile.store %o1 to %o[%i, %j] : !numbers to !result
    }
  }
}

// -----

!matrix = memref<?x?xbf16>
!values = memref<?x?xf16>
!result = memref<?x?xf32>
!tile = memref<64x64xbf16, 3>
!value_tile = memref<64x64xf16, 3>
!query_ring = !tile.channel<1 x memref<64x64xbf16, 3>>
!key_ring = !tile.channel<2 x memref<64x64xbf16, 3>>
!value_ring = !tile.channel<2 x memref<64x64xf16, 3>>
!sum = !tile.accumulator<64x64xf32>
!numbers = vector<64x64xf32>
!weights = vector<64x64xf16>
tile.kernel @attention_of_two_types(%q: !matrix, %k: !matrix, %v: !values, %o: !result) {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %step = arith.constant 64 : index
  %m = memref.dim %o, %zero : !result
  %n = memref.dim %o, %one : !result
  %keys = memref.dim %k, %zero : !matrix
  %cq = tile.channel : !query_ring
  %ck = tile.channel : !key_ring
  %cv = tile.channel : !value_ring
  tile.role "load" warps 4 registers 40 {
    tile.schedule (%i, %j) in (%m by 64, %n by 64) grouped 1 {
      %sq = tile.acquire %cq : !query_ring -> !tile
      tile.copy %q[%i, %j] to %sq : !matrix to !tile
      tile.commit %cq : !query_ring
      scf.for %l = %zero to %keys step %step {
        %sk = tile.acquire %ck : !key_ring -> !tile
        tile.copy %k[%l, %j] to %sk : !matrix to !tile
        tile.commit %ck : !key_ring
        %sv = tile.acquire %cv : !value_ring -> !value_tile
        tile.copy %v[%l, %j] to %sv : !values to !value_tile
        tile.commit %cv : !value_ring
      }
    }
  }
  tile.role "attend" warps 4 registers 168 {
    %empty = arith.constant dense<0.0> : !numbers
    tile.schedule (%i, %j) in (%m by 64, %n by 64) grouped 1 {
      %sq = tile.wait %cq : !query_ring -> !tile
      %sk0 = tile.wait %ck : !key_ring -> !tile
      %qk0 = tile.mma %sq, %sk0 {transpose_b} : !tile, !tile -> !sum
      %s0 = tile.mma_wait 0 for %qk0 : !sum
      tile.release %ck : !key_ring
      %p0 = tile.convert %s0 : !numbers to !weights
      %r:2 = scf.for %l = %step to %keys step %step iter_args(%out = %empty, %p = %p0) -> (!numbers, !weights) {
        %sk = tile.wait %ck : !key_ring -> !tile
        %qk = tile.mma %sq, %sk {transpose_b} : !tile, !tile -> !sum
        %sv = tile.wait %cv : !value_ring -> !value_tile
        // expected-error @+1 {{expects weights and values of the type of queries and keys, 'bf16', on gfx942, but got 'vector<64x64xf16>'}}
        %pv = tile.mma %p, %sv, %out : !weights, !value_tile, !numbers -> !sum
        %s = tile.mma_wait 1 for %qk : !sum
        tile.release %ck : !key_ring
        %o1 = tile.mma_wait 0 for %pv : !sum
        tile.release %cv : !value_ring
        %p1 = tile.convert %s : !numbers to !weights
        scf.yield %o1, %p1 : !numbers, !weights
      }
      tile.release %cq : !query_ring
      %sv = tile.wait %cv : !value_ring -> !value_tile
      %pv = tile.mma %r#1, %sv, %r#0 : !weights, !value_tile, !numbers -> !sum
      %o1 = tile.mma_wait 0 for %pv : !sum
      tile.release %cv : !value_ring
      tile.store %o1 to %o[%i, %j] : !numbers to !result
    }
  }
}

// -----

!matrix = memref<?x?xbf16>
!values = memref<?x?xbf16>
!result = memref<?x?xf32>
!tile = memref<64x64xbf16, 3>
!value_tile = memref<64x64xbf16, 3>
!query_ring = !tile.channel<1 x memref<64x64xbf16, 3>>
!key_ring = !tile.channel<2 x memref<64x64xbf16, 3>>
!value_ring = !tile.channel<2 x memref<64x64xbf16, 3>>
!sum = !tile.accumulator<64x64xf32>
!numbers = vector<64x64xf32>
!weights = vector<64x64xbf16>
tile.kernel @keys_in_another_way(%q: !matrix, %k: !matrix, %v: !values, %o: !result) {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %step = arith.constant 64 : index
  %m = memref.dim %o, %zero : !result
  %n = memref.dim %o, %one : !result
  %keys = memref.dim %k, %zero : !matrix
  %cq = tile.channel : !query_ring
  %ck = tile.channel : !key_ring
  %cv = tile.channel : !value_ring
  tile.role "load" warps 4 registers 40 {
    tile.schedule (%i, %j) in (%m by 64, %n by 64) grouped 1 {
      %sq = tile.acquire %cq : !query_ring -> !tile
      tile.copy %q[%i, %j] to %sq : !matrix to !tile
      tile.commit %cq : !query_ring
      scf.for %l = %zero to %keys step %step {
        %sk = tile.acquire %ck : !key_ring -> !tile
        tile.copy %k[%l, %j] to %sk : !matrix to !tile
        tile.commit %ck : !key_ring
        %sv = tile.acquire %cv : !value_ring -> !value_tile
        tile.copy %v[%l, %j] to %sv : !values to !value_tile
        tile.commit %cv : !value_ring
      }
    }
  }
  tile.role "attend" warps 4 registers 168 {
    %empty = arith.constant dense<0.0> : !numbers
    tile.schedule (%i, %j) in (%m by 64, %n by 64) grouped 1 {
      %sq = tile.wait %cq : !query_ring -> !tile
      %sk0 = tile.wait %ck : !key_ring -> !tile
      // expected-error @+1 {{expects keys with rows along the columns of a head, and values with rows across them, on gfx942}}
      %qk0 = tile.mma %sq, %sk0 : !tile, !tile -> !sum
      %s0 = tile.mma_wait 0 for %qk0 : !sum
      tile.release %ck : !key_ring
      %p0 = tile.convert %s0 : !numbers to !weights
      %r:2 = scf.for %l = %step to %keys step %step iter_args(%out = %empty, %p = %p0) -> (!numbers, !weights) {
        %sk = tile.wait %ck : !key_ring -> !tile
        %qk = tile.mma %sq, %sk {transpose_b} : !tile, !tile -> !sum
        %sv = tile.wait %cv : !value_ring -> !value_tile
        %pv = tile.mma %p, %sv, %out : !weights, !value_tile, !numbers -> !sum
        %s = tile.mma_wait 1 for %qk : !sum
        tile.release %ck : !key_ring
        %o1 = tile.mma_wait 0 for %pv : !sum
        tile.release %cv : !value_ring
        %p1 = tile.convert %s : !numbers to !weights
        scf.yield %o1, %p1 : !numbers, !weights
      }
      tile.release %cq : !query_ring
      %sv = tile.wait %cv : !value_ring -> !value_tile
      %pv = tile.mma %r#1, %sv, %r#0 : !weights, !value_tile, !numbers -> !sum
      %o1 = tile.mma_wait 0 for %pv : !sum
      tile.release %cv : !value_ring
      tile.store %o1 to %o[%i, %j] : !numbers to !result
    }
  }
}

// -----

!matrix = memref<?x?xbf16>
!result = memref<?x?xf32>
!tile = memref<64x64xbf16, 3>
!ring = !tile.channel<2 x memref<64x64xbf16, 3>, memref<64x64xbf16, 3>>
!sum = !tile.accumulator<64x64xf32>
tile.kernel @turns_in_another_way(%a: !matrix, %b: !matrix, %c: !result) {
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
        // expected-error @+1 {{expects the product of a turn to be of the tiles of that in front of the loop, in their ways, on gfx942}}
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

// CHECK-LABEL: gpu.func @product_of_a_wave
// CHECK: llvm.call_intrinsic "llvm.amdgcn.mfma.f32.16x16x16f16"({{.*}}) : (vector<4xf16>, vector<4xf16>, vector<4xf32>, i32, i32, i32) -> vector<4xf32>
// CHECK-NOT: tile.warp_mma
gpu.module @kernels {
  gpu.func @product_of_a_wave(%x: f16, %s: f32, %y: memref<f32>) kernel {
    %r:4 = tile.warp_mma (%x, %x, %x, %x) (%x, %x, %x, %x) (%s, %s, %s, %s) : f32, f32, f32, f32
    memref.store %r#3, %y[] : memref<f32>
    gpu.return
  }
}

// -----

gpu.module @kernels {
  gpu.func @product_of_a_warp(%x: f16, %s: f32) kernel {
    // expected-error @+1 {{expects 4 elements of an operand and 4 sums, which each of 64 lanes has on gfx942, but got 8 and 8}}
    %r:8 = tile.warp_mma (%x, %x, %x, %x, %x, %x, %x, %x) (%x, %x, %x, %x, %x, %x, %x, %x) (%s, %s, %s, %s, %s, %s, %s, %s) : f32, f32, f32, f32, f32, f32, f32, f32
    gpu.return
  }
}

// -----

!block = !transformer.block<q4_0, rows = 16>
!weight = memref<?x?x!block>
!tokens = memref<?x?xf16>
!matrix = memref<?x?xf32>
!packed = memref<2x2x!block, 3>
!token_tile = memref<16x64xf16, 3>
!weight_ring = !tile.channel<2 x memref<2x2x!block, 3>>
!token_ring = !tile.channel<2 x memref<16x64xf16, 3>>
!part = vector<32x64xf16>
!sum = !tile.accumulator<32x16xf32>
!sums = vector<32x16xf32>

// expected-error @+1 {{expects a product of two matrices where blocks share a sum out on gfx942}}
tile.kernel @quantised_in_shares(%w: !weight, %x: !tokens, %y: !matrix) attributes {tile.shares = 2 : i64} {
  %0 = arith.constant 0 : index
  %1 = arith.constant 1 : index
  %64 = arith.constant 64 : index
  %sixteen = arith.constant 16 : index
  %rows = memref.dim %y, %1 : !matrix
  %tokens = memref.dim %y, %0 : !matrix
  %columns = memref.dim %x, %1 : !tokens
  %cw = tile.channel : !weight_ring
  %cx = tile.channel : !token_ring
  tile.role "load" warps 4 registers 40 {
    tile.schedule (%i, %j) in (%rows by 32, %tokens by 16) grouped 1 {
      %tile = arith.divui %i, %sixteen : index
      scf.for %k = %0 to %columns step %64 {
        %sw = tile.acquire %cw : !weight_ring -> !packed
        tile.copy %w[%tile, %k] to %sw : !weight to !packed
        tile.commit %cw : !weight_ring
        scf.for %l = %0 to %64 step %64 {
          %at = arith.addi %k, %l : index
          %sx = tile.acquire %cx : !token_ring -> !token_tile
          tile.copy %x[%j, %at] to %sx : !tokens to !token_tile
          tile.commit %cx : !token_ring
        }
      }
    }
  }
  tile.role "multiply" warps 4 registers 168 {
    %nothing = arith.constant dense<0.0> : !sums
    tile.schedule (%i, %j) in (%rows by 32, %tokens by 16) grouped 1 {
      %total = scf.for %k = %0 to %columns step %64 iter_args(%sum = %nothing) -> (!sums) {
        %sw = tile.wait %cw : !weight_ring -> !packed
        %a = tile.unpack %sw[%0] : !packed -> !part
        tile.release %cw : !weight_ring
        %b = tile.wait %cx : !token_ring -> !token_tile
        %p = tile.mma %a, %b, %sum {transpose_b} : !part, !token_tile, !sums -> !sum
        %next = tile.mma_wait 0 for %p : !sum
        tile.release %cx : !token_ring
        scf.yield %next : !sums
      }
      tile.store %total to %y[%j, %i] {transposed} : !sums to !matrix
    }
  }
}

// -----

!matrix = memref<?x?xbf16>
!values = memref<?x?xf16>
!result = memref<?x?xf32>
!tile = memref<64x64xbf16, 3>
!value_tile = memref<64x64xf16, 3>
!query_ring = !tile.channel<1 x memref<64x64xbf16, 3>>
!key_ring = !tile.channel<2 x memref<64x64xbf16, 3>>
!value_ring = !tile.channel<2 x memref<64x64xf16, 3>>
!sum = !tile.accumulator<64x64xf32>
!numbers = vector<64x64xf32>
!weights = vector<64x64xf16>

// expected-error @+1 {{expects a product of two matrices where blocks share a sum out on gfx942}}
tile.kernel @attention_in_shares(%q: !matrix, %k: !matrix, %v: !values, %o: !result) attributes {tile.shares = 2 : i64} {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %step = arith.constant 64 : index
  %m = memref.dim %o, %zero : !result
  %n = memref.dim %o, %one : !result
  %keys = memref.dim %k, %zero : !matrix
  %cq = tile.channel : !query_ring
  %ck = tile.channel : !key_ring
  %cv = tile.channel : !value_ring
  tile.role "load" warps 4 registers 40 {
    tile.schedule (%i, %j) in (%m by 64, %n by 64) grouped 1 {
      %sq = tile.acquire %cq : !query_ring -> !tile
      tile.copy %q[%i, %j] to %sq : !matrix to !tile
      tile.commit %cq : !query_ring
      scf.for %l = %zero to %keys step %step {
        %sk = tile.acquire %ck : !key_ring -> !tile
        tile.copy %k[%l, %j] to %sk : !matrix to !tile
        tile.commit %ck : !key_ring
        %sv = tile.acquire %cv : !value_ring -> !value_tile
        tile.copy %v[%l, %j] to %sv : !values to !value_tile
        tile.commit %cv : !value_ring
      }
    }
  }
  tile.role "attend" warps 4 registers 168 {
    %empty = arith.constant dense<0.0> : !numbers
    tile.schedule (%i, %j) in (%m by 64, %n by 64) grouped 1 {
      %sq = tile.wait %cq : !query_ring -> !tile
      %sk0 = tile.wait %ck : !key_ring -> !tile
      %qk0 = tile.mma %sq, %sk0 {transpose_b} : !tile, !tile -> !sum
      %s0 = tile.mma_wait 0 for %qk0 : !sum
      tile.release %ck : !key_ring
      %p0 = tile.convert %s0 : !numbers to !weights
      %r:2 = scf.for %l = %step to %keys step %step iter_args(%out = %empty, %p = %p0) -> (!numbers, !weights) {
        %sk = tile.wait %ck : !key_ring -> !tile
        %qk = tile.mma %sq, %sk {transpose_b} : !tile, !tile -> !sum
        %sv = tile.wait %cv : !value_ring -> !value_tile
        %pv = tile.mma %p, %sv, %out : !weights, !value_tile, !numbers -> !sum
        %s = tile.mma_wait 1 for %qk : !sum
        tile.release %ck : !key_ring
        %o1 = tile.mma_wait 0 for %pv : !sum
        tile.release %cv : !value_ring
        %p1 = tile.convert %s : !numbers to !weights
        scf.yield %o1, %p1 : !numbers, !weights
      }
      tile.release %cq : !query_ring
      %sv = tile.wait %cv : !value_ring -> !value_tile
      %pv = tile.mma %r#1, %sv, %r#0 : !weights, !value_tile, !numbers -> !sum
      %o1 = tile.mma_wait 0 for %pv : !sum
      tile.release %cv : !value_ring
      tile.store %o1 to %o[%i, %j] : !numbers to !result
    }
  }
}
