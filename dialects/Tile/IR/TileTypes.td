// Types of the tile dialect: channels between roles, and accumulators in flight.
#ifndef STEPDOWN_TILE_TYPES_TD
#define STEPDOWN_TILE_TYPES_TD
include "dialects/Tile/IR/TileDialect.td"
include "mlir/IR/AttrTypeBase.td"

def Tile_ChannelType : TypeDef<Tile_Dialect, "Channel"> {
  let mnemonic = "channel";
  let summary = "a ring of slots through which one role hands tiles to others";
  let description = [{
    Each of `depth` slots holds one tile of each type in `payload`, in shared memory.

    Example: `!tile.channel<4 x memref<128x64xbf16, 3>, memref<64x256xbf16, 3>>`

    C1: depth is positive, and the payload is at least one memref of static rank 2 in memory space 3.
  }];
  let parameters = (ins "int64_t":$depth, ArrayRefParameter<"::mlir::MemRefType", "tiles of a slot">:$payload);
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// Bytes of the tiles of one slot.
    int64_t getSlotBytes() const;
  }];
}

def Tile_AccumulatorType : TypeDef<Tile_Dialect, "Accumulator"> {
  let mnemonic = "accumulator";
  let summary = "the sum of matrix products of which some may still be computed";
  let description = [{
    Only `tile.mma` adds to it and only `tile.mma_wait` makes a vector of it: nothing else can touch what a matrix unit may still
    be writing.

    Example: `!tile.accumulator<128x256xf32>`
  }];
  let parameters = (ins "::mlir::VectorType":$sum);
  let hasCustomAssemblyFormat = 1;
}
#endif
