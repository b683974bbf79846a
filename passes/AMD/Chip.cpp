#include "passes/AMD/Chip.h"
#include "lib/Layout/AmdLayouts.h"

namespace stepdown::amd {

// A raw buffer: elements of 32 bits; from gfx10 on also the bounds check of raw buffers and the format's new place.
static constexpr int32_t kGfx9 = 0x00027000, kGfx11 = 0x31027000;

static const ChipFacts &facts(const char *name) { return *factsOfChip(name); }

// It takes types as numbers, and its scales are of the instruction without them where they are zero.
static const char kScaledMfma[] = "llvm.amdgcn.mfma.scale.f32.32x32x64.f8f6f4";

static const Chip chips[] = {
    {facts("gfx90a"), 32, 4, false, true, kGfx9, "llvm.amdgcn.mfma.f32.32x32x8bf16.1k",
     "llvm.amdgcn.mfma.f32.32x32x8f16", 4, "llvm.amdgcn.mfma.f32.16x16x16f16", 2, "llvm.amdgcn.mfma.i32.32x32x8i8"},
    {facts("gfx942"), 32, 4, false, true, kGfx9, "llvm.amdgcn.mfma.f32.32x32x8bf16.1k",
     "llvm.amdgcn.mfma.f32.32x32x8f16", 4, "llvm.amdgcn.mfma.f32.16x16x16f16", 4, "llvm.amdgcn.mfma.i32.32x32x16.i8", 4,
     "llvm.amdgcn.mfma.f32.32x32x16.fp8.fp8", nullptr, true},
    {facts("gfx950"), 32, 8, false, true, kGfx9, "llvm.amdgcn.mfma.f32.32x32x16.bf16",
     "llvm.amdgcn.mfma.f32.32x32x16.f16", 8, "llvm.amdgcn.mfma.f32.16x16x32.f16", 8, "llvm.amdgcn.mfma.i32.32x32x32.i8",
     16, kScaledMfma, kScaledMfma},
    {facts("gfx1100"), 16, 16, true, false, kGfx11, "llvm.amdgcn.wmma.f32.16x16x16.bf16",
     "llvm.amdgcn.wmma.f32.16x16x16.f16", 16, "llvm.amdgcn.wmma.f32.16x16x16.f16", 8,
     "llvm.amdgcn.wmma.i32.16x16x16.iu8"},
    {facts("gfx1201"), 16, 8, false, false, kGfx11, "llvm.amdgcn.wmma.f32.16x16x16.bf16",
     "llvm.amdgcn.wmma.f32.16x16x16.f16", 8, "llvm.amdgcn.wmma.f32.16x16x16.f16", 4,
     "llvm.amdgcn.wmma.i32.16x16x16.iu8", 4, "llvm.amdgcn.wmma.f32.16x16x16.fp8.fp8",
     "llvm.amdgcn.wmma.f32.16x16x16.bf8.bf8"},
};

Chip Chip::narrow() const {
  Chip made = *this;
  made.rows = 16;
  made.held = narrowHeld;
  made.bf16 = nullptr;
  made.f16 = narrowF16;
  return made;
}

Chip Chip::eights(bool floats) const {
  Chip made = *this;
  made.held = floats ? floatsHeld : pairsHeld;
  made.bf16 = made.f16 = nullptr;
  return made;
}

LinearLayout Chip::accumulator() const {
  return mfma ? mfmaAccumulator(int(rows)) : twice ? wmmaAccumulatorGfx11() : wmmaAccumulatorGfx12();
}

const Chip *findChip(llvm::StringRef name) {
  for (const Chip &chip : chips)
    if (name == chip.name)
      return &chip;
  return nullptr;
}

std::string chipNames() {
  std::string names;
  for (const Chip &chip : chips)
    names += (names.empty() ? "" : ", ") + std::string(chip.name);
  return names;
}

} // namespace stepdown::amd
