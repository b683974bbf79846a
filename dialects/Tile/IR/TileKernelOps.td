// Operations of GPU kernels: roles that hand tiles through channels, and feed matrix units.
#ifndef STEPDOWN_TILE_KERNEL_OPS_TD
#define STEPDOWN_TILE_KERNEL_OPS_TD
include "dialects/Tile/IR/TileRegisterOps.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/FunctionInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"

def Tile_Tile : Type<CPred<"::stepdown::tile::isSharedTile($_self)">, "memref of static rank 2 in memory space 3", "::mlir::MemRefType">;
def Tile_Global : Type<CPred<"::stepdown::tile::isGlobalMatrix($_self)">, "memref of rank 2 in the default memory space",
                       "::mlir::MemRefType">;

def Tile_KernelOp : Op<Tile_Dialect, "kernel", [FunctionOpInterface, IsolatedFromAbove, SingleBlock, NoTerminator]> {
  let summary = "a GPU kernel: channels, and the roles between them";
  let description = [{
    A block of threads for each role's warps, in the order of the roles. Arguments are matrices in global memory, whose rows may
    lie apart (the launch knows how far), and numbers.

    Example:
    ```mlir
    tile.kernel @copy_rows(%x: memref<?x?xbf16>, %n: index) {
      %ring = tile.channel : !tile.channel<2 x memref<64x64xbf16, 3>>
      tile.role "load" warps 4 registers 40 {
        tile.schedule (%i, %j) in (%n by 64, %n by 64) grouped 1 {
          %s = tile.acquire %ring : !tile.channel<2 x memref<64x64xbf16, 3>> -> memref<64x64xbf16, 3>
          tile.copy %x[%i, %j] to %s : memref<?x?xbf16> to memref<64x64xbf16, 3>
          tile.commit %ring : !tile.channel<2 x memref<64x64xbf16, 3>>
        }
      }
      tile.role "take" warps 4 registers 40 {
        tile.schedule (%i, %j) in (%n by 64, %n by 64) grouped 1 {
          %s = tile.wait %ring : !tile.channel<2 x memref<64x64xbf16, 3>> -> memref<64x64xbf16, 3>
          tile.release %ring : !tile.channel<2 x memref<64x64xbf16, 3>>
        }
      }
    }
    ```

    C1: arguments are matrices and numbers, and there is no result.
    C2: the channels' slots take at most 232,448 bytes with their barriers, the shared memory of one block on sm_90.
    C3: the roles' registers, times their threads, are at most 65,536, or the kernel's `tile.register_file`; threads at most 1024.
    C4: one role acquires each channel, and another waits for it.
    C5: in each role, in every loop and on every path: each slot acquired is committed and each slot waited for is released, in
    order; no more are held than the channel is deep; a tile is written between acquire and commit and read between wait and
    release; a slot is released when no product in flight reads it; what leaves mma_wait is not in flight any more; nothing uses
    registers that a product in flight reads; a turn is left in the block that entered it, and no loop, branch or release stands
    in it: what it waits for must not wait for another's turn.
    C6: roles, channels and what computes sizes are all that stands outside of roles.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttrOf<FunctionType>:$function_type,
                       OptionalAttr<DictArrayAttr>:$arg_attrs, OptionalAttr<DictArrayAttr>:$res_attrs);
  let regions = (region SizedRegion<1>:$body);
  let hasCustomAssemblyFormat = 1;
  let hasRegionVerifier = 1;
  let extraClassDeclaration = [{
    ::llvm::ArrayRef<::mlir::Type> getArgumentTypes() { return getFunctionType().getInputs(); }
    ::llvm::ArrayRef<::mlir::Type> getResultTypes() { return getFunctionType().getResults(); }
    ::mlir::Region *getCallableRegion() { return &getBody(); }
  }];
}

def Tile_RoleOp : Op<Tile_Dialect, "role", [SingleBlock, NoTerminator, HasParent<"KernelOp">]> {
  let summary = "what some of a block's warps execute";
  let description = [{
    `warps` warps with `registers` registers a thread. All of them execute each operation together: rows of a vector are shared
    out between its warpgroups, and a role that only copies is one elected thread.

    Example:
    ```mlir
    tile.role "idle" warps 4 registers 24 {
    }
    ```

    C1: warps is a positive multiple of 4: warpgroups execute matrix products and give up registers as one.
    C2: registers is a multiple of 8 from 24 to 240.
    C3: the accumulators that an operation leaves in flight fit into the registers.
  }];
  let arguments = (ins StrAttr:$name, I64Attr:$warps, I64Attr:$registers);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "$name `warps` $warps `registers` $registers attr-dict-with-keyword $body";
  let hasVerifier = 1;
  let extraClassDeclaration = "int64_t getThreads() { return getWarps() * 32; }";
}

def Tile_ScheduleOp : Op<Tile_Dialect, "schedule", [SingleBlock, NoTerminator]> {
  let summary = "the loop over tiles of the result that a block computes";
  let description = [{
    For the tiles of rows i, i + h ... below `rows` and of columns j, j + w ... below `columns`; (%i, %j) is the first element of one.
    Blocks share tiles out: block b computes tiles b, b + (number of blocks) ... of an order in which `group` neighbouring tiles of
    rows come before the next tile of columns, so that what runs at a time reads few rows and columns. All schedules of a kernel go over the
    same tiles.

    Example:
    ```mlir
    tile.schedule (%i, %j) in (%m by 128, %n by 256) grouped 8 {
    }
    ```

    C1: heights, widths and groups are positive.
  }];
  let arguments = (ins Index:$rows, Index:$columns, I64Attr:$height, I64Attr:$width, I64Attr:$group);
  let regions = (region SizedRegion<1>:$body);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
}

def Tile_ChannelOp : Op<Tile_Dialect, "channel", [HasParent<"KernelOp">]> {
  let summary = "a ring of slots between roles";
  let description = [{
    The role that acquires and commits its slots produces, the roles that wait for and release them consume; each of these sees every
    slot.

    Example: `%ab = tile.channel : !tile.channel<4 x memref<128x64xbf16, 3>, memref<64x256xbf16, 3>>`
  }];
  let results = (outs Tile_ChannelType:$channel);
  let assemblyFormat = "attr-dict `:` type($channel)";
}

class Tile_SlotOp<string mnemonic> : Op<Tile_Dialect, mnemonic> {
  let arguments = (ins Tile_ChannelType:$channel);
}
class Tile_SlotViewOp<string mnemonic> : Tile_SlotOp<mnemonic> {
  let results = (outs Variadic<Tile_Tile>:$tiles);
  let assemblyFormat = "$channel attr-dict `:` type($channel) `->` type($tiles)";
  let hasVerifier = 1;
}

def Tile_AcquireOp : Tile_SlotViewOp<"acquire"> {
  let summary = "the next slot to fill, when all have released what it held";
  let description = [{
    Example: `%a = tile.acquire %ring : !tile.channel<2 x memref<64x64xbf16, 3>> -> memref<64x64xbf16, 3>`

    C1: the results are the tiles of the channel's slots.
    C2: the commit of the slot stands in the same block, and one copy into each of its tiles before it.
  }];
}

def Tile_CommitOp : Tile_SlotOp<"commit"> {
  let summary = "the slot acquired first is full when the copies into it have come";
  let description = "Example: `tile.commit %ring : !tile.channel<2 x memref<64x64xbf16, 3>>`";
  let assemblyFormat = "$channel attr-dict `:` type($channel)";
}

def Tile_WaitOp : Tile_SlotViewOp<"wait"> {
  let summary = "the next slot, when it is full";
  let description = [{
    Example: `%a = tile.wait %ring : !tile.channel<2 x memref<64x64xbf16, 3>> -> memref<64x64xbf16, 3>`

    C1: the results are the tiles of the channel's slots.
  }];
}

def Tile_ReleaseOp : Tile_SlotOp<"release"> {
  let summary = "the slot waited for first may be filled again";
  let description = "Example: `tile.release %ring : !tile.channel<2 x memref<64x64xbf16, 3>>`";
  let assemblyFormat = "$channel attr-dict `:` type($channel)";
}

def Tile_CopyOp : Op<Tile_Dialect, "copy"> {
  let summary = "a piece of a matrix in global memory into a tile of a slot, asynchronously";
  let description = [{
    to[r, c] = from[i + r, j + c], and zero where `from` ends.

    Example: `tile.copy %x[%i, %j] to %s : memref<?x?xbf16> to memref<64x64xbf16, 3>`

    C1: both have one element type.
  }];
  let arguments = (ins Tile_Global:$from, Index:$row, Index:$column, Tile_Tile:$to);
  let assemblyFormat = "$from `[` $row `,` $column `]` `to` $to attr-dict `:` type($from) `to` type($to)";
  let hasVerifier = 1;
}

def Tile_UnpackOp : Op<Tile_Dialect, "unpack"> {
  let summary = "some columns of a weight in registers, of the packed blocks of a tile in shared memory";
  let description = [{
    The tile holds blocks [tiles, blocks] of a weight, of so many rows and columns each as the block type says. result[r, c] is the
    weight of row r and column j + c of the whole, decoded as lib/Checkpoint/BlockFormat.h says, in binary16: with a few roundings
    of numbers no larger than the block's range. A product takes it from registers, where it is unpacked by the threads that
    hold it there.

    Example:
    ```mlir
    %a = tile.unpack %s[%j] : memref<4x8x!transformer.block<q4_0, rows = 16>, 3> -> vector<64x64xf16>
    ```

    C1: the tile's elements are blocks of a quantised storage type.
    C2: the result has the tile's rows, whole 32 columns, no more than the tile has, and elements of f16. (j is a multiple of its
    columns: this is not checked.)
  }];
  let arguments = (ins Tile_Tile:$tile, Index:$column);
  let results = (outs Tile_Registers:$result);
  let assemblyFormat = "$tile `[` $column `]` attr-dict `:` type($tile) `->` type($result)";
  let hasVerifier = 1;
}

