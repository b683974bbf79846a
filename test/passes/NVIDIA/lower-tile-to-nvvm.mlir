// RUN: stepdown-opt %s -split-input-file -verify-diagnostics -lower-tile-to-nvvm -canonicalize | FileCheck %s

!matrix = memref<?x?xbf16>
!result = memref<?x?xf32>
!tile = memref<64x64xbf16, 3>
!wide = memref<64x128xbf16, 3>
!ring = !tile.channel<3 x memref<64x64xbf16, 3>, memref<64x128xbf16, 3>>
!sum = !tile.accumulator<64x128xf32>

// CHECK-LABEL: gpu.module @product
// CHECK: llvm.mlir.global external @smem() {addr_space = 3 : i32, alignment = 1024 : i64} : !llvm.array<0 x i8>
// A is copied only: a tensor map and its sizes; C is stored to: a pointer, the distance of its rows, its sizes.
// CHECK: llvm.func @product(%{{[^:]*}}: !llvm.ptr {llvm.align = 64 : i64, llvm.byval = !llvm.array<128 x i8>, nvvm.grid_constant}, %{{[^:]*}}: i32, %{{[^:]*}}: i32, %{{[^:]*}}: !llvm.ptr<1>, %{{[^:]*}}: i64, %{{[^:]*}}: i32, %{{[^:]*}}: i32, %{{[^:]*}}: i32)
// CHECK-SAME: nvvm.maxntid = array<i32: 256, 1, 1>
// CHECK-SAME: box = memref<64x64xbf16>, holds = "map"
// CHECK-SAME: shared_bytes = 73776
// One arrival fills a slot, the producer's; one empties it, the only warpgroup's.
// CHECK: %[[FULL:.*]] = llvm.getelementptr %[[SMEM:[0-9]+]][73728]
// CHECK-NEXT: nvvm.mbarrier.init %[[FULL]], %c1_i32
// CHECK-NEXT: %[[EMPTY:.*]] = llvm.getelementptr %[[SMEM]][73752]
// CHECK-NEXT: nvvm.mbarrier.init %[[EMPTY]], %c1_i32
// CHECK: nvvm.fence.mbarrier.init
// CHECK: nvvm.barrier0
// The copying role gives registers away and is one thread.
// CHECK: nvvm.setmaxregister decrease 40
// CHECK: nvvm.elect.sync
// CHECK: nvvm.mbarrier.try_wait
// CHECK: nvvm.mbarrier.arrive.expect_tx %{{.*}}, %c24576_i32
// CHECK-COUNT-3: nvvm.cp.async.bulk.tensor.shared.cluster.global
// The multiplying role: four instructions of 16 elements of the reduction, the first of which does not read the sum.
// CHECK: nvvm.mbarrier.try_wait
// CHECK: nvvm.wgmma.fence.aligned
// CHECK: nvvm.wgmma.mma_async {{.*}}, <m = 64, n = 128, k = 16>, D[<f32>, <zero>], A[<bf16>, <one>, <row>], B[<bf16>, <one>, <row>]
// CHECK-COUNT-3: nvvm.wgmma.mma_async {{.*}} D[<f32>, <one>]
// CHECK: nvvm.wgmma.commit.group.sync.aligned
// What is done with the sum cannot come before the wait, which gives its registers back.
// CHECK: llvm.inline_asm has_side_effects asm_dialect = att "wgmma.wait_group.sync.aligned 0;", "=f,=f,{{.*}},0,1,2,{{.*}},63" %
// CHECK: nvvm.mbarrier.arrive %
// CHECK: llvm.store %{{.*}} {alignment = 8 : i64} : vector<2xf32>, !llvm.ptr<1>
// CHECK: llvm.store %{{.*}} {alignment = 4 : i64} : f32, !llvm.ptr<1>
tile.kernel @product(%a: !matrix, %c: !result, %zero: index) {
  %ring = tile.channel : !ring
  tile.role "load" warps 4 registers 40 {
    %s:2 = tile.acquire %ring : !ring -> !tile, !wide
    tile.copy %a[%zero, %zero] to %s#0 : !matrix to !tile
    tile.copy %a[%zero, %zero] to %s#1 : !matrix to !wide
    tile.commit %ring : !ring
  }
  tile.role "multiply" warps 4 registers 232 {
    %s:2 = tile.wait %ring : !ring -> !tile, !wide
    %sum = tile.mma %s#0, %s#1 : !tile, !wide -> !sum
    %v = tile.mma_wait 0 for %sum : !sum
    tile.release %ring : !ring
    tile.store %v to %c[%zero, %zero] : vector<64x128xf32> to !result
  }
}

// -----

