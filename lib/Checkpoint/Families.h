// All families, and a family's layer in the words of any builder.
#pragma once
#include "lib/Checkpoint/FamilyList.h"
#include <string_view>

namespace stepdown {

/// The residual stream after one layer of `family`, for the stream `x` before it. A Builder has the words of
/// lib/Frontend/LayerBuilder.h, and Rows is what they take and give.
template <typename Builder, typename Rows> Rows describeLayer(const Family &family, Builder &b, Rows x) {
#define STEPDOWN_LAYER(Name)                                                                                           \
  if (std::string_view(family.architecture) == Name::architecture)                                                     \
    return Name::layer(b, x);
  STEPDOWN_FAMILIES(STEPDOWN_LAYER)
#undef STEPDOWN_LAYER
  return x; // never: a Family is one of the list
}

} // namespace stepdown