def Tile_MmaOp : Op<Tile_Dialect, "mma"> {
  let summary = "issue a product of two tiles";
  let description = [{
    acc[m, n] + sum_k a[m, k] b[k, n] for a [M, K], b [K, N] or with `transpose_b` [N, K], in acc's element type. Without acc the sum
    begins with zero. The product is issued, and computed when `tile.mma_wait` says so.

    a may be a tile in registers, and acc the vector that an earlier sum became.

    Example:
    ```mlir
    %c = tile.mma %a, %b : memref<128x64xbf16, 3>, memref<64x256xbf16, 3> -> !tile.accumulator<128x256xf32>
    %d = tile.mma %a, %b, %c : memref<128x64xbf16, 3>, memref<64x256xbf16, 3> -> !tile.accumulator<128x256xf32>
    %e = tile.mma %p, %b, %v : vector<128x64xbf16>, memref<64x256xbf16, 3>, vector<128x256xf32> -> !tile.accumulator<128x256xf32>
    ```

    C1: a, b and the sum have fitting sizes, a and b one element type, and acc has the type of the result, or is its vector.
    C2: acc is used by nothing else: a product adds to it in place.
  }];
  let arguments = (ins AnyTypeOf<[Tile_Tile, Tile_Registers]>:$a, Tile_Tile:$b,
                       Optional<AnyTypeOf<[Tile_AccumulatorType, Tile_Registers]>>:$acc, UnitAttr:$transpose_b);
  let results = (outs Tile_AccumulatorType:$result);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    ::mlir::ShapedType getShapeOfA() { return ::llvm::cast<::mlir::ShapedType>(getA().getType()); }
    /// Whether a is in registers.
    bool takesRegisters() { return ::llvm::isa<::mlir::VectorType>(getA().getType()); }
  }];
}

