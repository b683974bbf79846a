// RUN: stepdown-opt %s -split-input-file -verify-diagnostics

func.func @no_kernel(%a: tensor<3x5xbf16>, %c: tensor<3x5xf32>) -> tensor<3x5xf32> {
  // expected-error @+1 {{expects a tile.kernel @elsewhere (C1), but there is none}}
  %0 = tile.launch @elsewhere ins(%a : tensor<3x5xbf16>) outs(%c : tensor<3x5xf32>) -> tensor<3x5xf32>
  return %0 : tensor<3x5xf32>
}

// -----

tile.kernel @one(%c: memref<?x?xf32>) {
}
func.func @two_matrices(%a: tensor<3x5xf32>, %c: tensor<3x5xf32>) -> tensor<3x5xf32> {
  // expected-error @+1 {{expects 1 matrices (C2), but got 2}}
  %0 = tile.launch @one ins(%a : tensor<3x5xf32>) outs(%c : tensor<3x5xf32>) -> tensor<3x5xf32>
  return %0 : tensor<3x5xf32>
}

// -----

tile.kernel @halves(%a: memref<?x?xbf16>, %c: memref<?x?xf32>) {
}
func.func @floats(%a: tensor<3x5xf32>, %c: tensor<3x5xf32>) -> tensor<3x5xf32> {
  // expected-error @+1 {{expects a matrix as the kernel's 'memref<?x?xbf16>' (C2), but got 'tensor<3x5xf32>'}}
  %0 = tile.launch @halves ins(%a : tensor<3x5xf32>) outs(%c : tensor<3x5xf32>) -> tensor<3x5xf32>
  return %0 : tensor<3x5xf32>
}

// -----

// Of five slots four shares have two, two, one and none.
!tile = memref<8x64xbf16, 3>
!ring = !tile.channel<2 x memref<8x64xbf16, 3>>
tile.kernel @product(%a: memref<?x?xbf16>, %c: memref<?x?xf32>) attributes {tile.shares = 4 : i64} {
  %zero = arith.constant 0 : index
  %ring = tile.channel : !ring
  tile.role "load" warps 4 registers 40 {
    %s = tile.acquire %ring : !ring -> !tile
    tile.copy %a[%zero, %zero] to %s : memref<?x?xbf16> to !tile
    tile.commit %ring : !ring
  }
  tile.role "multiply" warps 4 registers 40 {
    %s = tile.wait %ring : !ring -> !tile
    tile.release %ring : !ring
  }
}
func.func @five_slots(%a: tensor<3x313xbf16>, %c: tensor<12x5xf32>) -> tensor<12x5xf32> {
  // expected-error @+1 {{expects a slot of 64 along k at least for each of 4 shares of the sum (C3), but got 'tensor<3x313xbf16>'}}
  %0 = tile.launch @product ins(%a : tensor<3x313xbf16>) outs(%c : tensor<12x5xf32>) -> tensor<12x5xf32>
  return %0 : tensor<12x5xf32>
}

// -----

!tile = memref<8x64xbf16, 3>
!ring = !tile.channel<2 x memref<8x64xbf16, 3>>
tile.kernel @product(%a: memref<?x?xbf16>, %c: memref<?x?xf32>) attributes {tile.shares = 2 : i64} {
  %zero = arith.constant 0 : index
  %ring = tile.channel : !ring
  tile.role "load" warps 4 registers 40 {
    %s = tile.acquire %ring : !ring -> !tile
    tile.copy %a[%zero, %zero] to %s : memref<?x?xbf16> to !tile
    tile.commit %ring : !ring
  }
  tile.role "multiply" warps 4 registers 40 {
    %s = tile.wait %ring : !ring -> !tile
    tile.release %ring : !ring
  }
}
func.func @unknown_sum(%a: tensor<3x?xbf16>, %c: tensor<6x5xf32>) -> tensor<6x5xf32> {
  // expected-error @+1 {{expects a slot of 64 along k at least for each of 2 shares of the sum (C3), but got 'tensor<3x?xbf16>'}}
  %0 = tile.launch @product ins(%a : tensor<3x?xbf16>) outs(%c : tensor<6x5xf32>) -> tensor<6x5xf32>
  return %0 : tensor<6x5xf32>
}

// -----

!tile = memref<8x0xbf16, 3>
!ring = !tile.channel<2 x memref<8x0xbf16, 3>>
tile.kernel @no_columns(%a: memref<?x?xbf16>, %c: memref<?x?xf32>) attributes {tile.shares = 2 : i64} {
  %zero = arith.constant 0 : index
  %ring = tile.channel : !ring
  tile.role "load" warps 4 registers 40 {
    %s = tile.acquire %ring : !ring -> !tile
    tile.copy %a[%zero, %zero] to %s : memref<?x?xbf16> to !tile
    tile.commit %ring : !ring
  }
  tile.role "multiply" warps 4 registers 40 {
    %s = tile.wait %ring : !ring -> !tile
    tile.release %ring : !ring
  }
}
func.func @slots_of_nothing(%a: tensor<3x251xbf16>, %c: tensor<6x5xf32>) -> tensor<6x5xf32> {
  // expected-error @+1 {{expects slots of a product where a sum is shared out (C3), but got 'memref<8x0xbf16, 3>'}}
  %0 = tile.launch @no_columns ins(%a : tensor<3x251xbf16>) outs(%c : tensor<6x5xf32>) -> tensor<6x5xf32>
  return %0 : tensor<6x5xf32>
}

// -----

tile.kernel @no_channel(%a: memref<?x?xbf16>, %c: memref<?x?xf32>) attributes {tile.shares = 2 : i64} {
}
func.func @no_product(%a: tensor<3x251xbf16>, %c: tensor<6x5xf32>) -> tensor<6x5xf32> {
  // expected-error @+1 {{expects a product where a sum is shared out (C3)}}
  %0 = tile.launch @no_channel ins(%a : tensor<3x251xbf16>) outs(%c : tensor<6x5xf32>) -> tensor<6x5xf32>
  return %0 : tensor<6x5xf32>
}

// -----

// expected-error @+1 {{'tile.shares', a power of two up to 64, and 'tile.cluster', a power of two, on a kernel, and 'tile.unselected' on a module, but got 'tile.shares'}}
tile.kernel @more_shares_than_numbers(%a: memref<?x?xbf16>) attributes {tile.shares = 9223372036854775807 : i64} {
}

// -----

// expected-error @+1 {{'tile.shares', a power of two up to 64, and 'tile.cluster', a power of two, on a kernel, and 'tile.unselected' on a module, but got 'tile.shares'}}
tile.kernel @shares_without_pairs(%a: memref<?x?xbf16>) attributes {tile.shares = 6 : i64} {
}
