// RUN: stepdown-opt %s -lower-tile-to-nvvm=chip=sm_80 -canonicalize | FileCheck %s
//
// Each refusal, by one change of the text.
// RUN: sed 's/%%o: !result) {/%%o: !result) attributes {tile.cluster = 2 : i64} {/' %s | not stepdown-opt -lower-tile-to-nvvm=chip=sm_80 2>&1 | FileCheck %s --check-prefix=CLUSTER
// RUN: sed '/%%cv = /d; s/ %%cv : / %%ck : /; s/mma_wait 1/mma_wait 0/' %s | not stepdown-opt -lower-tile-to-nvvm=chip=sm_80 2>&1 | FileCheck %s --check-prefix=CHANNELS
// RUN: sed '/%%cv = /d; s/ %%cv : / %%ck : /; s/mma_wait 1/mma_wait 0/' %s | not stepdown-opt -lower-tile-to-rocdl=chip=gfx942 2>&1 | FileCheck %s --check-prefix=CHANNELS
// RUN: sed 's/channel<2 x/channel<3 x/' %s | not stepdown-opt -lower-tile-to-nvvm=chip=sm_80 2>&1 | FileCheck %s --check-prefix=SLOTS
// RUN: sed 's/addi %%first, %%step/addi %%first, %%one/' %s | not stepdown-opt -lower-tile-to-nvvm=chip=sm_80 2>&1 | FileCheck %s --check-prefix=SECOND
// RUN: sed 's/addi %%first, %%step/addi %%last, %%step/' %s | not stepdown-opt -lower-tile-to-nvvm=chip=sm_80 2>&1 | FileCheck %s --check-prefix=SECOND
// RUN: sed 's/%%second to %%last/%%second to %%first/' %s | not stepdown-opt -lower-tile-to-nvvm=chip=sm_80 2>&1 | FileCheck %s --check-prefix=SECOND
// RUN: sed 's/"attend" warps 4/"attend" warps 8/' %s | not stepdown-opt -lower-tile-to-nvvm=chip=sm_80 2>&1 | FileCheck %s --check-prefix=ROWS
// RUN: sed 's/memref<64x64/memref<64x32/; s/^\(!out.*\)64x64/\164x32/; s/by 64) grouped/by 32) grouped/' %s | not stepdown-opt -lower-tile-to-nvvm=chip=sm_80 2>&1 | FileCheck %s --check-prefix=TILES
// RUN: sed 's/^\(!key.*\)64x64/\196x256/; s/^\(![qo].*\)64x64/\164x256/; s/^\(![snw].*\)64x64/\164x96/; s/by 64) grouped/by 256) grouped/' %s | not stepdown-opt -lower-tile-to-nvvm=chip=sm_80 2>&1 | FileCheck %s --check-prefix=MEMORY
// RUN: sed 's/to %%o\[%%i, %%j\]/to %%o[%%j, %%i] {transposed}/' %s | not stepdown-opt -lower-tile-to-nvvm=chip=sm_80 2>&1 | FileCheck %s --check-prefix=TRANSPOSED
// RUN: sed 's/%%k\[%%l, %%j\]/%%k[%%there, %%j]/; s/^ *%%sk = tile.acquire/%%there = arith.addi %%l, %%one : index\n&/' %s | not stepdown-opt -lower-tile-to-nvvm=chip=sm_80 2>&1 | FileCheck %s --check-prefix=INSIDE
// RUN: sed 's/^ *%%sq = tile.acquire/%%d = memref.dim %%k, %%one : !matrix\n&/' %s | not stepdown-opt -lower-tile-to-nvvm=chip=sm_80 2>&1 | FileCheck %s --check-prefix=FRONT
// RUN: sed 's/mma %%p, %%sv, %%out/mma %%p, %%sk, %%out/; s/mma_wait 1/mma_wait 0/' %s | not stepdown-opt -lower-tile-to-nvvm=chip=sm_80 2>&1 | FileCheck %s --check-prefix=FACTORS
// RUN: sed '/^        .*\(wait\|release\)/{s/%%c\([kv]\)/%%c@\1/;s/@k/v/;s/@v/k/}' %s | not stepdown-opt -lower-tile-to-nvvm=chip=sm_80 2>&1 | FileCheck %s --check-prefix=WAITS
// RUN: sed 's/%%q\[%%i, %%j\]/%%q[%%five, %%j]/; s/^ *tile.role "load".*/&%%five = arith.constant 64 : index/' %s | not stepdown-opt -lower-tile-to-nvvm=chip=sm_80 2>&1 | FileCheck %s --check-prefix=PLACE
// RUN: sed 's/%%q\[%%i, %%j\]/%%q[%%five, %%j]/; s/^ *tile.role "load".*/&%%five = arith.constant 64 : index/' %s | not stepdown-opt -lower-tile-to-rocdl=chip=gfx942 2>&1 | FileCheck %s --check-prefix=PLACE
// RUN: sed 's/= %%first to %%last step/= %%five to %%last step/; s/^ *tile.role "load".*/&%%five = arith.constant 64 : index/; s/addi %%first, %%step/constant 128/' %s | not stepdown-opt -lower-tile-to-nvvm=chip=sm_80 2>&1 | FileCheck %s --check-prefix=PLACE
//
// CLUSTER: expects no clusters of blocks on sm_80, but got clusters of 2
// CHANNELS: expects queries, keys and values of a channel each on {{sm_80|gfx942}}
// SLOTS: expects a channel of one slot for queries, and of two for keys and values, on sm_80
// SECOND: expects a loop from the second block of keys to the last on sm_80
// ROWS: expects 16 queries for each warp, in fours, and at most 256 keys and columns in 16 on sm_80, but got '!tile.accumulator<64x64xf32>' and '!tile.accumulator<64x64xf32>'
// TILES: expects tiles of 16 bits with rows of whole 128 bytes, in eights that 128 threads of sm_80 can share out, but got 'memref<64x32xbf16, 3>'
// MEMORY: expects at most 166912 bytes of shared memory on sm_80, but its slots take 196608, and its queries 32768
// TRANSPOSED: expects to store rows as rows on sm_80
// INSIDE: expects copies at a block's place alone in the loop that fills slots on sm_80
// FRONT: expects entries, numbers and copies alone in the schedule that fills slots on sm_80
// FACTORS: expects products of queries with the channel of keys, and of weights with that of values, on sm_80
// WAITS: expects queries and keys waited for before the loop, two tiles in each turn, and one behind it, on sm_80
// PLACE: expects numbers of a tile's place and of the kernel in the schedule that fills slots on {{sm_80|gfx942}}, but got one of its role

