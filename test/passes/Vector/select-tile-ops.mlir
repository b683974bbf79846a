// RUN: stepdown-opt %s -select-tile-ops | FileCheck %s

!lanes = vector<16xf32>

// Largest magnitude, codes rounded to even, scale, and the sums that minimums need.
// CHECK-LABEL: @pack_8_bit
// CHECK: vector.reduction <maxsi>
// CHECK: math.roundeven
// CHECK: arith.fptosi
// CHECK: llvm.store %{{.*}} : i32
// CHECK-NOT: tile.pack_activation
func.func @pack_8_bit(%x: memref<?x2x!lanes>, %a: memref<?x1x!transformer.activation<q8, tokens = 4>>) {
  tile.pack_activation ins(%x : memref<?x2x!lanes>) outs(%a : memref<?x1x!transformer.activation<q8, tokens = 4>>)
  return
}

// The largest quad is found twice; what it holds beyond 7 bits is kept apart.
// CHECK-LABEL: @pack_outliers
// CHECK-COUNT-2: vector.reduction <minsi>
// CHECK: arith.divf
// CHECK-COUNT-2: arith.shrsi
// CHECK-NOT: tile.pack_activation
func.func @pack_outliers(%x: memref<?x2x!lanes>, %a: memref<?x1x!transformer.activation<q8o2, tokens = 4>>) {
  tile.pack_activation ins(%x : memref<?x2x!lanes>) outs(%a : memref<?x1x!transformer.activation<q8o2, tokens = 4>>)
  return
}

// CHECK-LABEL: @pack_float
// CHECK-NOT: math.roundeven
// CHECK-COUNT-32: llvm.store %{{.*}} : f32
// CHECK: return
func.func @pack_float(%x: memref<?x2x!lanes>, %a: memref<?x1x!transformer.activation<f32>>) {
  tile.pack_activation ins(%x : memref<?x2x!lanes>) outs(%a : memref<?x1x!transformer.activation<f32>>)
  return
}

// A row of a table is one lane of its packed blocks.
// CHECK-LABEL: @gather_rows
// CHECK: %[[LANE:.*]] = arith.remui
// CHECK: vector.extract %{{.*}}[%[[LANE]]]
// CHECK-NOT: tile.gather
func.func @gather_rows(%ids: memref<?xi32>, %table: memref<6x1x!transformer.block<q8_0, rows = 16>>, %y: memref<?x2x!lanes>) {
  tile.gather ins(%ids, %table : memref<?xi32>, memref<6x1x!transformer.block<q8_0, rows = 16>>) outs(%y : memref<?x2x!lanes>) {scale = 1.0 : f64}
  return
}

