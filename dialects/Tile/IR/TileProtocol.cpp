// A role's text is executed once on states instead of values. A state says which slots of which channel are held,
// oldest first, and which products are in flight, oldest first, with the slots that each reads. Slots are counted from
// the oldest that is held, so that the state behind the body of a loop can be compared with the one before it: where
// both are equal the loop keeps the protocol however often it runs, and where two paths meet they must agree. That is
// exact for what lowering needs: the ring's next slot is a counter, so what is released is always what was waited for
// first.
#include "dialects/Tile/IR/TileProtocol.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace stepdown::tile;

namespace {
/// A slot that is held; `block` is where it was taken.
struct Slot {
  SmallVector<Value> tiles;
  SmallVector<bool> written;
  Block *block;
};

/// Number of a slot of a channel, from the oldest held.
using Reading = std::pair<Value, size_t>;

/// A product in flight: the slots that it reads, and the tile in registers, if any.
struct Flight {
  SmallVector<Reading> slots;
  Value registers;
  bool operator==(const Flight &other) const { return slots == other.slots && registers == other.registers; }
};

struct State {
  llvm::MapVector<Value, SmallVector<Slot>> filling, reading; ///< held slots of channels
  SmallVector<Flight> flights;                                ///< products in flight, oldest first
  DenseMap<Value, size_t> sums;                               ///< flights from the oldest whose sum a value is
  bool turn = false;                                          ///< whether it is the warpgroup's

  static bool sameHeld(const llvm::MapVector<Value, SmallVector<Slot>> &a,
                       const llvm::MapVector<Value, SmallVector<Slot>> &b) {
    auto held = [](const llvm::MapVector<Value, SmallVector<Slot>> &slots, Value channel) {
      auto it = slots.find(channel);
      return it == slots.end() ? size_t(0) : it->second.size();
    };
    return llvm::all_of(a, [&](auto &entry) { return held(b, entry.first) == entry.second.size(); }) &&
           llvm::all_of(b, [&](auto &entry) { return held(a, entry.first) == entry.second.size(); });
  }
  bool operator==(const State &other) const {
    return sameHeld(filling, other.filling) && sameHeld(reading, other.reading) && flights == other.flights;
  }
};

class Checker {
public:
  LogicalResult run(RoleOp role) {
    if (failed(check(role.getBody().front())))
      return failure();
    if (state == State())
      return success();
    return role.emitOpError() << "expects all slots committed or released, and all products waited for, at its end "
                                 "(C5 of tile.kernel), but "
                              << left(state);
  }

private:
  State state;

  static InFlightDiagnostic refuse(Operation *op, const Twine &expectation) {
    return op->emitOpError() << "expects " << expectation << " (C5 of tile.kernel), but ";
  }

  static std::string left(const State &state) {
    size_t filling = 0, reading = 0;
    for (auto &entry : state.filling)
      filling += entry.second.size();
    for (auto &entry : state.reading)
      reading += entry.second.size();
    return (Twine(filling) + " acquired, " + Twine(reading) + " waited for and " + Twine(state.flights.size()) +
            " in flight are left")
        .str();
  }

  /// The held slot that `tile` belongs to and the tile's number in it.
  static std::pair<Slot *, size_t> find(llvm::MapVector<Value, SmallVector<Slot>> &held, Value tile,
                                        Reading *number = nullptr) {
    for (auto &[channel, slots] : held)
      for (auto [i, slot] : llvm::enumerate(slots))
        for (auto [t, each] : llvm::enumerate(slot.tiles))
          if (each == tile) {
            if (number)
              *number = {channel, i};
            return {&slot, t};
          }
    return {nullptr, 0};
  }

  template <typename Op> LogicalResult take(Op op, llvm::MapVector<Value, SmallVector<Slot>> &held, const char *end) {
    SmallVector<Slot> &slots = held[op.getChannel()];
    const int64_t depth = op.getChannel().getType().getDepth();
    if (int64_t(slots.size()) == depth)
      return refuse(op, "fewer than " + Twine(depth) + " slots held, or none would ever come")
             << depth << " are not yet " << end;
    Slot slot;
    slot.tiles.append(op.getTiles().begin(), op.getTiles().end());
    slot.written.resize(op.getTiles().size());
    slot.block = op->getBlock();
    slots.push_back(slot);
    return success();
  }

