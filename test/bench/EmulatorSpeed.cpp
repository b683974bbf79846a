// How many multiply-adds a second the emulator's wgmma and MFMA do in whole kernels, checks on:
//   ninja EmulatorSpeed && bin/EmulatorSpeed [CHIP]
#include "test/device/TileKernel.h"
#include <cstdio>
#include <ctime>

using namespace stepdown;
using namespace stepdown::test;

/// Time of a processor that this thread had: others' work beside it does not count.
static double processorSeconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return double(now.tv_sec) + double(now.tv_nsec) * 1e-9;
}

/// Runs a launch some times and prints the figures of each; 1 where one fails.
template <typename Run> static int measure(const char *name, const emulated::Emulator &emulator, Run &&run) {
  for (int turn = 0; turn < 5; ++turn) {
    const double begin = processorSeconds();
    if (Status status = run(); !status) {
      std::printf("%s\n", status.error().text().c_str());
      return 1;
    }
    const double seconds = processorSeconds() - begin;
    const auto &figures = emulator.statistics();
    std::printf("%s: %.2f G multiply-adds/s; %.1f MB by TMA, %llu calls, %llu switches, %.1f ms\n", name,
                double(figures.multiplyAdds) / seconds / 1e9, double(figures.bulkBytes) / 1e6,
                static_cast<unsigned long long>(figures.calls), static_cast<unsigned long long>(figures.switches),
                seconds * 1e3);
  }
  return 0;
}

/// Tiles of 64 x 256, wgmma of m64n256k16.
static int measureHopper() {
  ProductKernel kernel;
  kernel.n = 256;
  kernel.stages = 4;
  EmulatedKernel emulated(kernel.text());
  if (!emulated.error.empty()) {
    std::printf("%s\n", emulated.error.c_str());
    return 1;
  }
  ProductProblem problem(256, 512, 2048);
  return measure("sm_90a, wgmma", emulated.emulator, [&] { return problem.run(emulated.emulator, kernel, 0); });
}

/// The compiler's product of tiles of `tile` rows and columns on an AMD chip, bf16.
static int measureAmd(const char *chip, const char *instruction, int64_t tile) {
  MatmulParameters p;
  p.m = p.n = tile, p.k = 32, p.stages = 2, p.warps = tile * tile / 4096, p.registerFile = 131072, p.transposeB = true;
  mlir::DialectRegistry registry;
  registerKernelDialects(registry);
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  auto text = matmulKernel(context, p);
  if (!text) {
    std::printf("%s\n", text.error().text().c_str());
    return 1;
  }
  TileKernel lowered(**text, true, chip);
  if (!lowered.error.empty()) {
    std::printf("%s\n", lowered.error.c_str());
    return 1;
  }
  Matrix a(256, 2048, 2048, true), b(512, 2048, 2048, true), c(256, 512, 512, false);
  std::mt19937 random(1);
  std::uniform_real_distribution<float> uniform(-1, 1);
  for (Matrix *matrix : {&a, &b})
    for (uint32_t r = 0; r < matrix->rows; ++r)
      for (uint32_t x = 0; x < matrix->columns; ++x)
        matrix->set(r, x, uniform(random));
  Launch launch(lowered.launch(), {&a, &b, &c});
  launch.shape.grid = {2, 1, 1};
  const std::string name = std::string(chip) + ", " + instruction;
  return measure(name.c_str(), lowered.code->emulator, [&] { return launch.run(lowered.code->emulator, "matmul"); });
}

int main(int count, char **words) {
  const std::string chip = count > 1 ? words[1] : "";
  if (!chip.empty() && chip != "sm_90a" && chip != "gfx942" && chip != "gfx1201") {
    std::printf("expects sm_90a, gfx942 or gfx1201, but got %s\n", chip.c_str());
    return 2;
  }
  auto wanted = [&](const char *each) { return chip.empty() || chip == each; };
  return (wanted("sm_90a") ? measureHopper() : 0) + (wanted("gfx942") ? measureAmd("gfx942", "MFMA", 256) : 0) +
         (wanted("gfx1201") ? measureAmd("gfx1201", "WMMA", 128) : 0);
}
