#include "test/unit/ToyModel.h"

#include <algorithm>

namespace stepdown::test {

std::vector<float> ToyModel::embedding() const {
  std::vector<float> table(size_t(vocabulary) * width);
  for (size_t i = 0; i < table.size(); ++i)
    table[i] = static_cast<float>((i * 2654435761u >> 7) % 13);
  return table;
}

ArtifactBuilder ToyModel::build() const {
  ArtifactBuilder b;
  auto at = ArtifactBuilder::operand;
  b.head.vocabulary = vocabulary;
  b.head.width = width;
  b.head.max_context = maxContext;
  b.head.max_step_tokens = maxStepTokens;
  b.head.max_step_rows = maxStepRows;
  b.buckets = {{0, 1}, {2, 8}, {16, 16}};
  b.codes = {{STEPDOWN_LEVEL_X86_64_V3, {}}, {STEPDOWN_LEVEL_X86_64_V4_VNNI, {}}};
  uint32_t x = b.buffer("x", uint64_t(maxStepTokens + 15) / 16 * 16 * width * sizeof(float)); // whole tiles
  uint32_t table = b.weight("token_embd.weight", {width, vocabulary}, embedding());
  uint32_t groups = window ? 2 : 1;
  for (uint32_t g = 0; g < groups; ++g)
    b.groups.push_back({0, 1, width, width, g ? window : 0, STEPDOWN_F32});
  for (uint32_t l = 0; l < layers; ++l) {
    uint32_t g = window ? l % 2 : 0;
    b.layers.push_back({g, g, b.groups[g].layers++, l, 1});
    b.weightLists.push_back(b.weight("blk." + std::to_string(l) + ".scale", {1}, {static_cast<float>(l + 1)}));
  }
  uint32_t embed = b.kernel("embed"), append = b.kernel("append"), attend = b.kernel("attend"), head = b.kernel("head"),
           idle = b.kernel("idle");
  constexpr int64_t T = STEPDOWN_DIM_TOKENS, R = STEPDOWN_DIM_ROWS;
  const int64_t stride = (vocabulary + 15) / 16 * 16;
  b.head.logits_stride = static_cast<uint32_t>(stride);
  stepdown_operand hidden = at(STEPDOWN_AT_BUFFER, x, {T, width});
  stepdown_operand positions = at(STEPDOWN_AT_POSITIONS, 0, {T}), sequences = at(STEPDOWN_AT_SEQUENCES, 0, {T});
  stepdown_operand blocks = at(STEPDOWN_AT_BLOCK_TABLE, 0, {STEPDOWN_DIM_SEQUENCES, STEPDOWN_DIM_TABLE_WIDTH});
  stepdown_operand keys = at(STEPDOWN_AT_KEYS, 0, {STEPDOWN_DIM_BLOCKS, 1, STEPDOWN_DIM_BLOCK_GROUPS, width, 16});
  stepdown_operand values = at(STEPDOWN_AT_VALUES, 0, {STEPDOWN_DIM_BLOCKS, 1, STEPDOWN_DIM_BLOCK_SIZE, width});
  stepdown_operand embeddings = at(STEPDOWN_AT_WEIGHT, table, {vocabulary, width});
  b.head.entry_first = b.dispatch(embed, STEPDOWN_BY_TOKENS, {embeddings, at(STEPDOWN_AT_TOKENS, 0, {T}), hidden});
  b.head.entry_count = 1;
  for (uint32_t g = 0; g < groups; ++g) {
    uint32_t first =
        b.dispatch(append, STEPDOWN_BY_TOKENS,
                   {hidden, positions, sequences, blocks, at(STEPDOWN_AT_LAYER_WEIGHT, 0, {1}), keys, values}, 1);
    b.dispatch(attend, STEPDOWN_BY_TOKENS,
               {hidden, positions, sequences, blocks, at(STEPDOWN_AT_BUFFER, x, {b.groups[g].window}), keys, values},
               b.groups[g].window);
    for (uint32_t i = 0; i < idleDispatches; ++i)
      b.dispatch(idle, STEPDOWN_BY_TOKENS, {hidden, at(STEPDOWN_AT_BUFFER, x, {STEPDOWN_DIM_TOKEN_TILES, 16, width})});
    b.kinds.push_back({first, 2 + idleDispatches});
  }
  b.head.exit_first =
      b.dispatch(head, STEPDOWN_BY_ROWS,
                 {embeddings, hidden, at(STEPDOWN_AT_ROWS, 0, {R}), at(STEPDOWN_AT_LOGITS, 0, {R, stride})});
  b.head.exit_count = 1;
  b.pair("general.architecture", architecture);
  b.pair("general.name", std::string("Toy"));
  std::vector<int32_t> types(vocabulary, 1);
  types[0] = 2;
  types[1] = types[2] = 3;
  b.pair("tokenizer.ggml.model", std::string("gpt2"));
  b.pair("tokenizer.ggml.pre", std::string("default"));
  std::vector<std::string> texts = pieces();
  for (const auto *others : {&words, &controls})
    for (const auto &[id, text] : *others) {
      texts[size_t(id)] = text;
      types[size_t(id)] = others == &controls ? 3 : 1;
    }
  b.pair("tokenizer.ggml.tokens", texts);
  b.pair("tokenizer.ggml.token_type", types);
  b.pair("tokenizer.ggml.merges", std::vector<std::string>{});
  if (!chatTemplate.empty())
    b.pair("tokenizer.chat_template", chatTemplate);
  b.pair("tokenizer.ggml.unknown_token_id", 0u);
  b.pair("tokenizer.ggml.bos_token_id", 1u);
  b.pair("tokenizer.ggml.eos_token_id", 2u);
  return b;
}

std::vector<std::string> ToyModel::pieces() {
  // As byte-level BPE spells them: a space is U+0120, the bytes e2 82 ac are U+00E2, U+0124 and U+00AC.
  std::vector<std::string> pieces = {"<unk>", "<s>", "</s>", "\xc4\xa0"};
  for (char c = 'a'; c <= 'z'; ++c)
    pieces.emplace_back(1, c);
  for (const char *byte : {"\xc3\xa2", "\xc4\xa4", "\xc2\xac"})
    pieces.emplace_back(byte);
  for (int i = 33; i < 41; ++i)
    pieces.push_back("w" + std::to_string(i));
  return pieces;
}

std::vector<float> ToyModel::logits(const std::vector<int32_t> &tokens) const {
  std::vector<float> table = embedding();
  size_t count = tokens.size();
  std::vector<int64_t> x(count * width);
  for (size_t t = 0; t < count; ++t)
    for (size_t w = 0; w < width; ++w)
      x[t * width + w] = static_cast<int64_t>(table[tokens[t] * width + w]);
  for (uint32_t layer = 0; layer < layers; ++layer) {
    std::vector<int64_t> in = x;
    size_t visible = windowOf(layer) ? windowOf(layer) : count;
    for (size_t t = 0; t < count; ++t)
      for (size_t w = 0; w < width; ++w) {
        int64_t sum = in[t * width + w];
        for (size_t p = t + 1 > visible ? t + 1 - visible : 0; p <= t; ++p)
          sum += in[p * width + w] * (layer + 1) * (1 + in[p * width + w] % 5);
        x[t * width + w] = sum % 1021;
      }
  }
  std::vector<float> out(vocabulary);
  for (size_t v = 0; v < vocabulary; ++v)
    for (size_t w = 0; w < width; ++w)
      out[v] += static_cast<float>(x[(count - 1) * width + w]) * table[v * width + w];
  return out;
}

} // namespace stepdown::test
