#include "lib/Checkpoint/Pooling.h"
#include "lib/Checkpoint/GgufShard.h"

namespace stepdown {

std::optional<Pooling> poolingOf(const std::string &name) {
  return name == "mean"   ? std::optional(Pooling::Mean)
         : name == "cls"  ? std::optional(Pooling::First)
         : name == "last" ? std::optional(Pooling::Last)
                          : std::nullopt;
}

Result<PoolingParameters> readPooling(const Metadata &metadata) {
  Result<std::string_view> architecture = metadata.string("general.architecture");
  if (!architecture)
    return architecture.error();
  PoolingParameters out;
  const std::string prefix = std::string(*architecture) + ".", type = prefix + "pooling_type",
                    normalises = prefix + "pooling_normalize";
  if (metadata.has(type)) {
    Result<uint64_t> number = metadata.unsignedInteger(type);
    if (!number)
      return number.error();
    if (*number > static_cast<uint64_t>(Pooling::Last))
      return fail(ErrorCode::EmbeddingPooling,
                  "%s: key '%s': expects 0 (none), 1 (mean), 2 (cls) or 3 (last), but got %llu%s",
                  metadata.file().c_str(), printable(type).c_str(), static_cast<unsigned long long>(*number),
                  *number == 4 ? " (rank: a score of two texts, which is no embedding)" : "");
    out.pooling = static_cast<Pooling>(*number);
  }
  if (metadata.has(normalises)) {
    Result<bool> stored = metadata.boolean(normalises);
    if (!stored)
      return stored.error();
    out.normalises = *stored;
  }
  return out;
}

} // namespace stepdown
