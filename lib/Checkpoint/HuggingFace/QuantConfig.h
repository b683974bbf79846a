// quantization_config of a folder's config.json: how its linears are stored. What a tensor is stored as is for the
// tensors to say; this says what their bits mean.
#pragma once
#include "lib/Checkpoint/HuggingFace/JsonFile.h"

namespace stepdown {

struct FolderQuantization {
  enum class Form {
    None,
    Gptq,   ///< qweight, qzeros, scales and, where columns are not in order, g_idx
    Awq,    ///< qweight, qzeros and scales
    Packed, ///< weight_packed, weight_shape, weight_scale, weight_zero_point of compressed-tensors
    Bytes,  ///< weight of int8, weight_scale, weight_zero_point
    Float8, ///< weight of E4M3, and weight_scale or weight_scale_inv
    Mxfp4   ///< blocks and scales of gpt-oss's experts
  } form = Form::None;
  /// What one scale is for.
  enum class Strategy { Tensor, Channel, Group, Block } strategy = Strategy::Group;
  uint64_t bits = 0;                        ///< of an integer
  uint64_t group = 0;                       ///< columns of one scale; 0: all
  uint64_t blockRows = 0, blockColumns = 0; ///< of Block
  bool zeroPoints = false;                  ///< each group has one; else the middle of the codes is zero
  bool storedLess = false;                  ///< they are stored less 1
};

/// E1415: a quant_method or format without a reader; E1450: a value that is missing, malformed or contradictory; E1412:
/// a key that nobody reads.
Result<FolderQuantization> readQuantization(const JsonObject &config);

} // namespace stepdown
