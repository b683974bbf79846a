// Relocations of AArch64 against the words that LLVM's assembler writes where it knows the distance itself.
#include "lib/CodeGen/Relocation.h"
#include "llvm/BinaryFormat/ELF.h"
#include "llvm/Support/Endian.h"
#include <gtest/gtest.h>

using namespace llvm;
using namespace stepdown;

namespace {

constexpr uint64_t kPlace = 0x2010;

struct Case {
  const char *text; // what the assembler read
  uint64_t type;
  uint32_t empty; // with zero for the distance
  int64_t address;
  uint32_t whole;
};

const Case kCases[] = {
    {"adr x3, .+0x1235", ELF::R_AARCH64_ADR_PREL_LO21, 0x10000003, kPlace + 0x1235, 0x300091a3},
    {"adr x30, .-3", ELF::R_AARCH64_ADR_PREL_LO21, 0x1000001e, kPlace - 3, 0x30fffffe},
    {"adrp x3, .+0x5000", ELF::R_AARCH64_ADR_PREL_PG_HI21, 0x90000003, 0x7ffd, 0xb0000023},
    {"adrp x3, .-0x3000", ELF::R_AARCH64_ADR_PREL_PG_HI21, 0x90000003, -0x1000, 0xb0ffffe3},
    {"bl .+0x10004", ELF::R_AARCH64_CALL26, 0x94000000, kPlace + 0x10004, 0x94004001},
    {"b .-8", ELF::R_AARCH64_JUMP26, 0x14000000, kPlace - 8, 0x17fffffe},
    {"b.eq .+0x1000", ELF::R_AARCH64_CONDBR19, 0x54000000, kPlace + 0x1000, 0x54008000},
    {"ldr x7, .+0xff8", ELF::R_AARCH64_LD_PREL_LO19, 0x58000007, kPlace + 0xff8, 0x58007fc7},
    {"tbnz x5, #33, .-0x20", ELF::R_AARCH64_TSTBR14, 0xb7080005, kPlace - 0x20, 0xb70fff05},
    {"add x9, x10, #0xabc", ELF::R_AARCH64_ADD_ABS_LO12_NC, 0x91000149, 0x7abc, 0x912af149},
    {"ldrb w1, [x2, #0xabc]", ELF::R_AARCH64_LDST8_ABS_LO12_NC, 0x39400041, 0x7abc, 0x396af041},
    {"ldrh w1, [x2, #0xabc]", ELF::R_AARCH64_LDST16_ABS_LO12_NC, 0x79400041, 0x7abc, 0x79557841},
    {"ldr w1, [x2, #0xabc]", ELF::R_AARCH64_LDST32_ABS_LO12_NC, 0xb9400041, 0x7abc, 0xb94abc41},
    {"ldr x1, [x2, #0xab8]", ELF::R_AARCH64_LDST64_ABS_LO12_NC, 0xf9400041, 0x7ab8, 0xf9455c41},
    {"ldr q1, [x2, #0xab0]", ELF::R_AARCH64_LDST128_ABS_LO12_NC, 0x3dc00041, 0x7ab0, 0x3dc2ac41},
    {".word .-16", ELF::R_AARCH64_PREL32, 0, kPlace - 16, 0xfffffff0},
};

Resolved resolveIn(std::vector<uint8_t> &block, uint64_t type, int64_t address, uint64_t place = kPlace) {
  return resolve(Triple::aarch64, type, block, place, place, address);
}

TEST(Relocation, WritesDistancesAsTheAssemblerDoes) {
  for (const Case &each : kCases) {
    SCOPED_TRACE(each.text);
    std::vector<uint8_t> block(0x3000, 0x55);
    // What was there, of bits that the distance takes, counts for nothing.
    support::endian::write32le(block.data() + kPlace, each.empty | (each.empty ? each.whole ^ each.empty : 0));
    ASSERT_EQ(resolveIn(block, each.type, each.address), Resolved::Yes);
    EXPECT_EQ(support::endian::read32le(block.data() + kPlace), each.whole);
    EXPECT_EQ(block[kPlace - 1], 0x55);
    EXPECT_EQ(block[kPlace + 4], 0x55);
  }
}

TEST(Relocation, WritesADistanceOfEightBytes) {
  std::vector<uint8_t> block(0x3000);
  ASSERT_EQ(resolveIn(block, ELF::R_AARCH64_PREL64, -7), Resolved::Yes);
  EXPECT_EQ(support::endian::read64le(block.data() + kPlace), uint64_t(-7 - int64_t(kPlace)));
}

// The last distance that an instruction can say, and the first that it cannot.
TEST(Relocation, RefusesWhatIsTooFar) {
  const std::pair<uint64_t, int64_t> reaches[] = {
      {ELF::R_AARCH64_ADR_PREL_LO21, 1 << 20},   {ELF::R_AARCH64_CALL26, 1 << 27},
      {ELF::R_AARCH64_JUMP26, 1 << 27},          {ELF::R_AARCH64_CONDBR19, 1 << 20},
      {ELF::R_AARCH64_LD_PREL_LO19, 1 << 20},    {ELF::R_AARCH64_TSTBR14, 1 << 15},
      {ELF::R_AARCH64_PREL32, int64_t(1) << 31}, {ELF::R_AARCH64_ADR_PREL_PG_HI21, int64_t(1) << 32}};
  for (auto [type, reach] : reaches) {
    std::vector<uint8_t> block(0x3000);
    const int64_t from = type == ELF::R_AARCH64_ADR_PREL_PG_HI21 ? kPlace & ~0xfff : kPlace;
    EXPECT_EQ(resolveIn(block, type, from - reach), Resolved::Yes) << type;
    EXPECT_EQ(resolveIn(block, type, from + reach - 4), Resolved::Yes) << type;
    EXPECT_EQ(resolveIn(block, type, from - reach - 4), Resolved::Far) << type;
    EXPECT_EQ(resolveIn(block, type, from + reach), Resolved::Far) << type;
  }
}

TEST(Relocation, RefusesWhatInstructionsCannotSay) {
  std::vector<uint8_t> block(0x3000);
  EXPECT_EQ(resolveIn(block, ELF::R_AARCH64_CALL26, kPlace + 6), Resolved::Far);
  EXPECT_EQ(resolveIn(block, ELF::R_AARCH64_LDST64_ABS_LO12_NC, 0x7ab4), Resolved::Far);
  for (uint64_t type : {ELF::R_AARCH64_ABS64, ELF::R_AARCH64_ADR_GOT_PAGE, ELF::R_AARCH64_MOVW_UABS_G3})
    EXPECT_EQ(resolveIn(block, type, 0), Resolved::Absolute) << type;
  EXPECT_EQ(resolveIn(block, ELF::R_AARCH64_PREL32, 0, 0x2ffd), Resolved::Outside);
  EXPECT_EQ(resolveIn(block, ELF::R_AARCH64_PREL64, 0, 0x2ffc), Resolved::Outside);
  EXPECT_EQ(block, std::vector<uint8_t>(0x3000));
}

} // namespace
