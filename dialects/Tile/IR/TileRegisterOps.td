// Operations on tiles in registers: what stands between two products.
#ifndef STEPDOWN_TILE_REGISTER_OPS_TD
#define STEPDOWN_TILE_REGISTER_OPS_TD
include "dialects/Tile/IR/TileTypes.td"
include "mlir/Dialect/Arith/IR/ArithBase.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def Tile_Registers : Type<CPred<"::stepdown::tile::isRegisterTile($_self)">, "vector of static rank 2", "::mlir::VectorType">;

def Tile_MapOp : Op<Tile_Dialect, "map", [Pure, SingleBlock]> {
  let summary = "a function of numbers, of each element of tiles";
  let description = [{
    result[r, c] is what the region makes of the operands' elements [r, c], of an operand with one column [r, 0], with one row
    [0, c], and with both its one element.

    Example:
    ```mlir
    %p = tile.map (%x = %s, %m = %max) : vector<64x128xf32>, vector<64x1xf32> -> vector<64x128xf32> {
      %d = arith.subf %x, %m : f32
      %e = math.exp2 %d : f32
      tile.yield %e : f32
    }
    ```

    C1: operands have the result's rows or one, and its columns or one.
    C2: the region takes a number of each operand's element type and yields one of the result's.
    C3: the region computes with numbers alone: operations of arith and math that have no region; it may use numbers from outside.
  }];
  let arguments = (ins Variadic<Tile_Registers>:$operands);
  let results = (outs Tile_Registers:$result);
  let regions = (region SizedRegion<1>:$body);
  let hasCustomAssemblyFormat = 1;
  let hasRegionVerifier = 1;
}

def Tile_YieldOp : Op<Tile_Dialect, "yield", [Pure, Terminator, HasParent<"MapOp">]> {
  let summary = "the element that a map's region makes";
  let description = [{
    Example:
    ```mlir
    %p = tile.map (%x = %s) : vector<64x128xf32> -> vector<64x128xf32> {
      tile.yield %x : f32
    }
    ```
  }];
  let arguments = (ins AnyType:$value);
  let assemblyFormat = "$value attr-dict `:` type($value)";
}

def Tile_ReduceOp : Op<Tile_Dialect, "reduce", [Pure, DeclareOpInterfaceMethods<InferTypeOpInterface>]> {
  let summary = "the sum or the largest of each row";
  let description = [{
    Of each row of the operand, and of acc's number where it is given, one number: `addf` the sum, in any order; `maxnumf` the
    largest that is not NaN. With `into n` n numbers: result[r, c] is that of the columns c, c + n ... and of acc[r, c]. So a sum
    that a loop adds to can be kept in parts, which lanes need not exchange before the loop ends.

    Example:
    ```mlir
    %m = tile.reduce maxnumf %s : vector<64x128xf32>
    %n = tile.reduce maxnumf %t, %m : vector<64x128xf32>
    %p = tile.reduce addf %t into 8 : vector<64x128xf32>
    ```

    C1: the kind is addf or maxnumf.
    C2: elements are floats.
    C3: acc is of the result's type, the operand's with one column, or n.
    C4: the operand's columns are a multiple of n.
  }];
  let arguments = (ins AtomicRMWKindAttr:$kind, Tile_Registers:$value, Optional<Tile_Registers>:$acc,
                       DefaultValuedAttr<I64Attr, "1">:$into);
  let results = (outs Tile_Registers:$result);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
}

def Tile_MaskOp : Op<Tile_Dialect, "mask", [Pure, AttrSizedOperandSegments, AllTypesMatch<["value", "result"]>]> {
  let summary = "minus infinity outside of a band";
  let description = [{
    Element [r, c] stands at row i + r and column j + c of a whole that [i, j] is the tile's place in. result is value where that column
    is below `columns`, and its distance from that row at least `from` and below `below`, and minus infinity elsewhere; a bound that
    is not given does not bound. So a tile of scores ends where the keys end, is causal, or sees a window.

    Example:
    ```mlir
    %t = tile.mask %s at [%i, %j] columns %n : vector<64x128xf32>
    %w = tile.mask %s at [%i, %j] columns %n from %first below %after : vector<64x128xf32>
    ```

    C1: elements are floats.
  }];
  let arguments = (ins Tile_Registers:$value, Index:$row, Index:$column, Index:$columns, Optional<Index>:$from, Optional<Index>:$below);
  let results = (outs Tile_Registers:$result);
  let assemblyFormat = [{
    $value `at` `[` $row `,` $column `]` `columns` $columns (`from` $from^)? (`below` $below^)? attr-dict `:` type($value)
  }];
  let hasVerifier = 1;
}

def Tile_ConvertOp : Op<Tile_Dialect, "convert", [Pure]> {
  let summary = "a tile with elements of a narrower float type";
  let description = [{
    Rounded to the nearest, ties to even. A product takes its first operand so from registers.

    Example: `%b = tile.convert %p : vector<64x128xf32> to vector<64x128xbf16>`

    C1: sizes are equal, and the result's element type is the narrower float.
  }];
  let arguments = (ins Tile_Registers:$value);
  let results = (outs Tile_Registers:$result);
  let assemblyFormat = "$value attr-dict `:` type($value) `to` type($result)";
  let hasVerifier = 1;
}

def Tile_WarpMmaOp : Op<Tile_Dialect, "warp_mma", [NoMemoryEffect, AttrSizedOperandSegments]> {
  let summary = "a product of 16 x 16 numbers by the lanes of a warp, added to a sum";
  let description = [{
    result[i, j] = sum[i, j] + sum_k a[i, k] * b[j, k] for 16 i, j and k; a and b are binary16, sums float32. All lanes of the warp,
    or wave, come here together. A lane hands in its elements of each operand, and gets its own of the result: which they are is the
    chip's to say, in lib/Target/WarpFragments.h. So a thread's own code, between loads and barriers, has the matrix unit.

    Example: `%r:4 = tile.warp_mma (%a0, %a1, %a2, %a3) (%b0, %b1, %b2, %b3) (%s0, %s1, %s2, %s3) : f32, f32, f32, f32`

    C1: there are as many elements of a as of b, and as many results as sums.
    C2: they are 4 and 4, of 64 lanes, or 8 and 8, of 32, or 16 and 8, of 32 whose halves have the same of a and b.
  }];
  let arguments = (ins Variadic<F16>:$a, Variadic<F16>:$b, Variadic<F32>:$sum);
  let results = (outs Variadic<F32>:$result);
  let assemblyFormat = "`(` $a `)` `(` $b `)` `(` $sum `)` attr-dict `:` type($result)";
  let hasVerifier = 1;
}
#endif
