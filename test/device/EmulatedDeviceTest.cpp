// The emulated sm_90a as a Device: images of kernels that the compiler made, launched through a queue on uploaded
// operands; what it refuses, and the reports of kernels that break a rule.
#include "lib/CodeGen/Emulation.h"
#include "lib/CodeGen/ImageWriter.h"
#include "lib/CodeGen/KernelModule.h"
#include "lib/Kernels/KernelText.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Pass/PassManager.h"
#include "passes/NVIDIA/Passes.h"
#include "runtime/Checksum.h"
#include "runtime/Devices.h"
#include "runtime/Load/KernelImage.h"
#include "runtime/Load/Model.h"
#include "runtime/Session/Session.h"
#include "test/device/EmulatedKernel.h"
#include "test/unit/ToyModel.h"
#include <gtest/gtest.h>
#include <sys/mman.h>

using namespace stepdown;
using namespace stepdown::test;

namespace {

constexpr const char *kName = "emulated:sm_90a";
/// The image stands behind other bytes of its section.
constexpr uint64_t kOffset = 4096 + 8;

std::vector<uint8_t> sectionOf(const std::vector<uint8_t> &image) {
  std::vector<uint8_t> section(kOffset, 0xcc);
  section.insert(section.end(), image.begin(), image.end());
  return section;
}

Result<std::vector<uint8_t>> imageOf(llvm::Module &module, const KernelInterface &interface) {
  Result<EmulatedCode> code = emulateKernels(module);
  if (!code)
    return code.error();
  return layOutImage(interface, code->code, code->table);
}

struct EmulatedDevice : testing::Test {
  std::shared_ptr<Device> device = *openDevice(kName);
  std::unique_ptr<Queue> queue = std::move(*device->queue(1));

  Result<uint64_t> load(const std::vector<uint8_t> &image, const char *name, const stepdown_launch &launch) {
    const std::vector<uint8_t> section = sectionOf(image);
    Result<uint64_t> code =
        device->loadCode(section.data(), section.size(), checksumOf(section.data(), section.size()));
    return code ? device->kernel(*code, kOffset, name, launch) : code;
  }
  Allocation allocate(size_t bytes) { return Allocation(*device, *device->allocate(bytes, "test")); }
  Allocation upload(const void *from, size_t bytes) {
    Allocation memory = allocate(bytes);
    EXPECT_EQ(memory->host, nullptr);
    EXPECT_TRUE(queue->upload(memory->address, from, bytes));
    return memory;
  }
  /// Launches with `words` as operands.
  Status launch(uint64_t kernel, const std::vector<uint64_t> &words, uint32_t blocks = 1) {
    Allocation operands = upload(words.data(), words.size() * 8);
    const Launch one = {kernel, operands->address, uint32_t(words.size()), {blocks, 1, 1}};
    if (Status launched = queue->launch(&one, 1); !launched)
      return launched;
    return queue->sync();
  }
};

/// The matrix product's tile text, compiled.
struct Product {
  KernelInterface interface;
  std::vector<uint8_t> image;
  std::string error;
  explicit Product(const MatmulParameters &parameters) {
    mlir::DialectRegistry registry;
    registerKernelDialects(registry);
    mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
    auto module = matmulKernel(context, parameters);
    mlir::PassManager passes(&context);
    passes.addPass(createLowerTileToNVVM());
    if (!module || failed(passes.run(**module))) {
      error = "lower-tile-to-nvvm";
      return;
    }
    auto kernels = *(*module)->getOps<mlir::gpu::GPUModuleOp>().begin();
    auto read = kernelInterface(*kernels.getOps<mlir::LLVM::LLVMFuncOp>().begin());
    auto translated = translateKernels(kernels, "sm_90a");
    if (!read || !translated) {
      error = (read ? translated.error() : read.error()).text();
      return;
    }
    interface = *read;
    auto made = imageOf(*translated->module, interface);
    if (made)
      image = *made;
    else
      error = made.error().text();
  }
};

MatmulParameters smallTiles() {
  MatmulParameters p;
  p.m = 64, p.n = 64, p.k = 64, p.stages = 2, p.warps = 4, p.registers = 168, p.group = 2;
  return p;
}

/// @k(%out: address, %n: i32) with `body` for 64 threads.
Result<std::vector<uint8_t>> smallImage(const std::string &body, KernelInterface &interface) {
  auto module = translateKernels(
      "module attributes {gpu.container_module} {\ngpu.module @kernels {\n"
      "llvm.func @k(%out: !llvm.ptr<1>, %n: i32) attributes {nvvm.kernel, nvvm.maxntid = array<i32: 64, 1, 1>} {\n"
      "%tid = nvvm.read.ptx.sreg.tid.x : i32\n"
      "%o = llvm.getelementptr %out[%tid] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i32\n" +
          body + "\nllvm.return\n}\n}\n}\n",
      "small.mlir", "sm_90a");
  if (!module)
    return module.error();
  interface.name = "k";
  interface.ranks = {1};
  interface.parameters = {{0, STEPDOWN_HOLDS_ADDRESS, 0, 0, 0, {}, 0}, {0, STEPDOWN_HOLDS_SIZE, 0, 0, 0, {}, 0}};
  interface.launch = {{{1, 1}, {1, 1}, {1, 1}}, {64, 1, 1}, {1, 1, 1}, 0};
  return imageOf(*module->module, interface);
}
const std::string kNumbers = "%x = arith.addi %tid, %n : i32\nllvm.store %x, %o : i32, !llvm.ptr<1>";

} // namespace

