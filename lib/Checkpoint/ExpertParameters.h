// The keys of a mixture of experts: how many there are, and how a token's are chosen and weighed.
#pragma once
#include "lib/Checkpoint/KeyReader.h"
#include "lib/Checkpoint/ModelParameters.h"

namespace stepdown {

/// Reads what `p` says of experts, whose family and width of the MLP are known. E0201, E0202, E0205, E0212; E0213 for
/// experts that contradict each other or the family.
Status readExperts(const KeyReader &keys, ModelParameters &p);

} // namespace stepdown
