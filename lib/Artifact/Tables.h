// Records and names, one after the other, as the tables of a section lay them out.
#pragma once
#include "include/stepdown/Artifact.h"
#include "llvm/Support/MathExtras.h"
#include <string>
#include <vector>

namespace stepdown {

/// Appends records and says where they went.
class Tables {
public:
  template <typename T> stepdown_table add(const std::vector<T> &records) {
    bytes.resize(llvm::alignTo(bytes.size(), 8));
    stepdown_table table{uint32_t(bytes.size()), uint32_t(records.size())};
    const auto *from = reinterpret_cast<const uint8_t *>(records.data());
    bytes.insert(bytes.end(), from, from + records.size() * sizeof(T));
    return table;
  }
  std::vector<uint8_t> bytes;
};

class Names {
public:
  uint32_t add(const std::string &name) {
    uint32_t at = bytes.size();
    bytes.insert(bytes.end(), name.c_str(), name.c_str() + name.size() + 1);
    return at;
  }
  std::vector<char> bytes;
};

} // namespace stepdown
