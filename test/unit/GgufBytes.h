// Writes GGUF bytes in memory for tests: metadata pairs and F32 tensors.
#pragma once
#include "lib/Checkpoint/Checkpoint.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <unistd.h>
#include <vector>

namespace stepdown {

class GgufBytes {
public:
  template <typename T> GgufBytes &scalar(const std::string &key, GgufType type, T value) {
    head(key, type);
    append(pairs, value);
    return *this;
  }
  GgufBytes &u32(const std::string &key, uint32_t value) { return scalar(key, GgufType::U32, value); }
  GgufBytes &f32(const std::string &key, float value) { return scalar(key, GgufType::F32, value); }
  GgufBytes &text(const std::string &key, const std::string &value) {
    head(key, GgufType::String);
    string(pairs, value);
    return *this;
  }
  template <typename T> GgufBytes &array(const std::string &key, GgufType element, const std::vector<T> &values) {
    head(key, GgufType::Array);
    append(pairs, static_cast<uint32_t>(element));
    append(pairs, static_cast<uint64_t>(values.size()));
    for (T value : values)
      append(pairs, value);
    return *this;
  }
  GgufBytes &strings(const std::string &key, const std::vector<std::string> &values) {
    head(key, GgufType::Array);
    append(pairs, static_cast<uint32_t>(GgufType::String));
    append(pairs, static_cast<uint64_t>(values.size()));
    for (const std::string &value : values)
      string(pairs, value);
    return *this;
  }
  /// An F32 tensor whose elements count up from 0.
  GgufBytes &tensor(const std::string &name, const std::vector<uint64_t> &dims) {
    string(infos, name);
    append(infos, static_cast<uint32_t>(dims.size()));
    uint64_t count = 1;
    for (uint64_t dim : dims) {
      append(infos, dim);
      count *= dim;
    }
    append(infos, static_cast<uint32_t>(Storage::F32));
    append(infos, static_cast<uint64_t>(data.size()));
    for (uint64_t i = 0; i < count; ++i)
      append(data, static_cast<float>(i));
    data.resize((data.size() + 31) / 32 * 32);
    ++tensorCount;
    return *this;
  }

  /// A tensor of any storage type with these bytes.
  GgufBytes &stored(const std::string &name, const std::vector<uint64_t> &dims, Storage storage,
                    const std::vector<uint8_t> &bytes) {
    string(infos, name);
    append(infos, static_cast<uint32_t>(dims.size()));
    for (uint64_t dim : dims)
      append(infos, dim);
    append(infos, static_cast<uint32_t>(storage));
    append(infos, static_cast<uint64_t>(data.size()));
    data.append(bytes.begin(), bytes.end());
    data.resize((data.size() + 31) / 32 * 32);
    ++tensorCount;
    return *this;
  }

  std::string bytes() const {
    std::string out = "GGUF";
    append(out, uint32_t(3));
    append(out, tensorCount);
    append(out, pairCount);
    out += pairs + infos;
    if (tensorCount)
      out.resize((out.size() + 31) / 32 * 32);
    return out + data;
  }

  /// Writes the bytes to a temporary file that lives as long as the object.
  struct File {
    std::string path;
    explicit File(const std::string &bytes) {
      char name[] = "/tmp/stepdown-test-XXXXXX";
      int fd = mkstemp(name);
      path = name;
      if (fd < 0 || write(fd, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()))
        std::abort();
      close(fd);
    }
    File(const File &) = delete;
    ~File() { unlink(path.c_str()); }
  };

private:
  template <typename T> static void append(std::string &out, T value) {
    out.append(reinterpret_cast<const char *>(&value), sizeof value);
  }
  static void string(std::string &out, const std::string &value) {
    append(out, static_cast<uint64_t>(value.size()));
    out += value;
  }
  void head(const std::string &key, GgufType type) {
    string(pairs, key);
    append(pairs, static_cast<uint32_t>(type));
    ++pairCount;
  }

  std::string pairs, infos, data;
  uint64_t pairCount = 0, tensorCount = 0;
};

} // namespace stepdown
