// RUN: stepdown-opt %s -split-input-file -verify-diagnostics | FileCheck %s

// CHECK-LABEL: @kept
func.func @kept(%s: vector<64x128xf32>, %b: memref<128x64xbf16, 3>, %v: vector<64x64xf32>, %i: index, %row: vector<1x128xf32>,
                %one: vector<1x1xf32>) {
  // CHECK: %[[M:.*]] = tile.reduce maxnumf %arg0 : vector<64x128xf32>
  %m = tile.reduce maxnumf %s : vector<64x128xf32>
  // CHECK: tile.reduce addf %arg0, %[[M]] : vector<64x128xf32>
  %l = tile.reduce addf %s, %m : vector<64x128xf32>
  // CHECK: %[[P:.*]] = tile.reduce addf %arg0 into 8 : vector<64x128xf32>
  %p8 = tile.reduce addf %s into 8 : vector<64x128xf32>
  // CHECK: tile.reduce addf %arg0, %[[P]] into 8 : vector<64x128xf32>
  %q8 = tile.reduce addf %s, %p8 into 8 : vector<64x128xf32>
  // CHECK: tile.mask %arg0 at[%arg3, %arg3] columns %arg3 from %arg3 below %arg3 : vector<64x128xf32>
  %t = tile.mask %s at [%i, %i] columns %i from %i below %i : vector<64x128xf32>
  // CHECK: %[[E:.*]] = tile.map (%[[X:.*]] = %arg0, %[[Y:.*]] = %[[M]]) : vector<64x128xf32>, vector<64x1xf32> -> vector<64x128xf32> {
  // CHECK-NEXT: arith.subf %[[X]], %[[Y]] : f32
  %e = tile.map (%x = %s, %y = %m) : vector<64x128xf32>, vector<64x1xf32> -> vector<64x128xf32> {
    %d = arith.subf %x, %y : f32
    tile.yield %d : f32
  }
  // CHECK: tile.map (%{{.*}} = %arg0, %{{.*}} = %arg4, %{{.*}} = %arg5) : vector<64x128xf32>, vector<1x128xf32>, vector<1x1xf32> -> vector<64x128xf32> {
  %f = tile.map (%x = %s, %y = %row, %z = %one) : vector<64x128xf32>, vector<1x128xf32>, vector<1x1xf32> -> vector<64x128xf32> {
    %w = math.fma %x, %y, %z : f32
    tile.yield %w : f32
  }
  // CHECK: %[[P:.*]] = tile.convert %[[E]] : vector<64x128xf32> to vector<64x128xbf16>
  %p = tile.convert %e : vector<64x128xf32> to vector<64x128xbf16>
  // CHECK: tile.mma %[[P]], %arg1, %arg2 : vector<64x128xbf16>, memref<128x64xbf16, 3>, vector<64x64xf32> -> !tile.accumulator<64x64xf32>
  %c = tile.mma %p, %b, %v : vector<64x128xbf16>, memref<128x64xbf16, 3>, vector<64x64xf32> -> !tile.accumulator<64x64xf32>
  return
}

// -----

// CHECK-LABEL: @turned
func.func @turned(%v: vector<64x32xf32>, %x: memref<?x?xf16>, %y: memref<?x?xf32>, %i: index, %j: index) {
  // CHECK: %[[R:.*]] = tile.read %arg1[%arg3, %arg4] {transposed} : memref<?x?xf16> -> vector<64x32xf32>
  %r = tile.read %x[%i, %j] {transposed} : memref<?x?xf16> -> vector<64x32xf32>
  // CHECK: %[[P:.*]] = tile.read %arg2[%arg4, %arg3] : memref<?x?xf32> -> vector<64x32xf32>
  %p = tile.read %y[%j, %i] : memref<?x?xf32> -> vector<64x32xf32>
  %s = tile.map (%a = %v, %b = %r, %c = %p) : vector<64x32xf32>, vector<64x32xf32>, vector<64x32xf32> -> vector<64x32xf32> {
    %d = arith.addf %a, %b : f32
    %e = arith.addf %d, %c : f32
    tile.yield %e : f32
  }
  // CHECK: tile.store %{{.*}} to %arg2[%arg3, %arg4] {transposed} : vector<64x32xf32> to memref<?x?xf32>
  tile.store %s to %y[%i, %j] {transposed} : vector<64x32xf32> to memref<?x?xf32>
  return
}

// -----

// `transposed` is of the operation, so it is checked.
func.func @turned_by_a_number(%x: memref<?x?xf32>, %i: index) {
  // expected-error @+1 {{attribute 'transposed' failed to satisfy constraint: unit attribute}}
  %r = tile.read %x[%i, %i] {transposed = 1 : i64} : memref<?x?xf32> -> vector<64x64xf32>
  return
}