#define EXPECT_ERROR(result, number, part)                                                                             \
  do {                                                                                                                 \
    auto &&said = (result);                                                                                            \
    ASSERT_FALSE(said);                                                                                                \
    EXPECT_EQ(static_cast<int>(said.error().code), number) << said.error().text();                                     \
    EXPECT_NE(said.error().message.find(part), std::string::npos) << said.error().text();                              \
  } while (false)

TEST_F(EmulatedDevice, RunsItsTargetAlone) {
  EXPECT_STREQ(device->name(), kName);
  EXPECT_TRUE(device->runs(kName));
  EXPECT_FALSE(device->runs("cpu"));
  EXPECT_FALSE(device->runs("sm_90a"));
  EXPECT_TRUE(device->accepts(0));
  EXPECT_TRUE(device->hasHost());
  EXPECT_TRUE(device->accepts(STEPDOWN_LEVEL_X86_64_V3)) << "the level of what runs beside it";
  EXPECT_FALSE(device->accepts(99));
  EXPECT_TRUE(runsHere(kName, 0));
  EXPECT_STREQ((*openDevice(nullptr))->name(), "cpu");
}

// C = A B in float64 of the same bf16 numbers. A's rows are filled up to whole 16 bytes with zeros, B's with NaN: the
// columns of C end before them.
TEST_F(EmulatedDevice, MultipliesThroughItsQueue) {
  const Product product(smallTiles());
  ASSERT_EQ(product.error, "");
  Result<uint64_t> kernel = load(product.image, "matmul", product.interface.launch);
  ASSERT_TRUE(kernel) << kernel.error().text();
  struct {
    uint32_t m, n, k, blocks;
  } const cases[] = {{61, 67, 71, 1}, {131, 127, 67, 3}, {1, 1, 1, 1}};
  for (const auto &c : cases) {
    const uint32_t wideK = (c.k + 7) / 8 * 8, wideN = (c.n + 7) / 8 * 8;
    std::vector<uint16_t> a(c.m * wideK, 0), b(c.k * wideN, 0x7fc0);
    std::mt19937 random(c.m);
    std::uniform_real_distribution<float> uniform(-1, 1);
    for (uint32_t i = 0; i < c.m; ++i)
      for (uint32_t x = 0; x < c.k; ++x)
        a[i * wideK + x] = toBf16(uniform(random));
    for (uint32_t x = 0; x < c.k; ++x)
      for (uint32_t j = 0; j < c.n; ++j)
        b[x * wideN + j] = toBf16(uniform(random));
    std::vector<float> got(c.m * c.n, NAN);
    Allocation onA = upload(a.data(), a.size() * 2), onB = upload(b.data(), b.size() * 2),
               onC = upload(got.data(), got.size() * 4);
    Status ran =
        launch(*kernel, {onA->address, c.m, wideK, onB->address, c.k, wideN, onC->address, c.m, c.n}, c.blocks);
    ASSERT_TRUE(ran) << ran.error().text();
    ASSERT_TRUE(queue->download(got.data(), onC->address, got.size() * 4));
    ASSERT_TRUE(queue->sync());
    for (uint32_t i = 0; i < c.m; ++i)
      for (uint32_t j = 0; j < c.n; ++j) {
        double sum = 0, magnitude = 0;
        for (uint32_t x = 0; x < c.k; ++x) {
          const double term = double(fromBf16(a[i * wideK + x])) * fromBf16(b[x * wideN + j]);
          sum += term;
          magnitude += std::fabs(term);
        }
        ASSERT_LE(std::fabs(got[i * c.n + j] - sum), magnitude * c.k * 0x1p-24) << i << ", " << j;
      }
  }
  // Operands that no tensor map describes, and words that are not the kernel's.
  Allocation some = allocate(1 << 16);
  const uint64_t at = some->address;
  EXPECT_ERROR(launch(*kernel, {at, 61, 67, at, 67, 72, at, 61, 67}), 1003,
               "matmul: operand 0: expects rows of dimension 0 of whole 16 bytes for a tensor map, but got 134 bytes");
  EXPECT_ERROR(launch(*kernel, {at + 2, 61, 72, at, 67, 72, at, 61, 67}), 1003, "an address that is a multiple of 16");
  EXPECT_ERROR(launch(*kernel, {at, 61, 0, at, 67, 72, at, 61, 67}), 1003,
               "expects a size of dimension 1 of at least 1");
  EXPECT_ERROR(launch(*kernel, {at, 61, uint64_t(1) << 31, at, 67, 72, at, 61, 67}), 1003,
               "expects at most 2147483647");
  EXPECT_ERROR(launch(*kernel, {at, 61, 72, at, 67, 72, at, 61}), 1003,
               "matmul: expects operands of 9 words, but got 8");
  const Launch nowhere = {*kernel, 4096, 9, {1, 1, 1}}, unknown = {7, at, 9, {1, 1, 1}};
  EXPECT_ERROR(queue->launch(&nowhere, 1), 1004, "operands: expects 72 bytes of memory of device emulated:sm_90a");
  EXPECT_ERROR(queue->launch(&unknown, 1), 1003, "expects one of 1 kernels, but got 7");
}

