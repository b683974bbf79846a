// Y[T, M] = X[T, K] W[M, K]^T of a quantised weight: rows of the weight are rows of the product's first operand, tokens
// its columns. So a weight is unpacked once, in the registers that the matrix unit takes it from, and how many tokens a
// tile has does not show in a result: sums of a column are made in one order, with any number of columns beside it.
//
// X is binary16, its rows scaled to fit; %s [1, T] is what each row of the result is scaled back by.
// Where Y has an addend R [T, M], such as a residual sum, each element is rounded before and behind that sum.
//
// Columns of the weight are unpacked while the product of those before them runs.
!weight = memref<?x?x$(block)>
!tokens = memref<?x?xf16>
!matrix = memref<?x?xf32>
!packed = memref<$(tiles)x$(blocks)x$(block), 3>
!token_tile = memref<$(n)x64xf16, 3>
!weight_ring = !tile.channel<$(weight_stages) x memref<$(tiles)x$(blocks)x$(block), 3>>
!token_ring = !tile.channel<$(token_stages) x memref<$(n)x64xf16, 3>>
!part = vector<$(m)x64xf16>
!sum = !tile.accumulator<$(m)x$(n)xf32>
!sums = vector<$(m)x$(n)xf32>

tile.kernel @quantised_matmul(%w: !weight, %x: !tokens, %s: !matrix, $(addend)%y: !matrix) {
  %0 = arith.constant 0 : index
  %1 = arith.constant 1 : index
  %64 = arith.constant 64 : index
  %128 = arith.constant 128 : index
  %192 = arith.constant 192 : index
  %256 = arith.constant 256 : index
  %tile_rows = arith.constant $(tile_rows) : index
  %block_columns = arith.constant $(block_columns) : index
  %rows = memref.dim %y, %1 : !matrix
  %tokens = memref.dim %y, %0 : !matrix
  %columns = memref.dim %x, %1 : !tokens
  %cw = tile.channel : !weight_ring
  %cx = tile.channel : !token_ring

  tile.role "load" warps 4 registers $(load_registers) {
    tile.schedule (%i, %j) in (%rows by $(m), %tokens by $(n)) grouped $(group) {
      %tile = arith.divui %i, %tile_rows : index
      scf.for %k = %0 to %columns step %256 {
        %block = arith.divui %k, %block_columns : index
        %sw = tile.acquire %cw : !weight_ring -> !packed
        tile.copy %w[%tile, %block] to %sw : !weight to !packed
        tile.commit %cw : !weight_ring
        scf.for %l = %0 to %256 step %64 {
          %at = arith.addi %k, %l : index
          %sx = tile.acquire %cx : !token_ring -> !token_tile
          tile.copy %x[%j, %at] to %sx : !tokens to !token_tile
          tile.commit %cx : !token_ring
        }
      }
    }
  }

  tile.role "multiply" warps $(warps) registers $(registers) {
    %nothing = arith.constant dense<0.0> : !sums
    tile.schedule (%i, %j) in (%rows by $(m), %tokens by $(n)) grouped $(group) {
      %total = scf.for %k = %0 to %columns step %256 iter_args(%sum = %nothing) -> (!sums) {
        %sw = tile.wait %cw : !weight_ring -> !packed
        %a0 = tile.unpack %sw[%0] : !packed -> !part
        %x0 = tile.wait %cx : !token_ring -> !token_tile
        %p0 = tile.mma %a0, %x0, %sum {transpose_b} : !part, !token_tile, !sums -> !sum
        %a1 = tile.unpack %sw[%64] : !packed -> !part
        %x1 = tile.wait %cx : !token_ring -> !token_tile
        %p1 = tile.mma %a1, %x1, %p0 {transpose_b} : !part, !token_tile -> !sum
        tile.mma_wait 1
        tile.release %cx : !token_ring
        %a2 = tile.unpack %sw[%128] : !packed -> !part
        %x2 = tile.wait %cx : !token_ring -> !token_tile
        %p2 = tile.mma %a2, %x2, %p1 {transpose_b} : !part, !token_tile -> !sum
        tile.mma_wait 1
        tile.release %cx : !token_ring
        %a3 = tile.unpack %sw[%192] : !packed -> !part
        tile.release %cw : !weight_ring
        %x3 = tile.wait %cx : !token_ring -> !token_tile
        %p3 = tile.mma %a3, %x3, %p2 {transpose_b} : !part, !token_tile -> !sum
        tile.mma_wait 1
        tile.release %cx : !token_ring
        %next = tile.mma_wait 0 for %p3 : !sum
        tile.release %cx : !token_ring
        scf.yield %next : !sums
      }
      %scale = tile.read %s[%0, %j] : !matrix -> !sums
      $(read)
      %scaled = tile.map (%v = %total, %b = %scale$(and_addend)) : !sums, !sums$(and_sums) -> !sums {
        %z = arith.mulf %v, %b : f32
        $(result)
      }
      tile.store %scaled to %y[%j, %i] {transposed} : !sums to !matrix
    }
  }
}