// Results of 16 bits are staged where TMA can write the matrix: two boxes of 64 x 64 of each warpgroup lie behind the
// ring, which is 32768 bytes here. A box is written by one thread when all have filled it, and filled again when it was
// read. C has a map as well, which is not fetched beforehand: where none describes the matrix it is zeros.
!tile = memref<128x64xbf16, 3>
!wide = memref<64x128xbf16, 3>
!ring = !tile.channel<1 x memref<128x64xbf16, 3>, memref<64x128xbf16, 3>>
!sum = !tile.accumulator<128x128xf32>
// CHECK-LABEL: gpu.module @staged
// CHECK: llvm.func @staged(%[[A:[^:]*]]: !llvm.ptr {{{[^}]*}}}, %{{[^:]*}}: i32, %{{[^:]*}}: i32, %[[B:[^:]*]]: !llvm.ptr {{{[^}]*}}}, %{{[^:]*}}: i32, %{{[^:]*}}: i32, %[[C:[^:]*]]: !llvm.ptr {{{[^}]*}}}, %[[PLACE:[^:]*]]: !llvm.ptr<1>, %{{[^:]*}}: i64,
// CHECK-SAME: {argument = 2 : i64, box = memref<64x64xbf16>, holds = "map", or_pointer}, {argument = 2 : i64, holds = "pointer"}
// CHECK-SAME: shared_bytes = 65552
// CHECK: nvvm.prefetch tensormap, %[[A]]
// CHECK: nvvm.prefetch tensormap, %[[B]]
// CHECK-NOT: nvvm.prefetch
// CHECK: nvvm.setmaxregister increase 232
// CHECK: %[[ELECTED:.*]] = nvvm.elect.sync
// CHECK: %[[ISSUES:.*]] = arith.andi %{{.*}}, %[[ELECTED]] : i1
// CHECK: %[[WHERE:.*]] = llvm.ptrtoint %[[PLACE]]
// CHECK: %[[ODD:.*]] = arith.andi %{{.*}}, %c15_i64
// CHECK: %[[MAPPED:.*]] = arith.cmpi eq, %[[ODD]], %c0_i64
// CHECK: scf.if %[[MAPPED]] {
// CHECK: scf.if %[[ISSUES]] {
// CHECK-NEXT: nvvm.cp.async.bulk.wait_group 0 {read}
// CHECK: llvm.call_intrinsic "llvm.nvvm.barrier.cta.sync.aligned.count"(%[[BARRIER:.*]], %c128_i32)
// CHECK-COUNT-4: nvvm.stmatrix
// CHECK: nvvm.fence.proxy {kind = #nvvm.proxy_kind<async.shared>, space = #nvvm.shared_space<cta>}
// CHECK-NEXT: llvm.call_intrinsic "llvm.nvvm.barrier.cta.sync.aligned.count"(%[[BARRIER]], %c128_i32)
// CHECK-NEXT: scf.if %[[ISSUES]] {
// CHECK: nvvm.cp.async.bulk.tensor.global.shared.cta %[[C]], %{{.*}}, box[%{{.*}}, %{{.*}}]
// CHECK-NEXT: nvvm.cp.async.bulk.commit.group
// CHECK-NOT: wait_group
// The second box was free from the begin on.
// CHECK-NOT: barrier.cta.sync
// CHECK-COUNT-4: nvvm.stmatrix
// CHECK: nvvm.cp.async.bulk.tensor.global.shared.cta
// CHECK: } else {
// CHECK: llvm.store %{{.*}} : vector<2xbf16>, !llvm.ptr<1>
// CHECK: scf.if %[[ISSUES]] {
// CHECK-NEXT: nvvm.cp.async.bulk.wait_group 0 {read}
tile.kernel @staged(%a: memref<?x?xbf16>, %b: memref<?x?xbf16>, %c: memref<?x?xbf16>, %zero: index) {
  %ring = tile.channel : !ring
  tile.role "load" warps 4 registers 40 {
    %s:2 = tile.acquire %ring : !ring -> !tile, !wide
    tile.copy %a[%zero, %zero] to %s#0 : memref<?x?xbf16> to !tile
    tile.copy %b[%zero, %zero] to %s#1 : memref<?x?xbf16> to !wide
    tile.commit %ring : !ring
  }
  tile.role "multiply" warps 8 registers 232 {
    %s:2 = tile.wait %ring : !ring -> !tile, !wide
    %sum = tile.mma %s#0, %s#1 : !tile, !wide -> !sum
    %v = tile.mma_wait 0 for %sum : !sum
    tile.release %ring : !ring
    tile.store %v to %c[%zero, %zero] : vector<128x128xf32> to memref<?x?xbf16>
  }
}

// -----

// What is read from as well, stored to a second time or in each turn of a loop is not staged: nothing orders what TMA
// writes and what comes later.
// CHECK-LABEL: gpu.module @read_too
// CHECK-NOT: nvvm.stmatrix
// CHECK: llvm.store %{{.*}} : vector<2xbf16>, !llvm.ptr<1>
// CHECK-NOT: nvvm.stmatrix
tile.kernel @read_too(%c: memref<?x?xbf16>, %x: memref<?x?xf32>, %zero: index) {
  tile.role "store" warps 4 registers 168 {
    %v = arith.constant dense<1.0> : vector<64x64xf32>
    tile.store %v to %c[%zero, %zero] : vector<64x64xf32> to memref<?x?xbf16>
    %r = tile.read %c[%zero, %zero] : memref<?x?xbf16> -> vector<64x64xf32>
    %w = tile.map (%e = %r) : vector<64x64xf32> -> vector<64x64xf32> {
      %n = arith.negf %e : f32
      tile.yield %n : f32
    }
    tile.store %w to %x[%zero, %zero] : vector<64x64xf32> to memref<?x?xf32>
  }
}

// -----

// CHECK-LABEL: gpu.module @stored_twice
// CHECK-NOT: nvvm.stmatrix
// CHECK: llvm.store %{{.*}} : vector<2xbf16>, !llvm.ptr<1>
// CHECK-NOT: nvvm.stmatrix
tile.kernel @stored_twice(%c: memref<?x?xbf16>, %zero: index) {
  tile.role "store" warps 4 registers 168 {
    %v = arith.constant dense<1.0> : vector<64x64xf32>
    %w = arith.constant dense<2.0> : vector<64x64xf32>
    tile.store %v to %c[%zero, %zero] : vector<64x64xf32> to memref<?x?xbf16>
    tile.store %w to %c[%zero, %zero] : vector<64x64xf32> to memref<?x?xbf16>
  }
}

// -----

// CHECK-LABEL: gpu.module @stored_in_a_loop
// CHECK-NOT: nvvm.stmatrix
// CHECK: llvm.store %{{.*}} : vector<2xbf16>, !llvm.ptr<1>
// CHECK-NOT: nvvm.stmatrix
tile.kernel @stored_in_a_loop(%c: memref<?x?xbf16>, %zero: index, %one: index, %n: index) {
  tile.role "store" warps 4 registers 168 {
    %v = arith.constant dense<1.0> : vector<64x64xf32>
    scf.for %i = %zero to %n step %one {
      tile.store %v to %c[%zero, %zero] : vector<64x64xf32> to memref<?x?xbf16>
    }
  }
}