TEST_F(EmulatedDevice, RunsLaunchesInOrderAndReportsBrokenRules) {
  KernelInterface interface;
  auto image = smallImage(kNumbers, interface),
       racing = smallImage("llvm.store %tid, %out : i32, !llvm.ptr<1>", interface);
  ASSERT_TRUE(image && racing);
  Result<uint64_t> good = load(*image, "k", interface.launch), bad = load(*racing, "k", interface.launch);
  ASSERT_TRUE(good && bad);
  Allocation out = allocate(256);
  const std::vector<uint64_t> words = {out->address, 7, out->address, 11};
  Allocation operands = upload(words.data(), words.size() * 8);
  const Launch seven = {*good, operands->address, 2, {1, 1, 1}}, eleven = {*good, operands->address + 16, 2, {1, 1, 1}},
               races = {*bad, operands->address, 2, {1, 1, 1}};
  auto expectNumbersFrom = [&](uint32_t first) {
    uint32_t got[64];
    ASSERT_TRUE(queue->download(got, out->address, 256) && queue->sync());
    for (uint32_t i = 0; i < 64; ++i)
      ASSERT_EQ(got[i], first + i);
  };
  const Launch both[] = {seven, eleven}, other[] = {eleven, seven};
  ASSERT_TRUE(queue->launch(both, 2));
  expectNumbersFrom(11);
  ASSERT_TRUE(queue->launch(other, 2));
  expectNumbersFrom(7);
  // The report comes from the launch, what is behind it in the list is not run, and the device goes on.
  const Launch stopped[] = {eleven, races, seven};
  Status report = queue->launch(stopped, 3);
  EXPECT_ERROR(report, 1004, "kernel k, small.mlir:6");
  for (const char *part : {"st.global", "block 0,0,0, warp ", "race: writes global memory at 0"})
    EXPECT_NE(report.error().message.find(part), std::string::npos) << report.error().text();
  uint32_t first = 0;
  ASSERT_TRUE(queue->download(&first, out->address + 4, 4) && queue->sync());
  EXPECT_EQ(first, 12u);
  ASSERT_TRUE(queue->launch(&seven, 1));
  expectNumbersFrom(7);

  Allocation narrow = allocate(128);
  EXPECT_ERROR(launch(*good, {narrow->address, 0}), 1004,
               "out of bounds: expects mapped memory, but writes 4 bytes: it is byte 128 of memory of 128");
  alignas(64) static const uint8_t constant[256] = {};
  EXPECT_ERROR(launch(*good, {*device->adopt(constant, 256), 0}), 1004, "expects writable memory");
  const uint64_t released = narrow->address;
  narrow = allocate(8); // nothing that may lie there now has 256 bytes
  EXPECT_ERROR(launch(*good, {released, 0}), 1004, "out of bounds");
  uint32_t word = 0;
  EXPECT_ERROR(queue->upload(narrow->address + 8, &word, 4), 1004, "copy: expects 4 bytes of writable memory");
  EXPECT_ERROR(queue->upload(reinterpret_cast<uint64_t>(constant), &word, 4), 1004, "writable");
  EXPECT_ERROR(queue->copy(narrow->address, 4096, 4), 1004, "copy: expects 4 bytes of memory of device");
}

