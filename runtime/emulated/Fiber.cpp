// The System V ABI of x86-64 has a function keep rbx, rbp, r12 to r15 and the stack pointer, and the control words of
// both floating-point units, which nobody here changes.
#include "runtime/emulated/Fiber.h"
#include <sys/mman.h>

extern "C" void stepdown_fiber_switch(void **from, void *to);
extern "C" void stepdown_fiber_begin();

#if defined(__x86_64__)
asm(R"(
.text
.p2align 4
.globl stepdown_fiber_switch
.hidden stepdown_fiber_switch
.type stepdown_fiber_switch,@function
stepdown_fiber_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size stepdown_fiber_switch, .-stepdown_fiber_switch
.p2align 4
.globl stepdown_fiber_begin
.hidden stepdown_fiber_begin
.type stepdown_fiber_begin,@function
stepdown_fiber_begin:
  movq %r12, %rdi
  callq *%rbx
  ud2
.size stepdown_fiber_begin, .-stepdown_fiber_begin
)");
#else
#error "the emulator's fibers are written for x86-64"
#endif

namespace stepdown::emulated {

void switchTo(Continuation *from, Continuation to) { stepdown_fiber_switch(from, to); }

FiberStacks::~FiberStacks() {
  if (bytes)
    munmap(bytes, held * (stackBytes + guardBytes));
}

bool FiberStacks::reserve(size_t count) {
  if (count <= held)
    return true;
  if (bytes)
    munmap(bytes, held * (stackBytes + guardBytes));
  held = 0;
  void *made = mmap(nullptr, count * (stackBytes + guardBytes), PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  bytes = made == MAP_FAILED ? nullptr : static_cast<uint8_t *>(made);
  if (!bytes)
    return false;
  held = count;
  for (size_t i = 0; i < count; ++i)
    if (mprotect(bytes + i * (stackBytes + guardBytes), guardBytes, PROT_NONE))
      return false;
  return true;
}

Continuation FiberStacks::prepare(size_t index, void (*body)(void *), void *argument) {
  auto **top = reinterpret_cast<void **>(bytes + (index + 1) * (stackBytes + guardBytes) - 64 -
                                         index % places * apart); // a multiple of 16
  *--top = reinterpret_cast<void *>(&stepdown_fiber_begin);
  *--top = nullptr;                        // rbp
  *--top = reinterpret_cast<void *>(body); // rbx
  *--top = argument;                       // r12
  for (int i = 0; i < 3; ++i)
    *--top = nullptr; // r13 to r15
  return top;
}

} // namespace stepdown::emulated