// -----

// The like of these, stored once, is.
// CHECK-LABEL: gpu.module @stored_once
// CHECK: nvvm.stmatrix
tile.kernel @stored_once(%c: memref<?x?xbf16>, %zero: index) {
  tile.role "store" warps 4 registers 168 {
    %v = arith.constant dense<1.0> : vector<64x64xf32>
    tile.store %v to %c[%zero, %zero] : vector<64x64xf32> to memref<?x?xbf16>
  }
}

// -----

// A matrix that is copied from and read goes by its map whatever comes: no launch may hand in zeros.
!ring = !tile.channel<1 x memref<64x64xbf16, 3>>
// CHECK-LABEL: gpu.module @copied_and_read
// CHECK: {argument = 0 : i64, box = memref<64x64xbf16>, holds = "map"}, {argument = 0 : i64, holds = "pointer"}
tile.kernel @copied_and_read(%a: memref<?x?xbf16>, %x: memref<?x?xf32>, %zero: index) {
  %ring = tile.channel : !ring
  tile.role "load" warps 4 registers 40 {
    %s = tile.acquire %ring : !ring -> memref<64x64xbf16, 3>
    tile.copy %a[%zero, %zero] to %s : memref<?x?xbf16> to memref<64x64xbf16, 3>
    tile.commit %ring : !ring
  }
  tile.role "use" warps 4 registers 168 {
    %s = tile.wait %ring : !ring -> memref<64x64xbf16, 3>
    %sum = tile.mma %s, %s : memref<64x64xbf16, 3>, memref<64x64xbf16, 3> -> !tile.accumulator<64x64xf32>
    %v = tile.mma_wait 0 for %sum : !tile.accumulator<64x64xf32>
    tile.release %ring : !ring
    %r = tile.read %a[%zero, %zero] : memref<?x?xbf16> -> vector<64x64xf32>
    %w = tile.map (%e = %r, %f = %v) : vector<64x64xf32>, vector<64x64xf32> -> vector<64x64xf32> {
      %g = arith.addf %e, %f : f32
      tile.yield %g : f32
    }
    tile.store %w to %x[%zero, %zero] : vector<64x64xf32> to memref<?x?xf32>
  }
}

// -----

tile.kernel @narrow_in_registers(%c: memref<?x?xbf16>, %zero: index) {
  tile.role "fill" warps 4 registers 40 {
    %v = arith.constant dense<1.0> : vector<64x64xf32>
    %n = tile.convert %v : vector<64x64xf32> to vector<64x64xbf16>
    // expected-error @+1 {{expects to store f32 as f32, bf16 or f16, or i32, on sm_90a, but got 'vector<64x64xbf16>' to 'memref<?x?xbf16>'}}
    tile.store %n to %c[%zero, %zero] : vector<64x64xbf16> to memref<?x?xbf16>
  }
}

// -----

// Operands of the other form: B [N, K] lies as A does, so the matrix unit does not transpose it.
!matrix = memref<?x?xf16>
!tile = memref<64x64xf16, 3>
!ring = !tile.channel<1 x memref<64x64xf16, 3>>
// CHECK-LABEL: gpu.module @transposed
// CHECK: nvvm.wgmma.mma_async {{.*}}, <m = 64, n = 64, k = 16>, D[<f32>, <zero>], A[<f16>, <one>, <row>], B[<f16>, <one>, <col>]
tile.kernel @transposed(%a: !matrix, %c: memref<?x?xbf16>, %zero: index) {
  %ring = tile.channel : !ring
  tile.role "load" warps 4 registers 40 {
    %s = tile.acquire %ring : !ring -> !tile
    tile.copy %a[%zero, %zero] to %s : !matrix to !tile
    tile.commit %ring : !ring
  }
  tile.role "multiply" warps 4 registers 232 {
    %s = tile.wait %ring : !ring -> !tile
    %sum = tile.mma %s, %s {transpose_b} : !tile, !tile -> !tile.accumulator<64x64xf32>
    %v = tile.mma_wait 0 for %sum : !tile.accumulator<64x64xf32>
    tile.release %ring : !ring
    tile.store %v to %c[%zero, %zero] : vector<64x64xf32> to memref<?x?xbf16>
  }
}

// -----

!tile = memref<64x32xbf16, 3>
!ring = !tile.channel<1 x memref<64x32xbf16, 3>>
tile.kernel @half_a_row(%a: memref<?x?xbf16>, %zero: index) {
  %ring = tile.channel : !ring
  tile.role "load" warps 4 registers 40 {
    %s = tile.acquire %ring : !ring -> !tile
    // expected-error @+1 {{expects a tile of rows of whole 128 bytes, in eights up to 256 rows, on sm_90a, but got 'memref<64x32xbf16, 3>'}}
    tile.copy %a[%zero, %zero] to %s : memref<?x?xbf16> to !tile
    tile.commit %ring : !ring
  }
  tile.role "read" warps 4 registers 40 {
    %s = tile.wait %ring : !ring -> !tile
    tile.release %ring : !ring
  }
}

// -----

!tile = memref<64x64xbf16, 3>
!ring = !tile.channel<1 x memref<64x64xbf16, 3>>
tile.kernel @rows_for_one_warpgroup(%a: memref<?x?xbf16>, %zero: index) {
  %ring = tile.channel : !ring
  tile.role "load" warps 4 registers 40 {
    %s = tile.acquire %ring : !ring -> !tile
    tile.copy %a[%zero, %zero] to %s : memref<?x?xbf16> to !tile
    tile.commit %ring : !ring
  }
  tile.role "multiply" warps 8 registers 40 {
    %s = tile.wait %ring : !ring -> !tile
    // expected-error @+1 {{expects a multiple of 64 rows for each of 2 warpgroups on sm_90a, but got 64}}
    %sum = tile.mma %s, %s : !tile, !tile -> !tile.accumulator<64x64xf32>
    tile.mma_wait 0
    tile.release %ring : !ring
  }
}

