// O = softmax(scale Q K^T + mask) V, the keys gone through in blocks (FlashAttention-3: J. Shah et al., 2024): the largest
// score and the sum of a block rescale what the blocks before it have left.
//
// Rows of Q and O are queries, of K and V keys, of all sequences one behind the other; columns are heads. A row of %work
// is a tile of queries: its first query, where its sequence's queries end, the first key that any of its queries sees,
// where these end, and the key at which its first query stands. A tile sees at least one key. Keys and values may be
// columns of one matrix. A sink is one more score of its head, which no value belongs to: all that it does is to make the
// sum larger, in the end. Where its weight is more than 2^126 times the largest one (2^114 of f16), a key's share is below
// float32's normal numbers and may become zero; so it does where the sink's weight is infinite.
//
// Weights of f16 are 2^12 times as large, up to 4096, which the last quotient takes back: so those from 2^-26 of the
// largest on are normal numbers. Subnormal ones have fewer digits, and gfx90a's MFMA takes them as zeros.
//
// One role copies; the other issues the scores of the next block before it computes the softmax of this one, so that the
// product with V, whose first operand never leaves registers, runs under the exponentials.
!matrix = memref<?x?x$(element)>
!result = memref<?x?x$(result)>
!table = memref<?x?xi32>
!queries = memref<$(m)x$(d)x$(element), 3>
!keys = memref<$(n)x$(d)x$(element), 3>
!query_ring = !tile.channel<1 x memref<$(m)x$(d)x$(element), 3>>
!ring = !tile.channel<$(stages) x memref<$(n)x$(d)x$(element), 3>>
!score_sum = !tile.accumulator<$(m)x$(n)xf32>
!scores = vector<$(m)x$(n)xf32>
!weights = vector<$(m)x$(n)x$(element)>
!output_sum = !tile.accumulator<$(m)x$(d)xf32>
!output = vector<$(m)x$(d)xf32>
!rows = vector<$(m)x1xf32>
!sums = vector<$(m)x8xf32>

