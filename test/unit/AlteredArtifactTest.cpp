// Compiled artifacts with one word of their tables altered and all checksums made right: each is loaded and used in a
// child process, and must be refused or run without a fault. Memory of the runtime lies between pages that nobody may
// touch, so that what leaves it by a page is a fault too.
//
// STEPDOWN_ALTER=all tries every alteration of every word, and STEPDOWN_ALTER=N one in N; without, one in 97. What is
// left out is always the same.
#include "include/stepdown/KernelImage.h"
#include "runtime/Devices.h"
#include "runtime/Functions/FunctionLibrary.h"
#include "runtime/Session/Session.h"
#include "test/unit/ArtifactBuilder.h"
#include "test/unit/MadeModel.h"
#include <algorithm>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <gtest/gtest.h>
#include <iterator>
#include <map>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {
bool guarded = false; ///< set in children: from now on anonymous mappings get guard pages
}

/// Before libc's: the runtime is linked into this program and maps all its memory with it.
extern "C" void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset) noexcept {
  constexpr size_t page = 4096, most = size_t(1) << 40;
  if (!guarded || address || !(flags & MAP_ANONYMOUS) || length > most)
    return reinterpret_cast<void *>(syscall(SYS_mmap, address, length, protection, flags, fd, offset));
  const size_t inner = (length + page - 1) / page * page;
  auto *base = reinterpret_cast<uint8_t *>(
      syscall(SYS_mmap, nullptr, inner + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  if (base == MAP_FAILED)
    return MAP_FAILED;
  return reinterpret_cast<void *>(syscall(SYS_mmap, base + page, inner, protection, flags | MAP_FIXED, fd, offset));
}

using namespace stepdown;

namespace {

using Bytes = std::vector<uint8_t>;

enum Outcome { Ran = 0, Refused = 1 }; ///< of a child; else how it ended

/// Compiles `source` and reads the artifact; empty, with a test failure, where that fails.
Bytes compiled(const std::string &source, const std::string &options = "") {
  const std::string path = test::temporaryFile({}, ".stepdown"), log = test::temporaryFile({}, ".log");
  const std::string command =
      std::string(STEPDOWN_COMPILE) + " " + source + " -o " + path + " " + options + " >" + log + " 2>&1";
  if (std::system(command.c_str()) != 0) {
    std::ifstream said(log);
    ADD_FAILURE() << command << "\n" << std::string(std::istreambuf_iterator<char>(said), {});
    return {};
  }
  std::ifstream in(path, std::ios::binary);
  return Bytes(std::istreambuf_iterator<char>(in), {});
}

/// Steps of `counts` tokens, with one and with many rows.
Outcome useModelOn(const char *device, const std::string &path, std::initializer_list<uint32_t> counts) {
  auto model = Model::load(path, *openDevice(device));
  if (!model)
    return Refused;
  Session::Options options;
  options.threads = 1;
  options.maxSequences = 2;
  auto session = Session::create(*model, options);
  if (!session)
    return Refused;
  auto first = (*session)->createSequence(), second = (*session)->createSequence();
  const stepdown_program &head = (*model)->head();
  uint32_t id = 7;
  float sum = 0;
  for (uint32_t count : counts) {
    count = std::min({count, head.max_step_tokens, head.max_context, uint32_t(257)});
    std::vector<Session::Token> tokens;
    for (uint32_t i = 0; i < count; ++i)
      tokens.push_back({i % 3 ? *first : *second, static_cast<int32_t>((id = id * 13 + 5) % head.vocabulary),
                        count < 6 || i % 7 == 0});
    if (!(*session)->submit(tokens.data(), tokens.size()))
      continue; // more rows or positions than there are
    if (!(*session)->step())
      return Refused;
    for (size_t row = 0; row < (*session)->rows(); ++row)
      for (uint32_t v = 0; v < head.vocabulary; ++v)
        sum += (*session)->logits(row)[v];
  }
  volatile float keep = sum;
  (void)keep;
  return Ran;
}

/// Steps that meet every bucket, on a context that fills up.
Outcome useModel(const std::string &path) { return useModelOn(nullptr, path, {1, 3, 11, 131, 1, 5, ~0u}); }

/// Two tokens: the emulator looks at every access.
Outcome useOnNVIDIA(const std::string &path) { return useModelOn("emulated:sm_90a", path, {2}); }
Outcome useOnAMD(const std::string &path) { return useModelOn("emulated:gfx942", path, {2}); }

/// Every function with arguments of its signature, each as long as it must be and no longer.
Outcome useFunctions(const std::string &path) {
  auto library = FunctionLibrary::load(path, *openDevice(nullptr));
  if (!library)
    return Refused;
  Outcome outcome = Ran;
  for (size_t f = 0; f < (*library)->functions().size(); ++f) {
    std::vector<Array> arguments = (*library)->functions()[f].arguments;
    bool small = true;
    for (Array &argument : arguments) {
      for (int64_t &dim : argument.dims)
        dim = dim < 0 ? 5 : dim;
      for (int64_t dim : argument.dims)
        small &= dim < 4096;
      if (!small || argument.bytes() > 1u << 20)
        return Refused; // nobody has such an array
      const size_t bytes = argument.bytes(), room = (bytes + 4095) / 4096 * 4096;
      auto *memory = static_cast<uint8_t *>(
          mmap(nullptr, room ? room : 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
      argument.data = memory + room - bytes; // its end is the page's
    }
    auto results = (*library)->call(f, arguments);
    if (!results)
      outcome = Refused;
    else
      for (const Array &array : (*results)->arrays())
        if (array.bytes() && static_cast<const uint8_t *>(array.data)[array.bytes() - 1] == 1)
          outcome = Ran;
  }
  return outcome;
}

/// Runs `use` on `bytes` in a child: its outcome, or 128 and the signal that ended it.
int tryIn(const Bytes &bytes, const std::function<Outcome(const std::string &)> &use) {
  int file = memfd_create("altered", MFD_CLOEXEC);
  if (file < 0 || write(file, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()))
    return -1;
  const pid_t child = fork();
  if (child == 0) {
    const rlimit memory = {rlim_t(8) << 30, rlim_t(8) << 30}, none = {0, 0};
    setrlimit(RLIMIT_AS, &memory);
    setrlimit(RLIMIT_CORE, &none);
    alarm(60);
    guarded = true;
    _exit(use("/proc/self/fd/" + std::to_string(file)));
  }
  int status = -1;
  waitpid(child, &status, 0);
  close(file);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/// The words [begin, end) of `bytes`, but those that `skipped` says, each altered in turn.
struct Altered {
  int refused = 0, ran = 0;
  std::vector<std::string> faults;
};

Altered alter(const Bytes &good, const stepdown_section &section, size_t begin, size_t end,
              const std::function<bool(size_t)> &skipped, const std::function<Outcome(const std::string &)> &use) {
  const char *chosen = std::getenv("STEPDOWN_ALTER");
  const uint32_t sampled = !chosen                        ? 97
                           : std::string(chosen) == "all" ? 1
                                                          : std::max(std::atoi(chosen), 1); ///< one in so many
  Altered result;
  uint32_t state = 2024;
  auto draw = [&state](uint32_t limit) { return ((state = state * 1664525u + 1013904223u) >> 8) % limit; };
  const size_t words = (end - begin) / 4;
  for (size_t word = 0; word < words; ++word) {
    const size_t at = section.offset + begin + word * 4;
    uint32_t value, other;
    std::memcpy(&value, good.data() + at, 4);
    std::memcpy(&other, good.data() + section.offset + begin + draw(static_cast<uint32_t>(words)) * 4, 4);
    const uint32_t values[] = {value + 1, value - 1, 0, 1, other, value ^ 16, value / 2, value * 16, ~0u, 0x7fffffff};
    for (uint32_t altered : values) {
      if (altered == value || skipped(begin + word * 4) || draw(sampled))
        continue;
      Bytes bytes = good;
      std::memcpy(bytes.data() + at, &altered, 4);
      test::seal(bytes);
      const int outcome = tryIn(bytes, use);
      result.refused += outcome == Refused;
      result.ran += outcome == Ran;
      if (outcome != Refused && outcome != Ran)
        result.faults.push_back("word at " + std::to_string(begin + word * 4) + " of section kind " +
                                std::to_string(section.kind) + ": " + std::to_string(value) + " -> " +
                                std::to_string(altered) + " ended with " + std::to_string(outcome));
    }
  }
  return result;
}

/// The bytes of section `section` of `file` that are code: the instructions of a processor, or of each image on a
/// device what its chip or the emulator executes.
std::vector<std::pair<size_t, size_t>> codeOf(const Bytes &file, const stepdown_section &section) {
  const uint8_t *bytes = file.data() + section.offset;
  stepdown_code code;
  std::memcpy(&code, bytes, sizeof code);
  std::vector<std::pair<size_t, size_t>> ranges;
  for (uint32_t i = 0; i < code.entries.count; ++i) {
    stepdown_entry entry;
    std::memcpy(&entry, bytes + code.entries.offset + i * sizeof entry, sizeof entry);
    if (entry.name == STEPDOWN_NO_NAME)
      return {{code.instructions, section.size}};
    stepdown_image image;
    std::memcpy(&image, bytes + entry.offset, sizeof image);
    EXPECT_EQ(image.magic, STEPDOWN_IMAGE_MAGIC);
    const size_t where =
        entry.offset + offsetof(stepdown_image, code); // of the code, as an entry says of a processor's
    ranges.push_back({where, where + sizeof image.code + sizeof image.code_bytes});
    ranges.push_back({entry.offset + image.code, entry.offset + image.code + image.code_bytes});
    ranges.push_back({entry.offset + image.operations, entry.offset + image.operations + image.operation_bytes});
  }
  return ranges;
}

void expectNoFault(const std::string &what, const Bytes &good, uint32_t kind,
                   const std::function<Outcome(const std::string &)> &use) {
  ASSERT_GE(good.size(), sizeof(stepdown_header));
  ASSERT_EQ(tryIn(good, use), Ran);
  stepdown_header header;
  std::memcpy(&header, good.data(), sizeof header);
  Altered sum;
  for (uint32_t i = 0; i < header.section_count; ++i) {
    const stepdown_section &section = header.sections[i];
    size_t end = section.size;
    std::function<bool(size_t)> skipped = [](size_t) { return false; };
    if (section.kind == STEPDOWN_SECTION_CODE) {
      // Where an entry begins is native code; what it takes is not. On a device it is an image, which is verified.
      stepdown_code code;
      std::memcpy(&code, good.data() + section.offset, sizeof code);
      const auto ranges = codeOf(good, section);
      const bool native = ranges.size() == 1 && ranges.front().first == code.instructions;
      end = native ? code.entries.offset + code.entries.count * sizeof(stepdown_entry) : section.size;
      skipped = [code, ranges, native](size_t at) {
        const size_t entry = at - code.entries.offset;
        return (native && at >= code.entries.offset && entry < code.entries.count * sizeof(stepdown_entry) &&
                entry % sizeof(stepdown_entry) < sizeof(uint64_t)) ||
               std::any_of(ranges.begin(), ranges.end(),
                           [at](const auto &range) { return at + 4 > range.first && at < range.second; });
      };
    } else if (section.kind != kind) {
      continue;
    }
    Altered altered = alter(good, section, 0, end / 4 * 4, skipped, use);
    sum.refused += altered.refused;
    sum.ran += altered.ran;
    sum.faults.insert(sum.faults.end(), altered.faults.begin(), altered.faults.end());
  }
  std::printf("%s: %zu altered: %d refused, %d ran, %zu faults\n", what.c_str(),
              sum.refused + sum.ran + sum.faults.size(), sum.refused, sum.ran, sum.faults.size());
  EXPECT_GT(sum.refused, 0);
  EXPECT_GT(sum.ran, 0); // names, weights' shapes, paddings
  for (size_t i = 0; i < sum.faults.size() && i < 40; ++i)
    ADD_FAILURE() << what << ": " << sum.faults[i];
}

// What the tests below rest on: what leaves the runtime's memory by a page, or never ends, is seen.
TEST(AlteredArtifact, faultsAreSeen) {
  EXPECT_EQ(tryIn({1}, [](const std::string &) { return Ran; }), Ran);
  EXPECT_EQ(tryIn({1},
                  [](const std::string &) {
                    void *memory = mmap(nullptr, 5000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
                    static_cast<volatile uint8_t *>(memory)[8192] = 1;
                    return Ran;
                  }),
            128 + SIGSEGV);
  EXPECT_EQ(tryIn({1},
                  [](const std::string &) {
                    raise(SIGALRM);
                    return Ran;
                  }),
            128 + SIGALRM);
}

TEST(AlteredArtifact, aModel) {
  expectNoFault("llama",
                compiled(makeModel("--family llama --type Q4_1 --layers 2 --width 96 --heads 3 --kv-heads 1 --ffn 160 "
                                   "--vocab 304 --context 320"),
                         "--target=x86-64-v3"),
                STEPDOWN_SECTION_PROGRAM, useModel);
}

// Two groups of caches, one of which forgets; norms of heads; two levels of code.
TEST(AlteredArtifact, aModelWithWindows) {
  expectNoFault("gemma3",
                compiled(makeModel("--family gemma3 --type Q8_0 --layers 3 --pattern 1,1,0 --window 48 "
                                   "--width 64 --heads 2 --kv-heads 1 --ffn 96 --vocab 304 --context 320")),
                STEPDOWN_SECTION_PROGRAM, useModel);
}

// Odd sizes, which are padded; sinks; no q8 activations.
TEST(AlteredArtifact, aModelOfOddSizes) {
  expectNoFault(
      "qwen3",
      compiled(makeModel("--family qwen3 --type F16 --layers 2 --width 53 --heads 6 --kv-heads 2 --head-dim 22 "
                         "--ffn 67 --vocab 307 --context 311 --sinks"),
               "--target=x86-64-v3 --exact"),
      STEPDOWN_SECTION_PROGRAM, useModel);
}

// One matrix for q, k and v, one for gate and up; part of a head turns; superblocks, in both modes.
TEST(AlteredArtifact, aModelOfFusedMatrices) {
  expectNoFault(
      "phi3",
      compiled(makeModel("--family phi3 --type Q6_K --layers 1 --width 256 --heads 8 --kv-heads 2 --rope-dims 12 "
                         "--ffn 256 --vocab 311 --context 317 --window 29"),
               "--target=x86-64-v3 --exact"),
      STEPDOWN_SECTION_PROGRAM, useModel);
}

// Launch records, names, images with their kernels and what each is handed.
TEST(AlteredArtifact, aModelOnDevices) {
  const std::string model = makeModel("--family llama --type Q8_0 --layers 1 --width 32 --heads 2 --kv-heads 1 "
                                      "--head-dim 16 --ffn 32 --vocab 263 --context 64");
  // Matrix units on one of them: there one token costs what a whole tile does, and the emulator computes all of it.
  expectNoFault("llama on sm_90a", compiled(model, "--target=emulated:sm_90a"), STEPDOWN_SECTION_PROGRAM, useOnNVIDIA);
  expectNoFault("llama on gfx942", compiled(model, "--target=emulated:gfx942 --exact"), STEPDOWN_SECTION_PROGRAM,
                useOnAMD);
}

TEST(AlteredArtifact, functions) {
  const std::string text = R"(
    func.func @scale(%x: tensor<?x7xf32>, %s: f32) -> tensor<?x7xf32> {
      %y = tensor.splat %s : tensor<7xf32>
      %z = linalg.broadcast ins(%y : tensor<7xf32>) outs(%x : tensor<?x7xf32>) dimensions = [0]
      %w = linalg.mul ins(%x, %z : tensor<?x7xf32>, tensor<?x7xf32>) outs(%x : tensor<?x7xf32>) -> tensor<?x7xf32>
      return %w : tensor<?x7xf32>
    }
    func.func @matmul(%a: tensor<11x13xf64>, %b: tensor<13x3xf64>, %c: tensor<11x3xf64>) -> tensor<11x3xf64> {
      %0 = linalg.matmul ins(%a, %b : tensor<11x13xf64>, tensor<13x3xf64>) outs(%c : tensor<11x3xf64>) -> tensor<11x3xf64>
      return %0 : tensor<11x3xf64>
    }
    func.func @pair(%i: tensor<2053xi8>, %j: tensor<5xi64>) -> (tensor<2053xi8>, tensor<5xi64>) {
      %0 = linalg.add ins(%i, %i : tensor<2053xi8>, tensor<2053xi8>) outs(%i : tensor<2053xi8>) -> tensor<2053xi8>
      %1 = linalg.sub ins(%j, %j : tensor<5xi64>, tensor<5xi64>) outs(%j : tensor<5xi64>) -> tensor<5xi64>
      return %0, %1 : tensor<2053xi8>, tensor<5xi64>
    }
  )";
  const std::string source = test::temporaryFile(Bytes(text.begin(), text.end()), ".mlir");
  expectNoFault("functions", compiled(source), STEPDOWN_SECTION_FUNCTIONS, useFunctions);
}

} // namespace
