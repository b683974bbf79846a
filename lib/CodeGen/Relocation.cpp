// Distances as instructions carry them: the System V psABI of x86-64, and ELF for the Arm 64-bit Architecture.
#include "lib/CodeGen/Relocation.h"
#include "llvm/BinaryFormat/ELF.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/MathExtras.h"

using namespace llvm;
using support::endian::read32le;
using support::endian::write32le;
using support::endian::write64le;

namespace stepdown {

uint8_t trapByte(Triple::ArchType architecture) {
  return architecture == Triple::x86_64 ? 0xcc : 0; // int3; udf #0 is four zeros
}

/// 32 or 64 bits: the distance.
static Resolved resolveX86(uint64_t type, uint8_t *bytes, uint64_t offset, int64_t distance) {
  switch (type) {
  case ELF::R_X86_64_PC64:
    write64le(bytes, distance);
    return Resolved::Yes;
  case ELF::R_X86_64_GOTPCRELX:
  case ELF::R_X86_64_REX_GOTPCRELX:
    // There is no table of addresses to load from: mov address@GOTPCREL(%rip), r becomes lea address(%rip), r.
    if (offset < 2 || bytes[-2] != 0x8b)
      return Resolved::Absolute;
    bytes[-2] = 0x8d;
    break;
  case ELF::R_X86_64_PC32:
  case ELF::R_X86_64_PLT32:
    break;
  default:
    return Resolved::Absolute;
  }
  if (!isInt<32>(distance))
    return Resolved::Far;
  write32le(bytes, static_cast<uint32_t>(distance));
  return Resolved::Yes;
}

/// Sets `count` bits of an instruction from bit `first` on.
static void setBits(uint8_t *bytes, int first, int count, uint64_t value) {
  const uint32_t mask = ((1u << count) - 1) << first;
  write32le(bytes, (read32le(bytes) & ~mask) | ((static_cast<uint32_t>(value) << first) & mask));
}

/// adr and adrp: the two low bits from bit 29 on, the other 19 from bit 5 on.
static Resolved setAdr(uint8_t *bytes, int64_t value) {
  if (!isInt<21>(value))
    return Resolved::Far;
  setBits(bytes, 29, 2, value);
  setBits(bytes, 5, 19, value >> 2);
  return Resolved::Yes;
}

/// A distance in words.
static Resolved setWords(uint8_t *bytes, int first, int count, int64_t distance) {
  if (distance % 4 || !isIntN(count + 2, distance))
    return Resolved::Far;
  setBits(bytes, first, count, distance >> 2);
  return Resolved::Yes;
}

/// The offset in a page, of an instruction that counts it in units of 1 << shift bytes.
static Resolved setPageOffset(uint8_t *bytes, int shift, int64_t address) {
  const uint64_t offset = address & 0xfff;
  if (offset & ((1u << shift) - 1))
    return Resolved::Far;
  setBits(bytes, 10, 12, offset >> shift);
  return Resolved::Yes;
}

static Resolved resolveAArch64(uint64_t type, uint8_t *bytes, int64_t place, int64_t address) {
  const int64_t distance = address - place;
  switch (type) {
  case ELF::R_AARCH64_PREL64:
    write64le(bytes, distance);
    return Resolved::Yes;
  case ELF::R_AARCH64_PREL32:
    if (!isInt<32>(distance))
      return Resolved::Far;
    write32le(bytes, static_cast<uint32_t>(distance));
    return Resolved::Yes;
  case ELF::R_AARCH64_ADR_PREL_LO21:
    return setAdr(bytes, distance);
  case ELF::R_AARCH64_ADR_PREL_PG_HI21:
    return setAdr(bytes, (address >> 12) - (place >> 12));
  case ELF::R_AARCH64_CALL26:
  case ELF::R_AARCH64_JUMP26:
    return setWords(bytes, 0, 26, distance);
  case ELF::R_AARCH64_CONDBR19:
  case ELF::R_AARCH64_LD_PREL_LO19:
    return setWords(bytes, 5, 19, distance);
  case ELF::R_AARCH64_TSTBR14:
    return setWords(bytes, 5, 14, distance);
  case ELF::R_AARCH64_ADD_ABS_LO12_NC:
  case ELF::R_AARCH64_LDST8_ABS_LO12_NC:
    return setPageOffset(bytes, 0, address);
  case ELF::R_AARCH64_LDST16_ABS_LO12_NC:
    return setPageOffset(bytes, 1, address);
  case ELF::R_AARCH64_LDST32_ABS_LO12_NC:
    return setPageOffset(bytes, 2, address);
  case ELF::R_AARCH64_LDST64_ABS_LO12_NC:
    return setPageOffset(bytes, 3, address);
  case ELF::R_AARCH64_LDST128_ABS_LO12_NC:
    return setPageOffset(bytes, 4, address);
  default:
    return Resolved::Absolute;
  }
}

Resolved resolve(Triple::ArchType architecture, uint64_t type, std::vector<uint8_t> &block, uint64_t place,
                 uint64_t offset, int64_t address) {
  const bool wide = architecture == Triple::x86_64 ? type == ELF::R_X86_64_PC64 : type == ELF::R_AARCH64_PREL64;
  if (place + (wide ? 8 : 4) > block.size())
    return Resolved::Outside;
  uint8_t *bytes = block.data() + place;
  if (architecture == Triple::x86_64)
    return resolveX86(type, bytes, offset, address - static_cast<int64_t>(place));
  return resolveAArch64(type, bytes, static_cast<int64_t>(place), address);
}

} // namespace stepdown
