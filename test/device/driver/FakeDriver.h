// What a test may tell a driver that is none, and ask of it: FakeDriver.cpp.
#pragma once
#include <cstdint>

/// Of the functions of DriverFunctions.def, counted from the first to the last of the process.
struct FakeDriverControl {
  uint64_t calls;         ///< so far
  uint64_t failAt;        ///< this one fails, without doing anything; 0: none
  const char *failName;   ///< or the first call of this function does; null: none
  int failError;          ///< with this number
  uint64_t memory;        ///< bytes of a GPU
  int version;            ///< of the driver
  const char *gpus;       ///< "NAME=CHIP,...": "Fake H200=9.0", "Fake MI300X=gfx942:xnack-"
  int mapsMemory;         ///< whether it has virtual memory management
  const char *artifact;   ///< kernels that the GPU executes: those that this file has for the emulated chip
  uint64_t launches;      ///< that were made
  uint64_t held;          ///< allocations, modules, streams, events and mapped pieces that were not given back
  uint64_t leaked;        ///< of these, when contexts ended
  uint64_t used;          ///< bytes that are taken
  const char *lastFailed; ///< the function that failed by failAt or failName
};
using FakeDriverEntry = FakeDriverControl *();
/// The name that dlsym finds FakeDriverEntry by.
#define FAKE_DRIVER_ENTRY "fakeDriverControl"
