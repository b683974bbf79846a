// RUN: stepdown-opt %s -split-input-file -verify-diagnostics -lower-tile-to-nvvm=chip=sm_80 | FileCheck %s
// RUN: sed 's/tile.copy %%x\[%%j/tile.copy %%x[%%five/; s/^ *tile.role "load".*/&%%five = arith.constant 64 : index/' %s | not stepdown-opt -split-input-file -lower-tile-to-nvvm=chip=sm_80 2>&1 | FileCheck %s --check-prefix=ROLE
// RUN: sed 's/tile.copy %%x\[%%j/tile.copy %%x[%%five/; s/^ *tile.role "load".*/&%%five = arith.constant 64 : index/' %s | not stepdown-opt -split-input-file -lower-tile-to-rocdl=chip=gfx942 2>&1 | FileCheck %s --check-prefix=ROLE
// RUN: sed 's/arith.divui %%i, %%sixteen/arith.divui %%i, %%five/; s/^ *tile.role "load".*/&%%five = arith.constant 64 : index/' %s | not stepdown-opt -split-input-file -lower-tile-to-nvvm=chip=sm_80 2>&1 | FileCheck %s --check-prefix=ROLE

// ROLE: [E1018] expects numbers of a tile's place and of the kernel in the schedule that fills slots on {{sm_80|gfx942}}, but got one of its role

// -----

!block = !transformer.block<q4_0, rows = 16>
!weight = memref<?x?x!block>
!tokens = memref<?x?xf16>
!matrix = memref<?x?xf32>
!packed = memref<4x2x!block, 3>
!token_tile = memref<8x64xf16, 3>
!weight_ring = !tile.channel<2 x memref<4x2x!block, 3>>
!token_ring = !tile.channel<2 x memref<8x64xf16, 3>>
!part = vector<64x64xf16>
!sum = !tile.accumulator<64x8xf32>
!sums = vector<64x8xf32>

