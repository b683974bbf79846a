// How many multiply-adds a second the emulator's wgmma does in a whole kernel, checks on:
//   ninja EmulatorSpeed && bin/EmulatorSpeed
#include "test/device/EmulatedKernel.h"
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
    const double begin = processorSeconds();
    if (Status status = problem.run(emulated.emulator, kernel, 0); !status) {
      std::printf("%s\n", status.error().text().c_str());
      return 1;
    }
    const double seconds = processorSeconds() - begin;
    const auto &figures = emulated.emulator.statistics();
    std::printf("%.2f G multiply-adds/s; %.1f MB by TMA, %llu calls, %llu switches, %.1f ms\n",
                double(figures.multiplyAdds) / seconds / 1e9, double(figures.bulkBytes) / 1e6,
                static_cast<unsigned long long>(figures.calls), static_cast<unsigned long long>(figures.switches),
                seconds * 1e3);
  }
  return 0;
}