// -----

!tile = memref<64x32xf32, 3>
!ring = !tile.channel<1 x memref<64x32xf32, 3>>
tile.kernel @product_of_floats(%a: memref<?x?xf32>, %zero: index) {
  %ring = tile.channel : !ring
  tile.role "load" warps 4 registers 40 {
    %s = tile.acquire %ring : !ring -> !tile
    tile.copy %a[%zero, %zero] to %s : memref<?x?xf32> to !tile
    tile.commit %ring : !ring
  }
  tile.role "multiply" warps 4 registers 96 {
    %s = tile.wait %ring : !ring -> !tile
    // expected-error @+1 {{expects tiles of bf16, f16, f8E4M3FN, f8E5M2 or i8 on sm_90a, but got 'memref<64x32xf32, 3>'}}
    %sum = tile.mma %s, %s {transpose_b} : !tile, !tile -> !tile.accumulator<64x64xf32>
    tile.mma_wait 0
    tile.release %ring : !ring
  }
}

// -----

// Elements of 8 bits: 32 of the reduction in an instruction, and 128 in a block of columns.
// CHECK-LABEL: gpu.module @eights
// CHECK: box = memref<64x128xf8E4M3FN>, holds = "map"
// CHECK: nvvm.wgmma.mma_async {{.*}}, <m = 64, n = 64, k = 32>, D[<f32>, <zero>], A[<e4m3>, <one>, <row>], B[<e4m3>, <one>, <col>]
// CHECK-COUNT-3: nvvm.wgmma.mma_async {{.*}} D[<f32>, <one>]
// CHECK: nvvm.wgmma.commit.group.sync.aligned
!tile = memref<64x128xf8E4M3FN, 3>
!ring = !tile.channel<1 x memref<64x128xf8E4M3FN, 3>>
tile.kernel @eights(%a: memref<?x?xf8E4M3FN>, %c: memref<?x?xbf16>, %zero: index) {
  %ring = tile.channel : !ring
  tile.role "load" warps 4 registers 40 {
    %s = tile.acquire %ring : !ring -> !tile
    tile.copy %a[%zero, %zero] to %s : memref<?x?xf8E4M3FN> to !tile
    tile.commit %ring : !ring
  }
  tile.role "multiply" warps 4 registers 232 {
    %s = tile.wait %ring : !ring -> !tile
    %sum = tile.mma %s, %s {transpose_b} : !tile, !tile -> !tile.accumulator<64x64xf32>
    %v = tile.mma_wait 0 for %sum : !tile.accumulator<64x64xf32>
    tile.release %ring : !ring
    tile.store %v to %c[%zero, %zero] : vector<64x64xf32> to memref<?x?xbf16>
  }
}

// -----

// Sums of integers stay what they are.
// CHECK-LABEL: gpu.module @integers
// CHECK: nvvm.wgmma.mma_async {{.*}}, <m = 64, n = 64, k = 32>, D[<s32>, <zero>, <wrapped>], A[<s8>, <one>, <row>], B[<s8>, <one>, <col>]
// CHECK: llvm.inline_asm has_side_effects asm_dialect = att "wgmma.wait_group.sync.aligned 0;", "=r,=r,{{.*}},0,1,2,{{.*}},31" %
// CHECK: llvm.store %{{.*}} {alignment = 8 : i64} : vector<2xi32>, !llvm.ptr<1>
!tile = memref<64x128xi8, 3>
!ring = !tile.channel<1 x memref<64x128xi8, 3>>
tile.kernel @integers(%a: memref<?x?xi8>, %c: memref<?x?xi32>, %zero: index) {
  %ring = tile.channel : !ring
  tile.role "load" warps 4 registers 40 {
    %s = tile.acquire %ring : !ring -> !tile
    tile.copy %a[%zero, %zero] to %s : memref<?x?xi8> to !tile
    tile.commit %ring : !ring
  }
  tile.role "multiply" warps 4 registers 232 {
    %s = tile.wait %ring : !ring -> !tile
    %sum = tile.mma %s, %s {transpose_b} : !tile, !tile -> !tile.accumulator<64x64xi32>
    %v = tile.mma_wait 0 for %sum : !tile.accumulator<64x64xi32>
    tile.release %ring : !ring
    tile.store %v to %c[%zero, %zero] : vector<64x64xi32> to memref<?x?xi32>
  }
}

// -----

!tile = memref<128x128xf8E5M2, 3>
!ring = !tile.channel<1 x memref<128x128xf8E5M2, 3>>
tile.kernel @eights_along_n(%a: memref<?x?xf8E5M2>, %c: memref<?x?xf32>, %zero: index) {
  %ring = tile.channel : !ring
  tile.role "load" warps 4 registers 40 {
    %s = tile.acquire %ring : !ring -> !tile
    tile.copy %a[%zero, %zero] to %s : memref<?x?xf8E5M2> to !tile
    tile.commit %ring : !ring
  }
  tile.role "multiply" warps 4 registers 232 {
    %s = tile.wait %ring : !ring -> !tile
    // expected-error @+1 {{expects tiles of 8 bits in shared memory, both with rows along k, on sm_90a, but got 'memref<128x128xf8E5M2, 3>' and 'memref<128x128xf8E5M2, 3>'}}
    %sum = tile.mma %s, %s : !tile, !tile -> !tile.accumulator<128x128xf32>
    %v = tile.mma_wait 0 for %sum : !tile.accumulator<128x128xf32>
    tile.release %ring : !ring
    tile.store %v to %c[%zero, %zero] : vector<128x128xf32> to memref<?x?xf32>
  }
}

// -----

