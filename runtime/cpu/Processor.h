// What this processor can execute: of x86-64 from cpuid and the register state that the system saves, of AArch64 as
// the system says.
#pragma once
#include "include/stepdown/Artifact.h"
#include <string>
#include <vector>

namespace stepdown {

/// "x86-64-v3" for STEPDOWN_LEVEL_X86_64_V3 and so on; null for a number that is no level.
const char *levelName(uint32_t level);
/// The level called `name`, or 0.
uint32_t levelNamed(const char *name);
/// Where `level` stands among the levels of its architecture: the higher is the better code. 0 for no level.
int levelRank(uint32_t level);
/// All levels, lowest first.
std::vector<std::string> levelNames();
/// Whether this processor, under this system, executes code of `level`.
bool processorHas(uint32_t level);
/// Cores that this process may use, at least 1.
int processorCores();

} // namespace stepdown
