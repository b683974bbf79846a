// How many multiply-adds a second the emulator's wgmma does in a whole kernel, checks on:
//   ninja EmulatorSpeed && bin/EmulatorSpeed
#include "test/device/EmulatedKernel.h"
#include <chrono>
#include <cstdio>

using namespace stepdown;
using namespace stepdown::test;

int main() {
  ProductKernel kernel;
  kernel.n = 256;
  kernel.stages = 4;
  EmulatedKernel emulated(kernel.text());
  if (!emulated.error.empty()) {
    std::printf("%s\n", emulated.error.c_str());
    return 1;
  }
  ProductProblem problem(256, 512, 2048);
  for (int turn = 0; turn < 3; ++turn) {
    const auto begin = std::chrono::steady_clock::now();
    if (Status status = problem.run(emulated.emulator, kernel, 0); !status) {
      std::printf("%s\n", status.error().text().c_str());
      return 1;
    }
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    const auto &figures = emulated.emulator.statistics();
    std::printf("%.2f G multiply-adds/s; %.1f MB by TMA, %llu calls, %llu switches, %.1f ms\n",
                double(figures.multiplyAdds) / seconds / 1e9, double(figures.bulkBytes) / 1e6,
                static_cast<unsigned long long>(figures.calls), static_cast<unsigned long long>(figures.switches),
                seconds * 1e3);
  }
  return 0;
}