// Half of a head of 16 rotates: 8 columns are copied.
// CHECK-LABEL: @rotate_half_of_a_head
// CHECK: arith.divui %{{.*}}, %c64
// CHECK: memref.load
// CHECK: scf.for %{{.*}} = %c0{{.*}} to %c8
// CHECK-NOT: tile.rotate
func.func @rotate_half_of_a_head(%x: memref<?x1x!lanes>, %p: memref<?xi32>, %coarse: memref<4x2x4xf32>, %fine: memref<64x2x4xf32>) {
  tile.rotate ins(%x, %p, %coarse, %fine : memref<?x1x!lanes>, memref<?xi32>, memref<4x2x4xf32>, memref<64x2x4xf32>)
      outs(%x : memref<?x1x!lanes>) {head_dim = 16 : i64, pairs = #transformer<pairs half>}
  return
}

// A position without a block in the table (-1) is dropped; the cache is rounded to its element.
// CHECK-LABEL: @store_into_blocks
// CHECK: arith.cmpi sge
// CHECK: scf.if
// CHECK: arith.truncf %{{.*}} : f32 to f16
// CHECK-NOT: tile.cache_store
func.func @store_into_blocks(%k: memref<?x1x!lanes>, %p: memref<?xi32>, %s: memref<?xi32>, %table: memref<?x?xi32>,
                             %keys: memref<?x1x?x16x16xf16>, %values: memref<?x1x?x16xf16>) {
  tile.cache_store ins(%k, %k, %p, %s, %table : memref<?x1x!lanes>, memref<?x1x!lanes>, memref<?xi32>, memref<?xi32>, memref<?x?xi32>)
      outs(%keys, %values : memref<?x1x?x16x16xf16>, memref<?x1x?x16xf16>)
  return
}

// 41 channels lie in 48, with 2 blocks: the largest magnitude of 32 lanes, and of the 16 behind them, is each a scale.
// CHECK-LABEL: @store_blocks
// CHECK-COUNT-4: vector.reduction <maxsi>
// CHECK-NOT: vector.reduction
// CHECK-NOT: tile.cache_store
// CHECK: return
func.func @store_blocks(%k: memref<?x3x!lanes>, %p: memref<?xi32>, %s: memref<?xi32>, %table: memref<?x?xi32>,
                        %keys: memref<?x1x?x52x16xi8>, %values: memref<?x1x?x52xi8>) {
  tile.cache_store ins(%k, %k, %p, %s, %table : memref<?x3x!lanes>, memref<?x3x!lanes>, memref<?xi32>, memref<?xi32>, memref<?x?xi32>)
      outs(%keys, %values : memref<?x1x?x52x16xi8>, memref<?x1x?x52xi8>)
  return
}

// Codes meet codes: those of a query, then of 16 weights times their scales, of which a hidden one stays 0. Two channels,
// and two positions, lie side by side; what comes next is fetched.
// CHECK-LABEL: @attend_blocks
// CHECK: vector.reduction <maxsi>
// CHECK: "llvm.intr.prefetch"
// CHECK: vector.shuffle %{{.*}}, %{{.*}} [0, 16, 1, 17, 2, 18, 3, 19
// CHECK: llvm.call_intrinsic "llvm.x86.avx512.pmaddw.d.512"(
// CHECK: arith.sitofp %{{.*}} : vector<16xi32> to vector<16xf32>
// CHECK: arith.extf %{{.*}} : vector<16xf16> to vector<16xf32>
// CHECK-COUNT-16: vector.insert
// CHECK: arith.cmpf olt
// CHECK: arith.select
// CHECK: vector.reduction <maxsi>
// CHECK: "llvm.intr.prefetch"
// CHECK: llvm.call_intrinsic "llvm.x86.avx512.pmaddw.d.512"(
// CHECK-NOT: tile.attend
// CHECK: return
func.func @attend_blocks(%q: memref<1x4x!lanes>, %p: memref<?xi32>, %s: memref<?xi32>, %table: memref<?x?xi32>,
                         %keys: memref<?x1x?x34x16xi8>, %values: memref<?x1x?x34xi8>) {
  tile.attend ins(%q, %keys, %values, %p, %s, %table
      : memref<1x4x!lanes>, memref<?x1x?x34x16xi8>, memref<?x1x?x34xi8>, memref<?xi32>, memref<?xi32>, memref<?x?xi32>)
      outs(%q : memref<1x4x!lanes>) {scale = 0.25 : f64, softcap = 0.0 : f64, window = 0 : i64}
  return
}

// An 8-bit float is written from the bits of a float32.
// CHECK-LABEL: @store_eights
// CHECK: arith.minsi
// CHECK: arith.trunci %{{.*}} : i32 to i8
// CHECK-NOT: tile.cache_store
// CHECK: return
func.func @store_eights(%k: memref<?x1x!lanes>, %p: memref<?xi32>, %s: memref<?xi32>, %table: memref<?x?xi32>,
                        %keys: memref<?x1x?x16x16xf8E4M3FN>, %values: memref<?x1x?x16xf8E4M3FN>) {
  tile.cache_store ins(%k, %k, %p, %s, %table : memref<?x1x!lanes>, memref<?x1x!lanes>, memref<?xi32>, memref<?xi32>, memref<?x?xi32>)
      outs(%keys, %values : memref<?x1x?x16x16xf8E4M3FN>, memref<?x1x?x16xf8E4M3FN>)
  return
}

// It is read as the binary16 of its value over 256, or as NaN; the query is multiplied by 256, and so is the sum.
// CHECK-LABEL: @attend_eights
// CHECK: arith.constant 6.400000e+01 : f32
// CHECK: arith.extsi %{{.*}} : vector<16xi8> to vector<16xi16>
// CHECK: arith.cmpi eq
// CHECK: arith.extf %{{.*}} : vector<16xf16> to vector<16xf32>
// CHECK: arith.constant 2.560000e+02 : f32
// CHECK-NOT: tile.attend
// CHECK: return
func.func @attend_eights(%q: memref<1x1x!lanes>, %p: memref<?xi32>, %s: memref<?xi32>, %table: memref<?x?xi32>,
                         %keys: memref<?x1x?x16x16xf8E4M3FN>, %values: memref<?x1x?x16xf8E4M3FN>) {
  tile.attend ins(%q, %keys, %values, %p, %s, %table
      : memref<1x1x!lanes>, memref<?x1x?x16x16xf8E4M3FN>, memref<?x1x?x16xf8E4M3FN>, memref<?xi32>, memref<?xi32>, memref<?x?xi32>)
      outs(%q : memref<1x1x!lanes>) {scale = 0.25 : f64, softcap = 0.0 : f64, window = 0 : i64}
  return
}

// The loop over positions begins where the window does; its scratch knows nothing of the context. Of later positions 16
// keys of 16 channels are fetched, in lines of 64 bytes, then their values, whether all rows see all positions or not;
// into the second-level cache.
// CHECK-LABEL: @attend_in_a_window
// CHECK-COUNT-5: llvm.alloca
// CHECK-NOT: llvm.alloca
// CHECK-COUNT-18: "llvm.intr.prefetch"({{.*}}hint = 2
// CHECK-NOT: llvm.intr.prefetch
// CHECK-NOT: tile.attend
// CHECK: return
func.func @attend_in_a_window(%q: memref<1x1x!lanes>, %p: memref<?xi32>, %s: memref<?xi32>, %table: memref<?x?xi32>,
                              %keys: memref<?x1x?x16x16xf16>, %values: memref<?x1x?x16xf16>) {
  tile.attend ins(%q, %keys, %values, %p, %s, %table
      : memref<1x1x!lanes>, memref<?x1x?x16x16xf16>, memref<?x1x?x16xf16>, memref<?xi32>, memref<?xi32>, memref<?x?xi32>)
      outs(%q : memref<1x1x!lanes>) {scale = 0.25 : f64, softcap = 0.0 : f64, window = 8 : i64}
  return
}

// Heads of 13 columns lie in 16: the 26 of two are gathered one by one into a block whose rest is zeros.
// CHECK-LABEL: @pack_spread_heads
// CHECK: arith.minsi
// CHECK: arith.divui %{{.*}}, %c13
// CHECK-COUNT-32: llvm.store %{{.*}} : f32
// CHECK-NOT: tile.pack_activation
func.func @pack_spread_heads(%x: memref<?x2x!lanes>, %a: memref<?x1x!transformer.activation<f32>>) {
  tile.pack_activation ins(%x : memref<?x2x!lanes>) outs(%a : memref<?x1x!transformer.activation<f32>>) {groups = array<i64: 13, 16>}
  return
}

// What is left of linalg becomes loops.
// CHECK-LABEL: @square
// CHECK: scf.for
// CHECK:   scf.for
// CHECK:     memref.load
// CHECK:     arith.mulf
// CHECK:     memref.store
// CHECK-NOT: linalg
// CHECK: return
func.func @square(%x: memref<?x3x!lanes>, %y: memref<?x3x!lanes>) {
  linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>],
                  iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<?x3x!lanes>) outs(%y : memref<?x3x!lanes>) {
  ^bb0(%a: !lanes, %b: !lanes):
    %0 = arith.mulf %a, %a : !lanes
    linalg.yield %0 : !lanes
  }
  return
}

