// What an object leaves to its linker, of those relocations that need no more than where things lie in the block.
#pragma once
#include "llvm/TargetParser/Triple.h"
#include <cstdint>
#include <vector>

namespace stepdown {

/// A byte of which instructions consist that stop a program: running off the end of a function must not go unnoticed.
uint8_t trapByte(llvm::Triple::ArchType architecture);

enum class Resolved {
  Yes,
  Absolute, ///< it depends on where the block is mapped, or is of a kind that code generators of ours do not write
  Far,      ///< what it refers to is further away, or aligned to less, than the instruction can say
  Outside,  ///< its place is not in the block
};

/// Writes the distance from `place` to `address`, both bytes from the beginning of `block`, as ELF's relocation `type`
/// of x86_64 or aarch64 says; of the latter also the offset in a page, for blocks that begin on one of 4096 bytes.
/// `offset`: of the place in its section.
Resolved resolve(llvm::Triple::ArchType architecture, uint64_t type, std::vector<uint8_t> &block, uint64_t place,
                 uint64_t offset, int64_t address);

} // namespace stepdown
