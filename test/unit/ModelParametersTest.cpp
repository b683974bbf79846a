// Hyper-parameters: defaults, per-layer arrays, rotary schemes and windows; and generated checkpoints of every family.
#include "lib/Checkpoint/ModelParameters.h"
#include "lib/Base/MappedFile.h"
#include "lib/Checkpoint/HuggingFace/WeightPart.h"
#include "test/unit/MadeMetadata.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <gtest/gtest.h>
#include <thread>

using namespace stepdown;

namespace {

/// The keys that every family requires, for six layers.
GgufBytes base(const std::string &arch) {
  return GgufBytes()
      .text("general.architecture", arch)
      .u32(arch + ".context_length", 2048)
      .u32(arch + ".embedding_length", 64)
      .u32(arch + ".block_count", 6)
      .u32(arch + ".attention.head_count", 4)
      .f32(arch + ".attention.layer_norm_rms_epsilon", 1e-6f)
      .strings("tokenizer.ggml.tokens", {"a", "b", "c"});
}
GgufBytes withFeedForward(const std::string &arch) { return base(arch).u32(arch + ".feed_forward_length", 128); }

ModelParameters read(const GgufBytes &bytes) {
  GgufBytes::File file(bytes.bytes());
  Result<Checkpoint> gguf = Checkpoint::open(file.path);
  EXPECT_TRUE(gguf) << gguf.error().text();
  Result<ModelParameters> parameters = readParameters(*gguf);
  EXPECT_TRUE(parameters) << parameters.error().text();
  return parameters ? *parameters : ModelParameters{};
}

TEST(ModelParameters, FillsInDefaults) {
  ModelParameters p = read(withFeedForward("llama"));
  EXPECT_EQ(p.vocabulary, 3u);
  EXPECT_EQ(p.headSize, 16u);
  EXPECT_EQ(p.heads, std::vector<uint32_t>(6, 4));
  EXPECT_EQ(p.kvHeads, p.heads);
  EXPECT_EQ(p.feedForward, std::vector<uint32_t>(6, 128));
  EXPECT_EQ(p.attentionScale, 0.25);
  EXPECT_EQ(p.window, 0u);
  EXPECT_EQ(p.rope.pairs, RopePairs::Adjacent);
  EXPECT_EQ(p.rope.dimensions, 16u);
  EXPECT_EQ(p.rope.base, 10000.0);
  EXPECT_EQ(p.rope.scaling, RopeScaling::None);
  EXPECT_EQ(p.rope.factor, 1.0);
  EXPECT_EQ(p.rope.originalContext, 2048u);
  EXPECT_TRUE(p.tiedHead);
}

TEST(ModelParameters, ReadsPerLayerArrays) {
  ModelParameters p = read(base("llama")
                               .array<uint32_t>("llama.feed_forward_length", GgufType::U32, {1, 2, 3, 4, 5, 6})
                               .array<int32_t>("llama.attention.head_count_kv", GgufType::I32, {4, 2, 1, 4, 2, 1}));
  EXPECT_EQ(p.feedForward, (std::vector<uint32_t>{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(p.kvHeads, (std::vector<uint32_t>{4, 2, 1, 4, 2, 1}));
  EXPECT_EQ(p.keyWidth(1), 32u);
  EXPECT_EQ(p.queryWidth(1), 64u);
}

TEST(ModelParameters, ReadsExperts) {
  auto with = [](const std::string &arch) {
    return withFeedForward(arch).u32(arch + ".expert_count", 7).u32(arch + ".expert_used_count", 3);
  };
  ModelParameters p = read(with("qwen3moe").u32("qwen3moe.expert_feed_forward_length", 61));
  EXPECT_EQ(p.experts, 7u);
  EXPECT_EQ(p.expertsUsed, 3u);
  EXPECT_EQ(p.expertWidth, 61u);
  EXPECT_TRUE(p.expertsNormalised);
  EXPECT_EQ(p.expertScale, 1);
  p = read(with("olmoe").f32("olmoe.expert_weights_scale", 2.5f));
  EXPECT_EQ(p.expertWidth, 128u); // the MLP's, without a key of its own
  EXPECT_FALSE(p.expertsNormalised);
  EXPECT_EQ(p.expertScale, 2.5);
  EXPECT_EQ(read(with("llama")).experts, 7u);
  EXPECT_EQ(read(withFeedForward("llama")).experts, 0u);
}

TEST(ModelParameters, Gemma3HasFiveLocalLayersToOneGlobal) {
  ModelParameters p = read(withFeedForward("gemma3")
                               .u32("gemma3.attention.key_length", 32)
                               .u32("gemma3.attention.value_length", 32)
                               .f32("gemma3.rope.freq_base", 1e6f)
                               .u32("gemma3.attention.sliding_window", 512));
  EXPECT_EQ(p.window, 512u);
  EXPECT_EQ(p.local, (std::vector<bool>{true, true, true, true, true, false}));
  EXPECT_EQ(p.rope.base, 1e6);
  EXPECT_EQ(p.rope.localBase, 10000.0);
  EXPECT_EQ(p.rope.pairs, RopePairs::Halves);
  EXPECT_DOUBLE_EQ(p.attentionScale, 1 / std::sqrt(32.0));
}

TEST(ModelParameters, WindowPatternIsAPeriodOrAnArray) {
  auto windowed = [] { return withFeedForward("gemma3").u32("gemma3.attention.sliding_window", 8); };
  std::string key = "gemma3.attention.sliding_window_pattern";
  EXPECT_EQ(read(windowed().u32(key, 2)).local, (std::vector<bool>{true, false, true, false, true, false}));
  EXPECT_EQ(read(windowed().u32(key, 0)).local, std::vector<bool>(6, true));
  EXPECT_EQ(read(windowed().u32(key, 1)).local, std::vector<bool>(6, false));
  EXPECT_EQ(read(windowed().array<uint8_t>(key, GgufType::Bool, {0, 1, 0, 0, 1, 0})).local,
            (std::vector<bool>{false, true, false, false, true, false}));
  EXPECT_EQ(read(withFeedForward("gemma3")).window, 0u); // no window key: every layer sees everything
}

TEST(ModelParameters, AWindowWithoutPatternHoldsInEveryLayerOrIsRefused) {
  for (std::string arch : {"phi3", "llama"}) {
    ModelParameters p = read(withFeedForward(arch).u32(arch + ".attention.sliding_window", 2047));
    EXPECT_EQ(p.window, 2047u) << arch;
    EXPECT_EQ(p.local, std::vector<bool>(6, true)) << arch;
    EXPECT_EQ(p.rope.localBase, p.rope.base) << arch;
    EXPECT_TRUE(p.rope.localScaled) << arch;
  }
  for (std::string arch : {"qwen2", "qwen3"}) {
    auto windowed = [&](uint32_t window) {
      return withFeedForward(arch).u32(arch + ".attention.sliding_window", window);
    };
    EXPECT_EQ(read(windowed(0)).window, 0u) << arch;
    EXPECT_EQ(read(windowed(2048)).window, 0u) << arch; // the context
    std::string key = arch + ".attention.sliding_window_pattern";
    EXPECT_EQ(read(windowed(7).u32(key, 2)).local, (std::vector<bool>{true, false, true, false, true, false})) << arch;
    GgufBytes::File file(windowed(2047).bytes());
    Result<Checkpoint> gguf = Checkpoint::open(file.path);
    ASSERT_TRUE(gguf);
    EXPECT_EQ(readParameters(*gguf).error().code, ErrorCode::ModelFeature) << arch;
  }
  EXPECT_FALSE(read(withFeedForward("gemma3")).rope.localScaled);
}

TEST(KeyLog, NotesWhatItsThreadAsksForWhileItLives) {
  MadeMetadata made(GgufBytes().u32("a", 1).u32("b", 2).u32("c", 3).u32("d", 4)), other(GgufBytes().u32("a", 1));
  const Metadata &metadata = made.metadata();
  metadata.has("a");
  KeyLog log(metadata);
  metadata.has("b");
  {
    KeyLog inner(metadata);
    (void)metadata.real("c");
    EXPECT_TRUE(inner.asked("c"));
    EXPECT_FALSE(inner.asked("b"));
  }
  other.metadata().has("a");
  std::thread([&] { metadata.has("d"); }).join();
  EXPECT_TRUE(log.asked("b"));
  EXPECT_TRUE(log.asked("c"));
  EXPECT_FALSE(log.asked("a")); // before it lived, and of other metadata
  EXPECT_FALSE(log.asked("d"));
}

TEST(ModelParameters, RotaryScalingFollowsItsKeys) {
  auto scaled = [](const char *type, float factor) {
    return withFeedForward("qwen2").text("qwen2.rope.scaling.type", type).f32("qwen2.rope.scaling.factor", factor);
  };
  EXPECT_EQ(read(scaled("linear", 8)).rope.scaling, RopeScaling::Linear);
  EXPECT_EQ(read(scaled("linear", 8)).rope.factor, 8.0);
  EXPECT_EQ(read(scaled("linear", 0)).rope.scaling, RopeScaling::None); // 0 means 1
  EXPECT_EQ(read(scaled("none", 8)).rope.factor, 1.0);
  EXPECT_EQ(read(scaled("yarn", 1)).rope.scaling, RopeScaling::None); // the identity
  ModelParameters yarn = read(scaled("yarn", 4).u32("qwen2.rope.scaling.original_context_length", 512));
  EXPECT_EQ(yarn.rope.scaling, RopeScaling::Yarn);
  EXPECT_EQ(yarn.rope.originalContext, 512u);
  EXPECT_EQ(yarn.rope.yarnBetaFast, 32.0);
  // The type is absent in old files, which name the factor differently.
  ModelParameters old = read(withFeedForward("llama").f32("llama.rope.scale_linear", 2));
  EXPECT_EQ(old.rope.scaling, RopeScaling::Linear);
  EXPECT_EQ(old.rope.factor, 2.0);
}

// Of what no model can have, much is finite and has the right type: then logits are NaN, or all 0, without a word.
TEST(ModelParameters, RefusesNumbersThatNoModelHas) {
  constexpr double infinite = __builtin_inf(), nan = __builtin_nan("");
  const struct {
    const char *key;
    std::vector<double> wrong, right;
  } cases[] = {
      {"attention.scale", {-1, nan, infinite, 1e38, 0x1p63, 1e300, 1e-300}, {0, -0.0, 0x1p-126, 0.37, 131}},
      {"attention.layer_norm_rms_epsilon", {-1e-6, nan, infinite, 1.5, 1e38}, {0, 1e-45, 0.03, 1}},
      {"final_logit_softcapping", {-30, nan, infinite, -infinite, 1025, 1e19, 1e-45}, {0, 0x1p-126, 29, 1023}},
      {"rope.freq_base", {0, -1, nan, infinite, 1e300, 1e-45}, {0.5, 1e38}},
      {"rope.freq_base_swa", {0, -1, nan, infinite, 1e300, 1e-45}, {0.5, 1e38}},
      {"rope.scaling.factor", {-1, nan, infinite, 1e300, 1e-300}, {0, 0.25, 1e38}},
      {"rope.scale_linear", {-1, nan, infinite, 1e300, 1e-300}, {0, 0.25, 1e38}},
      {"rope.scaling.attn_factor", {0, -1, nan, infinite, 65, 1e19}, {0x1p-126, 1.19, 63}},
      {"rope.scaling.yarn_beta_fast", {0, -1, nan, infinite, 1e300}, {1, 31}},
      {"rope.scaling.yarn_beta_slow", {0, -1, nan, infinite, 1e300}, {0x1p-126, 31}},
      {"rope.scaling.yarn_log_multiplier", {-1, nan, infinite, 1025}, {0, 0.707}},
      {"rope.scaling.yarn_ext_factor", {nan, infinite}, {-1, 0, 1, 7}}, // without YaRN it asks for nothing
  };
  for (const auto &each : cases) {
    const std::string key = std::string("gemma3.") + each.key;
    auto with = [&](double number) {
      GgufBytes bytes = GgufBytes().text("general.architecture", "gemma3").strings("tokenizer.ggml.tokens", {"a"});
      for (const char *name : {"context_length", "embedding_length", "block_count", "attention.head_count"})
        bytes.u32(std::string("gemma3.") + name, 2);
      bytes.u32("gemma3.feed_forward_length", 3).u32("gemma3.attention.key_length", 16);
      if (std::string("attention.layer_norm_rms_epsilon") != each.key)
        bytes.f32("gemma3.attention.layer_norm_rms_epsilon", 1e-6f);
      return bytes.scalar(key, GgufType::F64, number).bytes();
    };
    for (double number : each.wrong) {
      GgufBytes::File file(with(number));
      Result<ModelParameters> parameters = readParameters(*Checkpoint::open(file.path));
      ASSERT_FALSE(parameters) << key << " = " << number;
      const std::string text = parameters.error().text();
      EXPECT_NE(text.find("'" + key + "'"), text.npos) << number << ": " << text;
      EXPECT_NE(text.find("but got"), text.npos) << number << ": " << text;
    }
    for (double number : each.right) {
      GgufBytes::File file(with(number));
      Result<ModelParameters> parameters = readParameters(*Checkpoint::open(file.path));
      EXPECT_TRUE(parameters) << key << " = " << number << ": " << parameters.error().text();
    }
  }
}

TEST(ModelParameters, RefusesWhatYarnHasNoMeaningFor) {
  auto yarn = [](float factor) {
    return withFeedForward("qwen3").text("qwen3.rope.scaling.type", "yarn").f32("qwen3.rope.scaling.factor", factor);
  };
  const struct {
    GgufBytes bytes;
    const char *key;
  } cases[] = {
      {yarn(0.5f), "qwen3.rope.scaling.factor"},
      {yarn(4).f32("qwen3.rope.scaling.yarn_beta_slow", 37), "qwen3.rope.scaling.yarn_beta_slow"},
      {yarn(4).f32("qwen3.rope.scaling.yarn_beta_fast", 0.5f), "qwen3.rope.scaling.yarn_beta_slow"},
      {yarn(4).f32("qwen3.rope.freq_base", 1), "qwen3.rope.freq_base"},
      {yarn(4).f32("qwen3.rope.freq_base", 0.5), "qwen3.rope.freq_base"},
      {yarn(4).f32("qwen3.rope.scaling.yarn_ext_factor", 0.5f), "qwen3.rope.scaling.yarn_ext_factor"},
  };
  for (const auto &each : cases) {
    GgufBytes::File file(GgufBytes(each.bytes).bytes());
    Result<ModelParameters> parameters = readParameters(*Checkpoint::open(file.path));
    ASSERT_FALSE(parameters) << each.key;
    EXPECT_NE(parameters.error().text().find(each.key), std::string::npos) << parameters.error().text();
  }
  EXPECT_EQ(read(yarn(0)).rope.scaling, RopeScaling::None); // 0 means 1
}

TEST(ModelParameters, RefusesAFactorBesideThoseOfLongRope) {
  auto scaled = [](const char *key, float factor) {
    return withFeedForward("phi3").text("phi3.rope.scaling.type", "longrope").f32(key, factor);
  };
  for (const char *key : {"phi3.rope.scaling.factor", "phi3.rope.scale_linear"}) {
    GgufBytes::File file(scaled(key, 4).bytes());
    Result<ModelParameters> parameters = readParameters(*Checkpoint::open(file.path));
    ASSERT_FALSE(parameters);
    EXPECT_EQ(parameters.error().code, ErrorCode::ModelFeature);
    EXPECT_NE(parameters.error().text().find(key), std::string::npos) << parameters.error().text();
    EXPECT_EQ(read(scaled(key, 1)).rope.scaling, RopeScaling::LongRope);
  }
}

TEST(ModelParameters, AWindowPatternHasItsTypeWithoutAWindowToo) {
  const std::string key = "phi3.attention.sliding_window_pattern";
  for (const GgufBytes &bytes :
       {withFeedForward("phi3").text(key, "2"), withFeedForward("phi3").f32(key, 2),
        withFeedForward("phi3").scalar(key, GgufType::I32, int32_t(-1)), withFeedForward("phi3").strings(key, {"1"})}) {
    GgufBytes::File file(GgufBytes(bytes).bytes());
    Result<ModelParameters> parameters = readParameters(*Checkpoint::open(file.path));
    ASSERT_FALSE(parameters);
    EXPECT_EQ(parameters.error().code, ErrorCode::MetadataType) << parameters.error().text();
  }
  EXPECT_EQ(read(withFeedForward("phi3").u32(key, 2)).window, 0u);
}

TEST(ModelParameters, NamesWhatIsSupported) {
  EXPECT_EQ(
      supportedArchitectures(),
      "bert, chatglm, codeshell, cohere2, command-r, ernie4_5, exaone, gemma, gemma2, gemma3, glm4, gpt2, gpt-oss, "
      "granite, granitemoe, hunyuan-dense, internlm2, llama, maincoder, olmo2, olmoe, orion, phi3, qwen2, "
      "qwen2moe, qwen3, qwen3moe, seed_oss, smollm3, starcoder, starcoder2, xverse");
  GgufBytes::File file(withFeedForward("granit").bytes());
  EXPECT_NE(readParameters(*Checkpoint::open(file.path)).error().text().find("did you mean granite?"),
            std::string::npos);
}

TEST(ModelParameters, Gemma2HasCapsAndAWindowWhereItsFilesSayNone) {
  ModelParameters p = read(withFeedForward("gemma2"));
  EXPECT_EQ(p.window, 4096u);
  EXPECT_EQ(p.local, (std::vector<bool>{true, false, true, false, true, false}));
  EXPECT_EQ(p.rope.localBase, p.rope.base);
  EXPECT_TRUE(p.rope.localScaled);
  EXPECT_EQ(p.scoreSoftcap, 50);
  EXPECT_EQ(p.finalSoftcap, 30);
  EXPECT_EQ(p.embeddingScale, 8);
  p = read(withFeedForward("gemma2").f32("gemma2.attn_logit_softcapping", 0).f32("gemma2.final_logit_softcapping", 7));
  EXPECT_EQ(p.scoreSoftcap, 0);
  EXPECT_EQ(p.finalSoftcap, 7);
  EXPECT_EQ(read(withFeedForward("llama")).scoreSoftcap, 0);
  p = read(withFeedForward("gemma2").u32("gemma2.attention.sliding_window", 0)); // as folders without windows say it
  EXPECT_EQ(p.window, 0u);
  EXPECT_EQ(p.local, std::vector<bool>(6, false));
}

TEST(ModelParameters, GemmaOf27BillionScalesScoresByTheWidthOfItsHeads) {
  for (auto [family, largest] : {std::pair<std::string, uint32_t>("gemma2", 46), {"gemma3", 62}})
    for (uint32_t layers : {largest - 1, largest, largest + 1}) {
      ModelParameters p = read(GgufBytes()
                                   .text("general.architecture", family)
                                   .u32(family + ".context_length", 2048)
                                   .u32(family + ".embedding_length", 36)
                                   .u32(family + ".block_count", layers)
                                   .u32(family + ".feed_forward_length", 128)
                                   .u32(family + ".attention.head_count", 4)
                                   .u32(family + ".attention.key_length", 16)
                                   .u32(family + ".attention.value_length", 16)
                                   .f32(family + ".attention.layer_norm_rms_epsilon", 1e-6f)
                                   .strings("tokenizer.ggml.tokens", {"a", "b", "c"}));
      EXPECT_DOUBLE_EQ(p.attentionScale, layers == largest ? 1 / 3.0 : 0.25); // a head of 36 / 4, or its own 16
    }
}

/// Of a family with layer norms.
GgufBytes withLayerNorms(const std::string &arch) {
  return GgufBytes()
      .text("general.architecture", arch)
      .u32(arch + ".context_length", 2048)
      .u32(arch + ".embedding_length", 64)
      .u32(arch + ".block_count", 6)
      .u32(arch + ".feed_forward_length", 128)
      .u32(arch + ".attention.head_count", 4)
      .f32(arch + ".attention.layer_norm_epsilon", 0.25f)
      .strings("tokenizer.ggml.tokens", {"a", "b", "c"});
}

ErrorCode refusalOf(const GgufBytes &bytes) {
  GgufBytes::File file(bytes.bytes());
  Result<Checkpoint> gguf = Checkpoint::open(file.path);
  EXPECT_TRUE(gguf);
  Result<ModelParameters> read = readParameters(*gguf);
  EXPECT_FALSE(read);
  return read ? ErrorCode::OutOfMemory : read.error().code;
}

TEST(ModelParameters, FamiliesWithLayerNormsNeedTheirEpsilonAndWholeBlocks) {
  EXPECT_EQ(read(withLayerNorms("gpt2")).epsilon, 0.25);
  EXPECT_EQ(read(withLayerNorms("gpt2")).rotates, std::vector<bool>(6, false));
  EXPECT_EQ(refusalOf(withFeedForward("gpt2")), ErrorCode::MetadataMissing);
  EXPECT_EQ(refusalOf(withLayerNorms("starcoder2").u32("starcoder2.rope.dimension_count", 15)), ErrorCode::ModelRope);
}

TEST(ModelParameters, Cohere2RotatesInItsWindowsAlone) {
  const auto with = [](uint32_t window) {
    return withLayerNorms("cohere2").f32("cohere2.logit_scale", 0.25f).u32("cohere2.attention.sliding_window", window);
  };
  const ModelParameters p = read(with(7));
  EXPECT_EQ(p.rotates, (std::vector<bool>{true, true, true, false, true, true}));
  EXPECT_EQ(p.rotates, p.local);
  EXPECT_EQ(p.logitScale, 0.25); // it multiplies
  EXPECT_EQ(p.rope.pairs, RopePairs::Adjacent);
  EXPECT_EQ(refusalOf(withLayerNorms("cohere2").f32("cohere2.logit_scale", 1)), ErrorCode::MetadataMissing);
  EXPECT_EQ(refusalOf(withLayerNorms("cohere2").u32("cohere2.attention.sliding_window", 7)),
            ErrorCode::MetadataMissing);
}

TEST(ModelParameters, Qwen2MoeSaysHowWideItsExpertsAre) {
  const auto with = [] {
    return withFeedForward("qwen2moe").u32("qwen2moe.expert_count", 5).u32("qwen2moe.expert_used_count", 2);
  };
  const ModelParameters p =
      read(with().u32("qwen2moe.expert_feed_forward_length", 48).u32("qwen2moe.expert_shared_feed_forward_length", 80));
  EXPECT_EQ(p.expertWidth, 48u);
  EXPECT_EQ(p.sharedWidth, 80u);
  EXPECT_FALSE(p.expertsNormalised);
  EXPECT_EQ(refusalOf(with().u32("qwen2moe.expert_feed_forward_length", 48)), ErrorCode::MetadataMissing);
  EXPECT_EQ(refusalOf(with().u32("qwen2moe.expert_shared_feed_forward_length", 80)), ErrorCode::MetadataMissing);
}

TEST(ModelParameters, GraniteMultipliesByNumbersOfTheFile) {
  ModelParameters plain = read(withFeedForward("granite"));
  for (double scale : {plain.embeddingScale, plain.residualScale, plain.logitScale})
    EXPECT_EQ(scale, 1);
  ModelParameters p = read(withFeedForward("granite")
                               .f32("granite.embedding_scale", 12)
                               .f32("granite.residual_scale", 0.25f)
                               .f32("granite.logit_scale", 8)
                               .f32("granite.attention.scale", 0.0078125f));
  EXPECT_EQ(p.embeddingScale, 12);
  EXPECT_EQ(p.residualScale, 0.25);
  EXPECT_EQ(p.logitScale, 0.125); // it divides
  EXPECT_EQ(p.attentionScale, 0.0078125);
  const std::string rotates = "granite.rope.scaling.finetuned";
  read(withFeedForward("granite").scalar(rotates, GgufType::Bool, uint8_t(1)));
  GgufBytes::File file(withFeedForward("granite").scalar(rotates, GgufType::Bool, uint8_t(0)).bytes());
  const Error refused = readParameters(*Checkpoint::open(file.path)).error();
  EXPECT_EQ(refused.code, ErrorCode::ModelFeature);
  EXPECT_NE(refused.text().find(rotates), std::string::npos) << refused.text();
}

TEST(ModelParameters, WindowLayersOfOlmo3ShareTheBaseAndNotTheScaling) {
  EXPECT_EQ(read(withFeedForward("olmo2")).window, 0u); // OLMo 2
  ModelParameters p = read(withFeedForward("olmo2")
                               .u32("olmo2.attention.sliding_window", 7)
                               .f32("olmo2.rope.freq_base", 5e5f)
                               .text("olmo2.rope.scaling.type", "yarn")
                               .f32("olmo2.rope.scaling.factor", 8));
  EXPECT_EQ(p.local, (std::vector<bool>{true, true, true, false, true, true}));
  EXPECT_EQ(p.rope.localBase, 5e5);
  EXPECT_FALSE(p.rope.localScaled);
  EXPECT_EQ(p.rope.scaling, RopeScaling::Yarn);
}

TEST(ModelParameters, EveryFourthLayerOfSmolLM3DoesNotRotate) {
  EXPECT_EQ(read(withFeedForward("smollm3")).rotates, (std::vector<bool>{true, true, true, false, true, true}));
  EXPECT_EQ(read(withFeedForward("llama")).rotates, std::vector<bool>(6, true));
}

TEST(ModelTensors, OptionalTensorsMayBeMissingButNotMisshapen) {
  GgufBytes::File file(GgufBytes().tensor("w", {4, 2}).bytes());
  Result<Checkpoint> gguf = Checkpoint::open(file.path);
  ASSERT_TRUE(gguf);
  EXPECT_EQ(*optionalTensor(*gguf, "none", {4}), nullptr);
  EXPECT_EQ(*optionalTensor(*gguf, "w", {4, 2}), gguf->tensor("w"));
  EXPECT_EQ(*requireTensor(*gguf, "w", {4, 2, 1}), gguf->tensor("w"));
  EXPECT_EQ(optionalTensor(*gguf, "w", {2, 4}).error().code, ErrorCode::ModelTensorShape);
  EXPECT_EQ(requireTensor(*gguf, "none", {4}).error().code, ErrorCode::ModelTensorMissing);
}

/// What of the mapped file `path` is in this process, in kilobytes.
int residentOf(const std::string &path) {
  std::ifstream maps("/proc/self/smaps");
  bool here = false;
  for (std::string line; std::getline(maps, line);) {
    if (line.find(path) != line.npos)
      here = true;
    else if (here && line.rfind("Rss:", 0) == 0)
      return std::stoi(line.substr(4));
  }
  return -1;
}

TEST(WeightPart, GivesPagesBackOnceAllRowsWereRead) {
  constexpr uint64_t rows = 509, columns = 1021, parts = 2; // 2 MB each
  std::vector<float> values(parts * rows * columns);
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = float(i);
  GgufBytes::File file(std::string(reinterpret_cast<const char *>(values.data()), values.size() * sizeof(float)));
  Result<MappedFile> mapped = MappedFile::open(file.path);
  ASSERT_TRUE(mapped);
  constexpr uint64_t partBytes = rows * columns * sizeof(float);
  std::vector<std::unique_ptr<WeightPart>> made;
  for (uint64_t i = 0; i < parts; ++i) {
    made.push_back(plainPart(Storage::F32, mapped->data() + i * partBytes, rows, columns));
    made.back()->liesIn(mapped->data() + i * partBytes, partBytes);
  }
  const PartSource source(std::move(made));
  std::vector<float> got(values.size());
  auto *out = reinterpret_cast<uint8_t *>(got.data());
  for (int pass = 0; pass < 2; ++pass) { // what was given back is read again from the file
    std::fill(got.begin(), got.end(), -1);
    source.read(0, rows - 1, out);
    EXPECT_GT(residentOf(file.path), 1900);
    source.read(rows - 1, rows + 1, out + (rows - 1) * columns * sizeof(float));
    EXPECT_EQ(got, values);
    EXPECT_LT(residentOf(file.path), 200);
  }
}

class GeneratedModel : public testing::TestWithParam<const char *> {};

TEST_P(GeneratedModel, HasEveryTensorItsParametersAskFor) {
  std::string path = std::string(STEPDOWN_MODELS_DIR "/tiny-") + GetParam() + ".gguf";
  if (access(path.c_str(), F_OK) != 0)
    GTEST_SKIP() << path << " was not generated (needs the Python packages numpy and gguf)";
  Result<Checkpoint> gguf = Checkpoint::open(path);
  ASSERT_TRUE(gguf) << gguf.error().text();
  Result<ModelParameters> p = readParameters(*gguf);
  ASSERT_TRUE(p) << p.error().text();
  EXPECT_EQ(std::string(GetParam()).rfind(p->architecture, 0), 0u);
  Status tensors = checkTensors(*gguf, *p);
  EXPECT_TRUE(tensors) << tensors.error().text();
  Status finite = checkFinite(*gguf);
  EXPECT_TRUE(finite) << finite.error().text();
  EXPECT_EQ(p->rope.scaling == RopeScaling::Yarn, path.find("yarn") != std::string::npos);
  EXPECT_EQ(p->rope.frequencyFactors, path.find("llama3") != std::string::npos);
  EXPECT_EQ(p->rope.longFactors, path.find("longrope") != std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Families, GeneratedModel,
                         testing::Values("llama", "qwen2", "qwen3", "gemma2", "gemma3", "granite", "olmo2", "phi3",
                                         "smollm3", "gpt2", "starcoder2", "cohere2", "internlm2", "qwen2moe",
                                         "gemma3-window", "gemma3-array", "llama-linear", "llama-yarn", "llama-llama3",
                                         "phi3-longrope", "llama-bias", "qwen3-halves"));

} // namespace
