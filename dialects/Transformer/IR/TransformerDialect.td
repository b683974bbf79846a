// The transformer dialect: what a model computes, as whole-layer operations on ragged batches of tokens.
#ifndef STEPDOWN_TRANSFORMER_DIALECT_TD
#define STEPDOWN_TRANSFORMER_DIALECT_TD
include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/BuiltinTypeInterfaces.td"
include "mlir/IR/EnumAttr.td"

def Transformer_Dialect : Dialect {
  let name = "transformer";
  let cppNamespace = "::stepdown::transformer";
  let summary = "What a transformer model computes: whole-layer operations on ragged batches of tokens";
  let useDefaultTypePrinterParser = 1;
  let useDefaultAttributePrinterParser = 1;
  let hasOperationAttrVerify = 1;
  let extraClassDeclaration = "void registerTypes();";
}

class Transformer_Type<string name, string typeMnemonic, list<Trait> traits = []>
    : TypeDef<Transformer_Dialect, name, traits> {
  let mnemonic = typeMnemonic;
}
#endif