def Tile_MmaWaitOp : Op<Tile_Dialect, "mma_wait", [DeclareOpInterfaceMethods<InferTypeOpInterface>, AttrSizedOperandSegments]> {
  let summary = "wait until all but the last `pending` products are computed";
  let description = [{
    The sums that it takes are vectors from there on. What tiles stand behind `after` is computed before the wait begins, under the
    products that it waits for: an assembler that knows no better would wait first.

    Example:
    ```mlir
    tile.mma_wait 1
    %c = tile.mma_wait 0 for %d : !tile.accumulator<128x256xf32>
    %f = tile.mma_wait 0 after %x : vector<128x8xf32> for %e : !tile.accumulator<128x256xf32>
    ```

    C1: pending is not negative.
  }];
  let arguments = (ins I64Attr:$pending, Variadic<Tile_Registers>:$after, Variadic<Tile_AccumulatorType>:$sums);
  let results = (outs Variadic<Tile_Registers>:$vectors);
  let assemblyFormat = "$pending (`after` $after^ `:` type($after))? (`for` $sums^ `:` type($sums))? attr-dict";
  let hasVerifier = 1;
}

def Tile_EnterTurnOp : Op<Tile_Dialect, "enter_turn"> {
  let summary = "wait for the warpgroup's turn";
  let description = [{
    Between it and `tile.leave_turn` is one warpgroup of the role at a time, in their order, round and round. So one issues its
    products while another computes in registers. Where a role has one warpgroup nothing is waited for.

    Example: `tile.enter_turn`
  }];
  let assemblyFormat = "attr-dict";
}

