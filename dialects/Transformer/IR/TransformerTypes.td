// Types of the transformer dialect: stored blocks, activation blocks, the KV cache, the batch.
#ifndef STEPDOWN_TRANSFORMER_TYPES_TD
#define STEPDOWN_TRANSFORMER_TYPES_TD
include "dialects/Transformer/IR/TransformerDialect.td"

def Transformer_BlockType : Transformer_Type<"Block", "block", [MemRefElementTypeInterface]> {
  let summary = "one block of a storage type, with the exact bits of the file";
  let description = [{
    `!transformer.block<q4_1>` is 20 bytes that hold 32 values; a linear weight [out, in] is
    `tensor<out x in/32 x !transformer.block<q4_1>>`. With `rows = 16` the block holds the same 32 (to 256) columns of 16
    neighbouring rows, interleaved so that a vector lane owns a row; lib/Target/Layout.h says how.
    f32, f16 and bf16 are blocks of one value.

    Example: `tensor<576x18x!transformer.block<q4_1>>`, `tensor<36x18x!transformer.block<q4_1, rows = 16>>`

    C1: the storage name is one of lib/Checkpoint/BlockFormat.h. C2: rows is 1 or those of a layout of
    lib/Target, which is 16.
  }];
  let parameters = (ins StringRefParameter<"storage name as GGUF spells it, lower case">:$storage,
                        DefaultValuedParameter<"unsigned", "1">:$rows);
  let assemblyFormat = "`<` custom<StorageName>($storage) (`,` `rows` `=` $rows^)? `>`";
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// The format of one row's block; never null for a verified type.
    const ::stepdown::BlockFormat &getFormat() const;
    /// How the rows are packed; null for one row.
    const ::stepdown::Layout *getLayout() const;
    /// Values per row in the block.
    int64_t getElements() const;
    /// Bytes of the whole block, all rows.
    int64_t getBytes() const;
  }];
}

def Transformer_ActivationType : Transformer_Type<"Activation", "activation", [MemRefElementTypeInterface]> {
  let summary = "32 neighbouring values of some tokens, quantised to 8 bits or kept as float32";
  let description = [{
    What a linear layer reads: 32 columns of `tokens` tokens, interleaved. 8 bits: a float32 scale d of each token, d times
    the sum of the 32 codes, d times the sum of the last 16, both sums as int32 and without d, then 8 quads of 4 signed codes
    in [-127, 127] of each token. Minima of weights multiply the float sums; the integer ones are what weights' codes are too
    large by, an offset times. q8x2 adds int32 sums of residual codes behind those of the codes, and 8 quads of residual codes
    behind the codes: the value is d * (code + residual / 256), which is worth 15 bits, and the float sums count both;
    d / 256 is stored. q8o2 adds high codes for the two quads that hold the largest values: 2 quads of them of each token, and
    64 times the two quads' numbers (int32), where a kernel finds their weights; the value is d * (code + 128 * high), so that
    d fits the other 24 values, and sums count both. float32: [32][tokens] values. `columns = 256` is 8 such blocks in a row,
    seen as one: what 256-column weights need, and 64 and 128 are 2 and 4. bf16x2 and bf16, which weights of bfloat16 read, are
    as long as float32: of a target that multiplies bfloat16 [2][16][tokens] neighbours (two bfloat16), first those nearest to
    the values, then, of bf16x2, those nearest to what they leave, 16 bits of a value with both; of any other target the values,
    as in float32.

    Example: `tensor<?x18x!transformer.activation<q8, tokens = 16>>`

    C1: the element is q8, q8o2, q8x2, bf16x2, bf16 or f32. C2: tokens is between 1 and 64. C3: columns is 32, 64, 128 or 256.
  }];
  let parameters = (ins StringRefParameter<"q8, q8o2, q8x2, bf16x2, bf16 or f32">:$element, DefaultValuedParameter<"unsigned", "1">:$tokens,
                        DefaultValuedParameter<"unsigned", "32">:$columns);
  let assemblyFormat = "`<` custom<ActivationShape>($element, $tokens, $columns) `>`";
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// Bytes of the block, all tokens.
    int64_t getBytes() const;
    /// Whether its values are floats, and no codes.
    bool isFloat() const;
    /// Of bfloat16, where the target multiplies these: how many stand for a value. Else 0.
    int64_t getBFloats() const;
  }];
}

def Transformer_CacheType : Transformer_Type<"Cache", "cache"> {
  let summary = "the keys and values of one layer, in blocks of positions shared by all sequences";
  let description = [{
    Example: `!transformer.cache<heads = 3, key = 64, value = 64, element = f16>`

    C1: heads, key and value are positive; C2: the element is f16, bf16, f32, f8E4M3FN or !transformer.block<q8_0>, of which
    32 channels of a head and position are one (CachedRows.h). Storing f8E4M3FN saturates: what is beyond 448, infinity too,
    is 448 with its sign; NaN stays NaN.
  }];
  let parameters = (ins "unsigned":$heads, "unsigned":$key, "unsigned":$value, "::mlir::Type":$element);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
}

def Transformer_BatchType : Transformer_Type<"Batch", "batch"> {
  let summary = "which sequence and position each token of the step has, and each sequence's block table";
}
#endif
