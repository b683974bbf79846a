// A hash of short byte strings: two multiplications for up to 16 bytes, seeded once a process so that no file can be
// made whose tokens all fall on one slot of a table.
#pragma once
#include <cstdint>
#include <string_view>

namespace stepdown {

uint64_t hashText(std::string_view text);

} // namespace stepdown