// Not what is of tensors: they have no place.
// CHECK-LABEL: @square_of_tensor
// CHECK-NOT: scf.for
// CHECK: linalg.generic
func.func @square_of_tensor(%x: tensor<3x!lanes>) -> tensor<3x!lanes> {
  %0 = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]}
      outs(%x : tensor<3x!lanes>) {
  ^bb0(%a: !lanes):
    %1 = arith.mulf %a, %a : !lanes
    linalg.yield %1 : !lanes
  } -> tensor<3x!lanes>
  return %0 : tensor<3x!lanes>
}

// Of equal numbers the lowest wins, in a lane and among lanes; behind 29 experts there is nothing, and NaN is above that.
// CHECK-LABEL: @route
// CHECK: arith.constant dense<0xFF800000> : vector<16xf32>
// CHECK: %[[LOWEST:.*]] = arith.constant dense<-3.40282347E+38> : vector<16xf32>
// CHECK: arith.cmpf olt, %[[LOWEST]], %[[Z:.*]] : vector<16xf32>
// CHECK-NEXT: arith.select %{{.*}}, %[[Z]], %[[LOWEST]]
// CHECK: vector.reduction <maxnumf>
// CHECK: scf.for
// CHECK: arith.cmpf olt
// CHECK: arith.cmpf oeq
// CHECK: vector.reduction <minsi>
// CHECK: memref.store %{{.*}} : memref<?x3xi32>
// CHECK-NOT: tile.route
func.func @route(%z: memref<?x2x!lanes>, %i: memref<?x3xi32>, %w: memref<?x2x!lanes>) {
  tile.route ins(%z : memref<?x2x!lanes>) outs(%i, %w : memref<?x3xi32>, memref<?x2x!lanes>)
      {experts = 29 : i64, normalised = true, scale = 1.0 : f64}
  return
}

// CHECK-LABEL: @combine
// CHECK: arith.mulf
// CHECK-COUNT-2: math.fma
// CHECK-NOT: math.fma
// CHECK-NOT: tile.combine
func.func @combine(%x: memref<?x6x!lanes>, %w: memref<?x2x!lanes>, %y: memref<?x2x!lanes>) {
  tile.combine ins(%x, %w : memref<?x6x!lanes>, memref<?x2x!lanes>) outs(%y : memref<?x2x!lanes>) {ranks = 3 : i64}
  return
}

// Eight partial sums of a column each, then 16 results of a rank; a token without an adapter is copied.
// CHECK-LABEL: @adapt
// CHECK: arith.cmpi eq
// CHECK: arith.cmpi ne
// CHECK: arith.minui
// CHECK: scf.for
// CHECK-COUNT-8: math.fma
// CHECK: scf.for
// CHECK-COUNT-3: math.fma
// CHECK-NOT: math.fma
// CHECK-NOT: tile.adapt
func.func @adapt(%x: memref<?x3x!lanes>, %of: memref<?x4x!lanes>, %s: memref<?xi32>, %a: memref<3x64x16xf16>,
                 %b: memref<3x5x48xf16>, %y: memref<?x3x!lanes>) {
  tile.adapt ins(%x, %of, %s, %a, %b : memref<?x3x!lanes>, memref<?x4x!lanes>, memref<?xi32>, memref<3x64x16xf16>, memref<3x5x48xf16>)
      outs(%y : memref<?x3x!lanes>)
  return
}