// What finds races is kept for pages of a MiB, where memory is touched: all of the machine's may be reserved.
TEST_F(EmulatedDevice, FindsRacesInReservedMemory) {
  KernelInterface interface;
  auto image = smallImage(kNumbers, interface),
       racing = smallImage("llvm.store %tid, %out : i32, !llvm.ptr<1>", interface);
  ASSERT_TRUE(image && racing);
  Result<uint64_t> good = load(*image, "k", interface.launch), bad = load(*racing, "k", interface.launch);
  ASSERT_TRUE(good && bad);
  Allocation room(*device, *device->reserve("room"));
  const uint64_t page = 1 << 20, across = room->address + 3 * page - 124;
  ASSERT_TRUE(launch(*good, {across, 5}));
  uint32_t got[64];
  ASSERT_TRUE(queue->download(got, across, 256) && queue->sync());
  for (uint32_t i = 0; i < 64; ++i)
    EXPECT_EQ(got[i], 5 + i);
  EXPECT_ERROR(launch(*bad, {room->address + 5 * page + 12, 0}), 1004, "race: writes global memory at 5242892,");
  EXPECT_ERROR(launch(*bad, {room->address + room->bytes, 0}), 1004, "out of bounds");
}

TEST_F(EmulatedDevice, RefusesLaunchesThatItCannotMake) {
  KernelInterface interface;
  auto image = smallImage(kNumbers, interface);
  ASSERT_TRUE(image);
  const stepdown_launch sound = interface.launch;
  EXPECT_ERROR(load(*image, nullptr, sound), 920, "expects entries of device emulated:sm_90a by name");
  EXPECT_ERROR(load(*image, "gemm", sound), 920, "expects a kernel gemm in the image at offset 4104");
  stepdown_launch other = sound;
  other.block[1] = 2;
  EXPECT_ERROR(load(*image, "k", other), 920, "k: block: expects 1 to 64 threads, but got 128");
  other = sound;
  other.cluster[0] = 16;
  EXPECT_ERROR(load(*image, "k", other), 920, "clusters of 1 to 8");
  other = sound;
  other.cluster[2] = 2;
  EXPECT_ERROR(load(*image, "k", other), 920, "expects clusters along x");
  other = sound;
  other.shared_bytes = 232449;
  EXPECT_ERROR(load(*image, "k", other), 920, "k: shared memory: expects at most 232448 bytes");
  EXPECT_ERROR(device->kernel(99, 0, "k", sound), 920, "of a loaded section");
  EXPECT_ERROR(device->loadCode(image->data(), image->size(), 1), 506, "expects checksum 0000000000000001");
  // Fewer parameters than the code takes.
  KernelInterface fewer = interface;
  fewer.parameters.pop_back();
  const Result<KernelImage> found = locateImage(image->data(), image->size());
  ASSERT_TRUE(found);
  const std::vector<uint8_t> short_ =
      layOutImage(fewer, {found->code, found->codeBytes}, {found->operations, found->operationBytes});
  EXPECT_ERROR(load(short_, "k", sound), 920, "k: parameters: expects 12 bytes, but got 8");
  EXPECT_ERROR(load(layOutImage(interface, {found->code, found->codeBytes}), "k", sound), 1003,
               "expects a table of operations");
}

