// Attributes and enums of the transformer dialect.
#ifndef STEPDOWN_TRANSFORMER_ATTRS_TD
#define STEPDOWN_TRANSFORMER_ATTRS_TD
include "dialects/Transformer/IR/TransformerDialect.td"

def Transformer_Pairs : I32EnumAttr<"Pairs", "which two columns of a head rotate together", [
    I32EnumAttrCase<"Adjacent", 0, "adjacent">, I32EnumAttrCase<"Half", 1, "half">]> {
  let cppNamespace = "::stepdown::transformer";
  let genSpecializedAttr = 0;
}
def Transformer_PairsAttr : EnumAttr<Transformer_Dialect, Transformer_Pairs, "pairs">;

def Transformer_Gate : I32EnumAttr<"Gate", "the function applied to the gate", [
    I32EnumAttrCase<"Silu", 0, "silu">, I32EnumAttrCase<"GeluTanh", 1, "gelu_tanh">,
    I32EnumAttrCase<"GeluErf", 2, "gelu_erf">, I32EnumAttrCase<"ClampedSwish", 3, "clamped_swish">,
    I32EnumAttrCase<"Sigmoid", 4, "sigmoid">]> {
  let cppNamespace = "::stepdown::transformer";
  let genSpecializedAttr = 0;
}
def Transformer_GateAttr : EnumAttr<Transformer_Dialect, Transformer_Gate, "gate">;

def Transformer_ModelAttr : AttrDef<Transformer_Dialect, "Model"> {
  let mnemonic = "model";
  let summary = "what a module was made from; the attribute `transformer.model` of the module";
  let description = [{
    `positions` is the number of positions that a sequence may have, `width` the columns of the residual stream,
    `vocabulary` the rows of the logits.

    Example: `#transformer.model<name = "SmolLM2", architecture = "llama", positions = 2048, width = 576, layers = 30,
    vocabulary = 49152>`

    C1: positions, width, layers and vocabulary are positive.
  }];
  let parameters = (ins StringRefParameter<"general.name of the checkpoint">:$name,
                        StringRefParameter<"general.architecture">:$architecture,
                        "int64_t":$positions, "int64_t":$width, "int64_t":$layers, "int64_t":$vocabulary);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
}
#endif
