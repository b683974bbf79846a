// RUN: stepdown-opt %s -split-input-file -verify-diagnostics

!tile = memref<64x64xbf16, 3>
!ring = !tile.channel<2 x memref<64x64xbf16, 3>>
!sum = !tile.accumulator<64x64xf32>

// What the next ones break, in one piece.
tile.kernel @kept(%x: memref<?x?xbf16>, %n: index, %y: memref<?x?xbf16>) {
  %0 = arith.constant 0 : index
  %1 = arith.constant 1 : index
  %r = tile.channel : !ring
  tile.role "load" warps 4 registers 40 {
    scf.for %i = %0 to %n step %1 {
      %s = tile.acquire %r : !ring -> !tile
      tile.copy %x[%i, %0] to %s : memref<?x?xbf16> to !tile
      tile.commit %r : !ring
    }
  }
  tile.role "multiply" warps 4 registers 96 {
    %s = tile.wait %r : !ring -> !tile
    %first = tile.mma %s, %s : !tile, !tile -> !sum
    %last = scf.for %i = %1 to %n step %1 iter_args(%c = %first) -> (!sum) {
      %t = tile.wait %r : !ring -> !tile
      %d = tile.mma %t, %t, %c : !tile, !tile -> !sum
      tile.mma_wait 1
      tile.release %r : !ring
      scf.yield %d : !sum
    }
    %v = tile.mma_wait 0 for %last : !sum
    tile.release %r : !ring
    tile.store %v to %y[%0, %0] : vector<64x64xf32> to memref<?x?xbf16>
  }
}

// -----

// C4
!ring = !tile.channel<2 x memref<64x64xbf16, 3>>
tile.kernel @nobody_fills() {
  // expected-error @+1 {{expects one role that acquires it (C4 of tile.kernel), but got 0}}
  %r = tile.channel : !ring
}

// -----

// C4
!tile = memref<64x64xbf16, 3>
!ring = !tile.channel<2 x memref<64x64xbf16, 3>>
tile.kernel @waits_for_itself(%x: memref<?x?xbf16>, %i: index) {
  // expected-error @+1 {{expects another role that waits for it (C4 of tile.kernel), but the one that acquires it does}}
  %r = tile.channel : !ring
  tile.role "both" warps 4 registers 40 {
    %s = tile.acquire %r : !ring -> !tile
    tile.copy %x[%i, %i] to %s : memref<?x?xbf16> to !tile
    tile.commit %r : !ring
    %t = tile.wait %r : !ring -> !tile
    tile.release %r : !ring
  }
}

// -----

// C5
!tile = memref<64x64xbf16, 3>
!ring = !tile.channel<2 x memref<64x64xbf16, 3>>
tile.kernel @never_committed(%x: memref<?x?xbf16>, %i: index) {
  %r = tile.channel : !ring
  // expected-error @+1 {{expects all slots committed or released, and all products waited for, at its end (C5 of tile.kernel), but 1 acquired, 0 waited for and 0 in flight are left}}
  tile.role "load" warps 4 registers 40 {
    %s = tile.acquire %r : !ring -> !tile
    tile.copy %x[%i, %i] to %s : memref<?x?xbf16> to !tile
  }
  tile.role "read" warps 4 registers 40 {
    %t = tile.wait %r : !ring -> !tile
    tile.release %r : !ring
  }
}

// -----

// C5
!tile = memref<64x64xbf16, 3>
!ring = !tile.channel<2 x memref<64x64xbf16, 3>>
tile.kernel @committed_empty() {
  %r = tile.channel : !ring
  tile.role "load" warps 4 registers 40 {
    %s = tile.acquire %r : !ring -> !tile
    // expected-error @+1 {{expects a copy into each tile of the slot (C5 of tile.kernel), but tile 0 has none}}
    tile.commit %r : !ring
  }
  tile.role "read" warps 4 registers 40 {
    %t = tile.wait %r : !ring -> !tile
    tile.release %r : !ring
  }
}

// -----

// C5
!tile = memref<64x64xbf16, 3>
!ring = !tile.channel<2 x memref<64x64xbf16, 3>>
tile.kernel @written_twice(%x: memref<?x?xbf16>, %i: index) {
  %r = tile.channel : !ring
  tile.role "load" warps 4 registers 40 {
    %s = tile.acquire %r : !ring -> !tile
    tile.copy %x[%i, %i] to %s : memref<?x?xbf16> to !tile
    // expected-error @+1 {{expects one copy into each tile of a slot (C5 of tile.kernel), but this one is written already}}
    tile.copy %x[%i, %i] to %s : memref<?x?xbf16> to !tile
    tile.commit %r : !ring
  }
  tile.role "read" warps 4 registers 40 {
    %t = tile.wait %r : !ring -> !tile
    tile.release %r : !ring
  }
}

