// The launch of a GPU kernel in a function.
#ifndef STEPDOWN_TILE_LAUNCH_OPS_TD
#define STEPDOWN_TILE_LAUNCH_OPS_TD
include "mlir/IR/SymbolInterfaces.td"

def Tile_Matrix : Type<And<[Or<[IsTensorTypePred, IsBaseMemRefTypePred]>, CPred<"::llvm::cast<::mlir::ShapedType>($_self).hasRank()">,
                            CPred<"::llvm::cast<::mlir::ShapedType>($_self).getRank() == 2">]>, "tensor or memref of rank 2">;

def Tile_LaunchOp : Tile_StructuredOp<"launch", 1, [DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "a GPU kernel on matrices";
  let description = [{
    Executes the `tile.kernel` of that name with the inputs, then the output, as its arguments. How many blocks it runs on and what
    describes its matrices to the copying hardware follows from the sizes and from the lowered kernel's `tile.launch`.

    Example:
    ```mlir
    tile.launch @matmul ins(%a, %b : memref<?x64xbf16>, memref<64x128xbf16>) outs(%c : memref<?x128xf32>)
    ```

    C1: the symbol is a tile.kernel, or the gpu.module that it was lowered to.
    C2: the kernel has as many arguments, matrices of the same element types.
    C3: where the kernel shares a sum out (`tile.shares`), the columns of the first matrix are known and each share has a slot of them.
  }];
  let arguments = (ins Variadic<Tile_Matrix>:$inputs, Tile_Matrix:$output, FlatSymbolRefAttr:$kernel);
  let assemblyFormat = [{
    $kernel `ins` `(` $inputs `:` type($inputs) `)` `outs` `(` $output `:` type($output) `)` attr-dict (`->` type($results)^)?
  }];
}
#endif
