// Enumerates lanes: a warp has few, and the count is exact for every layout, padded ones too.
#include "lib/Layout/SharedAccess.h"
#include <algorithm>
#include <set>

namespace stepdown {

std::optional<SharedAccess> sharedAccess(const LinearLayout &layout, int elementBytes, int accessBytes,
                                         const SharedMemory &memory) {
  const auto &inputs = layout.inputs();
  const int64_t together = std::max(accessBytes / elementBytes, 1), registers = layout.inputSize("register");
  if (layout.outputs().size() != 1 || accessBytes < elementBytes || registers % together)
    return std::nullopt;
  size_t reg = inputs.size(), lane = inputs.size();
  int64_t others = 1;
  for (size_t i = 0; i < inputs.size(); ++i)
    if (inputs[i].name == "register")
      reg = i;
    else if (inputs[i].name == "lane")
      lane = i;
    else
      others *= inputs[i].size();
  if (together > 1 && reg == inputs.size())
    return std::nullopt;
  const int64_t lanes = layout.inputSize("lane"), rowBytes = int64_t(memory.banks) * memory.bankBytes;
  const int64_t group = std::min(lanes, rowBytes / std::max(accessBytes, memory.bankBytes));
  SharedAccess cost;
  std::vector<int64_t> at(inputs.size(), 0);
  for (int64_t other = 0; other < others; ++other) {
    int64_t rest = other;
    for (size_t i = 0; i < inputs.size(); ++i)
      if (i != reg && i != lane)
        at[i] = rest % inputs[i].size(), rest /= inputs[i].size();
    for (int64_t r = 0; r < registers; r += together) {
      ++cost.instructions;
      for (int64_t first = 0; first < lanes; first += group) {
        std::vector<std::set<int64_t>> rows(memory.banks); // which rows of a bank are wanted
        for (int64_t l = first; l < std::min(first + group, lanes); ++l) {
          if (lane < inputs.size())
            at[lane] = l;
          int64_t begin = 0;
          for (int64_t k = 0; k < together; ++k) {
            if (reg < inputs.size())
              at[reg] = r + k;
            int64_t offset;
            layout.apply(at.data(), &offset);
            if (k == 0)
              begin = offset;
            if (offset != begin + k * elementBytes || begin % accessBytes)
              return std::nullopt;
          }
          for (int64_t word = begin / memory.bankBytes; word <= (begin + accessBytes - 1) / memory.bankBytes; ++word)
            rows[word % memory.banks].insert(word / memory.banks);
        }
        int64_t ways = 0;
        for (const std::set<int64_t> &bank : rows)
          ways = std::max<int64_t>(ways, bank.size());
        cost.wavefronts += ways;
        ++cost.least;
        cost.ways = std::max(cost.ways, ways);
      }
    }
  }
  return cost;
}

int widestAccess(const LinearLayout &layout, int elementBytes) {
  for (int bytes = 16; bytes > elementBytes; bytes /= 2)
    if (sharedAccess(layout, elementBytes, bytes))
      return bytes;
  return elementBytes;
}

} // namespace stepdown