  LogicalResult commit(CommitOp op) {
    SmallVector<Slot> &slots = state.filling[op.getChannel()];
    if (slots.empty())
      return refuse(op, "a slot that was acquired") << "none is held";
    if (slots.front().block != op->getBlock())
      return refuse(op, "to commit a slot in the block that acquired it") << "that is another";
    for (auto [i, written] : llvm::enumerate(slots.front().written))
      if (!written)
        return refuse(op, "a copy into each tile of the slot") << "tile " << i << " has none";
    slots.erase(slots.begin());
    return success();
  }

  LogicalResult release(ReleaseOp op) {
    SmallVector<Slot> &slots = state.reading[op.getChannel()];
    if (state.turn)
      return refuse(op, "no release in a turn") << "tile.leave_turn stands behind it";
    if (slots.empty())
      return refuse(op, "a slot that was waited for") << "none is held";
    for (Flight &flight : state.flights)
      for (Reading &reading : flight.slots)
        if (reading.first == op.getChannel()) {
          if (reading.second == 0)
            return refuse(op, "that no product in flight reads the slot") << "no tile.mma_wait stands between";
          --reading.second;
        }
    slots.erase(slots.begin());
    return success();
  }

  LogicalResult copy(CopyOp op) {
    auto [slot, tile] = find(state.filling, op.getTo());
    if (!slot)
      return refuse(op, "to write a tile of a slot that is acquired") << "it is not";
    if (slot->written[tile])
      return refuse(op, "one copy into each tile of a slot") << "this one is written already";
    slot->written[tile] = true;
    return success();
  }

  LogicalResult unpack(UnpackOp op) {
    if (!find(state.reading, op.getTile()).first)
      return refuse(op, "to read a tile of a slot that was waited for and is not released") << "it is not";
    return success();
  }

  LogicalResult multiply(MmaOp op) {
    Flight flight;
    if (op.takesRegisters())
      flight.registers = op.getA();
    for (Value tile : {op.getA(), Value(op.getB())}) {
      Reading number;
      if (tile == flight.registers)
        continue;
      if (!find(state.reading, tile, &number).first)
        return refuse(op, "to read tiles of slots that were waited for and are not released") << "one is not";
      flight.slots.push_back(number);
    }
    state.flights.push_back(flight);
    state.sums[op.getResult()] = state.flights.size();
    return success();
  }

  /// A product reads its registers until it is computed: nothing but other products may touch them, and where a loop
  /// carried them, it would.
  LogicalResult touch(Operation &op) {
    if (isa<MmaOp>(op))
      return success();
    for (const Flight &flight : state.flights)
      if (flight.registers && llvm::is_contained(op.getOperands(), flight.registers))
        return refuse(&op, "no use of registers that a product in flight reads") << "no tile.mma_wait stands between";
    return success();
  }

  LogicalResult wait(MmaWaitOp op) {
    const size_t pending = op.getPending(), count = state.flights.size();
    const size_t done = count > pending ? count - pending : 0;
    for (Value sum : op.getSums())
      if (state.sums.lookup(sum) > done)
        return refuse(op, "to take sums of which no product is in flight")
               << "that of one is among the last " << pending;
    state.flights.erase(state.flights.begin(), state.flights.begin() + done);
    for (auto &sum : state.sums)
      sum.second = sum.second > done ? sum.second - done : 0;
    return success();
  }

  LogicalResult turn(Operation *op, bool enters) {
    if (enters == state.turn)
      return refuse(op, "turns that are entered and left in order") << (enters ? "one is not left" : "none is entered");
    state.turn = enters;
    return success();
  }

  /// Sums go into a loop, around and out of it by the same age.
  LogicalResult loop(scf::ForOp op) {
    for (auto [init, argument] : llvm::zip(op.getInitArgs(), op.getRegionIterArgs())) {
      if (isa<MemRefType>(init.getType()))
        return refuse(op, "no tiles carried around a loop") << "got one";
      state.sums[argument] = state.sums.lookup(init);
    }
    const State before = state;
    if (failed(check(*op.getBody())))
      return failure();
    if (!(state == before))
      return refuse(op, "a loop that leaves as many slots held and products in flight as it found, " + left(before))
             << left(state);
    for (auto [i, yielded] : llvm::enumerate(op.getYieldedValues())) {
      const size_t found = before.sums.lookup(op.getRegionIterArgs()[i]), made = state.sums.lookup(yielded);
      if (isa<AccumulatorType>(yielded.getType()) && found != made)
        return refuse(op, "sums that are carried around as they came in") << "one is older";
      state.sums[op.getResult(i)] = made;
    }
    return success();
  }