// -----

// C5
!tile = memref<64x64xbf16, 3>
!ring = !tile.channel<2 x memref<64x64xbf16, 3>>
tile.kernel @written_after_commit(%x: memref<?x?xbf16>, %i: index) {
  %r = tile.channel : !ring
  tile.role "load" warps 4 registers 40 {
    %s = tile.acquire %r : !ring -> !tile
    tile.copy %x[%i, %i] to %s : memref<?x?xbf16> to !tile
    tile.commit %r : !ring
    // expected-error @+1 {{expects to write a tile of a slot that is acquired (C5 of tile.kernel), but it is not}}
    tile.copy %x[%i, %i] to %s : memref<?x?xbf16> to !tile
  }
  tile.role "read" warps 4 registers 40 {
    %t = tile.wait %r : !ring -> !tile
    tile.release %r : !ring
  }
}

// -----

// C5
!tile = memref<64x64xbf16, 3>
!ring = !tile.channel<2 x memref<64x64xbf16, 3>>
tile.kernel @committed_on_one_path(%x: memref<?x?xbf16>, %i: index, %p: i1) {
  %r = tile.channel : !ring
  tile.role "load" warps 4 registers 40 {
    %s = tile.acquire %r : !ring -> !tile
    tile.copy %x[%i, %i] to %s : memref<?x?xbf16> to !tile
    scf.if %p {
      // expected-error @+1 {{expects to commit a slot in the block that acquired it (C5 of tile.kernel), but that is another}}
      tile.commit %r : !ring
    }
  }
  tile.role "read" warps 4 registers 40 {
    %t = tile.wait %r : !ring -> !tile
    tile.release %r : !ring
  }
}

// -----

// C5
!tile = memref<64x64xbf16, 3>
!ring = !tile.channel<2 x memref<64x64xbf16, 3>>
tile.kernel @released_on_one_path(%x: memref<?x?xbf16>, %i: index, %p: i1) {
  %r = tile.channel : !ring
  tile.role "load" warps 4 registers 40 {
    %s = tile.acquire %r : !ring -> !tile
    tile.copy %x[%i, %i] to %s : memref<?x?xbf16> to !tile
    tile.commit %r : !ring
  }
  tile.role "read" warps 4 registers 40 {
    %t = tile.wait %r : !ring -> !tile
    // expected-error @+1 {{expects both branches to leave the same (C5 of tile.kernel), but 0 acquired, 0 waited for and 0 in flight are left behind one, and 0 acquired, 1 waited for and 0 in flight are left behind the other}}
    scf.if %p {
      tile.release %r : !ring
    }
  }
}

// -----

// C5
!tile = memref<64x64xbf16, 3>
!ring = !tile.channel<2 x memref<64x64xbf16, 3>>
tile.kernel @never_released_in_a_loop(%x: memref<?x?xbf16>, %i: index, %n: index) {
  %r = tile.channel : !ring
  tile.role "load" warps 4 registers 40 {
    scf.for %l = %i to %n step %n {
      %s = tile.acquire %r : !ring -> !tile
      tile.copy %x[%i, %i] to %s : memref<?x?xbf16> to !tile
      tile.commit %r : !ring
    }
  }
  tile.role "read" warps 4 registers 40 {
    // expected-error @+1 {{expects a loop that leaves as many slots held and products in flight as it found, 0 acquired, 0 waited for and 0 in flight are left (C5 of tile.kernel), but 0 acquired, 1 waited for and 0 in flight are left}}
    scf.for %l = %i to %n step %n {
      %t = tile.wait %r : !ring -> !tile
    }
  }
}

// -----

// C5
!tile = memref<64x64xbf16, 3>
!ring = !tile.channel<2 x memref<64x64xbf16, 3>>
tile.kernel @more_held_than_there_are(%x: memref<?x?xbf16>, %i: index) {
  %r = tile.channel : !ring
  tile.role "load" warps 4 registers 40 {
    %s = tile.acquire %r : !ring -> !tile
    tile.copy %x[%i, %i] to %s : memref<?x?xbf16> to !tile
    tile.commit %r : !ring
  }
  tile.role "read" warps 4 registers 40 {
    %t = tile.wait %r : !ring -> !tile
    %u = tile.wait %r : !ring -> !tile
    // expected-error @+1 {{expects fewer than 2 slots held, or none would ever come (C5 of tile.kernel), but 2 are not yet released}}
    %v = tile.wait %r : !ring -> !tile
  }
}

