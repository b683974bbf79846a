// Attributes of the tile dialect.
#ifndef STEPDOWN_TILE_ATTRS_TD
#define STEPDOWN_TILE_ATTRS_TD
include "dialects/Tile/IR/TileDialect.td"
include "mlir/IR/AttrTypeBase.td"

def Tile_TilingAttr : AttrDef<Tile_Dialect, "Tiling"> {
  let mnemonic = "tiling";
  let summary = "how a kernel function is cut into tiles; its attribute `tile.tiling`";
  let description = [{
    `parts` lists the loops of each part of the function, outer loop first. Parts run one after the other, without a barrier. One
    part makes all results; of several, part i makes result i.

    `arguments` says for each dimension of each argument what an iteration sees of it: `whole`, or of loop l the tiles of n
    elements, `l by n`: iteration i sees [i n, (i + 1) n), the last perhaps fewer. `exact` says that the last is never shorter.

    Example: `#tile.tiling<parts = [[1, 0]], arguments = [[1 by 4, whole], [0 by 1, whole], [1 by 4, 0 by 2 exact]]>`

    C1: loops are not negative, and tiles have at least one element.
    C2: on a function with as many arguments, a dimension for each of theirs, and where it has several parts, as many results.
  }];
  let parameters = (ins ArrayRefParameter<"::mlir::DenseI64ArrayAttr", "loops of each part">:$parts,
                        ArrayRefParameter<"::mlir::DenseI64ArrayAttr", "(loop, size) of each dimension">:$arguments);
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// Numbers in `arguments`: the loop of a dimension that is seen whole; a negative size is that of exact tiles.
    static constexpr int64_t whole = -1;
    struct Cut {
      int64_t loop, size;
      bool exact;
      bool isWhole() const { return loop == whole; }
    };
    /// How dimension `dimension` of argument `argument` is cut.
    Cut getCut(unsigned argument, unsigned dimension) const;
    unsigned getRank(unsigned argument) const { return getArguments()[argument].size() / 2; }
  }];
}
#endif
