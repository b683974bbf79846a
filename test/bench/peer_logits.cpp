// Logits of llama.cpp on the processor, for tools/generated-models.py: built beside the program's own libraries, knows
// nothing of ours.
//
//     peer_logits MODEL.gguf OUT.f32 TOKEN...     writes float32 [tokens, vocabulary]; keys and values are float32
#include "llama.h"

#include <cstdio>
#include <cstdlib>
#include <vector>

int main(int argc, char **argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: peer_logits MODEL.gguf OUT.f32 TOKEN...\n");
    return 2;
  }
  llama_log_set(
      [](ggml_log_level level, const char *text, void *) {
        if (level >= GGML_LOG_LEVEL_ERROR)
          std::fputs(text, stderr);
      },
      nullptr);
  llama_backend_init();
  llama_model_params loading = llama_model_default_params();
  llama_model *model = llama_model_load_from_file(argv[1], loading);
  if (!model)
    return 1;
  std::vector<llama_token> tokens;
  for (int i = 3; i < argc; ++i)
    tokens.push_back(std::atoi(argv[i]));
  llama_context_params running = llama_context_default_params();
  running.n_ctx = 256;
  running.type_k = running.type_v = GGML_TYPE_F32;
  running.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
  running.n_threads = running.n_threads_batch = 1;
  llama_context *context = llama_init_from_model(model, running);
  if (!context)
    return 1;
  llama_batch batch = llama_batch_init(int32_t(tokens.size()), 0, 1);
  batch.n_tokens = int32_t(tokens.size());
  for (int32_t i = 0; i < batch.n_tokens; ++i) {
    batch.token[i] = tokens[i], batch.pos[i] = i, batch.n_seq_id[i] = 1, batch.seq_id[i][0] = 0, batch.logits[i] = 1;
  }
  if (llama_decode(context, batch) != 0)
    return 1;
  const int32_t vocabulary = llama_vocab_n_tokens(llama_model_get_vocab(model));
  std::FILE *out = std::fopen(argv[2], "wb");
  if (!out)
    return 1;
  for (int32_t i = 0; i < batch.n_tokens; ++i)
    if (std::fwrite(llama_get_logits_ith(context, i), sizeof(float), vocabulary, out) != size_t(vocabulary))
      return 1;
  return std::fclose(out) != 0;
}
