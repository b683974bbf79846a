#include "lib/CodeGen/EmulatedOperations.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringSwitch.h"

using llvm::StringRef;

namespace stepdown {
namespace {

struct Row {
  stepdown_emulated kind;
  const char *instructions;
};
constexpr Row rows[] = {
#define STEPDOWN_EMULATED(NAME, INSTRUCTIONS, MODIFIERS) {STEPDOWN_EMULATED_##NAME, INSTRUCTIONS},
#include "include/stepdown/Emulation.def"
#undef STEPDOWN_EMULATED
};

int32_t axis(StringRef name) { return name.back() - 'x'; }

EmulatedType type(StringRef name) {
  return llvm::StringSwitch<EmulatedType>(name)
      .Case("f32", EmulatedType::F32)
      .Case("f16", EmulatedType::F16)
      .Case("bf16", EmulatedType::BF16)
      .Case("tf32", EmulatedType::TF32)
      .Case("e4m3", EmulatedType::E4M3)
      .Case("e5m2", EmulatedType::E5M2)
      .Case("s8", EmulatedType::S8)
      .Case("u8", EmulatedType::U8)
      .Case("s32", EmulatedType::S32)
      .Default(EmulatedType::None);
}

int32_t firstOf(StringRef name, std::initializer_list<const char *> words) {
  int32_t at = 0;
  llvm::SmallVector<StringRef> parts;
  name.split(parts, '.');
  for (const char *word : words) {
    if (llvm::is_contained(parts, StringRef(word)))
      return at;
    ++at;
  }
  return -1;
}

/// The MFMA and WMMA that the emulator has, behind "amdgcn.".
struct WaveProduct {
  const char *name;
  int32_t first, k; ///< rows of an MFMA; 0 or 1: gfx11 or gfx12
  EmulatedType type;
};
constexpr WaveProduct waveProducts[] = {
    {"mfma.f32.32x32x8bf16.1k", 32, 8, EmulatedType::BF16},
    {"mfma.f32.16x16x16bf16.1k", 16, 16, EmulatedType::BF16},
    {"mfma.f32.32x32x8f16", 32, 8, EmulatedType::F16},
    {"mfma.f32.16x16x16f16", 16, 16, EmulatedType::F16},
    {"mfma.f32.32x32x16.bf16", 32, 16, EmulatedType::BF16},
    {"mfma.f32.16x16x32.bf16", 16, 32, EmulatedType::BF16},
    {"mfma.f32.32x32x16.f16", 32, 16, EmulatedType::F16},
    {"mfma.f32.16x16x32.f16", 16, 32, EmulatedType::F16},
    {"wmma.f32.16x16x16.bf16.v8f32.v16i16", 0, 16, EmulatedType::BF16},
    {"wmma.f32.16x16x16.f16.v8f32.v16f16", 0, 16, EmulatedType::F16},
    {"wmma.f32.16x16x16.bf16.v8f32.v8i16", 1, 16, EmulatedType::BF16},
    {"wmma.f32.16x16x16.f16.v8f32.v8f16", 1, 16, EmulatedType::F16},
    {"mfma.i32.32x32x8i8", 32, 8, EmulatedType::S8},
    {"mfma.i32.32x32x16.i8", 32, 16, EmulatedType::S8},
    {"mfma.i32.32x32x32.i8", 32, 32, EmulatedType::S8},
    {"wmma.i32.16x16x16.iu8.v8i32.v4i32", 0, 16, EmulatedType::S8},
    {"wmma.i32.16x16x16.iu8.v8i32.v2i32", 1, 16, EmulatedType::S8},
    {"mfma.scale.f32.32x32x64.f8f6f4.v8i32.v8i32", 32, 64, EmulatedType::E4M3}, // or E5M2, as its operands say
    {"mfma.f32.32x32x16.fp8.fp8", 32, 16, EmulatedType::E4M3FNUZ},              // of gfx942; gfx950's are OCP's
    {"wmma.f32.16x16x16.fp8.fp8.v8f32.v2i32", 1, 16, EmulatedType::E4M3},
    {"wmma.f32.16x16x16.bf8.bf8.v8f32.v2i32", 1, 16, EmulatedType::E5M2},
};

/// "m64n256k16" and what follows it.
bool readShape(StringRef name, int32_t &n, int32_t &k, llvm::SmallVectorImpl<StringRef> &after) {
  llvm::SmallVector<StringRef> parts;
  name.split(parts, '.');
  bool found = false;
  for (StringRef part : parts) {
    StringRef rest = part;
    unsigned m;
    if (!found && rest.consume_front("m") && !rest.consumeInteger(10, m) && rest.consume_front("n") &&
        !rest.consumeInteger(10, n) && rest.consume_front("k") && !rest.getAsInteger(10, k))
      found = true;
    else if (found)
      after.push_back(part);
  }
  return found;
}

bool readModifiers(StringRef name, EmulatedOperation &operation) {
  auto &m = operation.modifiers;
  llvm::SmallVector<StringRef> after;
  switch (operation.kind) {
  case STEPDOWN_EMULATED_thread_index:
  case STEPDOWN_EMULATED_thread_count:
  case STEPDOWN_EMULATED_block_index:
  case STEPDOWN_EMULATED_block_count:
  case STEPDOWN_EMULATED_cluster_index:
  case STEPDOWN_EMULATED_cluster_count:
  case STEPDOWN_EMULATED_block_in_cluster:
  case STEPDOWN_EMULATED_blocks_of_cluster:
    m[0] = axis(name);
    return m[0] >= 0 && m[0] < 3;
  case STEPDOWN_EMULATED_shuffle:
    m[0] = firstOf(name, {"idx", "bfly", "up", "down"});
    m[1] = name.ends_with("p");
    return m[0] >= 0;
  case STEPDOWN_EMULATED_vote:
    m[0] = firstOf(name, {"all", "any", "uni", "ballot"});
    return m[0] >= 0;
  case STEPDOWN_EMULATED_reduce_warp:
    m[0] = firstOf(name, {"add", "min", "max", "umin", "umax", "and", "or", "xor"});
    return m[0] >= 0;
  case STEPDOWN_EMULATED_barrier_all:
  case STEPDOWN_EMULATED_barrier_count:
  case STEPDOWN_EMULATED_barrier_arrive:
    m[0] = name.contains("aligned") || name.starts_with("bar.");
    return true;
  case STEPDOWN_EMULATED_cluster_arrive:
  case STEPDOWN_EMULATED_cluster_wait:
    m[0] = name.contains("aligned");
    m[1] = name.contains("relaxed");
    return true;
  case STEPDOWN_EMULATED_mbarrier_arrive:
  case STEPDOWN_EMULATED_mbarrier_arrive_expect:
  case STEPDOWN_EMULATED_mbarrier_expect:
  case STEPDOWN_EMULATED_mbarrier_try_wait:
  case STEPDOWN_EMULATED_mbarrier_test_wait:
    m[0] = name.contains("scope");
    m[1] = name.contains("relaxed");
    m[2] = name.contains("scope.cluster");
    return !name.contains("noComplete") && !name.contains("drop");
  case STEPDOWN_EMULATED_bulk_load:
  case STEPDOWN_EMULATED_bulk_store:
  case STEPDOWN_EMULATED_bulk_reduce:
    return name.consume_back("d") && !name.take_back(1).getAsInteger(10, m[0]);
  case STEPDOWN_EMULATED_bulk_wait:
    m[0] = name.ends_with("read");
    return true;
  case STEPDOWN_EMULATED_copy_async:
    m[1] = name.consume_back(".s");
    return !name.rsplit('.').second.getAsInteger(10, m[0]);
  case STEPDOWN_EMULATED_copy_wait:
    m[0] = name.ends_with("all");
    return true;
  case STEPDOWN_EMULATED_load_matrix:
  case STEPDOWN_EMULATED_store_matrix:
    m[0] = name.contains(".x4.") ? 4 : name.contains(".x2.") ? 2 : 1;
    m[1] = name.contains(".trans.");
    return name.contains(".b16");
  case STEPDOWN_EMULATED_mma: {
    // The intrinsic names types of accumulators, and of a and b only where more than one would fit; PTX names d, a, b,
    // c.
    int32_t n;
    if (!readShape(name, n, m[0], after) || after.size() < 3 || after[0] != "row" || after[1] != "col")
      return false;
    llvm::SmallVector<EmulatedType> types;
    for (StringRef part : llvm::ArrayRef<StringRef>(after).drop_front(2))
      if (EmulatedType t = type(part); t != EmulatedType::None)
        types.push_back(t);
    if (types.size() == 4) { // d, a, b, c, or d, c of f16 with a and b unnamed
      m[1] = int32_t(types[0]), m[2] = int32_t(types[1]), m[3] = int32_t(types[2]);
    } else if (types.size() == 2) {
      const bool half = types[0] == EmulatedType::F32 || types[0] == EmulatedType::F16;
      m[1] = int32_t(half ? types[0] : types[0] == EmulatedType::S8 ? EmulatedType::S32 : EmulatedType::F32);
      m[2] = m[3] = int32_t(half ? EmulatedType::F16 : types[0]);
    } else if (types.size() == 1) {
      m[1] = int32_t(types[0] == EmulatedType::S8 ? EmulatedType::S32 : EmulatedType::F32);
      m[2] = m[3] = int32_t(types[0]);
    } else {
      return false;
    }
    const auto a = EmulatedType(m[2]);
    return m[1] == int32_t(a == EmulatedType::S8 ? EmulatedType::S32 : EmulatedType::F32);
  }
  case STEPDOWN_EMULATED_wgmma:
    if (!readShape(name, m[0], m[1], after) || after.size() < 3)
      return false;
    m[2] = int32_t(type(after[0]));
    m[3] = int32_t(type(after[1]));
    m[4] = int32_t(type(after[2]));
    return m[0] >= 8 && m[0] <= 256 && m[0] % 8 == 0 && m[2] != int32_t(EmulatedType::None) &&
           m[3] != int32_t(EmulatedType::None) && m[4] != int32_t(EmulatedType::None) && after.back() != "satfinite";
  case STEPDOWN_EMULATED_wgmma_wait:
    m[0] = -1;
    return true;
  case STEPDOWN_EMULATED_to_bf16_pair:
  case STEPDOWN_EMULATED_to_f16_pair:
  case STEPDOWN_EMULATED_to_bf16:
    return name.ends_with(".rn"); // no relu, no saturation
  case STEPDOWN_EMULATED_mfma:
  case STEPDOWN_EMULATED_wmma:
    name.consume_front("amdgcn.");
    for (const WaveProduct &product : waveProducts)
      if (name == product.name) {
        const EmulatedType sum = product.type == EmulatedType::S8 ? EmulatedType::S32 : EmulatedType::F32;
        m = {product.first, product.k, int32_t(sum), int32_t(product.type), int32_t(product.type)};
        return true;
      }
    return false;
  case STEPDOWN_EMULATED_buffer_load:
  case STEPDOWN_EMULATED_buffer_store: // behind the name stands a type alone: not ".lds", ".format"
    return !name.contains(".lds") && !name.contains(".format");
  case STEPDOWN_EMULATED_wave_barrier_all:
    return name == "amdgcn.s.barrier";
  case STEPDOWN_EMULATED_hint:
    return !name.starts_with("amdgcn.s.waitcnt.");
  case STEPDOWN_EMULATED_permute_bytes:
    return name == "prmt" || name == "prmt.b32";
  default:
    return true;
  }
}

} // namespace

std::optional<EmulatedOperation> emulatedOperation(StringRef instruction) {
  size_t longest = 0;
  std::optional<EmulatedOperation> found;
  for (const Row &row : rows) {
    llvm::SmallVector<StringRef> names;
    StringRef(row.instructions).split(names, ' ', -1, false);
    for (StringRef name : names)
      if (instruction.starts_with(name) && name.size() > longest) {
        longest = name.size();
        found = EmulatedOperation{row.kind};
      }
  }
  if (!found || !readModifiers(instruction, *found))
    return std::nullopt;
  return found;
}

} // namespace stepdown
