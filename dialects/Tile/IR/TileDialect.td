// The tile dialect: what a kernel does with tiles.
#ifndef STEPDOWN_TILE_DIALECT_TD
#define STEPDOWN_TILE_DIALECT_TD
include "mlir/IR/OpBase.td"

def Tile_Dialect : Dialect {
  let name = "tile";
  let cppNamespace = "::stepdown::tile";
  let summary = "What a kernel does with tiles: the structured operations on packed blocks and rows that linalg has no name for";
  let description = [{
    A structured operation reads its inputs, writes its outputs in destination style, and is defined on tensors and on memrefs
    alike; the vector stage says how each is computed. Rows of float32 are rows of vectors as long as the target's layout has
    lanes (lib/Target/Layout.h), 16 in the examples.

    A GPU kernel is a `tile.kernel`: roles, groups of warps that each execute their own text, hand tiles through channels. Its
    meaning is that of the roles as sequential programs and of the channels as queues, all synchronisation erased. Counts,
    phases and barriers are never written; they follow from the roles.
  }];
  let dependentDialects = ["::stepdown::transformer::TransformerDialect"];
  let useDefaultTypePrinterParser = 1;
  let useDefaultAttributePrinterParser = 1;
  let hasOperationAttrVerify = 1;
}
#endif
