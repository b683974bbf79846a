#include "runtime/Functions/CallRoom.h"

namespace stepdown {

/// Bytes that stay with an arena between calls, so that the next call finds their pages.
static constexpr size_t kept = size_t(1) << 28;

Result<std::unique_ptr<CallRoom>> CallRooms::take() {
  {
    std::lock_guard<std::mutex> lock(mutex);
    if (!idle.empty()) {
      std::unique_ptr<CallRoom> room = std::move(idle.back());
      idle.pop_back();
      return room;
    }
  }
  auto room = std::make_unique<CallRoom>();
  Result<Memory> memory = machine->reserve("arena");
  if (!memory)
    return memory.error();
  room->arena = Allocation(*machine, *memory);
  Result<std::unique_ptr<Queue>> queue = machine->queue(1);
  if (!queue)
    return queue.error();
  room->queue = std::move(*queue);
  if (!processor)
    return room;
  Result<std::unique_ptr<Queue>> host = processor->queue(1);
  if (!host)
    return host.error();
  room->host = std::move(*host);
  return room;
}

void CallRooms::give(std::unique_ptr<CallRoom> room, size_t used) {
  if (used > kept)
    room->arena.discard(kept, used);
  std::lock_guard<std::mutex> lock(mutex);
  if (idle.size() < 4)
    idle.push_back(std::move(room));
}

} // namespace stepdown
