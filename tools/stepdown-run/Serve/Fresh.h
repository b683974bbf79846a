// What no two answers of any server have alike.
#pragma once
#include <cstdint>
#include <string>

namespace stepdown::run {

/// A random number of 64 bits, for a seed that nobody said. Any thread.
uint64_t freshNumber();
/// Nine letters and digits, as some templates ask for in the ids of calls.
std::string freshCallId();

} // namespace stepdown::run