tile.kernel @attention(%q: !matrix, %k: !matrix, %v: !matrix, %work: !table, $(sinks)%o: !result)$(attributes) {
  %0 = arith.constant 0 : index
  %1 = arith.constant 1 : index
  %step = arith.constant $(n) : index
  %width = arith.constant $(d) : index
  %from = arith.constant $(from) : index
  %below = arith.constant $(below) : index
  %tiles = memref.dim %work, %0 : !table
  %columns = memref.dim %q, %1 : !matrix
  %key_columns = memref.dim %k, %1 : !matrix
  %values = arith.constant $(first_value) : index
  %group = $(heads_of_a_key)
  %cq = tile.channel : !query_ring
  %ck = tile.channel : !ring
  %cv = tile.channel : !ring
  tile.role "load" warps 4 registers $(load_registers) {
    tile.schedule (%tile, %column) in (%tiles by 1, %columns by $(d)) grouped $(group) {
      %i, %end, %first, %last = tile.entry %work[%tile] : !table -> index, index, index, index
      %head = arith.divui %column, %width : index
      %key_head = arith.divui %head, %group : index
      %key_column = arith.muli %key_head, %width : index
      %value_column = arith.addi %key_column, %values : index
      %sq = tile.acquire %cq : !query_ring -> !queries
      tile.copy %q[%i, %column] to %sq : !matrix to !queries
      tile.commit %cq : !query_ring
      scf.for %j = %first to %last step %step {
        %sk = tile.acquire %ck : !ring -> !keys
        tile.copy %k[%j, %key_column] to %sk : !matrix to !keys
        tile.commit %ck : !ring
        %sv = tile.acquire %cv : !ring -> !keys
        tile.copy %v[%j, %value_column] to %sv : !matrix to !keys
        tile.commit %cv : !ring
      }
    }
  }

  tile.role "attend" warps $(warps) registers $(registers) {
    %zero = arith.constant 0.0 : f32
    %one = arith.constant 1.0 : f32
    %scale = arith.constant $(scale) : f32
    %minus_scale = arith.negf %scale : f32
    // Below every score: so a row of which nothing is seen yet has a finite maximum, and weights of zero.
    %floor = arith.constant dense<-1.0e30> : !rows
    %empty = arith.constant dense<0.0> : !output
    tile.schedule (%tile, %column) in (%tiles by 1, %columns by $(d)) grouped $(group) {
      %i, %end, %first, %last, %key = tile.entry %work[%tile] : !table -> index, index, index, index, index
      %sq = tile.wait %cq : !query_ring -> !queries
      %sk0 = tile.wait %ck : !ring -> !keys
      %qk0 = tile.mma %sq, %sk0 {transpose_b} : !queries, !keys -> !score_sum
      %s0 = tile.mma_wait 0 for %qk0 : !score_sum
      tile.release %ck : !ring
      %capped0 = tile.map (%x = %s0) : !scores -> !scores { $(cap) }
      %seen0 = tile.mask %capped0 at [%key, %first] columns %last $(band) : !scores
      %max0 = tile.reduce maxnumf %seen0, %floor : !scores
      %base0 = tile.map (%x = %max0) : !rows -> !rows { $(base) tile.yield %z : f32 }
      %e0 = tile.map (%x = %seen0, %base = %base0) : !scores, !rows -> !scores {
        %y = math.fma %x, %scale, %base : f32
        %z = math.exp2 %y : f32
        tile.yield %z : f32
      }
      %sum0 = tile.reduce addf %e0 into 8 : !scores
      %p0 = tile.convert %e0 : !scores to !weights
      $(read_sink)
      %second = arith.addi %first, %step : index
      %r:5 = scf.for %j = %second to %last step %step iter_args(%out = %empty, %p = %p0, %max = %max0, %base = %base0,
          %sum = %sum0) -> (!output, !weights, !rows, !rows, !sums) {
        %sk = tile.wait %ck : !ring -> !keys
        tile.enter_turn
        %qk = tile.mma %sq, %sk {transpose_b} : !queries, !keys -> !score_sum
        %sv = tile.wait %cv : !ring -> !keys
        %pv = tile.mma %p, %sv, %out : !weights, !keys, !output -> !output_sum
        tile.leave_turn
        %s = tile.mma_wait 1 for %qk : !score_sum
        tile.release %ck : !ring
        %capped = tile.map (%x = %s) : !scores -> !scores { $(cap) }
        %seen = tile.mask %capped at [%key, %j] columns %last $(band) : !scores
        %max1 = tile.reduce maxnumf %seen, %max : !scores
        %base1 = tile.map (%x = %max1) : !rows -> !rows { $(base) tile.yield %z : f32 }
        %e = tile.map (%x = %seen, %y = %base1) : !scores, !rows -> !scores {
          %z = math.fma %x, %scale, %y : f32
          %w = math.exp2 %z : f32
          tile.yield %w : f32
        }
        %ratio = tile.map (%x = %base1, %y = %base) : !rows, !rows -> !rows {
          %difference = arith.subf %x, %y : f32
          %z = math.exp2 %difference : f32
          tile.yield %z : f32
        }
        %kept = tile.map (%x = %sum, %y = %ratio) : !sums, !rows -> !sums {
          %z = arith.mulf %x, %y : f32
          tile.yield %z : f32
        }
        %sum1 = tile.reduce addf %e, %kept into 8 : !scores
        %o1 = tile.mma_wait 0 after %sum1 : !sums for %pv : !output_sum
        tile.release %cv : !ring
        %out1 = tile.map (%x = %o1, %y = %ratio) : !output, !rows -> !output {
          %z = arith.mulf %x, %y : f32
          tile.yield %z : f32
        }
        %p1 = tile.convert %e : !scores to !weights
        scf.yield %out1, %p1, %max1, %base1, %sum1 : !output, !weights, !rows, !rows, !sums
      }
      tile.release %cq : !query_ring
      %sv = tile.wait %cv : !ring -> !keys
      %pv = tile.mma %r#1, %sv, %r#0 : !weights, !keys, !output -> !output_sum
      %o1 = tile.mma_wait 0 for %pv : !output_sum
      tile.release %cv : !ring
      %seen_sum = tile.reduce addf %r#4 : !sums
      %total = tile.map (%l = %seen_sum, %y = %r#3$(and_sink)) : !rows, !rows$(and_number) -> !rows { $(add_sink) }
      %value = tile.map (%x = %o1, %l = %total) : !output, !rows -> !output {
        %some = arith.cmpf olt, %zero, %l : f32 // a query that sees nothing has nothing
        %y = arith.divf %one, %l : f32
        %share = arith.select %some, %y, %zero : f32
        %z = arith.mulf %x, %share : f32
        tile.yield %z : f32
      }
      tile.store %value to %o[%i, %column] rows %end : !output to !result
    }
  }
}