TEST_F(EmulatedDevice, RefusesAnImageWhoseTablesAreNone) {
  KernelInterface matrices;
  matrices.name = "product";
  matrices.ranks = {2, 1};
  matrices.parameters = {{0, STEPDOWN_HOLDS_MAP, 0, 9, 3, {64, 64}, 0},
                         {1, STEPDOWN_HOLDS_SIZE, 0, 0, 0, {}, 0},
                         {1, STEPDOWN_HOLDS_ADDRESS, 0, 0, 0, {}, 0}};
  const std::vector<uint8_t> code(61, 0xc3);
  const std::vector<uint8_t> sound = layOutImage(matrices, code);
  const Result<KernelImage> read = locateImage(sound.data(), sound.size());
  ASSERT_TRUE(read) << read.error().text();
  ASSERT_EQ(read->kernels.size(), 1u);
  EXPECT_EQ(read->kernels[0].name, "product");
  EXPECT_EQ(read->kernels[0].words(), 5u);
  EXPECT_EQ(std::vector<uint8_t>(read->code, read->code + read->codeBytes), code);

  auto refusal = [&](auto change) -> std::string {
    KernelInterface altered = matrices;
    change(altered);
    const std::vector<uint8_t> image = layOutImage(altered, code);
    const auto located = locateImage(image.data(), image.size());
    return located ? "" : located.error().text();
  };
  EXPECT_EQ(refusal([](KernelInterface &k) { k.ranks[0] = 6; }),
            "error E0507: image of kernels: operand 0: rank: expects from 0 to 5, but got 6");
  EXPECT_NE(refusal([](KernelInterface &k) { k.parameters[0].operand = 2; }).find("parameter 0: operand"),
            std::string::npos);
  EXPECT_NE(refusal([](KernelInterface &k) { k.parameters[1].dimension = 1; }).find("parameter 1: dimension"),
            std::string::npos);
  EXPECT_NE(refusal([](KernelInterface &k) { k.parameters[0].box[1] = 257; }).find("box: expects from 1 to 256"),
            std::string::npos);
  EXPECT_NE(refusal([](KernelInterface &k) { k.parameters[0].element_type = 11; }).find("element type"),
            std::string::npos);
  EXPECT_NE(refusal([](KernelInterface &k) { k.parameters[0].swizzle = 4; }).find("swizzle"), std::string::npos);
  EXPECT_EQ(refusal([](KernelInterface &k) { k.parameters[0].or_address = 2; }),
            "error E0507: image of kernels: parameter 0: or_address: expects from 0 to 1, but got 2");
  EXPECT_EQ(refusal([](KernelInterface &k) { k.parameters[0].or_address = 1; }),
            "error E0507: image of kernels: parameter 0: or_address: expects a kernel that takes the address of "
            "operand 0");
  EXPECT_EQ(refusal([](KernelInterface &k) {
              k.parameters[0].or_address = 1, k.ranks[1] = 2;
              k.parameters[2].operand = 0;
            }),
            "");
  EXPECT_NE(refusal([](KernelInterface &k) { k.parameters[2].holds = 6; }).find("holds"), std::string::npos);
  EXPECT_NE(refusal([](KernelInterface &k) { k.parameters[2].holds = STEPDOWN_HOLDS_VALUE; }).find("rank of a number"),
            std::string::npos);
  EXPECT_NE(refusal([](KernelInterface &k) {
              k.ranks[0] = 0;
              k.parameters = {{0, STEPDOWN_HOLDS_VALUE, 3, 0, 0, {}, 0}};
            }).find("bytes of a number"),
            std::string::npos);
  // Every number of the tables, altered: refused by number, or still one that lies inside.
  const size_t tables = size_t(read->code - sound.data());
  for (size_t at = 0; at + 4 <= tables; at += 4)
    for (uint32_t value : {0u, 1u, 0x7fffffffu, 0xffffffffu}) {
      std::vector<uint8_t> image = sound;
      std::memcpy(&image[at], &value, 4);
      const auto located = locateImage(image.data(), image.size());
      if (!located)
        EXPECT_EQ(located.error().code, ErrorCode::ArtifactTable) << at;
      else
        for (const ImageKernel &kernel : located->kernels)
          EXPECT_LE(kernel.words(), kernel.ranks.size() * 6) << at;
    }
  for (size_t size = 0; size < tables; ++size)
    EXPECT_FALSE(locateImage(sound.data(), size)) << size;
}

