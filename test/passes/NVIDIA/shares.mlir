// RUN: stepdown-opt %s -split-input-file -verify-diagnostics -lower-tile-to-nvvm | FileCheck %s
// RUN: stepdown-opt %s -split-input-file -verify-diagnostics -lower-tile-to-nvvm=chip=sm_80 | FileCheck %s
// RUN: stepdown-opt %s -split-input-file -verify-diagnostics -lower-tile-to-rocdl | FileCheck %s

// What blocks along y share out is a sum over the whole of k, of factors that begin where a share does. A loop that ends
// elsewhere would add numbers up twice, or none.

// CHECK: shares = 2 : i64
!matrix = memref<?x?xbf16>
!result = memref<?x?xf32>
!tile = memref<64x64xbf16, 3>
!ring = !tile.channel<2 x memref<64x64xbf16, 3>, memref<64x64xbf16, 3>>
!sum = !tile.accumulator<64x64xf32>

tile.kernel @whole_sum(%a: !matrix, %b: !matrix, %c: !result) attributes {tile.shares = 2 : i64} {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %half = arith.constant 32 : index
  %step = arith.constant 64 : index
  %some = arith.constant 701 : index
  %m = memref.dim %c, %zero : !result
  %n = memref.dim %c, %one : !result
  %rows = memref.dim %a, %zero : !matrix
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
      %next = tile.mma %t#0, %t#1, %sum : !tile, !tile, !sum -> !sum
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
!tile = memref<64x64xbf16, 3>
!ring = !tile.channel<2 x memref<64x64xbf16, 3>, memref<64x64xbf16, 3>>
!sum = !tile.accumulator<64x64xf32>

tile.kernel @part_of_a_sum(%a: !matrix, %b: !matrix, %c: !result) attributes {tile.shares = 2 : i64} {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %half = arith.constant 32 : index
  %step = arith.constant 64 : index
  %some = arith.constant 701 : index
  %m = memref.dim %c, %zero : !result
  %n = memref.dim %c, %one : !result
  %rows = memref.dim %a, %zero : !matrix
  %k = memref.dim %a, %one : !matrix
  %ab = tile.channel : !ring
  tile.role "load" warps 4 registers 40 {
  tile.schedule (%i, %j) in (%m by 64, %n by 64) grouped 8 {
  // expected-error @+1 {{expects a loop over all of a factor's numbers along k, a slot a turn, where blocks share a sum out on}}
    scf.for %l = %zero to %some step %step {
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
    %last = scf.for %l = %step to %some step %step iter_args(%sum = %first) -> (!sum) {
      %t:2 = tile.wait %ab : !ring -> !tile, !tile
      %next = tile.mma %t#0, %t#1, %sum : !tile, !tile, !sum -> !sum
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
!tile = memref<64x64xbf16, 3>
!ring = !tile.channel<2 x memref<64x64xbf16, 3>, memref<64x64xbf16, 3>>
!sum = !tile.accumulator<64x64xf32>

tile.kernel @half_slots(%a: !matrix, %b: !matrix, %c: !result) attributes {tile.shares = 2 : i64} {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %half = arith.constant 32 : index
  %step = arith.constant 64 : index
  %some = arith.constant 701 : index
  %m = memref.dim %c, %zero : !result
  %n = memref.dim %c, %one : !result
  %rows = memref.dim %a, %zero : !matrix
  %k = memref.dim %a, %one : !matrix
  %ab = tile.channel : !ring
  tile.role "load" warps 4 registers 40 {
  tile.schedule (%i, %j) in (%m by 64, %n by 64) grouped 8 {
  // expected-error @+1 {{expects a loop over all of a factor's numbers along k, a slot a turn, where blocks share a sum out on}}
    scf.for %l = %zero to %k step %half {
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
    %last = scf.for %l = %half to %k step %half iter_args(%sum = %first) -> (!sum) {
      %t:2 = tile.wait %ab : !ring -> !tile, !tile
      %next = tile.mma %t#0, %t#1, %sum : !tile, !tile, !sum -> !sum
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
!tile = memref<64x64xbf16, 3>
!ring = !tile.channel<2 x memref<64x64xbf16, 3>, memref<64x64xbf16, 3>>
!sum = !tile.accumulator<64x64xf32>

tile.kernel @first_slot_only(%a: !matrix, %b: !matrix, %c: !result) attributes {tile.shares = 2 : i64} {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %half = arith.constant 32 : index
  %step = arith.constant 64 : index
  %some = arith.constant 701 : index
  %m = memref.dim %c, %zero : !result
  %n = memref.dim %c, %one : !result
  %rows = memref.dim %a, %zero : !matrix
  %k = memref.dim %a, %one : !matrix
  %ab = tile.channel : !ring
  tile.role "load" warps 4 registers 40 {
  tile.schedule (%i, %j) in (%m by 64, %n by 64) grouped 8 {
    scf.for %l = %zero to %k step %step {
      %s:2 = tile.acquire %ab : !ring -> !tile, !tile
      tile.copy %a[%i, %l] to %s#0 : !matrix to !tile
  // expected-error @+1 {{expects tiles at the loop's place along k where blocks share a sum out on}}
      tile.copy %b[%zero, %j] to %s#1 : !matrix to !tile
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
      %next = tile.mma %t#0, %t#1, %sum : !tile, !tile, !sum -> !sum
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
!tile = memref<64x64xbf16, 3>
!ring = !tile.channel<2 x memref<64x64xbf16, 3>, memref<64x64xbf16, 3>>
!sum = !tile.accumulator<64x64xf32>

tile.kernel @second_factor_first(%b: !matrix, %a: !matrix, %c: !result) attributes {tile.shares = 2 : i64} {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %half = arith.constant 32 : index
  %step = arith.constant 64 : index
  %some = arith.constant 701 : index
  %m = memref.dim %c, %zero : !result
  %n = memref.dim %c, %one : !result
  %rows = memref.dim %a, %zero : !matrix
  %k = memref.dim %a, %one : !matrix
  %ab = tile.channel : !ring
  tile.role "load" warps 4 registers 40 {
  tile.schedule (%i, %j) in (%m by 64, %n by 64) grouped 8 {
    scf.for %l = %zero to %k step %step {
      %s:2 = tile.acquire %ab : !ring -> !tile, !tile
  // expected-error @+1 {{expects the first factor to be the kernel's first matrix, and its tile the channel's first, where blocks share a sum out on}}
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
      %next = tile.mma %t#0, %t#1, %sum : !tile, !tile, !sum -> !sum
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
!tile = memref<64x64xbf16, 3>
!ring = !tile.channel<2 x memref<64x64xbf16, 3>, memref<64x64xbf16, 3>>
!sum = !tile.accumulator<64x64xf32>

tile.kernel @second_tile_first(%a: !matrix, %b: !matrix, %c: !result) attributes {tile.shares = 2 : i64} {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %half = arith.constant 32 : index
  %step = arith.constant 64 : index
  %some = arith.constant 701 : index
  %m = memref.dim %c, %zero : !result
  %n = memref.dim %c, %one : !result
  %rows = memref.dim %a, %zero : !matrix
  %k = memref.dim %a, %one : !matrix
  %ab = tile.channel : !ring
  tile.role "load" warps 4 registers 40 {
  tile.schedule (%i, %j) in (%m by 64, %n by 64) grouped 8 {
    scf.for %l = %zero to %k step %step {
      %s:2 = tile.acquire %ab : !ring -> !tile, !tile
  // expected-error @+1 {{expects the first factor to be the kernel's first matrix, and its tile the channel's first, where blocks share a sum out on}}
      tile.copy %a[%i, %l] to %s#1 : !matrix to !tile
      tile.copy %b[%l, %j] to %s#0 : !matrix to !tile
      tile.commit %ab : !ring
    }
  }
  }
  tile.role "multiply" warps 4 registers 168 {
  tile.schedule (%i, %j) in (%m by 64, %n by 64) grouped 8 {
    %s:2 = tile.wait %ab : !ring -> !tile, !tile
    %first = tile.mma %s#1, %s#0 : !tile, !tile -> !sum
    %last = scf.for %l = %step to %k step %step iter_args(%sum = %first) -> (!sum) {
      %t:2 = tile.wait %ab : !ring -> !tile, !tile
      %next = tile.mma %t#1, %t#0, %sum : !tile, !tile, !sum -> !sum
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
!tile = memref<64x64xbf16, 3>
!ring = !tile.channel<2 x memref<64x64xbf16, 3>, memref<64x64xbf16, 3>>
!sum = !tile.accumulator<64x64xf32>

tile.kernel @rows_of_a_factor(%a: !matrix, %b: !matrix, %c: !result) attributes {tile.shares = 2 : i64} {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %half = arith.constant 32 : index
  %step = arith.constant 64 : index
  %some = arith.constant 701 : index
  %m = memref.dim %c, %zero : !result
  %n = memref.dim %c, %one : !result
  %rows = memref.dim %a, %zero : !matrix
  %k = memref.dim %a, %one : !matrix
  %ab = tile.channel : !ring
  tile.role "load" warps 4 registers 40 {
  // expected-error @+1 {{expects tiles of the matrix that sums are stored to where blocks share a sum out on}}
  tile.schedule (%i, %j) in (%rows by 64, %n by 64) grouped 8 {
    scf.for %l = %zero to %k step %step {
      %s:2 = tile.acquire %ab : !ring -> !tile, !tile
      tile.copy %a[%i, %l] to %s#0 : !matrix to !tile
      tile.copy %b[%l, %j] to %s#1 : !matrix to !tile
      tile.commit %ab : !ring
    }
  }
  }
  tile.role "multiply" warps 4 registers 168 {
  tile.schedule (%i, %j) in (%rows by 64, %n by 64) grouped 8 {
    %s:2 = tile.wait %ab : !ring -> !tile, !tile
    %first = tile.mma %s#0, %s#1 : !tile, !tile -> !sum
    %last = scf.for %l = %step to %k step %step iter_args(%sum = %first) -> (!sum) {
      %t:2 = tile.wait %ab : !ring -> !tile, !tile
      %next = tile.mma %t#0, %t#1, %sum : !tile, !tile, !sum -> !sum
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
!tile = memref<64x64xbf16, 3>
!ring = !tile.channel<2 x memref<64x64xbf16, 3>, memref<64x64xbf16, 3>>
!sum = !tile.accumulator<64x64xf32>

// expected-error @+1 {{expects blocks along y that are shares, and no grid of its own, where blocks share a sum out on}}
tile.kernel @two_kinds_of_blocks(%a: !matrix, %b: !matrix, %c: !result) attributes {tile.shares = 2 : i64, tile.grid = array<i64: 1, 256, 0, 1>} {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %half = arith.constant 32 : index
  %step = arith.constant 64 : index
  %some = arith.constant 701 : index
  %m = memref.dim %c, %zero : !result
  %n = memref.dim %c, %one : !result
  %rows = memref.dim %a, %zero : !matrix
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
      %next = tile.mma %t#0, %t#1, %sum : !tile, !tile, !sum -> !sum
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
!result = memref<?x?xbf16>
!tile = memref<64x64xbf16, 3>
!ring = !tile.channel<2 x memref<64x64xbf16, 3>, memref<64x64xbf16, 3>>
!sum = !tile.accumulator<64x64xf32>

// expected-error @+1 {{expects sums of 32 bits, stored as they are, where blocks share a sum out on}}
tile.kernel @rounded_sum(%a: !matrix, %b: !matrix, %c: !result) attributes {tile.shares = 2 : i64} {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %half = arith.constant 32 : index
  %step = arith.constant 64 : index
  %some = arith.constant 701 : index
  %m = memref.dim %c, %zero : !result
  %n = memref.dim %c, %one : !result
  %rows = memref.dim %a, %zero : !matrix
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
      %next = tile.mma %t#0, %t#1, %sum : !tile, !tile, !sum -> !sum
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
