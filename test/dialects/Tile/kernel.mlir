// RUN: stepdown-opt %s -split-input-file -verify-diagnostics

// C1
// expected-error @+1 {{expects matrices in global memory and numbers as arguments (C1), but got 'memref<64x64xbf16, 3>'}}
tile.kernel @shared_argument(%x: memref<64x64xbf16, 3>) {
}

// -----

// C2: 4 slots of 65,536 bytes
!slot = memref<128x256xbf16, 3>
!ring = !tile.channel<4 x memref<128x256xbf16, 3>>
// expected-error @+1 {{expects channels of at most 232448 bytes (C2), but got 262208}}
tile.kernel @too_much_shared_memory(%x: memref<?x?xbf16>, %i: index) {
  %r = tile.channel : !ring
}

// -----

// C3
// expected-error @+1 {{expects roles of at most 65536 registers (C3), but got 92160}}
tile.kernel @too_many_registers() {
  tile.role "one" warps 8 registers 240 {
  }
  tile.role "another" warps 4 registers 240 {
  }
}

// -----

// C3
// expected-error @+1 {{expects roles of at most 1024 threads (C3), but got 1152}}
tile.kernel @too_many_threads() {
  tile.role "one" warps 32 registers 24 {
  }
  tile.role "another" warps 4 registers 24 {
  }
}

// -----

// C6
tile.kernel @copy_beside_roles(%x: memref<?x?xbf16>, %i: index) {
  %c = arith.constant 3 : index
  // expected-error @+1 {{expects to stand in a role (C6), but stands beside them}}
  scf.for %l = %i to %c step %c {
  }
}

// -----

tile.kernel @half_a_warpgroup() {
  // expected-error @+1 {{expects warps in fours, up to 32 (C1), but got 2}}
  tile.role "one" warps 2 registers 40 {
  }
}

// -----

tile.kernel @odd_registers() {
  // expected-error @+1 {{expects a multiple of 8 from 24 to 240 registers (C2), but got 41}}
  tile.role "one" warps 4 registers 41 {
  }
}

// -----

!tile = memref<128x64xbf16, 3>
!ring = !tile.channel<2 x memref<128x64xbf16, 3>>
tile.kernel @sum_too_large(%x: memref<?x?xbf16>, %i: index) {
  %r = tile.channel : !ring
  tile.role "load" warps 4 registers 40 {
    %s = tile.acquire %r : !ring -> !tile
    tile.copy %x[%i, %i] to %s : memref<?x?xbf16> to !tile
    tile.commit %r : !ring
  }
  tile.role "read" warps 4 registers 96 {
    %t = tile.wait %r : !ring -> !tile
    // expected-error @+1 {{expects a sum that 96 registers of 128 threads hold (C3 of tile.role), but '!tile.accumulator<128x128xf32>' takes 128}}
    %c = tile.mma %t, %t {transpose_b} : !tile, !tile -> !tile.accumulator<128x128xf32>
  }
}

// -----

func.func @group_of_none(%m: index) {
  // expected-error @+1 {{expects positive heights, widths and groups (C1), but got 0}}
  tile.schedule (%i, %j) in (%m by 128, %m by 64) grouped 0 {
  }
  return
}

// -----

func.func @other_tiles(%r: !tile.channel<2 x memref<64x64xbf16, 3>>) {
  // expected-error @+1 {{expects the tiles of '!tile.channel<2 x memref<64x64xbf16, 3>>' (C1), but got 'memref<64x32xbf16, 3>'}}
  %s = tile.wait %r : !tile.channel<2 x memref<64x64xbf16, 3>> -> memref<64x32xbf16, 3>
  return
}

// -----

// expected-error @+1 {{expects a depth of at least 1 (C1), but got 0}}
func.func private @no_slots() -> !tile.channel<0 x memref<64x64xbf16, 3>>

// -----

// expected-error @+1 {{expects tiles of static rank 2 in memory space 3 (C1), but got 'memref<64x64xbf16>'}}
func.func private @slots_elsewhere() -> !tile.channel<2 x memref<64x64xbf16>>

// -----

func.func @copy_of_another_type(%x: memref<?x?xf32>, %i: index, %t: memref<64x64xbf16, 3>) {
  // expected-error @+1 {{expects one element type (C1), but got 'memref<?x?xf32>' and 'memref<64x64xbf16, 3>'}}
  tile.copy %x[%i, %i] to %t : memref<?x?xf32> to memref<64x64xbf16, 3>
  return
}

