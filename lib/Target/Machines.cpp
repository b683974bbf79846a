// Memory, bandwidth, units, clocks and rates are those of the makers' data sheets: "NVIDIA A100 Tensor Core GPU" and
// its architecture white paper (80 GB SXM), "NVIDIA H100 Tensor Core GPU" and "NVIDIA H200 Tensor Core GPU" (SXM), "AMD
// Instinct MI300X Accelerator" with the CDNA 3 white paper, and AMD's page of the Radeon RX 7900 XTX. The clock is the
// one at which the float32 rate holds. AMD's float32 rates are those of two instructions at once.
//
// A unit of either vendor takes 64 bytes a clock from the second-level cache (the white papers of A100, CDNA 3 and
// RDNA). From one multiply-add to the next NVIDIA's chips take 4 clocks (Luo et al. 2024, arXiv 2402.13499), AMD's
// compute units 4, since a wave of 64 is issued in that many, and RDNA's 5 (its white paper).
//
// Launches are an assumption, not a fact: 3 us on NVIDIA's chips, within the 2 to 4 us that launches which overlap are
// said to save, and 5 us on AMD's. Of a graph 1 and 2 us are assumed, which is what one kernel's end and the next one's
// begin take where nobody waits for the processor: in public, no-ops that follow each other in a graph took 0.58 us
// each on a GeForce 5070 Ti of laptops (github.com/ahrefs/ocannl/issues/488), and these do nothing. Nothing in this
// table was measured here.
#include "lib/Target/Machines.h"

namespace stepdown {

llvm::ArrayRef<Machine> machines() {
  static constexpr Machine all[] = {
      {"A100", "sm_80", 80e9, 2.039e12, 108, 1.41e9, 19.5e12, 312e12, 624e12, 64, 4, 3e-6, 1e-6},
      {"H100", "sm_90a", 80e9, 3.35e12, 132, 1.98e9, 67e12, 989.4e12, 1978.9e12, 64, 4, 3e-6, 1e-6},
      {"H200", "sm_90a", 141e9, 4.8e12, 132, 1.98e9, 67e12, 989.4e12, 1978.9e12, 64, 4, 3e-6, 1e-6},
      {"MI300X", "gfx942", 192e9, 5.3e12, 304, 2.1e9, 163.4e12, 1307.4e12, 2614.9e12, 64, 4, 5e-6, 2e-6},
      {"RX 7900 XTX", "gfx1100", 24e9, 0.96e12, 96, 2.5e9, 61.4e12, 122.8e12, 122.8e12, 64, 5, 5e-6, 2e-6},
  };
  return all;
}

} // namespace stepdown
