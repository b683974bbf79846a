// The fusion stage: operations that share memory traffic join in one kernel.
#ifndef STEPDOWN_FUSION_PASSES_TD
#define STEPDOWN_FUSION_PASSES_TD
include "mlir/Pass/PassBase.td"

def QuantizeActivations : Pass<"quantize-activations", "::mlir::func::FuncOp"> {
  let summary = "Give every linear layer its input as activation blocks";
  let description = [{
    A quantised weight reads blocks of 8-bit codes, a float weight, or any weight with `exact`, float32 blocks. Layers that
    read the same rows share the blocks. q8: one code a value. q8x2: two, which leaves 0.01 of a logit and takes twice the products. q8o2
    (the default): one code and 7 bits more for the largest quads around gated activations, where most of a prompt's time
    goes, and q8x2 elsewhere.

    Before: `transformer.linear %x, %w`
    After:  `%a = transformer.quantize %x` and `transformer.linear %a, %w`
  }];
  let options = [Option<"exact", "exact", "bool", "false", "Keep activations in float32">,
                 Option<"activations", "activations", "std::string", "\"q8o2\"", "Element of the blocks: q8o2, q8x2 or q8">];
  let dependentDialects = ["::stepdown::transformer::TransformerDialect"];
}

def PadSizes : Pass<"pad-sizes", "::mlir::ModuleOp"> {
  let summary = "Pad rows to multiples of 32 columns and heads to whole vectors of the target with zeros";
  let description = [{
    Vectors, activation blocks and cache heads are whole from here on, whatever sizes the checkpoint has; weights say which of their rows
    and columns the file has, norms how many columns their mean counts, and quantize how heads are spread. Logits keep their columns.

    Before: `%w = transformer.weight "blk.{layer}.attn_k.weight" : tensor<200x300x...>`, `transformer.linear %a, %w` to 2 heads of 100 columns
    After:  `%w = transformer.weight "blk.{layer}.attn_k.weight" groups [100, 112] columns 300 : tensor<224x320x...>`
  }];
  let options = [Option<"targetName", "target", "std::string", "\"x86-64-v4-vnni\"", "Target of lib/Base/Targets.def">];
  let dependentDialects = ["::stepdown::transformer::TransformerDialect"];
}

def FuseGatedActivation : Pass<"fuse-gated-activation", "::mlir::func::FuncOp"> {
  let summary = "Fuse a gated activation, and the packing of its result, into the two linears that feed it";
  let description = [{
    Gate and up are computed for the same rows and tokens by the same tile, so that neither goes to memory.

    Before: `linear`, `linear`, `gated_activation`, `quantize`
    After:  `transformer.kernel "gated_linear"` of all four
  }];
  let dependentDialects = ["::stepdown::transformer::TransformerDialect"];
}

def FuseSiblingLinears : Pass<"fuse-sibling-linears", "::mlir::func::FuncOp"> {
  let summary = "Fuse linears that read the same activations";
  let description = [{
    The activations are read once and one barrier serves all (q, k and v).

    Before: `linear %a, %q`, `linear %a, %k`, `linear %a, %v`
    After:  `transformer.kernel "linear"` of all three
  }];
  let dependentDialects = ["::stepdown::transformer::TransformerDialect"];
}

def FuseRopeAppend : Pass<"fuse-rope-append", "::mlir::func::FuncOp"> {
  let summary = "Fuse head norms, rotary embedding and the append to the cache";
  let description = [{
    Each token's query and key are normed, rotated and stored while they are in the nearest cache.

    Before: `rms_norm %q`, `rope %q`, `rope %k`, `kv_append`
    After:  `transformer.kernel "rope_append"` of all
  }];
  let dependentDialects = ["::stepdown::transformer::TransformerDialect"];
}

def FuseAttention : Pass<"fuse-attention", "::mlir::func::FuncOp"> {
  let summary = "Fuse attention with the packing of its result";
  let description = [{
    Where the columns of a cache head's queries are a multiple of 32, a tile of the attention fills whole activation blocks.

    Before: `attention`, `quantize`
    After:  `transformer.kernel "attention"` of both
  }];
  let dependentDialects = ["::stepdown::transformer::TransformerDialect"];
}

def FuseResidualNorm : Pass<"fuse-residual-norm", "::mlir::func::FuncOp"> {
  let summary = "Fuse residual sums with the norms around them and the packing of their result";
  let description = [{
    Before: `rms_norm %h` (post norm), `add %x, ...`, `rms_norm`, `quantize`
    After:  `transformer.kernel "norm"` of all
  }];
  let dependentDialects = ["::stepdown::transformer::TransformerDialect"];
}

def WrapKernels : Pass<"wrap-kernels", "::mlir::func::FuncOp"> {
  let summary = "Make a kernel of each operation that no fusion took";
  let description = [{
    Before: `transformer.embedding`
    After:  `transformer.kernel "embedding" { transformer.embedding }`
  }];
  let dependentDialects = ["::stepdown::transformer::TransformerDialect"];
}
#endif
