// What a program can say more of a fault than PartFile.h's noteWork has, once there is one.
#pragma once
#include <cstddef>

namespace stepdown {

/// `describe` writes into `text`, of `size` bytes, more about what the thread that came to a fault was at, ending with
/// a zero; nothing where it knows no more. Called by the handler of explainFaults, so it takes no locks and no memory.
void describeFaults(void (*describe)(char *text, size_t size));

} // namespace stepdown