// -----

// C5
!tile = memref<64x64xbf16, 3>
!ring = !tile.channel<2 x memref<64x64xbf16, 3>>
tile.kernel @released_without_wait(%x: memref<?x?xbf16>, %i: index) {
  %r = tile.channel : !ring
  tile.role "load" warps 4 registers 40 {
    %s = tile.acquire %r : !ring -> !tile
    tile.copy %x[%i, %i] to %s : memref<?x?xbf16> to !tile
    tile.commit %r : !ring
  }
  tile.role "read" warps 4 registers 40 {
    %t = tile.wait %r : !ring -> !tile
    tile.release %r : !ring
    // expected-error @+1 {{expects a slot that was waited for (C5 of tile.kernel), but none is held}}
    tile.release %r : !ring
  }
}

// -----

// C5
!tile = memref<64x64xbf16, 3>
!ring = !tile.channel<2 x memref<64x64xbf16, 3>>
!sum = !tile.accumulator<64x64xf32>
tile.kernel @released_while_read(%x: memref<?x?xbf16>, %i: index) {
  %r = tile.channel : !ring
  tile.role "load" warps 4 registers 40 {
    %s = tile.acquire %r : !ring -> !tile
    tile.copy %x[%i, %i] to %s : memref<?x?xbf16> to !tile
    tile.commit %r : !ring
  }
  tile.role "read" warps 4 registers 96 {
    %t = tile.wait %r : !ring -> !tile
    %c = tile.mma %t, %t : !tile, !tile -> !sum
    tile.mma_wait 1
    // expected-error @+1 {{expects that no product in flight reads the slot (C5 of tile.kernel), but no tile.mma_wait stands between}}
    tile.release %r : !ring
  }
}

// -----

// C5
!tile = memref<64x64xbf16, 3>
!ring = !tile.channel<2 x memref<64x64xbf16, 3>>
!sum = !tile.accumulator<64x64xf32>
tile.kernel @read_after_release(%x: memref<?x?xbf16>, %i: index) {
  %r = tile.channel : !ring
  tile.role "load" warps 4 registers 40 {
    %s = tile.acquire %r : !ring -> !tile
    tile.copy %x[%i, %i] to %s : memref<?x?xbf16> to !tile
    tile.commit %r : !ring
  }
  tile.role "read" warps 4 registers 96 {
    %t = tile.wait %r : !ring -> !tile
    tile.release %r : !ring
    // expected-error @+1 {{expects to read tiles of slots that were waited for and are not released (C5 of tile.kernel), but one is not}}
    %c = tile.mma %t, %t : !tile, !tile -> !sum
  }
}

// -----

// C5
!tile = memref<64x64xbf16, 3>
!ring = !tile.channel<2 x memref<64x64xbf16, 3>>
!sum = !tile.accumulator<64x64xf32>
tile.kernel @taken_in_flight(%x: memref<?x?xbf16>, %i: index) {
  %r = tile.channel : !ring
  tile.role "load" warps 4 registers 40 {
    %s = tile.acquire %r : !ring -> !tile
    tile.copy %x[%i, %i] to %s : memref<?x?xbf16> to !tile
    tile.commit %r : !ring
  }
  tile.role "read" warps 4 registers 96 {
    %t = tile.wait %r : !ring -> !tile
    %c = tile.mma %t, %t : !tile, !tile -> !sum
    // expected-error @+1 {{expects to take sums of which no product is in flight (C5 of tile.kernel), but that of one is among the last 1}}
    %v = tile.mma_wait 1 for %c : !sum
  }
}

// -----

// C5: registers that a product reads
!tile = memref<64x64xbf16, 3>
!ring = !tile.channel<1 x memref<64x64xbf16, 3>>
tile.kernel @touched(%x: memref<?x?xbf16>, %i: index, %y: memref<?x?xbf16>) {
  %r = tile.channel : !ring
  tile.role "load" warps 4 registers 40 {
    %s = tile.acquire %r : !ring -> !tile
    tile.copy %x[%i, %i] to %s : memref<?x?xbf16> to !tile
    tile.commit %r : !ring
  }
  tile.role "multiply" warps 4 registers 96 {
    %e = arith.constant dense<1.0> : vector<64x64xf32>
    %p = tile.convert %e : vector<64x64xf32> to vector<64x64xbf16>
    %s = tile.wait %r : !ring -> !tile
    %c = tile.mma %p, %s : vector<64x64xbf16>, !tile -> !tile.accumulator<64x64xf32>
    %d = tile.mma %p, %s : vector<64x64xbf16>, !tile -> !tile.accumulator<64x64xf32>
    // expected-error @+1 {{expects no use of registers that a product in flight reads (C5 of tile.kernel), but no tile.mma_wait stands between}}
    tile.store %p to %y[%i, %i] : vector<64x64xbf16> to memref<?x?xbf16>
    tile.mma_wait 0
    tile.release %r : !ring
  }
}