!tile = memref<64x128xi8, 3>
!ring = !tile.channel<1 x memref<64x128xi8, 3>>
tile.kernel @integers_as_floats(%a: memref<?x?xi8>, %c: memref<?x?xf32>, %zero: index) {
  %ring = tile.channel : !ring
  tile.role "load" warps 4 registers 40 {
    %s = tile.acquire %ring : !ring -> !tile
    tile.copy %a[%zero, %zero] to %s : memref<?x?xi8> to !tile
    tile.commit %ring : !ring
  }
  tile.role "multiply" warps 4 registers 232 {
    %s = tile.wait %ring : !ring -> !tile
    // expected-error @+1 {{expects sums of i32 on sm_90a, but got '!tile.accumulator<64x64xf32>'}}
    %sum = tile.mma %s, %s {transpose_b} : !tile, !tile -> !tile.accumulator<64x64xf32>
    %v = tile.mma_wait 0 for %sum : !tile.accumulator<64x64xf32>
    tile.release %ring : !ring
    tile.store %v to %c[%zero, %zero] : vector<64x64xf32> to memref<?x?xf32>
  }
}

// -----

// What attention does between its products: tiles in registers, of which a thread holds two rows of 64.
!matrix = memref<?x?xbf16>
!tile = memref<64x64xbf16, 3>
!ring = !tile.channel<1 x memref<64x64xbf16, 3>>
!sum = !tile.accumulator<64x64xf32>
!rows = vector<64x1xf32>
// CHECK-LABEL: gpu.module @softmax
// A table is a pointer, the distance of its rows, its sizes.
// CHECK: llvm.func @softmax(%{{[^:]*}}: !llvm.ptr {{{.*}}}, %{{[^:]*}}: i32, %{{[^:]*}}: i32, %{{[^:]*}}: !llvm.ptr<1>, %{{[^:]*}}: i64,
// CHECK: llvm.load %{{.*}} : !llvm.ptr<1> -> i32
// CHECK: nvvm.wgmma.wait.group.sync.aligned 1
// CHECK: llvm.inline_asm has_side_effects asm_dialect = att "wgmma.wait_group.sync.aligned 0;"
// One comparison an element, of its column with the row's end.
// CHECK: arith.cmpi sgt, %{{.*}}, %c1_i32 : i32
// CHECK: arith.cmpi sgt, %{{.*}}, %c57_i32 : i32
// Four lanes hold a row.
// CHECK-COUNT-30: arith.maxnumf
// CHECK: nvvm.shfl.sync bfly %{{.*}}, %{{.*}}, %c1_i32, %c31_i32 : f32 -> f32
// CHECK: nvvm.shfl.sync bfly %{{.*}}, %{{.*}}, %c2_i32, %c31_i32 : f32 -> f32
// CHECK-COUNT-32: llvm.call_intrinsic "llvm.nvvm.ex2.approx.ftz.f"
// CHECK: nvvm.convert.f32x2.to.bf16x2 %{{.*}}, %{{.*}} {rnd = #nvvm.fp_rnd_mode<rn>} : vector<2xbf16>
// The weights are the first operand as they stand, four registers for each 16 keys.
// CHECK: nvvm.wgmma.fence.aligned
// CHECK-COUNT-4: llvm.inline_asm has_side_effects asm_dialect = att "{ .reg .pred p; setp.ne.b32 p, $69, 0; wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {$0, {{.*}}, $31}, {$64, $65, $66, $67}, $68, p, 1, 1, 1; }", {{.*}}r,r,r,r,l,n"
// CHECK: nvvm.wgmma.commit.group.sync.aligned
// CHECK: llvm.call_intrinsic "llvm.nvvm.rcp.approx.ftz.f"
tile.kernel @softmax(%a: !matrix, %table: memref<?x?xi32>, %c: memref<?x?xf32>, %zero: index) {
  %ring = tile.channel : !ring
  tile.role "load" warps 4 registers 40 {
    %s = tile.acquire %ring : !ring -> !tile
    tile.copy %a[%zero, %zero] to %s : !matrix to !tile
    tile.commit %ring : !ring
  }
  tile.role "attend" warps 4 registers 232 {
    %i, %end = tile.entry %table[%zero] : memref<?x?xi32> -> index, index
    %empty = arith.constant dense<0.0> : vector<64x64xf32>
    %s = tile.wait %ring : !ring -> !tile
    %qk = tile.mma %s, %s {transpose_b} : !tile, !tile -> !sum
    tile.mma_wait 1
    %x = tile.mma_wait 0 for %qk : !sum
    %seen = tile.mask %x at [%i, %zero] columns %end below %i : vector<64x64xf32>
    %max = tile.reduce maxnumf %seen : vector<64x64xf32>
    %e = tile.map (%y = %seen, %m = %max) : vector<64x64xf32>, !rows -> vector<64x64xf32> {
      %d = arith.subf %y, %m : f32
      %z = math.exp2 %d : f32
      tile.yield %z : f32
    }
    %p = tile.convert %e : vector<64x64xf32> to vector<64x64xbf16>
    %pv = tile.mma %p, %s, %empty : vector<64x64xbf16>, !tile, vector<64x64xf32> -> !sum
    %o = tile.mma_wait 0 for %pv : !sum
    tile.release %ring : !ring
    %l = tile.map (%y = %o, %m = %max) : vector<64x64xf32>, !rows -> vector<64x64xf32> {
      %z = arith.divf %y, %m : f32
      tile.yield %z : f32
    }
    tile.store %l to %c[%i, %zero] rows %end : vector<64x64xf32> to memref<?x?xf32>
  }
}

// -----