!matrix = memref<?x?xbf16>
!result = memref<?x?xf32>
!queries = memref<64x64xbf16, 3>
!keys = memref<64x64xbf16, 3>
!query_ring = !tile.channel<1 x memref<64x64xbf16, 3>>
!key_ring = !tile.channel<2 x memref<64x64xbf16, 3>>
!sum = !tile.accumulator<64x64xf32>
!numbers = vector<64x64xf32>
!weights = vector<64x64xbf16>
!out_sum = !tile.accumulator<64x64xf32>
!output = vector<64x64xf32>

// Queries go through one slot, keys and values through two: (64 + 4 x 64) rows of 128 bytes.
// CHECK: llvm.func @attention(%{{[^:]*}}: !llvm.ptr<1>, %{{[^:]*}}: i64, %{{[^:]*}}: i32, %{{[^:]*}}: i32, %{{[^:]*}}: !llvm.ptr<1>
// CHECK-SAME: nvvm.maxntid = array<i32: 128, 1, 1>
// CHECK-SAME: shared_bytes = 40960
// Warps may still read the tile before. Queries and the first keys are one group, the second keys and first values another.
// CHECK: nvvm.barrier0
// CHECK-COUNT-4: nvvm.cp.async.shared.global %{{.*}}, 16, cache =  cg
// CHECK: scf.if
// CHECK-COUNT-4: nvvm.cp.async.shared.global
// CHECK: nvvm.cp.async.commit.group
// CHECK: scf.if
// CHECK-COUNT-4: nvvm.cp.async.shared.global
// CHECK: scf.if
// CHECK-COUNT-4: nvvm.cp.async.shared.global
// CHECK: nvvm.cp.async.commit.group
// CHECK: nvvm.cp.async.wait.group 1
// CHECK-NEXT: nvvm.barrier0
// Of 16 queries, 16 columns and 16 keys two loads for two instructions; rows of keys lie along the columns.
// CHECK-COUNT-2: nvvm.ldmatrix %{{.*}} layout = #nvvm.mma_layout<row>, num = 4
// CHECK-COUNT-2: nvvm.mma.sync A[%{{.*}}] B[%{{.*}}] C[%{{.*}}] {{.*}}shape = #nvvm.shape<m = 16, n = 8, k = 16>
// A turn waits for all that is on its way, meets the other warps, and issues the next copies in front of its products.
// CHECK: scf.for
// CHECK: nvvm.cp.async.wait.group 0
// CHECK-NEXT: nvvm.barrier0
// CHECK-COUNT-8: nvvm.cp.async.shared.global
// CHECK: nvvm.cp.async.commit.group
// CHECK: nvvm.ldmatrix %{{.*}} layout = #nvvm.mma_layout<row>, num = 4
// CHECK: nvvm.mma.sync
// The weights are in registers, and rows of values lie across the columns.
// CHECK: nvvm.ldmatrix %{{.*}} layout = #nvvm.mma_layout<col>, num = 4
// CHECK: nvvm.mma.sync
// CHECK: scf.yield
// Behind it the last values.
// CHECK: nvvm.cp.async.wait.group 0
// CHECK-NEXT: nvvm.barrier0
// CHECK: nvvm.ldmatrix %{{.*}} layout = #nvvm.mma_layout<col>, num = 4
// CHECK: nvvm.mma.sync
// CHECK: llvm.store %{{.*}} {alignment = 8 : i64} : vector<2xf32>, !llvm.ptr<1>
tile.kernel @attention(%q: !matrix, %k: !matrix, %v: !matrix, %first: index, %last: index, %o: !result) {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %step = arith.constant 64 : index
  %m = memref.dim %o, %zero : !result
  %n = memref.dim %o, %one : !result
  %cq = tile.channel : !query_ring
  %ck = tile.channel : !key_ring
  %cv = tile.channel : !key_ring
  tile.role "load" warps 4 registers 40 {
    tile.schedule (%i, %j) in (%m by 64, %n by 64) grouped 1 {
      %sq = tile.acquire %cq : !query_ring -> !queries
      tile.copy %q[%i, %j] to %sq : !matrix to !queries
      tile.commit %cq : !query_ring
      scf.for %l = %first to %last step %step {
        %sk = tile.acquire %ck : !key_ring -> !keys
        tile.copy %k[%l, %j] to %sk : !matrix to !keys
        tile.commit %ck : !key_ring
        %sv = tile.acquire %cv : !key_ring -> !keys
        tile.copy %v[%l, %j] to %sv : !matrix to !keys
        tile.commit %cv : !key_ring
      }
    }
  }
  tile.role "attend" warps 4 registers 168 {
    %empty = arith.constant dense<0.0> : !output
    tile.schedule (%i, %j) in (%m by 64, %n by 64) grouped 1 {
      %sq = tile.wait %cq : !query_ring -> !queries
      %sk0 = tile.wait %ck : !key_ring -> !keys
      %qk0 = tile.mma %sq, %sk0 {transpose_b} : !queries, !keys -> !sum
      %s0 = tile.mma_wait 0 for %qk0 : !sum
      tile.release %ck : !key_ring
      %p0 = tile.convert %s0 : !numbers to !weights
      %second = arith.addi %first, %step : index
      %r:2 = scf.for %l = %second to %last step %step iter_args(%out = %empty, %p = %p0) -> (!output, !weights) {
        %sk = tile.wait %ck : !key_ring -> !keys
        %qk = tile.mma %sq, %sk {transpose_b} : !queries, !keys -> !sum
        %sv = tile.wait %cv : !key_ring -> !keys
        %pv = tile.mma %p, %sv, %out : !weights, !keys, !output -> !out_sum
        %s = tile.mma_wait 1 for %qk : !sum
        tile.release %ck : !key_ring
        %o1 = tile.mma_wait 0 for %pv : !out_sum
        tile.release %cv : !key_ring
        %p1 = tile.convert %s : !numbers to !weights
        scf.yield %o1, %p1 : !output, !weights
      }
      tile.release %cq : !query_ring
      %sv = tile.wait %cv : !key_ring -> !keys
      %pv = tile.mma %r#1, %sv, %r#0 : !weights, !keys, !output -> !out_sum
      %o1 = tile.mma_wait 0 for %pv : !out_sum
      tile.release %cv : !key_ring
      tile.store %o1 to %o[%i, %j] : !output to !result
    }
  }
}