// -----

// C5: a loop's next turn would touch them
!tile = memref<64x64xbf16, 3>
!ring = !tile.channel<1 x memref<64x64xbf16, 3>>
tile.kernel @carried(%x: memref<?x?xbf16>, %i: index) {
  %r = tile.channel : !ring
  tile.role "load" warps 4 registers 40 {
    %s = tile.acquire %r : !ring -> !tile
    tile.copy %x[%i, %i] to %s : memref<?x?xbf16> to !tile
    tile.commit %r : !ring
  }
  tile.role "multiply" warps 4 registers 96 {
    %e = arith.constant dense<1.0> : vector<64x64xf32>
    %p = tile.convert %e : vector<64x64xf32> to vector<64x64xbf16>
    %s = tile.wait %r : !ring -> !tile
    %l = scf.for %j = %i to %i step %i iter_args(%q = %p) -> (vector<64x64xbf16>) {
      %c = tile.mma %q, %s : vector<64x64xbf16>, !tile -> !tile.accumulator<64x64xf32>
      // expected-error @+1 {{expects no use of registers that a product in flight reads (C5 of tile.kernel)}}
      scf.yield %q : vector<64x64xbf16>
    }
    tile.mma_wait 0
    tile.release %r : !ring
  }
}

// -----

// C5: turns
tile.kernel @left_before_entered() {
  tile.role "take_turns" warps 8 registers 40 {
    // expected-error @+1 {{expects turns that are entered and left in order (C5 of tile.kernel), but none is entered}}
    tile.leave_turn
  }
}

// -----

tile.kernel @entered_twice() {
  tile.role "take_turns" warps 8 registers 40 {
    tile.enter_turn
    // expected-error @+1 {{expects turns that are entered and left in order (C5 of tile.kernel), but one is not left}}
    tile.enter_turn
  }
}

// -----

tile.kernel @never_left() {
  // expected-error @+1 {{expects a turn to be left in the block that entered it (C5 of tile.kernel), but it is not}}
  tile.role "take_turns" warps 8 registers 40 {
    tile.enter_turn
  }
}

// -----

tile.kernel @loop_in_a_turn(%i: index) {
  tile.role "take_turns" warps 8 registers 40 {
    tile.enter_turn
    // expected-error @+1 {{expects a turn without loops and branches (C5 of tile.kernel), but here is one}}
    scf.for %j = %i to %i step %i {
    }
    tile.leave_turn
  }
}

// -----

!tile = memref<64x64xbf16, 3>
!ring = !tile.channel<1 x memref<64x64xbf16, 3>>
tile.kernel @release_in_a_turn(%x: memref<?x?xbf16>, %i: index) {
  %r = tile.channel : !ring
  tile.role "load" warps 4 registers 40 {
    %s = tile.acquire %r : !ring -> !tile
    tile.copy %x[%i, %i] to %s : memref<?x?xbf16> to !tile
    tile.commit %r : !ring
  }
  tile.role "take_turns" warps 8 registers 40 {
    tile.enter_turn
    %s = tile.wait %r : !ring -> !tile
    // expected-error @+1 {{expects no release in a turn (C5 of tile.kernel), but tile.leave_turn stands behind it}}
    tile.release %r : !ring
    tile.leave_turn
  }
}

// -----

// C5
!packed = memref<4x2x!transformer.block<q4_0, rows = 16>, 3>
!ring = !tile.channel<2 x memref<4x2x!transformer.block<q4_0, rows = 16>, 3>>
!weight = memref<?x?x!transformer.block<q4_0, rows = 16>>
tile.kernel @unpacked_behind_its_release(%w: !weight, %i: index) {
  %r = tile.channel : !ring
  tile.role "load" warps 4 registers 40 {
    %s = tile.acquire %r : !ring -> !packed
    tile.copy %w[%i, %i] to %s : !weight to !packed
    tile.commit %r : !ring
  }
  tile.role "take" warps 4 registers 40 {
    %s = tile.wait %r : !ring -> !packed
    tile.release %r : !ring
    // expected-error @+1 {{expects to read a tile of a slot that was waited for and is not released (C5 of tile.kernel), but it is not}}
    %a = tile.unpack %s[%i] : !packed -> vector<64x64xf16>
  }
}
