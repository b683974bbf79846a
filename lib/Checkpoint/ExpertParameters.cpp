#include "lib/Checkpoint/ExpertParameters.h"
#include "lib/Checkpoint/ParameterLimits.h"

#include <tuple>

namespace stepdown {

#define STEPDOWN_CHECK(STATUS)                                                                                         \
  if (Status status = (STATUS); !status)                                                                               \
  return status

Status readExperts(const KeyReader &keys, ModelParameters &p) {
  const Metadata &meta = keys.meta;
  const auto key = [&](const char *name) { return keys.key(name); };
  const auto has = [&](const char *name) { return keys.has(name); };
  uint64_t experts = 0, used = 0;
  for (auto [name, number] : {std::pair{"expert_count", &experts}, {"expert_used_count", &used}})
    if (has(name)) {
      Result<uint64_t> stored = meta.unsignedInteger(key(name));
      if (!stored)
        return stored.error();
      *number = *stored;
    }
  if (experts != 0 && (used == 0 || used > experts))
    return keys.refuse(ErrorCode::ModelExperts, key("expert_used_count"),
                       "expects 1 to the " + std::to_string(experts) + " experts, but got " + std::to_string(used));
  if (experts == 0 && used != 0)
    return keys.refuse(ErrorCode::ModelExperts, key("expert_used_count"),
                       "expects 0 without experts, but got " + std::to_string(used));
  for (const char *name : {"expert_group_count", "expert_group_used_count"}) {
    if (!has(name))
      continue;
    Result<uint64_t> groups = meta.unsignedInteger(key(name));
    if (!groups)
      return groups.error();
    if (*groups > 1 && (experts == 0 || experts % *groups != 0))
      return keys.refuse(ErrorCode::ModelExperts, key(name),
                         "expects a divisor of the " + std::to_string(experts) + " experts, but got " +
                             std::to_string(*groups));
    if (*groups > 1)
      return keys.refuse(ErrorCode::ModelFeature, key(name),
                         "expects 0 or 1 (a choice among all experts), but got " + std::to_string(*groups));
  }
  p.experts = 0;
  if (experts != 0 && p.family->experts == ExpertShares::Never)
    return keys.refuse(ErrorCode::ModelFeature, key("expert_count"),
                       "expects 0 (dense layers), but got " + std::to_string(experts) + " experts");
  if (experts == 0 && !p.family->dense)
    return keys.refuse(ErrorCode::ModelExperts, key("expert_count"), "expects experts, but got 0");
  if (experts == 0)
    return Done{};
  for (auto [name, number, most] :
       {std::tuple("expert_count", experts, kMostExperts), std::tuple("expert_used_count", used, kMostExpertsUsed)})
    if (number > most)
      return keys.refuse(ErrorCode::ModelRange, key(name),
                         "expects 1 to " + std::to_string(most) + ", but got " + std::to_string(number));
  p.experts = static_cast<uint32_t>(experts), p.expertsUsed = static_cast<uint32_t>(used);
  if (p.family->sharedExpert) { // of feed_forward_length llama.cpp's two readings differ
    STEPDOWN_CHECK(keys.count("expert_feed_forward_length", kMostWidth, p.expertWidth));
    STEPDOWN_CHECK(keys.count("expert_shared_feed_forward_length", kMostWidth, p.sharedWidth));
  } else {
    STEPDOWN_CHECK(keys.countOr("expert_feed_forward_length", kMostWidth, p.feedForward[0], p.expertWidth));
  }
  p.expertsNormalised = p.family->experts == ExpertShares::OfChosen;
  STEPDOWN_CHECK(keys.real(ErrorCode::ModelScale, "expert_weights_scale", kScales, 1, p.expertScale));
  p.expertScale = p.expertScale == 0 ? 1 : p.expertScale;
  if (const char *name = "expert_weights_norm"; has(name)) {
    Result<bool> normalised = meta.boolean(key(name));
    if (!normalised)
      return normalised.error();
    if (*normalised != p.expertsNormalised)
      return keys.refuse(ErrorCode::ModelFeature, key(name),
                         std::string("expects ") + (p.expertsNormalised ? "true" : "false") + ", as in all files of " +
                             p.architecture + ", but got " + (*normalised ? "true" : "false"));
  }
  if (const char *name = "expert_gating_func"; has(name)) {
    Result<uint64_t> function = meta.unsignedInteger(key(name));
    if (!function)
      return function.error();
    if (*function > 1) // 2: sigmoid, 3: softmax of the chosen
      return keys.refuse(ErrorCode::ModelFeature, key(name),
                         "expects 0 or 1 (softmax), but got " + std::to_string(*function));
  }
  return Done{};
}

#undef STEPDOWN_CHECK

} // namespace stepdown