// A map reads what it needs of a matrix where it needs it, the last row and column in place of those behind.
tile.kernel @reads(%b: memref<?x?xbf16>, %c: memref<?x?xf16>, %zero: index) {
  tile.role "fill" warps 4 registers 40 {
    %v = arith.constant dense<1.0> : vector<64x8xf32>
    %r = tile.read %b[%zero, %zero] : memref<?x?xbf16> -> vector<64x8xf32>
    %s = tile.map (%x = %v, %y = %r) : vector<64x8xf32>, vector<64x8xf32> -> vector<64x8xf32> {
      %z = arith.addf %x, %y : f32
      tile.yield %z : f32
    }
    tile.store %s to %c[%zero, %zero] : vector<64x8xf32> to memref<?x?xf16>
  }
}
// CHECK-LABEL: gpu.module @reads
// CHECK: llvm.func @reads(%[[B:.*]]: !llvm.ptr<1>, %[[STRIDE:.*]]: i64, %[[ROWS:.*]]: i32, %[[COLUMNS:.*]]: i32, %{{.*}}: !llvm.ptr<1>
// CHECK: arith.minsi
// CHECK: arith.minsi
// CHECK: arith.muli %{{.*}}, %[[STRIDE]] : i64
// CHECK: llvm.getelementptr %[[B]]
// CHECK: llvm.load {{.*}} {alignment = 2 : i64} : !llvm.ptr<1> -> bf16
// CHECK: arith.extf
// CHECK-COUNT-3: llvm.load {{.*}} -> bf16
// CHECK-NOT: llvm.load {{.*}} -> bf16
// CHECK: nvvm.convert.f32x2.to.f16x2

// -----

// A tile of one row, or of one column, has that for all of its maps'.
tile.kernel @reads_for_all(%b: memref<?x?xf32>, %c: memref<?x?xf32>, %one: index, %two: index) {
  tile.role "fill" warps 4 registers 40 {
    %r = tile.read %b[%one, %two] : memref<?x?xf32> -> vector<64x1xf32>
    %q = tile.read %b[%one, %two] : memref<?x?xf32> -> vector<1x1xf32>
    %s = tile.map (%x = %r, %y = %q) : vector<64x1xf32>, vector<1x1xf32> -> vector<64x1xf32> {
      %z = arith.addf %x, %y : f32
      tile.yield %z : f32
    }
    %v = arith.constant dense<1.0> : vector<64x8xf32>
    %t = tile.map (%x = %v, %y = %s) : vector<64x8xf32>, vector<64x1xf32> -> vector<64x8xf32> {
      %z = arith.addf %x, %y : f32
      tile.yield %z : f32
    }
    tile.store %t to %c[%one, %two] : vector<64x8xf32> to memref<?x?xf32>
  }
}
// CHECK-LABEL: gpu.module @reads_for_all
// CHECK: llvm.func @reads_for_all(%{{[^:]*}}: !llvm.ptr<1>, %{{[^:]*}}: i64, %[[ROWS:[^:]*]]: i32, %[[COLUMNS:[^:]*]]: i32, %{{[^:]*}}: !llvm.ptr<1>, %{{[^:]*}}: i64, %{{[^:]*}}: i32, %{{[^:]*}}: i32, %[[ONE:[^:]*]]: i32, %[[TWO:[^:]*]]: i32)
// CHECK: arith.addi %[[ONE]], %
// CHECK: %[[END:.*]] = arith.addi %[[ROWS]],
// CHECK: arith.minsi %{{.*}}, %[[END]]
// CHECK: %[[LAST:.*]] = arith.addi %[[COLUMNS]],
// CHECK: arith.minsi %[[TWO]], %[[LAST]]
// CHECK: %[[AGAIN:.*]] = arith.addi %[[ROWS]],
// CHECK: arith.minsi %[[ONE]], %[[AGAIN]]

// -----

tile.kernel @half_a_warpgroups_rows(%c: memref<?x?xf32>, %zero: index) {
  tile.role "fill" warps 4 registers 40 {
    // expected-error @+1 {{expects tiles in registers of 64 rows for each warpgroup, of eight columns or of one, of f32, on sm_90a, but got 'vector<32x64xf32>'}}
    %v = arith.constant dense<0.0> : vector<32x64xf32>
    tile.store %v to %c[%zero, %zero] : vector<32x64xf32> to memref<?x?xf32>
  }
}

// -----

!tile = memref<72x64xf16, 3>
!ring = !tile.channel<1 x memref<72x64xf16, 3>>
tile.kernel @half_a_reduction(%a: memref<?x?xf16>, %zero: index) {
  %ring = tile.channel : !ring
  tile.role "load" warps 4 registers 40 {
    %s = tile.acquire %ring : !ring -> !tile
    tile.copy %a[%zero, %zero] to %s : memref<?x?xf16> to !tile
    tile.commit %ring : !ring
  }
  tile.role "multiply" warps 4 registers 96 {
    %wide = arith.constant dense<0.0> : vector<64x72xf32>
    %p = tile.convert %wide : vector<64x72xf32> to vector<64x72xf16>
    %s = tile.wait %ring : !ring -> !tile
    // expected-error @+1 {{expects a multiple of 16 columns in registers on sm_90a, but got 'vector<64x72xf16>'}}
    %c = tile.mma %p, %s : vector<64x72xf16>, !tile -> !tile.accumulator<64x64xf32>
    tile.mma_wait 0
    tile.release %ring : !ring
  }
}

// -----