TEST_F(EmulatedDevice, ForgetsAdoptedBytesWhoseAddressesAreGivenAgain) {
  KernelInterface interface;
  auto image = smallImage(kNumbers, interface);
  ASSERT_TRUE(image);
  Result<uint64_t> kernel = load(*image, "k", interface.launch);
  ASSERT_TRUE(kernel);
  std::vector<Allocation> all;
  all.reserve(10000);
  void *pages = mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(pages, MAP_FAILED);
  const uint64_t address = *device->adopt(static_cast<const uint8_t *>(pages) + 64, 4096);
  ASSERT_EQ(munmap(pages, 8192), 0);
  do
    all.push_back(allocate(8192 - device->alignment()));
  while (all.back()->address + 64 != address && all.size() < 10000);
  ASSERT_EQ(all.back()->address + 64, address);
  EXPECT_TRUE(launch(*kernel, {address, 3}));
  uint32_t got = 0;
  ASSERT_TRUE(queue->download(&got, address + 4 * 61, 4) && queue->sync());
  EXPECT_EQ(got, 64u);
}

// A session's steps with weights of the artifact: tokens, hidden rows and logits all lie on the device. Its layers do
// nothing; the logits are products of rows of the embedding, whole numbers that float32 holds.
TEST_F(EmulatedDevice, RunsTheStepsOfAnArtifact) {
  const std::string nothing = "attributes {nvvm.kernel} {\nllvm.return\n}\n";
  auto module = translateKernels(
      "module attributes {gpu.container_module} {\ngpu.module @kernels {\n"
      "llvm.func @embed(%table: !llvm.ptr<1>, %tokens: !llvm.ptr<1>, %hidden: !llvm.ptr<1>, %width: i32) attributes "
      "{nvvm.kernel} {\n%t = nvvm.read.ptx.sreg.ctaid.x : i32\n%w = nvvm.read.ptx.sreg.tid.x : i32\n"
      "%in = arith.cmpi ult, %w, %width : i32\nscf.if %in {\n"
      "%tp = llvm.getelementptr %tokens[%t] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i32\n"
      "%token = llvm.load %tp : !llvm.ptr<1> -> i32\n%fr = arith.muli %token, %width : i32\n"
      "%from = arith.addi %fr, %w : i32\n%tr = arith.muli %t, %width : i32\n%to = arith.addi %tr, %w : i32\n"
      "%fp = llvm.getelementptr %table[%from] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, f32\n"
      "%hp = llvm.getelementptr %hidden[%to] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, f32\n"
      "%x = llvm.load %fp : !llvm.ptr<1> -> f32\nllvm.store %x, %hp : f32, !llvm.ptr<1>\n}\nllvm.return\n}\n"
      "llvm.func @append() " +
          nothing + "llvm.func @attend() " + nothing + "llvm.func @idle() " + nothing +
          "llvm.func @head(%table: !llvm.ptr<1>, %hidden: !llvm.ptr<1>, %rows: !llvm.ptr<1>, %logits: !llvm.ptr<1>, "
          "%vocabulary: i32, %width: i32, %stride: i64) attributes {nvvm.kernel} {\n"
          "%r = nvvm.read.ptx.sreg.ctaid.x : i32\n%v = nvvm.read.ptx.sreg.tid.x : i32\n%c0 = arith.constant 0 : i32\n"
          "%c1 = arith.constant 1 : i32\n%zero = arith.constant 0.0 : f32\n"
          "%in = arith.cmpi ult, %v, %vocabulary : i32\nscf.if %in {\n"
          "%rp = llvm.getelementptr %rows[%r] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i32\n"
          "%row = llvm.load %rp : !llvm.ptr<1> -> i32\n%hr = arith.muli %row, %width : i32\n"
          "%vr = arith.muli %v, %width : i32\n"
          "%sum = scf.for %w = %c0 to %width step %c1 iter_args(%s = %zero) -> (f32) : i32 {\n"
          "%h = arith.addi %hr, %w : i32\n%e = arith.addi %vr, %w : i32\n"
          "%hp = llvm.getelementptr %hidden[%h] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, f32\n"
          "%ep = llvm.getelementptr %table[%e] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, f32\n"
          "%x = llvm.load %hp : !llvm.ptr<1> -> f32\n%y = llvm.load %ep : !llvm.ptr<1> -> f32\n"
          "%p = arith.mulf %x, %y : f32\n%n = arith.addf %s, %p : f32\nscf.yield %n : f32\n}\n"
          "%r64 = arith.extui %r : i32 to i64\n%lr = arith.muli %r64, %stride : i64\n"
          "%v64 = arith.extui %v : i32 to i64\n%l = arith.addi %lr, %v64 : i64\n"
          "%lp = llvm.getelementptr %logits[%l] : (!llvm.ptr<1>, i64) -> !llvm.ptr<1>, f32\n"
          "llvm.store %sum, %lp : f32, !llvm.ptr<1>\n}\nllvm.return\n}\n}\n}\n",
      "step.mlir", "sm_90a");
  ASSERT_TRUE(module) << module.error().text();
  auto code = emulateKernels(*module->module);
  ASSERT_TRUE(code) << code.error().text();
  auto holds = [](uint32_t operand, uint8_t what, uint8_t dimension = 0) {
    return stepdown_kernel_parameter{operand, what, dimension, 0, 0, {}, 0};
  };
  const std::vector<KernelInterface> interfaces = {
      {"embed",
       {2, 1, 2},
       {holds(0, STEPDOWN_HOLDS_ADDRESS), holds(1, STEPDOWN_HOLDS_ADDRESS), holds(2, STEPDOWN_HOLDS_ADDRESS),
        holds(0, STEPDOWN_HOLDS_SIZE, 1)},
       {}},
      {"append", {2, 1, 1, 2, 1, 5, 4}, {}, {}},
      {"attend", {2, 1, 1, 2, 1, 5, 4}, {}, {}},
      {"head",
       {2, 2, 1, 2},
       {holds(0, STEPDOWN_HOLDS_ADDRESS), holds(1, STEPDOWN_HOLDS_ADDRESS), holds(2, STEPDOWN_HOLDS_ADDRESS),
        holds(3, STEPDOWN_HOLDS_ADDRESS), holds(0, STEPDOWN_HOLDS_SIZE, 0), holds(0, STEPDOWN_HOLDS_SIZE, 1),
        holds(3, STEPDOWN_HOLDS_STRIDE, 0)},
       {}},
      {"idle", {2, 3}, {}, {}}};

  ToyModel toy;
  ArtifactBuilder parts = toy.build();
  parts.target = kName;
  parts.codes = {{0, layOutImage(interfaces, code->code, code->table)}};
  parts.code.resize(parts.code.size() / 2); // of one section
  for (size_t k = 0; k < parts.kernels.size(); ++k) {
    const char *kernel = parts.strings.c_str() + parts.kernels[k].name;
    for (size_t bucket = 0; bucket < parts.buckets.size(); ++bucket) {
      const uint32_t number = parts.code[k * parts.buckets.size() + bucket];
      if (number == ~0u)
        continue;
      stepdown_entry &entry = parts.entries[number];
      entry.offset = 0;
      entry.name = uint32_t(parts.codeNames.size());
      parts.launches[entry.launch] = {
          {{entry.extent == STEPDOWN_BY_ROWS ? STEPDOWN_DIM_ROWS : STEPDOWN_DIM_TOKENS, 1}, {1, 1}, {1, 1}},
          {64, 1, 1},
          {1, 1, 1},
          0};
    }
    parts.codeNames.append(kernel, std::strlen(kernel) + 1);
  }
  auto model = Model::load(temporaryFile(parts.file(), ".stepdown"), device);
  ASSERT_TRUE(model) << model.error().text();
  EXPECT_EQ((*model)->target().name, kName);
  auto session = Session::create(*model, {});
  ASSERT_TRUE(session) << session.error().text();
  const int32_t sequence = *(*session)->createSequence();
  std::vector<float> table(size_t(toy.vocabulary) * toy.width);
  std::memcpy(table.data(), parts.weightBytes.data() + parts.weights[0].offset, table.size() * sizeof(float));
  for (const std::vector<int32_t> &tokens : {std::vector<int32_t>{7, 11, 13}, {5}, {40, 3}}) {
    std::vector<Session::Token> step;
    for (size_t i = 0; i < tokens.size(); ++i)
      step.push_back({sequence, tokens[i], i + 1 == tokens.size()});
    ASSERT_TRUE((*session)->submit(step.data(), step.size()));
    Status stepped = (*session)->step();
    ASSERT_TRUE(stepped) << stepped.error().text();
    for (uint32_t v = 0; v < toy.vocabulary; ++v) {
      double sum = 0;
      for (uint32_t w = 0; w < toy.width; ++w)
        sum += double(table[tokens.back() * toy.width + w]) * table[v * toy.width + w];
      ASSERT_EQ((*session)->logits(0)[v], sum) << tokens.back() << ", " << v;
    }
  }
}
