// Writes metadata pairs in GGUF's encoding, for checkpoints whose files say the same in other words.
#pragma once
#include "lib/Checkpoint/Metadata.h"
#include <cstring>

namespace stepdown {

class PairWriter {
public:
  void add(const std::string &key, bool value) { begin(key, GgufType::Bool), scalar(uint8_t(value)); }
  void add(const std::string &key, uint64_t value) { begin(key, GgufType::U64), scalar(value); }
  void add(const std::string &key, double value) { begin(key, GgufType::F64), scalar(value); }
  void add(const std::string &key, std::string_view value) { begin(key, GgufType::String), text(value); }
  void add(const std::string &key, const char *value) { add(key, std::string_view(value)); }
  void add(const std::string &key, const std::vector<std::string> &values) {
    beginArray(key, GgufType::String, values.size());
    for (const std::string &value : values)
      text(value);
  }
  void add(const std::string &key, const std::vector<int32_t> &values) {
    beginArray(key, GgufType::I32, values.size());
    for (int32_t value : values)
      scalar(value);
  }

  void add(const std::string &key, const std::vector<float> &values) {
    beginArray(key, GgufType::F32, values.size());
    for (float value : values)
      scalar(value);
  }
  void add(const std::string &key, const std::vector<uint8_t> &values) {
    beginArray(key, GgufType::U8, values.size());
    written.append(values.begin(), values.end());
  }

  const std::string &bytes() const { return written; }
  uint64_t count() const { return pairs; }

private:
  template <typename T> void scalar(T value) { written.append(reinterpret_cast<const char *>(&value), sizeof value); }
  void text(std::string_view value) { scalar(uint64_t(value.size())), written.append(value); }
  void begin(const std::string &key, GgufType type) { text(key), scalar(static_cast<uint32_t>(type)), ++pairs; }
  void beginArray(const std::string &key, GgufType element, size_t count) {
    begin(key, GgufType::Array), scalar(static_cast<uint32_t>(element)), scalar(uint64_t(count));
  }

  std::string written; // little-endian, as the machines that this is built for are
  uint64_t pairs = 0;
};

} // namespace stepdown