// -----

func.func @store_wider(%v: vector<64x64xbf16>, %x: memref<?x?xf32>, %i: index) {
  // expected-error @+1 {{expects one element type, or a narrower float to round to (C1), but got 'vector<64x64xbf16>' and 'memref<?x?xf32>'}}
  tile.store %v to %x[%i, %i] : vector<64x64xbf16> to memref<?x?xf32>
  return
}

// -----

func.func @product_of_other_size(%a: memref<64x64xbf16, 3>, %b: memref<32x64xbf16, 3>) {
  // expected-error @+1 {{expects tiles whose product is '!tile.accumulator<64x64xf32>' (C1), but got 'memref<64x64xbf16, 3>' and 'memref<32x64xbf16, 3>'}}
  %c = tile.mma %a, %b : memref<64x64xbf16, 3>, memref<32x64xbf16, 3> -> !tile.accumulator<64x64xf32>
  return
}

// -----

func.func @sum_used_twice(%a: memref<64x64xbf16, 3>) {
  %c = tile.mma %a, %a : memref<64x64xbf16, 3>, memref<64x64xbf16, 3> -> !tile.accumulator<64x64xf32>
  // expected-error @+1 {{expects a sum that nothing else uses (C2), but it has other uses}}
  %d = tile.mma %a, %a, %c : memref<64x64xbf16, 3>, memref<64x64xbf16, 3> -> !tile.accumulator<64x64xf32>
  %v = tile.mma_wait 0 for %c : !tile.accumulator<64x64xf32>
  return
}

// -----

func.func @less_than_none_pending() {
  // expected-error @+1 {{expects a pending count of at least 0 (C1), but got -1}}
  tile.mma_wait -1
  return
}

// -----

func.func @unpack_of_numbers(%t: memref<64x64xf16, 3>, %i: index) {
  // expected-error @+1 {{expects blocks of a quantised storage type (C1), but got 'memref<64x64xf16, 3>'}}
  %a = tile.unpack %t[%i] : memref<64x64xf16, 3> -> vector<64x64xf16>
  return
}

// -----

func.func @unpack_of_stored_floats(%t: memref<4x2x!transformer.block<bf16, rows = 16>, 3>, %i: index) {
  // expected-error @+1 {{expects blocks of a quantised storage type (C1), but got 'memref<4x2x!transformer.block<bf16, rows = 16>, 3>'}}
  %a = tile.unpack %t[%i] : memref<4x2x!transformer.block<bf16, rows = 16>, 3> -> vector<64x64xf16>
  return
}

// -----

func.func @unpack_of_more_columns(%t: memref<4x2x!transformer.block<q4_0, rows = 16>, 3>, %i: index) {
  // expected-error @+1 {{expects 64 rows and whole 32 columns, at most 64, of f16 (C2), but got 'vector<64x96xf16>'}}
  %a = tile.unpack %t[%i] : memref<4x2x!transformer.block<q4_0, rows = 16>, 3> -> vector<64x96xf16>
  return
}

// -----

func.func @unpack_as_floats(%t: memref<4x2x!transformer.block<q4_0, rows = 16>, 3>, %i: index) {
  // expected-error @+1 {{expects 64 rows and whole 32 columns, at most 64, of f16 (C2), but got 'vector<64x64xf32>'}}
  %a = tile.unpack %t[%i] : memref<4x2x!transformer.block<q4_0, rows = 16>, 3> -> vector<64x64xf32>
  return
}

// -----

func.func @transposed_with_a_bound(%v: vector<64x64xf32>, %x: memref<?x?xf32>, %i: index) {
  // expected-error @+1 {{expects no bound of rows of what is transposed (C2), but got one}}
  tile.store %v to %x[%i, %i] rows %i {transposed} : vector<64x64xf32> to memref<?x?xf32>
  return
}

// -----

// expected-error @+1 {{expects tiles of static rank 2 in memory space 3 (C1), but got 'memref<4x2x!transformer.block<q4_0>, 3>'}}
func.func private @slots_of_blocks_as_stored() -> !tile.channel<2 x memref<4x2x!transformer.block<q4_0>, 3>>