// -----

func.func @map_of_other_rows(%s: vector<64x64xf32>, %m: vector<32x1xf32>) {
  // expected-error @+1 {{expects tiles of 64 rows or one and 64 columns or one (C1), but got 'vector<32x1xf32>'}}
  %e = tile.map (%x = %s, %y = %m) : vector<64x64xf32>, vector<32x1xf32> -> vector<64x64xf32> {
    tile.yield %x : f32
  }
  return
}

// -----

func.func @map_to_another_type(%s: vector<64x64xf32>) {
  // expected-error @+1 {{expects a region from an element of each tile to 'f16' (C2), but got another}}
  %e = tile.map (%x = %s) : vector<64x64xf32> -> vector<64x64xf16> {
    tile.yield %x : f32
  }
  return
}

// -----

func.func @map_with_memory(%s: vector<64x64xf32>, %t: memref<f32>) {
  %e = tile.map (%x = %s) : vector<64x64xf32> -> vector<64x64xf32> {
    // expected-error @+1 {{expects an operation of arith or math on numbers (C3 of tile.map)}}
    %y = memref.load %t[] : memref<f32>
    tile.yield %y : f32
  }
  return
}

// -----

func.func @reduce_by_product(%s: vector<64x64xf32>) {
  // expected-error @+1 {{expects addf or maxnumf (C1), but got mulf}}
  %e = tile.reduce mulf %s : vector<64x64xf32>
  return
}

// -----

func.func @reduce_of_integers(%s: vector<64x64xi32>) {
  // expected-error @+1 {{expects floats (C2), but got 'vector<64x64xi32>'}}
  %e = tile.reduce addf %s : vector<64x64xi32>
  return
}

// -----

func.func @reduce_into_parts_of_other_size(%s: vector<64x12xf32>) {
  // expected-error @+1 {{expects a multiple of 8 columns (C4), but got 'vector<64x12xf32>'}}
  %e = tile.reduce addf %s into 8 : vector<64x12xf32>
  return
}

// -----

func.func @reduce_into_nothing(%s: vector<64x12xf32>) {
  // expected-error @+1 {{expects a positive count, but got 0}}
  %e = tile.reduce addf %s into 0 : vector<64x12xf32>
  return
}

// -----

func.func @mask_of_integers(%s: vector<64x64xi32>, %i: index) {
  // expected-error @+1 {{expects floats (C1), but got 'vector<64x64xi32>'}}
  %e = tile.mask %s at [%i, %i] columns %i : vector<64x64xi32>
  return
}

// -----

func.func @convert_wider(%s: vector<64x64xbf16>) {
  // expected-error @+1 {{expects a tile of the same size and of a narrower float (C1), but got 'vector<64x64xbf16>' and 'vector<64x64xf32>'}}
  %e = tile.convert %s : vector<64x64xbf16> to vector<64x64xf32>
  return
}

// -----

func.func @table_of_floats(%t: memref<?x?xf32>, %i: index) {
  // expected-error @+1 {{expects a table of i32 (C1), but got 'memref<?x?xf32>'}}
  %e = tile.entry %t[%i] : memref<?x?xf32> -> index
  return
}

// -----

func.func @read_of_integers(%t: memref<?x?xi32>, %i: index) {
  // expected-error @+1 {{expects f32, bf16 or f16 as f32 (C1), but got 'memref<?x?xi32>' as 'vector<64x64xf32>'}}
  %e = tile.read %t[%i, %i] : memref<?x?xi32> -> vector<64x64xf32>
  return
}

// -----

func.func @read_that_is_stored(%t: memref<?x?xf32>, %i: index) {
  // expected-error @+1 {{expects uses by tile.map of its block alone (C2), but got tile.store}}
  %e = tile.read %t[%i, %i] : memref<?x?xf32> -> vector<64x64xf32>
  tile.store %e to %t[%i, %i] : vector<64x64xf32> to memref<?x?xf32>
  return
}

// -----

func.func @read_behind_a_store(%v: vector<64x64xf32>, %t: memref<?x?xf32>, %i: index) {
  // expected-error @+1 {{expects no store before it is used (C2), but there is one}}
  %e = tile.read %t[%i, %i] : memref<?x?xf32> -> vector<64x64xf32>
  tile.store %v to %t[%i, %i] : vector<64x64xf32> to memref<?x?xf32>
  %m = tile.map (%x = %e) : vector<64x64xf32> -> vector<64x64xf32> {
    tile.yield %x : f32
  }
  return
}
