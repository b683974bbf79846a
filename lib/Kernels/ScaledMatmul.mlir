// C[M, N] = A[M, K] B[N, K]^T of fp8 with scales of float32: those of A are of each row and 128 columns (%sa), those of B
// of 128 rows and 128 columns (%sb). A matrix of scales with one row, or with one column, is that for all of them: so
// one number scales a whole tensor, and one column has a scale for each row of A.
//
// wgmma adds products of fp8 up with fewer bits than float32 has. So its sums end behind each 128 columns, which is a
// slot, and go on in registers, in float32, times the scales of the slot (DeepSeek-AI, DeepSeek-V3, 2024, section 3.3).
// Of a tile of several warpgroups the others' products run while one does that; a tile of one waits. Scales are read in
// front of the products that they belong to, and multiply these one after the other: their own product may be too large
// or too small for float32 where that with the sum is not.
!matrix = memref<?x?x$(element)>
!scales = memref<?x?xf32>
!result = memref<?x?x$(result)>
!tile_a = memref<$(m)x$(k)x$(element), 3>
!tile_b = memref<$(b_tile)x$(element), 3>
!ring = !tile.channel<$(stages) x memref<$(m)x$(k)x$(element), 3>, memref<$(b_tile)x$(element), 3>>
!sum = !tile.accumulator<$(m)x$(n)xf32>
!sums = vector<$(m)x$(n)xf32>
!rows = vector<$(m)x1xf32>
!number = vector<1x1xf32>

tile.kernel @scaled_matmul(%a: !matrix, %b: !matrix, %sa: !scales, %sb: !scales, %c: !result)$(attributes) {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %step = arith.constant $(k) : index
  %block = arith.constant 128 : index
  %m = memref.dim %c, %zero : !result
  %n = memref.dim %c, %one : !result
  %k = memref.dim %a, %one : !matrix
  %ab = tile.channel : !ring

  tile.role "load" warps 4 registers $(load_registers) {
    tile.schedule (%i, %j) in (%m by $(m), %n by $(n)) grouped $(group) {
      scf.for %l = %zero to %k step %step {
        %s:2 = tile.acquire %ab : !ring -> !tile_a, !tile_b
        tile.copy %a[%i, %l] to %s#0 : !matrix to !tile_a
        tile.copy %b[%j, %l] to %s#1 : !matrix to !tile_b
        tile.commit %ab : !ring
      }
    }
  }

  tile.role "multiply" warps $(warps) registers $(registers) {
    %nothing = arith.constant dense<0.0> : !sums
    tile.schedule (%i, %j) in (%m by $(m), %n by $(n)) grouped $(group) {
      %j_block = arith.divui %j, %block : index
      %value = scf.for %l = %zero to %k step %step iter_args(%total = %nothing) -> (!sums) {
        %l_block = arith.divui %l, %block : index
        %of_a = tile.read %sa[%i, %l_block] : !scales -> !rows
        %of_b = tile.read %sb[%j_block, %l_block] : !scales -> !number
        %s:2 = tile.wait %ab : !ring -> !tile_a, !tile_b
        %product = tile.mma %s#0, %s#1 {transpose_b} : !tile_a, !tile_b -> !sum
        %part = tile.mma_wait 0 for %product : !sum
        tile.release %ab : !ring
        %next = tile.map (%x = %part, %y = %of_a, %z = %of_b, %t = %total) : !sums, !rows, !number, !sums -> !sums {
          %v = arith.mulf %x, %y : f32
          %w = math.fma %v, %z, %t : f32
          tile.yield %w : f32
        }
        scf.yield %next : !sums
      }
      tile.store %value to %c[%i, %j] : !sums to !result
    }
  }
}