def Tile_LeaveTurnOp : Op<Tile_Dialect, "leave_turn"> {
  let summary = "it is the next warpgroup's turn";
  let description = "Example: `tile.leave_turn`";
  let assemblyFormat = "attr-dict";
}

def Tile_StoreOp : Op<Tile_Dialect, "store"> {
  let summary = "a vector into a piece of a matrix in global memory";
  let description = [{
    to[i + r, j + c] = value[r, c] where `to` has such an element, and i + r is below `rows` where that is given; rounded to the
    nearest, ties to even, where `to` is narrower. With `transposed` to[i + c, j + r] = value[r, c].

    Example:
    ```mlir
    tile.store %v to %c[%i, %j] : vector<128x256xf32> to memref<?x?xf32>
    tile.store %v to %c[%i, %j] rows %end : vector<128x256xf32> to memref<?x?xf32>
    tile.store %v to %c[%j, %i] {transposed} : vector<128x256xf32> to memref<?x?xf32>
    ```

    C1: both have one element type, or `to` a narrower float.
    C2: what is transposed has no `rows`.
  }];
  let arguments = (ins Tile_Registers:$value, Tile_Global:$to, Index:$row, Index:$column, Optional<Index>:$rows,
                       UnitAttr:$transposed);
  let assemblyFormat = [{
    $value `to` $to `[` $row `,` $column `]` (`rows` $rows^)? attr-dict `:` type($value) `to` type($to)
  }];
  let hasVerifier = 1;
}

def Tile_ReadOp : Op<Tile_Dialect, "read"> {
  let summary = "a piece of a matrix in global memory into registers";
  let description = [{
    value[r, c] = from[min(i + r, rows - 1), min(j + c, columns - 1)], as float32 where `from` is narrower. So a matrix of one row is
    a row for all of them, and what lies outside is a number that a store leaves out. It is read where a map uses it.
    `transposed`: value[r, c] is what stands so in from[i + c, j + r], where a transposed store puts it; what lies outside is
    that of the last row or column, or 0.

    Example:
    ```mlir
    %y = tile.read %bias[%i, %j] : memref<?x?xbf16> -> vector<128x256xf32>
    %t = tile.read %addend[%j, %i] {transposed} : memref<?x?xf32> -> vector<128x256xf32>
    %z = tile.map (%v = %x, %w = %y) : vector<128x256xf32>, vector<128x256xf32> -> vector<128x256xf32> {
      %sum = arith.addf %v, %w : f32
      tile.yield %sum : f32
    }
    ```

    C1: elements of the result are f32, those of `from` f32, bf16 or f16.
    C2: maps of the same block alone use the result, and no store stands before the last.
  }];
  let arguments = (ins Tile_Global:$from, Index:$row, Index:$column, UnitAttr:$transposed);
  let results = (outs Tile_Registers:$value);
  let assemblyFormat = "$from `[` $row `,` $column `]` attr-dict `:` type($from) `->` type($value)";
  let hasVerifier = 1;
}

def Tile_EntryOp : Op<Tile_Dialect, "entry"> {
  let summary = "a row of a table in global memory";
  let description = [{
    The first numbers of row `row`, as many as there are results. What a schedule goes through when work is not even: a row a tile.

    Example: `%first, %end = tile.entry %work[%i] : memref<?x?xi32> -> index, index`

    C1: the table's elements are i32.
  }];
  let arguments = (ins Tile_Global:$table, Index:$row);
  let results = (outs Variadic<Index>:$numbers);
  let assemblyFormat = "$table `[` $row `]` attr-dict `:` type($table) `->` type($numbers)";
  let hasVerifier = 1;
}
#endif