// Two warpgroups take turns: each meets the one before it at a barrier of its own, and leaves at the next one's. The last
// one lets the first begin, and the first takes what the last has left. A wait for products stands behind a branch on
// what is to be computed before it.
!tile = memref<64x64xbf16, 3>
!tall = memref<128x64xbf16, 3>
!ring = !tile.channel<2 x memref<128x64xbf16, 3>, memref<64x64xbf16, 3>>
!sum = !tile.accumulator<128x64xf32>
// CHECK-LABEL: gpu.module @turns
// CHECK: %[[THREAD:.*]] = nvvm.read.ptx.sreg.tid.x
// CHECK: %[[TURN:.*]] = arith.shrui %{{.*}}, %c7_i32
// CHECK: %[[LAST:.*]] = arith.cmpi eq, %[[TURN]], %c2_i32
// CHECK: %[[NEXT:.*]] = arith.select %[[LAST]], %c1_i32, %{{.*}} : i32
// CHECK: llvm.call_intrinsic "llvm.nvvm.barrier.cta.arrive.aligned.count"(%c1_i32, %c256_i32)
// CHECK: nvvm.mbarrier.try_wait
// CHECK: llvm.call_intrinsic "llvm.nvvm.barrier.cta.sync.aligned.count"(%[[TURN]], %c256_i32)
// CHECK: nvvm.wgmma.mma_async
// CHECK: llvm.call_intrinsic "llvm.nvvm.barrier.cta.arrive.aligned.count"(%[[NEXT]], %c256_i32)
// CHECK: arith.cmpf uno
// CHECK: llvm.intr.expect
// CHECK: nvvm.nanosleep
// CHECK: wgmma.wait_group.sync.aligned 0;
// CHECK: llvm.call_intrinsic "llvm.nvvm.barrier.cta.sync.aligned.count"(%c1_i32, %c256_i32)
tile.kernel @turns(%a: memref<?x?xbf16>, %b: memref<?x?xbf16>, %c: memref<?x?xf32>, %zero: index, %f: f32) {
  %ring = tile.channel : !ring
  tile.role "load" warps 4 registers 40 {
    %s:2 = tile.acquire %ring : !ring -> !tall, !tile
    tile.copy %a[%zero, %zero] to %s#0 : memref<?x?xbf16> to !tall
    tile.copy %b[%zero, %zero] to %s#1 : memref<?x?xbf16> to !tile
    tile.commit %ring : !ring
  }
  tile.role "multiply" warps 8 registers 200 {
    %ones = arith.constant dense<1.0> : vector<128x64xf32>
    %x = tile.map (%e = %ones) : vector<128x64xf32> -> vector<128x64xf32> {
      %y = arith.addf %e, %f : f32
      tile.yield %y : f32
    }
    %s:2 = tile.wait %ring : !ring -> !tall, !tile
    tile.enter_turn
    %sum = tile.mma %s#0, %s#1 : !tall, !tile -> !sum
    tile.leave_turn
    %p = tile.reduce addf %x into 8 : vector<128x64xf32>
    %v = tile.mma_wait 0 after %p : vector<128x8xf32> for %sum : !sum
    tile.release %ring : !ring
    tile.store %v to %c[%zero, %zero] : vector<128x64xf32> to memref<?x?xf32>
  }
}

// -----

// A loop of masked blocks is two: those that are seen whole, which are not masked, and those behind them.
!tile = memref<64x64xbf16, 3>
!ring = !tile.channel<2 x memref<64x64xbf16, 3>>
!sum = !tile.accumulator<64x64xf32>
// CHECK-LABEL: gpu.module @masked
// CHECK: "llvm.nvvm.redux.sync.umin"
// CHECK: scf.for
// CHECK: wgmma.wait_group.sync.aligned 0;
// CHECK-NOT: arith.select {{.*}} : f32
// CHECK: scf.for
// CHECK: wgmma.wait_group.sync.aligned 0;
// CHECK-COUNT-32: arith.select {{.*}} : f32
// CHECK-NOT: arith.select {{.*}} : f32
tile.kernel @masked(%a: memref<?x?xbf16>, %c: memref<?x?xf32>, %row: index, %end: index) {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %step = arith.constant 64 : index
  %ring = tile.channel : !ring
  tile.role "load" warps 4 registers 40 {
    scf.for %j = %zero to %end step %step {
      %s = tile.acquire %ring : !ring -> !tile
      tile.copy %a[%zero, %j] to %s : memref<?x?xbf16> to !tile
      tile.commit %ring : !ring
    }
  }
  tile.role "multiply" warps 4 registers 232 {
    %floor = arith.constant dense<0.0> : vector<64x1xf32>
    %r = scf.for %j = %zero to %end step %step iter_args(%m = %floor) -> (vector<64x1xf32>) {
      %s = tile.wait %ring : !ring -> !tile
      %sum = tile.mma %s, %s {transpose_b} : !tile, !tile -> !sum
      %v = tile.mma_wait 0 for %sum : !sum
      tile.release %ring : !ring
      %t = tile.mask %v at [%row, %j] columns %end below %one : vector<64x64xf32>
      %n = tile.reduce maxnumf %t, %m : vector<64x64xf32>
      scf.yield %n : vector<64x1xf32>
    }
    tile.store %r to %c[%row, %zero] : vector<64x1xf32> to memref<?x?xf32>
  }
}

// -----

// Blocks are copied as words, in two pieces of 1184 bytes, and unpacked by the threads that multiply; each warp says when it
// has read a slot. Rows of a thread are neighbours, so that it stores two numbers as one.
!packed = memref<4x1x!transformer.block<q4_k, rows = 16>, 3>
!weights = !tile.channel<2 x memref<4x1x!transformer.block<q4_k, rows = 16>, 3>>
!tile = memref<8x64xf16, 3>
!ring = !tile.channel<2 x memref<8x64xf16, 3>>
!sum = !tile.accumulator<64x8xf32>
// CHECK-LABEL: gpu.module @unpacked
// CHECK: llvm.func @unpacked({{.*}} tile.launch = {parameters = [{argument = 0 : i64, box = memref<4x2x148xi64>, holds = "map"}, {argument = 1 : i64, box = memref<8x64xf16>, holds = "map"}
// CHECK: nvvm.cp.async.bulk.tensor.shared.cluster.global {{.*}} box[%{{.*}}, %{{.*}}, %{{.*}}]
// CHECK: llvm.load {{.*}} -> vector<2xf16>
// CHECK: "llvm.nvvm.prmt"
// CHECK: arith.mulf {{.*}} : vector<2xf32>
// CHECK: arith.truncf {{.*}} : vector<2xf32> to vector<2xf16>
// CHECK: arith.mulf {{.*}} : vector<2xf16>
// CHECK: arith.addf {{.*}} : vector<2xf16>
// CHECK: wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16
// CHECK: nvvm.bar.warp.sync
// CHECK: nvvm.mbarrier.arrive
// CHECK: llvm.store {{.*}} : vector<2xf32>
tile.kernel @unpacked(%w: memref<?x?x!transformer.block<q4_k, rows = 16>>, %x: memref<?x?xf16>, %y: memref<?x?xf32>) {
  %zero = arith.constant 0 : index
  %cw = tile.channel : !weights
  %cx = tile.channel : !ring
  tile.role "load" warps 4 registers 40 {
    %sw = tile.acquire %cw : !weights -> !packed
    tile.copy %w[%zero, %zero] to %sw : memref<?x?x!transformer.block<q4_k, rows = 16>> to !packed
    tile.commit %cw : !weights
    %sx = tile.acquire %cx : !ring -> !tile
    tile.copy %x[%zero, %zero] to %sx : memref<?x?xf16> to !tile
    tile.commit %cx : !ring
  }
  tile.role "multiply" warps 4 registers 232 {
    %sw = tile.wait %cw : !weights -> !packed
    %a = tile.unpack %sw[%zero] : !packed -> vector<64x64xf16>
    %sx = tile.wait %cx : !ring -> !tile
    %sum = tile.mma %a, %sx {transpose_b} : vector<64x64xf16>, !tile -> !sum
    tile.release %cw : !weights
    %v = tile.mma_wait 0 for %sum : !sum
    tile.release %cx : !ring
    tile.store %v to %y[%zero, %zero] {transposed} : vector<64x8xf32> to memref<?x?xf32>
  }
}