  LogicalResult branch(scf::IfOp op) {
    for (Type type : op.getResultTypes())
      if (isa<MemRefType, AccumulatorType>(type))
        return refuse(op, "no tiles and sums out of a branch") << "got " << type;
    const State before = state;
    if (failed(check(*op.thenBlock())))
      return failure();
    const State then = state;
    state = before;
    if (op.elseBlock() && failed(check(*op.elseBlock())))
      return failure();
    if (!(state == then))
      return refuse(op, "both branches to leave the same")
             << left(then) << " behind one, and " << left(state) << " behind the other";
    return success();
  }

  LogicalResult schedule(ScheduleOp op) {
    const State before = state;
    if (failed(check(op.getBody().front())))
      return failure();
    if (!(state == before))
      return refuse(op, "a loop that leaves as many slots held and products in flight as it found, " + left(before))
             << left(state);
    return success();
  }

  LogicalResult check(Block &block) {
    for (Operation &op : block) {
      if (failed(touch(op)))
        return failure();
      if (state.turn && isa<scf::ForOp, scf::IfOp, ScheduleOp>(op))
        return refuse(&op, "a turn without loops and branches") << "here is one";
      LogicalResult ok = llvm::TypeSwitch<Operation *, LogicalResult>(&op)
                             .Case([&](AcquireOp acquire) { return take(acquire, state.filling, "committed"); })
                             .Case([&](WaitOp wait) { return take(wait, state.reading, "released"); })
                             .Case([&](CommitOp commit) { return this->commit(commit); })
                             .Case([&](ReleaseOp release) { return this->release(release); })
                             .Case([&](CopyOp copy) { return this->copy(copy); })
                             .Case([&](UnpackOp unpack) { return this->unpack(unpack); })
                             .Case([&](MmaOp mma) { return multiply(mma); })
                             .Case([&](MmaWaitOp wait) { return this->wait(wait); })
                             .Case([&](EnterTurnOp enter) { return turn(enter, true); })
                             .Case([&](LeaveTurnOp leave) { return turn(leave, false); })
                             .Case([&](scf::ForOp loop) { return this->loop(loop); })
                             .Case([&](scf::IfOp branch) { return this->branch(branch); })
                             .Case([&](ScheduleOp schedule) { return this->schedule(schedule); })
                             .Case([&](MapOp) { return success(); }) // numbers alone
                             .Default([&](Operation *other) -> LogicalResult {
                               if (other->getNumRegions() != 0)
                                 return refuse(other, "loops and branches of scf, tile.schedule and tile.map")
                                        << "this has a region";
                               return success();
                             });
      if (failed(ok))
        return failure();
    }
    if (state.turn)
      return refuse(block.getParentOp(), "a turn to be left in the block that entered it") << "it is not";
    return success();
  }
};
} // namespace

/// C4: who fills a channel and who reads it.
static LogicalResult checkEnds(ChannelOp channel) {
  llvm::SmallPtrSet<Operation *, 4> producers, consumers;
  for (Operation *user : channel->getUsers()) {
    auto role = user->getParentOfType<RoleOp>();
    if (isa<AcquireOp>(user))
      producers.insert(role);
    else if (isa<WaitOp>(user))
      consumers.insert(role);
  }
  if (producers.size() != 1)
    return channel.emitOpError() << "expects one role that acquires it (C4 of tile.kernel), but got "
                                 << producers.size();
  if (consumers.empty() || consumers.contains(*producers.begin()))
    return channel.emitOpError() << "expects another role that waits for it (C4 of tile.kernel), but "
                                 << (consumers.empty() ? "none does" : "the one that acquires it does");
  return success();
}

LogicalResult stepdown::tile::checkProtocol(KernelOp kernel) {
  for (ChannelOp channel : kernel.getBody().getOps<ChannelOp>())
    if (failed(checkEnds(channel)))
      return failure();
  for (RoleOp role : kernel.getBody().getOps<RoleOp>())
    if (failed(Checker().run(role)))
      return failure();
  return success();
}
