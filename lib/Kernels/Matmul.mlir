// C[M, N] = A[M, K] B[K, N], or with B [N, K] its transposition; sums in float32 (of fp8 what wgmma keeps of it), those of int8
// in int32.
//
// One role copies tiles of A and B from global memory into a ring of slots, the other multiplies them. A slot is free when the
// product that reads it is computed, and that is waited for one product later: the matrix unit always has the next to go on with.
!matrix = memref<?x?x$(element)>
!result = memref<?x?x$(result)>
!tile_a = memref<$(m)x$(k)x$(element), 3>
!tile_b = memref<$(b_tile)x$(element), 3>
!ring = !tile.channel<$(stages) x memref<$(m)x$(k)x$(element), 3>, memref<$(b_tile)x$(element), 3>>
!sum = !tile.accumulator<$(m)x$(n)x$(sum)>

tile.kernel @matmul(%a: !matrix, %b: !matrix, %c: !result)$(attributes) {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %step = arith.constant $(k) : index
  %m = memref.dim %c, %zero : !result
  %n = memref.dim %c, %one : !result
  %k = memref.dim %a, %one : !matrix
  %ab = tile.channel : !ring

  tile.role "load" warps 4 registers $(load_registers) {
    tile.schedule (%i, %j) in (%m by $(m), %n by $(n)) grouped $(group) {
      scf.for %l = %zero to %k step %step {
        %s:2 = tile.acquire %ab : !ring -> !tile_a, !tile_b
        tile.copy %a[%i, %l] to %s#0 : !matrix to !tile_a
        tile.copy %b[$(b_place)] to %s#1 : !matrix to !tile_b
        tile.commit %ab : !ring
      }
    }
  }

  tile.role "multiply" warps $(warps) registers $(registers) {
    tile.schedule (%i, %j) in (%m by $(m), %n by $(n)) grouped $(group) {
      %s:2 = tile.wait %ab : !ring -> !tile_a, !tile_b
      %first = tile.mma %s#0, %s#1$(transpose_b) : !tile_a, !tile_b -> !sum
      %last = scf.for %l = %step to %k step %step iter_args(%sum = %first) -> (!sum) {
        %t:2 = tile.wait %ab : !ring -> !tile_a, !tile_b
        %next = tile.mma %t#0, %t#1, %sum$(transpose_b) : !tile_a, !tile_b -> !sum
        tile.mma_wait 1
        tile.release %ab : !ring
        scf.yield %next : !sum
      }
      %value = tile.mma_wait 0 for %last : !sum
      tile.release %ab : !ring
      tile.store %value to %c[%i, %j] : vector<$(m)x$(n)x$(sum)> to !result
    }
  }
}
