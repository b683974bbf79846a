// RUN: not stepdown-opt %s -phase-vector=target=x86-64-v5 2>&1 | FileCheck %s --check-prefix=TARGET
// RUN: not stepdown-opt %s -pass-pipeline="builtin.module(phase-fusion{target=arm})" 2>&1 | FileCheck %s --check-prefix=OTHER
// RUN: not stepdown-opt %s -phase-linalg=input=function 2>&1 | FileCheck %s --check-prefix=INPUT

// No road leads there: refused with what there is, before anything runs.
// TARGET: error: phase-vector: expects a target of x86-64-v3, x86-64-v3-vnni, x86-64-v4-vnni, x86-64-v4-bf16, aarch64-dotprod, emulated:sm_80, emulated:sm_90a, emulated:gfx90a, emulated:gfx942, emulated:gfx950, emulated:gfx1100, emulated:gfx1201, nvidia:sm_80, nvidia:sm_90a, amd:gfx90a, amd:gfx942, amd:gfx950, amd:gfx1100 or amd:gfx1201, but got 'x86-64-v5'; did you mean x86-64-v3?
// TARGET-NOT: module
// OTHER: error: phase-fusion: expects a target of x86-64-v3, x86-64-v3-vnni, x86-64-v4-vnni, x86-64-v4-bf16, aarch64-dotprod, emulated:sm_80, emulated:sm_90a, emulated:gfx90a, emulated:gfx942, emulated:gfx950, emulated:gfx1100, emulated:gfx1201, nvidia:sm_80, nvidia:sm_90a, amd:gfx90a, amd:gfx942, amd:gfx950, amd:gfx1100 or amd:gfx1201, but got 'arm'
// INPUT: error: phase-linalg: expects an input of model or functions, but got 'function'; did you mean functions?
module {
}
