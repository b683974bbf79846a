// Two weights are alike when the same bytes would be written for them: of one tensor, rows, padding and packing, or
// tables of the same values. A name does not tell tables apart, nor does an alignment tell packings apart: the section
// has the largest.
#include "lib/Artifact/SharedWeights.h"
#include <algorithm>
#include <map>
#include <numeric>
#include <string>
#include <tuple>

namespace stepdown {
namespace {

std::string bytesWritten(const WeightEntry &w) {
  std::string key = w.table.empty() ? w.tensor : std::string();
  key.push_back('\0');
  auto add = [&](int64_t number) { key.append(reinterpret_cast<const char *>(&number), sizeof number); };
  add(w.firstRow);
  add(w.isAdapter);
  add(w.storage);
  add(w.layout ? w.layout->packing : -1);
  add(w.layout ? w.layout->rows : 0);
  add(static_cast<int64_t>(w.padding.group));
  add(static_cast<int64_t>(w.padding.groupRoom));
  add(static_cast<int64_t>(w.padding.columns));
  add(static_cast<int64_t>(w.dims.size()));
  for (int64_t dim : w.dims)
    add(dim);
  key.append(reinterpret_cast<const char *>(w.table.data()), w.table.size() * sizeof(float));
  return key;
}

} // namespace

SharedWeights shareWeights(std::vector<std::vector<WeightEntry>> targets) {
  struct Users {
    size_t first, last;
  };
  SharedWeights shared;
  std::vector<Users> users; // of each entry
  std::map<std::string, uint32_t> known;
  for (size_t t = 0; t < targets.size(); ++t) {
    shared.places.emplace_back();
    for (WeightEntry &weight : targets[t]) {
      auto [entry, isNew] = known.try_emplace(bytesWritten(weight), uint32_t(shared.entries.size()));
      if (isNew) {
        shared.entries.push_back(std::move(weight));
        users.push_back({t, t});
      }
      users[entry->second].last = t;
      shared.places.back().push_back(entry->second);
    }
  }
  std::vector<uint32_t> order(users.size()), place(users.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    return std::make_tuple(users[a].first, users[a].last, a) < std::make_tuple(users[b].first, users[b].last, b);
  });
  std::vector<WeightEntry> sorted;
  for (uint32_t i = 0; i < order.size(); ++i) {
    place[order[i]] = i;
    sorted.push_back(std::move(shared.entries[order[i]]));
  }
  shared.entries = std::move(sorted);
  for (std::vector<uint32_t> &list : shared.places)
    for (uint32_t &index : list)
      index = place[index];
  return shared;
}

} // namespace stepdown
