// RUN: stepdown-opt %s -split-input-file -select-kernels | FileCheck %s
// RUN: stepdown-opt %s -split-input-file -select-kernels=chip=gfx90a | FileCheck %s --check-prefix=AMD

// What is nearly a product of fp8 with scales stays, and the module says of each which condition was not met.
#c2 = affine_map<(i, k) -> (i, k)>
#c3 = affine_map<(i, j, k) -> (i, j, k)>
#c4 = affine_map<(i, h, j, k) -> (i, h, j, k)>
#one = affine_map<(i, k) -> ()>
#one3 = affine_map<(i, j, k) -> ()>
#across = affine_map<(i, k) -> (k, i)>
#row = affine_map<(i, k) -> (i)>
#column = affine_map<(i, k) -> (k)>
#block = affine_map<(i, h, j, k) -> (i, j)>
// CHECK: module attributes {tile.unselected = ["linalg.matmul ({{[^()]*}}): fp8 with scales: first factor: expects codes of fp8 times scales, but got other numbers",
// CHECK-SAME: "linalg.matmul ({{[^()]*}}): fp8 with scales: second factor: expects codes of fp8 times scales, but got other numbers",
// CHECK-SAME: "linalg.matmul ({{[^()]*}}): fp8 with scales: first factor: expects codes and their scales, but got 1 inputs and 1 results",
// CHECK-SAME: "linalg.matmul ({{[^()]*}}): fp8 with scales: first factor: expects numbers of f32, but got f64",
// CHECK-SAME: "linalg.matmul ({{[^()]*}}): fp8 with scales: first factor: expects scales of f32 in a tensor, but got tensor<bf16>",
// CHECK-SAME: "linalg.matmul ({{[^()]*}}): fp8 with scales: second factor: expects each code where its number is, but got (d0, d1) -> (d1, d0) to (d0, d1) -> (d0, d1)",
// CHECK-SAME: "linalg.matmul ({{[^()]*}}): fp8 with scales: second factor: expects codes, widened, times their scales and nothing else",
// CHECK-SAME: "linalg.matmul ({{[^()]*}}): fp8 with scales: first factor: expects a scale for all, for each row, for 128 columns of a row or for 128 columns of 128 rows, but got (d0, d1) -> (d1) of tensor<64x256xf32>",
// CHECK-SAME: "linalg.matmul ({{[^()]*}}): fp8 with scales: expects codes of one type, but got f8E4M3FN and f8E5M2",
// CHECK-SAME: "linalg.matmul ({{[^()]*}}): fp8 with scales: first factor: expects a scale for all, for each row or for 128 columns of a row, but got one for 128 columns of 128 rows",
// CHECK-SAME: "linalg.matmul ({{[^()]*}}): fp8 with scales: second factor: expects a scale for all or for 128 columns of 128 rows, but got one of each row",
// CHECK-SAME: "linalg.batch_matmul ({{[^()]*}}): fp8 with scales: expects one product, but got a batch",
// CHECK-SAME: "linalg.matmul ({{[^()]*}}): fp8 with scales: expects the sum along the rows of both factors, so of the second one transposed",
// CHECK-SAME: "linalg.matmul ({{[^()]*}}): fp8 with scales: expects a sum of so many numbers, known when it is compiled, but got none",
// CHECK-SAME: "linalg.matmul ({{[^()]*}}): fp8 with scales: expects a sum that begins with zeros",
// CHECK-SAME: "linalg.matmul ({{[^()]*}}): fp8 with scales: expects a result of f32, but got f64"]
// CHECK-LABEL: func.func @near
// CHECK-NOT: tile.launch
// AMD: fp8 with scales: expects a chip with kernels of them, but got gfx90a
// AMD-LABEL: func.func @near
// AMD-NOT: tile.launch
func.func @near(%codes: tensor<64x256xf8E4M3FN>, %other: tensor<64x256xf8E5M2>, %turned: tensor<256x64xf8E4M3FN>,
    %blocks: tensor<2x128x2x128xf8E4M3FN>, %many: tensor<3x64x256xf8E4M3FN>, %nothing: tensor<64x0xf8E4M3FN>,
    %nine: tensor<256x256xf8E4M3FN>, %s: tensor<f32>, %s64: tensor<f64>, %s16: tensor<bf16>,
    %sk: tensor<256xf32>, %sr: tensor<64xf32>, %sb: tensor<2x2xf32>, %x: tensor<64x256xf32>,
    %c: tensor<64x64xf32>, %c64: tensor<64x64xf64>, %c256: tensor<256x64xf32>, %c3: tensor<3x64x64xf32>,
    %cn: tensor<64x256xf32>)
    -> (tensor<64x64xf32>, tensor<64x64xf32>, tensor<64x64xf32>, tensor<64x64xf64>, tensor<64x64xf32>, tensor<64x64xf32>, tensor<64x64xf32>, tensor<64x64xf32>, tensor<64x64xf32>, tensor<256x64xf32>, tensor<64x64xf32>, tensor<3x64x64xf32>, tensor<64x256xf32>, tensor<64x64xf32>, tensor<64x64xf32>, tensor<64x64xf64>) {
  %a_room = tensor.empty() : tensor<64x256xf32>
  %a = linalg.generic {indexing_maps = [#c2, #one, #c2], iterator_types = ["parallel", "parallel"]} ins(%codes, %s : tensor<64x256xf8E4M3FN>, tensor<f32>) outs(%a_room : tensor<64x256xf32>) {
  ^bb0(%code: f8E4M3FN, %scale: f32, %o: f32):
    %wide = arith.extf %code : f8E4M3FN to f32
    %v = arith.mulf %wide, %scale : f32
    linalg.yield %v : f32
  } -> tensor<64x256xf32>
  %w_room = tensor.empty() : tensor<64x256xf32>
  %w = linalg.generic {indexing_maps = [#c2, #one, #c2], iterator_types = ["parallel", "parallel"]} ins(%codes, %s : tensor<64x256xf8E4M3FN>, tensor<f32>) outs(%w_room : tensor<64x256xf32>) {
  ^bb0(%code: f8E4M3FN, %scale: f32, %o: f32):
    %wide = arith.extf %code : f8E4M3FN to f32
    %v = arith.mulf %wide, %scale : f32
    linalg.yield %v : f32
  } -> tensor<64x256xf32>
  %fives_room = tensor.empty() : tensor<64x256xf32>
  %fives = linalg.generic {indexing_maps = [#c2, #one, #c2], iterator_types = ["parallel", "parallel"]} ins(%other, %s : tensor<64x256xf8E5M2>, tensor<f32>) outs(%fives_room : tensor<64x256xf32>) {
  ^bb0(%code: f8E5M2, %scale: f32, %o: f32):
    %wide = arith.extf %code : f8E5M2 to f32
    %v = arith.mulf %wide, %scale : f32
    linalg.yield %v : f32
  } -> tensor<64x256xf32>
  %plain_room = tensor.empty() : tensor<64x256xf32>
  %plain = linalg.generic {indexing_maps = [#c2, #c2], iterator_types = ["parallel", "parallel"]} ins(%codes : tensor<64x256xf8E4M3FN>) outs(%plain_room : tensor<64x256xf32>) {
  ^bb0(%code: f8E4M3FN, %o: f32):
    %wide = arith.extf %code : f8E4M3FN to f32
    linalg.yield %wide : f32
  } -> tensor<64x256xf32>
  %doubles_room = tensor.empty() : tensor<64x256xf64>
  %doubles = linalg.generic {indexing_maps = [#c2, #one, #c2], iterator_types = ["parallel", "parallel"]} ins(%codes, %s64 : tensor<64x256xf8E4M3FN>, tensor<f64>) outs(%doubles_room : tensor<64x256xf64>) {
  ^bb0(%code: f8E4M3FN, %scale: f64, %o: f64):
    %wide = arith.extf %code : f8E4M3FN to f64
    %v = arith.mulf %wide, %scale : f64
    linalg.yield %v : f64
  } -> tensor<64x256xf64>
  %short_room = tensor.empty() : tensor<64x256xf32>
  %short = linalg.generic {indexing_maps = [#c2, #one, #c2], iterator_types = ["parallel", "parallel"]} ins(%codes, %s16 : tensor<64x256xf8E4M3FN>, tensor<bf16>) outs(%short_room : tensor<64x256xf32>) {
  ^bb0(%code: f8E4M3FN, %scale: bf16, %o: f32):
    %wide = arith.extf %code : f8E4M3FN to f32
    %by = arith.extf %scale : bf16 to f32
    %v = arith.mulf %wide, %by : f32
    linalg.yield %v : f32
  } -> tensor<64x256xf32>
  %across_room = tensor.empty() : tensor<64x256xf32>
  %across = linalg.generic {indexing_maps = [#across, #one, #c2], iterator_types = ["parallel", "parallel"]} ins(%turned, %s : tensor<256x64xf8E4M3FN>, tensor<f32>) outs(%across_room : tensor<64x256xf32>) {
  ^bb0(%code: f8E4M3FN, %scale: f32, %o: f32):
    %wide = arith.extf %code : f8E4M3FN to f32
    %v = arith.mulf %wide, %scale : f32
    linalg.yield %v : f32
  } -> tensor<64x256xf32>
  %more_room = tensor.empty() : tensor<64x256xf32>
  %more = linalg.generic {indexing_maps = [#c2, #one, #c2], iterator_types = ["parallel", "parallel"]} ins(%codes, %s : tensor<64x256xf8E4M3FN>, tensor<f32>) outs(%more_room : tensor<64x256xf32>) {
  ^bb0(%code: f8E4M3FN, %scale: f32, %o: f32):
    %wide = arith.extf %code : f8E4M3FN to f32
    %v = arith.mulf %wide, %scale : f32
    %u = arith.addf %v, %scale : f32
    linalg.yield %u : f32
  } -> tensor<64x256xf32>
  %columns_room = tensor.empty() : tensor<64x256xf32>
  %columns = linalg.generic {indexing_maps = [#c2, #column, #c2], iterator_types = ["parallel", "parallel"]} ins(%codes, %sk : tensor<64x256xf8E4M3FN>, tensor<256xf32>) outs(%columns_room : tensor<64x256xf32>) {
  ^bb0(%code: f8E4M3FN, %scale: f32, %o: f32):
    %wide = arith.extf %code : f8E4M3FN to f32
    %v = arith.mulf %wide, %scale : f32
    linalg.yield %v : f32
  } -> tensor<64x256xf32>
  %rows_room = tensor.empty() : tensor<64x256xf32>
  %rows = linalg.generic {indexing_maps = [#c2, #row, #c2], iterator_types = ["parallel", "parallel"]} ins(%codes, %sr : tensor<64x256xf8E4M3FN>, tensor<64xf32>) outs(%rows_room : tensor<64x256xf32>) {
  ^bb0(%code: f8E4M3FN, %scale: f32, %o: f32):
    %wide = arith.extf %code : f8E4M3FN to f32
    %v = arith.mulf %wide, %scale : f32
    linalg.yield %v : f32
  } -> tensor<64x256xf32>
  %blocks4_room = tensor.empty() : tensor<2x128x2x128xf32>
  %blocks4 = linalg.generic {indexing_maps = [#c4, #block, #c4], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%blocks, %sb : tensor<2x128x2x128xf8E4M3FN>, tensor<2x2xf32>) outs(%blocks4_room : tensor<2x128x2x128xf32>) {
  ^bb0(%code: f8E4M3FN, %scale: f32, %o: f32):
    %wide = arith.extf %code : f8E4M3FN to f32
    %v = arith.mulf %wide, %scale : f32
    linalg.yield %v : f32
  } -> tensor<2x128x2x128xf32>
  %blocks_of = tensor.collapse_shape %blocks4 [[0, 1], [2, 3]] : tensor<2x128x2x128xf32> into tensor<256x256xf32>
  %batch_room = tensor.empty() : tensor<3x64x256xf32>
  %batch = linalg.generic {indexing_maps = [#c3, #one3, #c3], iterator_types = ["parallel", "parallel", "parallel"]} ins(%many, %s : tensor<3x64x256xf8E4M3FN>, tensor<f32>) outs(%batch_room : tensor<3x64x256xf32>) {
  ^bb0(%code: f8E4M3FN, %scale: f32, %o: f32):
    %wide = arith.extf %code : f8E4M3FN to f32
    %v = arith.mulf %wide, %scale : f32
    linalg.yield %v : f32
  } -> tensor<3x64x256xf32>
  %none_room = tensor.empty() : tensor<64x0xf32>
  %none = linalg.generic {indexing_maps = [#c2, #one, #c2], iterator_types = ["parallel", "parallel"]} ins(%nothing, %s : tensor<64x0xf8E4M3FN>, tensor<f32>) outs(%none_room : tensor<64x0xf32>) {
  ^bb0(%code: f8E4M3FN, %scale: f32, %o: f32):
    %wide = arith.extf %code : f8E4M3FN to f32
    %v = arith.mulf %wide, %scale : f32
    linalg.yield %v : f32
  } -> tensor<64x0xf32>
  %square_room = tensor.empty() : tensor<256x256xf32>
  %square = linalg.generic {indexing_maps = [#c2, #one, #c2], iterator_types = ["parallel", "parallel"]} ins(%nine, %s : tensor<256x256xf8E4M3FN>, tensor<f32>) outs(%square_room : tensor<256x256xf32>) {
  ^bb0(%code: f8E4M3FN, %scale: f32, %o: f32):
    %wide = arith.extf %code : f8E4M3FN to f32
    %v = arith.mulf %wide, %scale : f32
    linalg.yield %v : f32
  } -> tensor<256x256xf32>
  %zero = arith.constant 0.0 : f32
  %zero64 = arith.constant 0.0 : f64
  %z = linalg.fill ins(%zero : f32) outs(%c : tensor<64x64xf32>) -> tensor<64x64xf32>
  %z64 = linalg.fill ins(%zero64 : f64) outs(%c64 : tensor<64x64xf64>) -> tensor<64x64xf64>
  %z256 = linalg.fill ins(%zero : f32) outs(%c256 : tensor<256x64xf32>) -> tensor<256x64xf32>
  %z3 = linalg.fill ins(%zero : f32) outs(%c3 : tensor<3x64x64xf32>) -> tensor<3x64x64xf32>
  %zn = linalg.fill ins(%zero : f32) outs(%cn : tensor<64x256xf32>) -> tensor<64x256xf32>
  %p0 = linalg.matmul indexing_maps = [affine_map<(i, j, k) -> (i, k)>, affine_map<(i, j, k) -> (j, k)>, affine_map<(i, j, k) -> (i, j)>] ins(%x, %w : tensor<64x256xf32>, tensor<64x256xf32>) outs(%z : tensor<64x64xf32>) -> tensor<64x64xf32>
  %p1 = linalg.matmul indexing_maps = [affine_map<(i, j, k) -> (i, k)>, affine_map<(i, j, k) -> (j, k)>, affine_map<(i, j, k) -> (i, j)>] ins(%a, %x : tensor<64x256xf32>, tensor<64x256xf32>) outs(%z : tensor<64x64xf32>) -> tensor<64x64xf32>
  %p2 = linalg.matmul indexing_maps = [affine_map<(i, j, k) -> (i, k)>, affine_map<(i, j, k) -> (j, k)>, affine_map<(i, j, k) -> (i, j)>] ins(%plain, %w : tensor<64x256xf32>, tensor<64x256xf32>) outs(%z : tensor<64x64xf32>) -> tensor<64x64xf32>
  %p3 = linalg.matmul indexing_maps = [affine_map<(i, j, k) -> (i, k)>, affine_map<(i, j, k) -> (j, k)>, affine_map<(i, j, k) -> (i, j)>] ins(%doubles, %doubles : tensor<64x256xf64>, tensor<64x256xf64>) outs(%z64 : tensor<64x64xf64>) -> tensor<64x64xf64>
  %p4 = linalg.matmul indexing_maps = [affine_map<(i, j, k) -> (i, k)>, affine_map<(i, j, k) -> (j, k)>, affine_map<(i, j, k) -> (i, j)>] ins(%short, %w : tensor<64x256xf32>, tensor<64x256xf32>) outs(%z : tensor<64x64xf32>) -> tensor<64x64xf32>
  %p5 = linalg.matmul indexing_maps = [affine_map<(i, j, k) -> (i, k)>, affine_map<(i, j, k) -> (j, k)>, affine_map<(i, j, k) -> (i, j)>] ins(%a, %across : tensor<64x256xf32>, tensor<64x256xf32>) outs(%z : tensor<64x64xf32>) -> tensor<64x64xf32>
  %p6 = linalg.matmul indexing_maps = [affine_map<(i, j, k) -> (i, k)>, affine_map<(i, j, k) -> (j, k)>, affine_map<(i, j, k) -> (i, j)>] ins(%a, %more : tensor<64x256xf32>, tensor<64x256xf32>) outs(%z : tensor<64x64xf32>) -> tensor<64x64xf32>
  %p7 = linalg.matmul indexing_maps = [affine_map<(i, j, k) -> (i, k)>, affine_map<(i, j, k) -> (j, k)>, affine_map<(i, j, k) -> (i, j)>] ins(%columns, %w : tensor<64x256xf32>, tensor<64x256xf32>) outs(%z : tensor<64x64xf32>) -> tensor<64x64xf32>
  %p8 = linalg.matmul indexing_maps = [affine_map<(i, j, k) -> (i, k)>, affine_map<(i, j, k) -> (j, k)>, affine_map<(i, j, k) -> (i, j)>] ins(%a, %fives : tensor<64x256xf32>, tensor<64x256xf32>) outs(%z : tensor<64x64xf32>) -> tensor<64x64xf32>
  %p9 = linalg.matmul indexing_maps = [affine_map<(i, j, k) -> (i, k)>, affine_map<(i, j, k) -> (j, k)>, affine_map<(i, j, k) -> (i, j)>] ins(%blocks_of, %w : tensor<256x256xf32>, tensor<64x256xf32>) outs(%z256 : tensor<256x64xf32>) -> tensor<256x64xf32>
  %p10 = linalg.matmul indexing_maps = [affine_map<(i, j, k) -> (i, k)>, affine_map<(i, j, k) -> (j, k)>, affine_map<(i, j, k) -> (i, j)>] ins(%a, %rows : tensor<64x256xf32>, tensor<64x256xf32>) outs(%z : tensor<64x64xf32>) -> tensor<64x64xf32>
  %p11 = linalg.batch_matmul indexing_maps = [affine_map<(b, i, j, k) -> (b, i, k)>, affine_map<(b, i, j, k) -> (b, j, k)>, affine_map<(b, i, j, k) -> (b, i, j)>] ins(%batch, %batch : tensor<3x64x256xf32>, tensor<3x64x256xf32>) outs(%z3 : tensor<3x64x64xf32>) -> tensor<3x64x64xf32>
  %p12 = linalg.matmul  ins(%a, %square : tensor<64x256xf32>, tensor<256x256xf32>) outs(%zn : tensor<64x256xf32>) -> tensor<64x256xf32>
  %p13 = linalg.matmul indexing_maps = [affine_map<(i, j, k) -> (i, k)>, affine_map<(i, j, k) -> (j, k)>, affine_map<(i, j, k) -> (i, j)>] ins(%none, %none : tensor<64x0xf32>, tensor<64x0xf32>) outs(%z : tensor<64x64xf32>) -> tensor<64x64xf32>
  %p14 = linalg.matmul indexing_maps = [affine_map<(i, j, k) -> (i, k)>, affine_map<(i, j, k) -> (j, k)>, affine_map<(i, j, k) -> (i, j)>] ins(%a, %w : tensor<64x256xf32>, tensor<64x256xf32>) outs(%c : tensor<64x64xf32>) -> tensor<64x64xf32>
  %p15 = linalg.matmul indexing_maps = [affine_map<(i, j, k) -> (i, k)>, affine_map<(i, j, k) -> (j, k)>, affine_map<(i, j, k) -> (i, j)>] ins(%a, %w : tensor<64x256xf32>, tensor<64x256xf32>) outs(%z64 : tensor<64x64xf64>) -> tensor<64x64xf64>
  return %p0, %p1, %p2, %p3, %p4, %p5, %p6, %p7, %p8, %p9, %p10, %p11, %p12, %p13, %p14, %p15
      : tensor<64x64xf32>, tensor<64x64xf32>, tensor<64x64xf32>, tensor<64x64xf64>, tensor<64x64xf32>, tensor<64x64xf32>, tensor<64x64xf32>, tensor<64x64xf32>, tensor<64x64xf32>, tensor<256x64xf32>, tensor<64x64xf32>, tensor<3x64x64xf32>, tensor<64x256xf32>, tensor<64x64xf32>, tensor<64x64xf32>, tensor<64x64xf64>
}

// -----

// Columns of which the number is known later.
#c2 = affine_map<(i, k) -> (i, k)>
#one = affine_map<(i, k) -> ()>
// CHECK: fp8 with scales: expects a sum of so many numbers, known when it is compiled, but got ?"
// CHECK-LABEL: func.func @later
// CHECK-NOT: tile.launch
func.func @later(%codes: tensor<64x?xf8E4M3FN>, %s: tensor<f32>, %room: tensor<64x?xf32>, %c: tensor<64x64xf32>) -> tensor<64x64xf32> {
  %zero = arith.constant 0.0 : f32
  %a = linalg.generic {indexing_maps = [#c2, #one, #c2], iterator_types = ["parallel", "parallel"]} ins(%codes, %s : tensor<64x?xf8E4M3FN>, tensor<f32>) outs(%room : tensor<64x?xf32>) {
  ^bb0(%code: f8E4M3FN, %scale: f32, %o: f32):
    %wide = arith.extf %code : f8E4M3FN to f32
    %v = arith.mulf %wide, %scale : f32
    linalg.yield %v : f32
  } -> tensor<64x?xf32>
  %z = linalg.fill ins(%zero : f32) outs(%c : tensor<64x64xf32>) -> tensor<64x64xf32>
  %p = linalg.matmul indexing_maps = [affine_map<(i, j, k) -> (i, k)>, affine_map<(i, j, k) -> (j, k)>, affine_map<(i, j, k) -> (i, j)>] ins(%a, %a : tensor<64x?xf32>, tensor<64x?xf32>) outs(%z : tensor<64x64xf32>) -> tensor<64x64xf32>
  return %p : tensor<64x64xf32>
}