// A turn of 64 columns: of a tile of 16 rows a warp copies its own two blocks, 36 pieces, of which four are those of its
// first lanes; of 8 tokens the first 64 threads copy a piece each. All of that is one group, which is waited for two
// steps later. The weight is a matrix of words.
// CHECK-LABEL: gpu.module @quantised
// CHECK: llvm.func @quantised({{.*}} tile.launch = {over = [[OVER:.*]], parameters = [{argument = 0 : i64, holds = "pointer"}, {argument = 0 : i64, holds = "stride"}, {argument = 0 : i64, holds = "rows"}, {argument = 0 : i64, holds = "columns"}
// CHECK-SAME: shared_bytes = 8192 : i64
// CHECK: nvvm.barrier0
// CHECK: nvvm.cp.async.shared.global
// CHECK: arith.cmpi slt, %{{.*}}, %{{.*}} : i32
// CHECK: nvvm.cp.async.shared.global
// CHECK: nvvm.cp.async.shared.global
// CHECK: nvvm.cp.async.commit.group
// Beside four sums: both slots of blocks, and both of tokens.
// CHECK: scf.for {{.*}} -> (f32, f32, f32, f32, i32, i32, i32, i32)
// CHECK: nvvm.cp.async.wait.group 0
// CHECK-NEXT: nvvm.barrier0
// CHECK: nvvm.cp.async.commit.group
// CHECK: llvm.call_intrinsic "llvm.nvvm.prmt"
// CHECK: arith.mulf %{{.*}} : vector<2xf16>
// CHECK: nvvm.ldmatrix %{{.*}} layout = #nvvm.mma_layout<row>, num = 4
// CHECK-COUNT-2: nvvm.mma.sync A[%{{.*}}] B[%{{.*}}] C[%{{.*}}] {{.*}}shape = #nvvm.shape<m = 16, n = 8, k = 16>
// CHECK: nvvm.ldmatrix %{{.*}} layout = #nvvm.mma_layout<row>, num = 4
// CHECK-COUNT-2: nvvm.mma.sync
// CHECK-NOT: nvvm.barrier0
// CHECK: scf.yield
// Rows of a lane are neighbours, so two sums are one store.
// CHECK: llvm.store %{{.*}} {alignment = 8 : i64} : vector<2xf32>, !llvm.ptr<1>
tile.kernel @quantised(%w: !weight, %x: !tokens, %y: !matrix) {
  %0 = arith.constant 0 : index
  %1 = arith.constant 1 : index
  %64 = arith.constant 64 : index
  %sixteen = arith.constant 16 : index
  %blocks = arith.constant 32 : index
  %rows = memref.dim %y, %1 : !matrix
  %tokens = memref.dim %y, %0 : !matrix
  %columns = memref.dim %x, %1 : !tokens
  %cw = tile.channel : !weight_ring
  %cx = tile.channel : !token_ring
  tile.role "load" warps 4 registers 40 {
    tile.schedule (%i, %j) in (%rows by 64, %tokens by 8) grouped 1 {
      %tile = arith.divui %i, %sixteen : index
      scf.for %k = %0 to %columns step %64 {
        %block = arith.divui %k, %blocks : index
        %sw = tile.acquire %cw : !weight_ring -> !packed
        tile.copy %w[%tile, %block] to %sw : !weight to !packed
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
    tile.schedule (%i, %j) in (%rows by 64, %tokens by 8) grouped 1 {
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

// -----

!block = !transformer.block<q4_0, rows = 16>
!weight = memref<?x?x!block>
!tokens = memref<?x?xf16>
!matrix = memref<?x?xf32>
!packed = memref<4x2x!block, 3>
!token_tile = memref<8x64xf16, 3>
!weight_ring = !tile.channel<2 x memref<4x2x!block, 3>>
!token_ring = !tile.channel<3 x memref<8x64xf16, 3>>
!part = vector<64x64xf16>
!sum = !tile.accumulator<64x8xf32>
!sums = vector<64x8xf32>

tile.kernel @too_far_ahead(%w: !weight, %x: !tokens, %y: !matrix) {
  %0 = arith.constant 0 : index
  %1 = arith.constant 1 : index
  %64 = arith.constant 64 : index
  %sixteen = arith.constant 16 : index
  %blocks = arith.constant 32 : index
  %rows = memref.dim %y, %1 : !matrix
  %tokens = memref.dim %y, %0 : !matrix
  %columns = memref.dim %x, %1 : !tokens
  %cw = tile.channel : !weight_ring
  // expected-error @+1 {{expects a channel of 2 to 2 slots of tokens beside 2 of packed blocks on sm_80, but got}}
  %cx = tile.channel : !token_ring
  tile.role "load" warps 4 registers 40 {
    tile.schedule (%i, %j) in (%rows by 64, %tokens by 8) grouped 1 {
      %tile = arith.divui %i, %sixteen : index
      scf.for %k = %0 to %columns step %64 {
        %block = arith.divui %k, %blocks : index
        %sw = tile.acquire %cw : !weight_ring -> !packed
        tile.copy %w[%tile, %block] to %sw : !weight to !packed
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
    tile.schedule (%i, %j) in (%rows by 64, %tokens by 8) grouped 1 {
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

// -----

!block = !transformer.block<q4_0, rows = 16>
!weight = memref<?x?x!block>
!tokens = memref<?x?xf16>
!matrix = memref<?x?xf32>
!packed = memref<4x2x!block, 3>
!token_tile = memref<8x64xf16, 3>
!weight_ring = !tile.channel<2 x memref<4x2x!block, 3>>
!token_ring = !tile.channel<2 x memref<8x64xf16, 3>>
!part = vector<64x64xf16>
!sum = !tile.accumulator<64x8xf32>
!sums = vector<64x8xf32>

// expected-error @+1 {{expects a product of two matrices where blocks share a sum out on sm_80}}
tile.kernel @in_shares(%w: !weight, %x: !tokens, %y: !matrix) attributes {tile.shares = 2 : i64} {
  %0 = arith.constant 0 : index
  %1 = arith.constant 1 : index
  %64 = arith.constant 64 : index
  %sixteen = arith.constant 16 : index
  %blocks = arith.constant 32 : index
  %rows = memref.dim %y, %1 : !matrix
  %tokens = memref.dim %y, %0 : !matrix
  %columns = memref.dim %x, %1 : !tokens
  %cw = tile.channel : !weight_ring
  %cx = tile.channel : !token_ring
  tile.role "load" warps 4 registers 40 {
    tile.schedule (%i, %j) in (%rows by 64, %tokens by 8) grouped 1 {
      %tile = arith.divui %i, %sixteen : index
      scf.for %k = %0 to %columns step %64 {
        %block = arith.divui %k, %blocks : index
        %sw = tile.acquire %cw : !weight_ring -> !packed
        tile.copy %w[%tile, %block] to %sw : !weight to !packed
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
    tile.schedule (%i, %j) in (%rows by 64, %tokens by 8) grouped 1 {
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

// -----

!block = !transformer.block<q4_0, rows = 16>
!weight = memref<?x?x!block>
!tokens = memref<?x?xf16>
!matrix = memref<?x?xf32>
!packed = memref<4x2x!block, 3>
!token_tile = memref<8x64xf16, 3>
!weight_ring = !tile.channel<1 x memref<4x2x!block, 3>>
!token_ring = !tile.channel<2 x memref<8x64xf16, 3>>
!part = vector<64x64xf16>
!sum = !tile.accumulator<64x8xf32>
!sums = vector<64x8xf32>

tile.kernel @one_slot(%w: !weight, %x: !tokens, %y: !matrix) {
  %0 = arith.constant 0 : index
  %1 = arith.constant 1 : index
  %64 = arith.constant 64 : index
  %sixteen = arith.constant 16 : index
  %blocks = arith.constant 32 : index
  %rows = memref.dim %y, %1 : !matrix
  %tokens = memref.dim %y, %0 : !matrix
  %columns = memref.dim %x, %1 : !tokens
  // expected-error @+1 {{expects a channel of two slots of packed blocks or more on sm_80, but got}}
  %cw = tile.channel : !weight_ring
  %cx = tile.channel : !token_ring
  tile.role "load" warps 4 registers 40 {
    tile.schedule (%i, %j) in (%rows by 64, %tokens by 8) grouped 1 {
      %tile = arith.divui %i, %sixteen : index
      scf.for %k = %0 to %columns step %64 {
        %block = arith.divui %k, %blocks : index
        %sw = tile.acquire %cw : !weight_ring -> !packed
        tile.copy %w[%tile, %block] to %sw : !weight to !packed
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
    tile.schedule (%i, %j) in (%rows by 64, %tokens by 8) grouped 1 {
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

// -----

!block = !transformer.block<q4_0, rows = 16>
!weight = memref<?x?x!block>
!tokens = memref<?x?xf16>
!matrix = memref<?x?xf32>
!packed = memref<4x2x!block, 3>
!token_tile = memref<8x64xf16, 3>
!weight_ring = !tile.channel<2 x memref<4x2x!block, 3>>
!token_ring = !tile.channel<2 x memref<8x64xf16, 3>>
!part = vector<64x64xf16>
!sum = !tile.accumulator<64x8xf32>
!sums = vector<64x8xf32>

tile.kernel @rows_as_rows(%w: !weight, %x: !tokens, %y: !matrix) {
  %0 = arith.constant 0 : index
  %1 = arith.constant 1 : index
  %64 = arith.constant 64 : index
  %sixteen = arith.constant 16 : index
  %blocks = arith.constant 32 : index
  %rows = memref.dim %y, %1 : !matrix
  %tokens = memref.dim %y, %0 : !matrix
  %columns = memref.dim %x, %1 : !tokens
  %cw = tile.channel : !weight_ring
  %cx = tile.channel : !token_ring
  tile.role "load" warps 4 registers 40 {
    tile.schedule (%i, %j) in (%rows by 64, %tokens by 8) grouped 1 {
      %tile = arith.divui %i, %sixteen : index
      scf.for %k = %0 to %columns step %64 {
        %block = arith.divui %k, %blocks : index
        %sw = tile.acquire %cw : !weight_ring -> !packed
        tile.copy %w[%tile, %block] to %sw : !weight to !packed
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
    tile.schedule (%i, %j) in (%rows by 64, %tokens by 8) grouped 1 {
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
      // expected-error @+1 {{expects to store f32, rows as columns, on sm_80}}
      tile.store %total to %y[%i, %j] : !sums to !matrix
    }
  }
}

// -----

// -----

!block = !transformer.block<q4_0, rows = 16>
!weight = memref<?x?x!block>
!tokens = memref<?x?xf16>
!matrix = memref<?x?xf32>
!packed = memref<2x2x!block, 3>
!token_tile = memref<8x64xf16, 3>
!weight_ring = !tile.channel<2 x memref<2x2x!block, 3>>
!token_ring = !tile.channel<2 x memref<8x64xf16, 3>>
!part = vector<32x64xf16>
!sum = !tile.accumulator<32x8xf32>
!sums = vector<32x8xf32>

tile.kernel @half_a_warp(%w: !weight, %x: !tokens, %y: !matrix) {
  %0 = arith.constant 0 : index
  %1 = arith.constant 1 : index
  %64 = arith.constant 64 : index
  %sixteen = arith.constant 16 : index
  %blocks = arith.constant 32 : index
  %rows = memref.dim %y, %1 : !matrix
  %tokens = memref.dim %y, %0 : !matrix
  %columns = memref.dim %x, %1 : !tokens
  %cw = tile.channel : !weight_ring
  %cx = tile.channel : !token_ring
  tile.role "load" warps 4 registers 40 {
    tile.schedule (%i, %j) in (%rows by 32, %tokens by 8) grouped 1 {
      %tile = arith.divui %i, %sixteen : index
      scf.for %k = %0 to %columns step %64 {
        %block = arith.divui %k, %blocks : index
        %sw = tile.acquire %cw : !weight_ring -> !packed
        tile.copy %w[%tile, %block] to %sw : !weight to !packed
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
    tile.schedule (%i, %j) in (%rows by 32, %tokens by 8) grouped 1 {
      %total = scf.for %k = %0 to %columns step %64 iter_args(%sum = %nothing) -> (!sums) {
        %sw = tile.wait %cw : !weight_ring -> !packed
        %a = tile.unpack %sw[%0] : !packed -> !part
        tile.release %cw : !weight_ring
        %b = tile.wait %cx : !token_ring -> !token_tile
        // expected-error @+1 {{expects a multiple of 16 rows for each warp, in fours, on sm_80, but got '!tile.accumulator<32x8xf32>' for 4}}
        %p = tile.mma %a, %b, %sum {transpose_b} : !part, !token_tile, !sums -> !sum
        %next = tile.mma_wait 0 for %p : !sum
        tile.release %cx : !token_ring
        scf.yield %next : !sums
      }
      tile.store %total to %y[%j, %i] {transposed} : !sums to !matrix
    }
  }
}
