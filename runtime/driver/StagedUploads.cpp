#include "runtime/driver/StagedUploads.h"

#include "runtime/driver/DriverRecords.h"
#include <cstring>

namespace stepdown::driver {

StagedUploads::~StagedUploads() {
  if (!stream || !context.enter())
    return;
  context.driver.waitForStream(stream);
  for (void *event : arrived)
    if (event)
      context.driver.endEvent(event);
  context.driver.endStream(stream);
}

Status StagedUploads::open(const Memory &memory) {
  if (Status entered = context.enter(); !entered)
    return entered;
  if (int error = context.driver.makeStream(&stream, kOwnOrder)) {
    stream = nullptr;
    return context.refused(error, ErrorCode::DriverRefused, "a stream");
  }
  for (void *&event : arrived)
    if (int error = context.driver.makeEvent(&event, kNoTime)) {
      event = nullptr;
      return context.refused(error, ErrorCode::DriverRefused, "an event");
    }
  address = memory.address;
  slotBytes = memory.bytes / kSlots;
  bytes.resize(slotBytes * kSlots);
  return Done{};
}

Status StagedUploads::upload(uint64_t to, const void *from, size_t count, void *first, bool ahead) {
  const Driver &driver = context.driver;
  const size_t slot = uploads++ % kSlots;
  uint8_t *const here = bytes.data() + slot * slotBytes;
  std::memcpy(here, from, count);
  const uint64_t place = address + slot * slotBytes;
  int error = driver.toDevice(ahead ? place : to, here, count, ahead ? stream : first);
  if (ahead && error == 0)
    error = driver.recordEvent(arrived[slot], stream);
  if (ahead && error == 0)
    error = driver.waitInStream(first, arrived[slot], 0);
  adrift |= ahead && error != 0;
  if (ahead && error == 0)
    error = driver.between(to, place, count, first);
  return context.check(error, ErrorCode::DriverRefused, "a copy to the GPU");
}

Status StagedUploads::settle() {
  if (adrift)
    if (int error = context.driver.waitForStream(stream))
      return context.refused(error, ErrorCode::DriverRefused, "an upload to be done");
  adrift = false;
  return Done{};
}

} // namespace stepdown::driver