// -----

!packed = memref<4x2x!transformer.block<mxfp4, rows = 16>, 3>
!weights = !tile.channel<2 x memref<4x2x!transformer.block<mxfp4, rows = 16>, 3>>
tile.kernel @scales_of_float32(%w: memref<?x?x!transformer.block<mxfp4, rows = 16>>, %i: index) {
  %cw = tile.channel : !weights
  tile.role "load" warps 4 registers 40 {
    %sw = tile.acquire %cw : !weights -> !packed
    tile.copy %w[%i, %i] to %sw : memref<?x?x!transformer.block<mxfp4, rows = 16>> to !packed
    tile.commit %cw : !weights
  }
  tile.role "take" warps 4 registers 40 {
    %sw = tile.wait %cw : !weights -> !packed
    // expected-error @+1 {{expects blocks of 16 rows with scales of binary16 on sm_90a, but got '!transformer.block<mxfp4, rows = 16>'}}
    %a = tile.unpack %sw[%i] : !packed -> vector<64x64xf16>
    tile.release %cw : !weights
  }
}

// -----

!packed = memref<4x2x!transformer.block<q4_0, rows = 16>, 3>
!tile = memref<64x64xf16, 3>
!ring = !tile.channel<2 x memref<4x2x!transformer.block<q4_0, rows = 16>, 3>, memref<64x64xf16, 3>>
tile.kernel @two_orders_of_rows(%w: memref<?x?x!transformer.block<q4_0, rows = 16>>, %x: memref<?x?xf16>, %i: index) {
  %r = tile.channel : !ring
  tile.role "load" warps 4 registers 40 {
    %s:2 = tile.acquire %r : !ring -> !packed, !tile
    tile.copy %w[%i, %i] to %s#0 : memref<?x?x!transformer.block<q4_0, rows = 16>> to !packed
    tile.copy %x[%i, %i] to %s#1 : memref<?x?xf16> to !tile
    tile.commit %r : !ring
  }
  tile.role "multiply" warps 4 registers 232 {
    %s:2 = tile.wait %r : !ring -> !packed, !tile
    %a = tile.unpack %s#0[%i] : !packed -> vector<64x64xf16>
    // expected-error @+1 {{expects a first operand that is unpacked, as that of all products of the role, on sm_90a, but got 'memref<64x64xf16, 3>'}}
    %p = tile.mma %s#1, %s#1 {transpose_b} : !tile, !tile -> !tile.accumulator<64x64xf32>
    tile.mma_wait 0
    tile.release %r : !ring
  }
}

// -----

// Rows of B that one instruction takes are the other's neighbours.
// CHECK-LABEL: gpu.func @product_of_a_warp
// CHECK-SAME: %[[X:.*]]: f16, %[[B:.*]]: f16, %[[S:.*]]: f32,
// CHECK-SAME: nvvm.minctasm = 3 : i32
// CHECK: %[[A0:.*]] = llvm.insertelement %[[X]]
// CHECK: %[[A:.*]] = llvm.insertelement %[[X]], %[[A0]]
// CHECK: nvvm.mma.sync A[%[[A]], %{{.*}}, %{{.*}}, %{{.*}}] B[%{{.*}}, %{{.*}}] C[%[[S]], %[[S]], %[[S]], %[[S]]] {{.*}}shape = #nvvm.shape<m = 16, n = 8, k = 16>
// CHECK: nvvm.mma.sync
// CHECK-NOT: tile.warp_mma
gpu.module @kernels {
  gpu.func @product_of_a_warp(%a: f16, %b: f16, %s: f32, %y: memref<8xf32>) kernel {
    %r:8 = tile.warp_mma (%a, %a, %a, %a, %a, %a, %a, %a) (%b, %b, %b, %b, %b, %b, %b, %b) (%s, %s, %s, %s, %s, %s, %s, %s) : f32, f32, f32, f32, f32, f32, f32, f32
    %0 = arith.constant 0 : index
    %4 = arith.constant 4 : index
    memref.store %r#0, %y[%0] : memref<8xf32>
    memref.store %r#4, %y[%4] : memref<8xf32>
    gpu.return
  }
}

// -----

gpu.module @kernels {
  gpu.func @product_of_a_wave(%x: f16, %s: f32) kernel {
    // expected-error @+1 {{expects 8 elements of an operand, which each of 32 lanes has, but got 4}}
    %r:4 = tile.warp_mma (%x, %x, %x, %x) (%x, %x, %x, %x) (%s, %s, %s, %s) : f32, f32, f32, f32
    gpu.return
  }
}
