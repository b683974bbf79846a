// A LoRA adapter: what is added to some linears of a model, as low-rank products. Read from a GGUF file
// (general.type adapter, as llama.cpp's convert_lora_to_gguf.py writes it) or from a folder of PEFT
// (adapter_config.json and adapter_model.safetensors), against the model that it is for: everything comes out under the
// names, and in the order of rows, that the checkpoint has. E1470 to E1475, and what the containers refuse.
//
// An adapted linear is W + s B A, where s is lora_alpha / r, or lora_alpha / sqrt(r) where it is rank-stabilised. With
// the magnitudes m of DoRA, row i of it is then multiplied by m[i] / |row i|.
#pragma once
#include "lib/Checkpoint/Checkpoint.h"
#include <string>
#include <vector>

namespace stepdown {

/// What an adapter makes of one linear, in float32.
struct AdaptedLinear {
  std::string tensor;            ///< of the checkpoint: "blk.0.attn_q.weight"
  std::string theirs;            ///< what the adapter calls it, for messages
  uint64_t rank, in, out;        ///< each at least 1
  double scale;                  ///< s
  std::vector<float> a;          ///< [rank, in]
  std::vector<float> b;          ///< [out, rank], rows in the checkpoint's order
  std::vector<float> magnitudes; ///< [out] of DoRA, the same; else empty
};

struct Adapter {
  std::string path; ///< what the user named, for messages
  std::vector<AdaptedLinear> linears;
  std::vector<MappedFile> files; ///< everything that was read; a merged model says their sums
};

/// The adapter of `checkpoint` at `path`, whose tensors need not have been looked at.
Result<Adapter> openAdapter(const std::string &path, const Checkpoint &checkpoint);

/// The files of the adapter at `path`, by the names alone.
std::vector<std::string> adapterFiles(const std::string &path);

} // namespace stepdown
