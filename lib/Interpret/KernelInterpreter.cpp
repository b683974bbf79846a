// Queues without bounds are what makes the meaning independent of how roles are scheduled: what a role computes depends
// on nothing but what it takes out of its channels (G. Kahn, The semantics of a simple language for parallel
// programming, 1974). So the roles may run one after the other.
#include "lib/Interpret/KernelInterpreter.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "llvm/ADT/TypeSwitch.h"
#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <map>
#include <memory>
#include <optional>

using namespace mlir;
using namespace stepdown::tile;

namespace stepdown {
namespace {

/// A tile of a slot, a sum or a vector: [rows, columns].
struct Tile {
  int64_t rows, columns;
  std::vector<double> elements;
  double &at(int64_t r, int64_t c) { return elements[r * columns + c]; }
};
using TileRef = std::shared_ptr<Tile>;
using Meaning = std::variant<int64_t, double, TileRef, InterpretedMatrix>;
using Slot = std::vector<TileRef>;

/// Rows and columns of numbers that an element holds: one, but for a block of weights.
std::pair<int64_t, int64_t> sizeOf(Type element) {
  auto block = dyn_cast<transformer::BlockType>(element);
  return block ? std::pair<int64_t, int64_t>(block.getRows(), block.getElements()) : std::pair<int64_t, int64_t>(1, 1);
}

TileRef makeTile(ShapedType type) {
  const auto [rows, columns] = sizeOf(type.getElementType());
  return std::make_shared<Tile>(Tile{type.getDimSize(0) * rows, type.getDimSize(1) * columns,
                                     std::vector<double>(type.getNumElements() * rows * columns, 0.0)});
}

class Interpreter {
public:
  /// An error ends everything: none is recovered from.
  std::optional<Error> error;

  void run(KernelOp kernel) {
    for (Operation &op : kernel.getBody().front()) {
      role = dyn_cast<RoleOp>(op);
      if (role)
        execute(role.getBody().front());
      else if (!isa<ChannelOp>(op))
        execute(op);
      if (error)
        return;
    }
    for (auto &[end, queue] : queues)
      if (!queue.empty())
        return refuse(end.first.getDefiningOp(), "expects as many slots taken as filled, but some are left");
  }

  llvm::DenseMap<Value, Meaning> values;

private:
  using End = std::pair<Value, Operation *>; ///< a channel and the role that reads it
  struct Earlier {
    bool operator()(const End &a, const End &b) const {
      return std::pair(a.first.getAsOpaquePointer(), a.second) < std::pair(b.first.getAsOpaquePointer(), b.second);
    }
  };
  RoleOp role;
  std::map<End, std::deque<Slot>, Earlier> queues;
  llvm::DenseMap<Value, std::deque<Slot>> filling; ///< acquired and not committed

  void refuse(Operation *op, const std::string &text) {
    if (error)
      return;
    std::string place = "kernel";
    if (auto line = dyn_cast<FileLineColLoc>(op->getLoc()))
      place = (line.getFilename().getValue() + ":" + Twine(line.getLine())).str();
    error = fail(ErrorCode::KernelMeaning, "%s: %s: %s", place.c_str(), op->getName().getStringRef().str().c_str(),
                 text.c_str());
  }

  /// By value: an entry of the table moves when another is made.
  void give(Value to, Meaning meaning) { values[to] = std::move(meaning); }
  int64_t number(Value value) { return std::get<int64_t>(values[value]); }
  double real(Value value) { return std::get<double>(values[value]); }
  TileRef tile(Value value) { return std::get<TileRef>(values[value]); }
  InterpretedMatrix matrix(Value value) { return std::get<InterpretedMatrix>(values[value]); }

  void execute(Block &block) {
    for (Operation &op : block) {
      if (op.hasTrait<OpTrait::IsTerminator>() || error)
        return;
      execute(op);
    }
  }

  void loop(scf::ForOp op) {
    SmallVector<Meaning> carried;
    for (Value init : op.getInitArgs())
      carried.push_back(values[init]);
    for (int64_t i = number(op.getLowerBound()); i < number(op.getUpperBound()) && !error; i += number(op.getStep())) {
      values[op.getInductionVar()] = i;
      for (auto [argument, value] : llvm::zip(op.getRegionIterArgs(), carried))
        values[argument] = value;
      execute(*op.getBody());
      for (auto [yielded, value] : llvm::zip(op.getYieldedValues(), carried))
        value = values[yielded];
    }
    for (auto [result, value] : llvm::zip(op.getResults(), carried))
      values[result] = value;
  }

  void schedule(ScheduleOp op) {
    for (int64_t i = 0; i < number(op.getRows()); i += op.getHeight())
      for (int64_t j = 0; j < number(op.getColumns()) && !error; j += op.getWidth()) {
        values[op.getBody().getArgument(0)] = i;
        values[op.getBody().getArgument(1)] = j;
        execute(op.getBody().front());
      }
  }

  void acquire(AcquireOp op) {
    Slot slot;
    for (Value view : op.getTiles()) {
      slot.push_back(makeTile(cast<ShapedType>(view.getType())));
      values[view] = slot.back();
    }
    filling[op.getChannel()].push_back(slot);
  }

  void commit(CommitOp op) {
    std::deque<Slot> &slots = filling[op.getChannel()];
    llvm::SmallPtrSet<Operation *, 4> readers;
    for (Operation *user : op.getChannel().getUsers())
      if (isa<WaitOp>(user) && readers.insert(user->getParentOfType<RoleOp>()).second)
        queues[{op.getChannel(), user->getParentOfType<RoleOp>()}].push_back(slots.front());
    slots.pop_front();
  }

  void wait(WaitOp op) {
    std::deque<Slot> &queue = queues[{op.getChannel(), role}];
    if (queue.empty())
      return refuse(op, "expects a slot that a role before this one has filled, but there is none");
    for (auto [view, tile] : llvm::zip(op.getTiles(), queue.front()))
      values[view] = tile;
    queue.pop_front();
  }

  void copy(CopyOp op) {
    const InterpretedMatrix from = matrix(op.getFrom());
    TileRef to = tile(op.getTo());
    const auto [high, wide] = sizeOf(op.getFrom().getType().getElementType());
    const int64_t row = number(op.getRow()) * high, column = number(op.getColumn()) * wide;
    for (int64_t r = 0; r < to->rows; ++r)
      for (int64_t c = 0; c < to->columns; ++c)
        to->at(r, c) = row + r < from.rows && column + c < from.columns
                           ? from.elements[(row + r) * from.stride + column + c]
                           : 0.0;
  }

  void multiply(MmaOp op) {
    TileRef a = tile(op.getA()), b = tile(op.getB()), sum = makeTile(op.getType().getSum());
    if (op.getAcc())
      sum->elements = tile(op.getAcc())->elements;
    for (int64_t m = 0; m < a->rows; ++m)
      for (int64_t k = 0; k < a->columns; ++k)
        for (int64_t n = 0; n < sum->columns; ++n)
          sum->at(m, n) += a->at(m, k) * (op.getTransposeB() ? b->at(n, k) : b->at(k, n));
    values[op.getResult()] = sum;
  }

  void unpack(UnpackOp op) {
    TileRef from = tile(op.getTile()), made = makeTile(op.getResult().getType());
    const int64_t column = number(op.getColumn());
    for (int64_t r = 0; r < made->rows; ++r)
      for (int64_t c = 0; c < made->columns; ++c)
        made->at(r, c) = from->at(r, column + c);
    values[op.getResult()] = made;
  }

  void store(StoreOp op) {
    TileRef value = tile(op.getValue());
    const InterpretedMatrix to = matrix(op.getTo());
    const int64_t row = number(op.getRow()), column = number(op.getColumn());
    if (op.getTransposed()) {
      for (int64_t r = 0; r < value->rows && column + r < to.columns; ++r)
        for (int64_t c = 0; c < value->columns && row + c < to.rows; ++c)
          to.elements[(row + c) * to.stride + column + r] = value->at(r, c);
      return;
    }
    const int64_t rows = op.getRows() ? std::min(number(op.getRows()), to.rows) : to.rows;
    for (int64_t r = 0; r < value->rows && row + r < rows; ++r)
      for (int64_t c = 0; c < value->columns && column + c < to.columns; ++c)
        to.elements[(row + r) * to.stride + column + c] = value->at(r, c);
  }

  void read(ReadOp op) {
    TileRef value = makeTile(op.getValue().getType());
    const InterpretedMatrix from = matrix(op.getFrom());
    const int64_t row = number(op.getRow()), column = number(op.getColumn());
    if (from.rows < 1 || from.columns < 1)
      return refuse(op, "expects a matrix with elements");
    const bool turned = op.getTransposed();
    for (int64_t r = 0; r < value->rows; ++r)
      for (int64_t c = 0; c < value->columns; ++c)
        value->at(r, c) = from.elements[std::min(row + (turned ? c : r), from.rows - 1) * from.stride +
                                        std::min(column + (turned ? r : c), from.columns - 1)];
    values[op.getValue()] = value;
  }

  void mapElements(MapOp op) {
    TileRef made = makeTile(op.getType());
    std::vector<TileRef> from;
    for (Value operand : op.getOperands())
      from.push_back(tile(operand));
    Block &body = op.getBody().front();
    for (int64_t r = 0; r < made->rows; ++r)
      for (int64_t c = 0; c < made->columns && !error; ++c) {
        for (auto [argument, each] : llvm::zip(body.getArguments(), from))
          values[argument] = each->at(each->rows == 1 ? 0 : r, each->columns == 1 ? 0 : c);
        execute(body);
        made->at(r, c) = real(cast<YieldOp>(body.getTerminator()).getValue());
      }
    values[op.getResult()] = made;
  }

  void reduce(ReduceOp op) {
    TileRef from = tile(op.getValue()), made = makeTile(op.getType());
    const bool adds = op.getKind() == arith::AtomicRMWKind::addf;
    if (op.getAcc())
      made->elements = tile(op.getAcc())->elements;
    else
      std::fill(made->elements.begin(), made->elements.end(), adds ? 0 : -std::numeric_limits<double>::infinity());
    for (int64_t r = 0; r < from->rows; ++r)
      for (int64_t c = 0; c < from->columns; ++c) {
        double &all = made->at(r, c % made->columns);
        all = adds ? all + from->at(r, c) : std::fmax(all, from->at(r, c));
      }
    values[op.getResult()] = made;
  }

  void mask(MaskOp op) {
    auto made = std::make_shared<Tile>(*tile(op.getValue()));
    const int64_t row = number(op.getRow()), column = number(op.getColumn());
    for (int64_t r = 0; r < made->rows; ++r)
      for (int64_t c = 0; c < made->columns; ++c) {
        const int64_t distance = column + c - (row + r);
        if (column + c >= number(op.getColumns()) || (op.getFrom() && distance < number(op.getFrom())) ||
            (op.getBelow() && distance >= number(op.getBelow())))
          made->at(r, c) = -std::numeric_limits<double>::infinity();
      }
    values[op.getResult()] = made;
  }

  void constant(arith::ConstantOp op) {
    if (auto integer = dyn_cast<IntegerAttr>(op.getValue())) {
      values[op.getResult()] = integer.getValue().isNegative() ? integer.getValue().getSExtValue()
                                                               : int64_t(integer.getValue().getZExtValue());
    } else if (auto real = dyn_cast<FloatAttr>(op.getValue())) {
      values[op.getResult()] = real.getValueAsDouble();
    } else if (auto splat = dyn_cast<SplatElementsAttr>(op.getValue());
               splat && isRegisterTile(op.getType()) && isa<FloatType>(splat.getElementType())) {
      TileRef made = makeTile(cast<ShapedType>(op.getType()));
      std::fill(made->elements.begin(), made->elements.end(), splat.getSplatValue<APFloat>().convertToDouble());
      values[op.getResult()] = made;
    } else {
      refuse(op, "expects a constant that is a number, or a tile of one float");
    }
  }

  void compare(arith::CmpIOp op) {
    const int64_t a = number(op.getLhs()), b = number(op.getRhs());
    const bool unsign = op.getPredicate() >= arith::CmpIPredicate::ult;
    const bool less = unsign ? uint64_t(a) < uint64_t(b) : a < b;
    switch (op.getPredicate()) {
    case arith::CmpIPredicate::eq:
      return void(values[op.getResult()] = int64_t(a == b));
    case arith::CmpIPredicate::ne:
      return void(values[op.getResult()] = int64_t(a != b));
    case arith::CmpIPredicate::slt:
    case arith::CmpIPredicate::ult:
      return void(values[op.getResult()] = int64_t(less));
    case arith::CmpIPredicate::sle:
    case arith::CmpIPredicate::ule:
      return void(values[op.getResult()] = int64_t(less || a == b));
    case arith::CmpIPredicate::sgt:
    case arith::CmpIPredicate::ugt:
      return void(values[op.getResult()] = int64_t(!less && a != b));
    case arith::CmpIPredicate::sge:
    case arith::CmpIPredicate::uge:
      return void(values[op.getResult()] = int64_t(!less));
    }
  }

  void compare(arith::CmpFOp op) {
    const double a = real(op.getLhs()), b = real(op.getRhs());
    if (op.getPredicate() == arith::CmpFPredicate::OEQ)
      values[op.getResult()] = int64_t(a == b);
    else if (op.getPredicate() == arith::CmpFPredicate::OLT)
      values[op.getResult()] = int64_t(a < b);
    else
      refuse(op, "expects oeq or olt");
  }

  template <typename Function> void integers(Operation &op, Function function) {
    values[op.getResult(0)] = int64_t(function(number(op.getOperand(0)), number(op.getOperand(1))));
  }
  template <typename Function> void reals(Operation &op, Function function) {
    values[op.getResult(0)] = double(function(real(op.getOperand(0)), real(op.getOperand(1))));
  }

  void execute(Operation &op) {
    llvm::TypeSwitch<Operation *>(&op)
        .Case([&](scf::ForOp each) { loop(each); })
        .Case([&](scf::IfOp each) {
          if (number(each.getCondition()))
            execute(*each.thenBlock());
          else if (each.elseBlock())
            execute(*each.elseBlock());
          if (each.getNumResults())
            refuse(each, "expects branches without results");
        })
        .Case([&](ScheduleOp each) { schedule(each); })
        .Case([&](AcquireOp each) { acquire(each); })
        .Case([&](CommitOp each) { commit(each); })
        .Case([&](WaitOp each) { wait(each); })
        .Case<ReleaseOp, EnterTurnOp, LeaveTurnOp>([&](auto) {})
        .Case([&](CopyOp each) { copy(each); })
        .Case([&](MmaOp each) { multiply(each); })
        .Case([&](MmaWaitOp each) {
          for (auto [sum, vector] : llvm::zip(each.getSums(), each.getVectors()))
            give(vector, values[sum]);
        })
        .Case([&](UnpackOp each) { unpack(each); })
        .Case([&](StoreOp each) { store(each); })
        .Case([&](memref::DimOp each) {
          const InterpretedMatrix from = matrix(each.getSource());
          values[each.getResult()] = number(each.getIndex()) == 0 ? from.rows : from.columns;
        })
        .Case([&](ReadOp each) { read(each); })
        .Case([&](MapOp each) { mapElements(each); })
        .Case([&](ReduceOp each) { reduce(each); })
        .Case([&](MaskOp each) { mask(each); })
        .Case([&](ConvertOp each) { give(each.getResult(), values[each.getValue()]); })
        .Case([&](EntryOp each) {
          const InterpretedMatrix from = matrix(each.getTable());
          const int64_t row = number(each.getRow());
          if (row < 0 || row >= from.rows || int64_t(each.getNumResults()) > from.columns)
            return refuse(each, "expects a row of a table, and no more numbers than it has");
          for (OpResult result : each.getNumbers())
            values[result] = int64_t(from.elements[row * from.stride + result.getResultNumber()]);
        })
        .Case([&](arith::ConstantOp each) { constant(each); })
        .Case([&](arith::CmpIOp each) { compare(each); })
        .Case([&](arith::CmpFOp each) { compare(each); })
        .Case([&](arith::SelectOp each) {
          give(each.getResult(), values[number(each.getCondition()) ? each.getTrueValue() : each.getFalseValue()]);
        })
        .Case([&](arith::IndexCastOp each) { give(each.getResult(), values[each.getIn()]); })
        .Case([&](arith::AddFOp) { reals(op, [](double a, double b) { return a + b; }); })
        .Case([&](arith::SubFOp) { reals(op, [](double a, double b) { return a - b; }); })
        .Case([&](arith::MulFOp) { reals(op, [](double a, double b) { return a * b; }); })
        .Case([&](arith::DivFOp) { reals(op, [](double a, double b) { return a / b; }); })
        .Case([&](arith::MaxNumFOp) { reals(op, [](double a, double b) { return std::fmax(a, b); }); })
        .Case([&](arith::NegFOp each) { values[each.getResult()] = -real(each.getOperand()); })
        .Case([&](math::FmaOp each) {
          values[each.getResult()] = std::fma(real(each.getA()), real(each.getB()), real(each.getC()));
        })
        .Case([&](math::Exp2Op each) { values[each.getResult()] = std::exp2(real(each.getOperand())); })
        .Case([&](math::TanhOp each) { values[each.getResult()] = std::tanh(real(each.getOperand())); })
        .Case([&](arith::AddIOp each) { integers(op, [](int64_t a, int64_t b) { return a + b; }); })
        .Case([&](arith::SubIOp each) { integers(op, [](int64_t a, int64_t b) { return a - b; }); })
        .Case([&](arith::MulIOp each) { integers(op, [](int64_t a, int64_t b) { return a * b; }); })
        .Case([&](arith::DivUIOp each) {
          if (number(each.getRhs()) == 0)
            return refuse(each, "expects a divisor that is not zero");
          integers(op, [](int64_t a, int64_t b) { return int64_t(uint64_t(a) / uint64_t(b)); });
        })
        .Case([&](arith::MaxSIOp each) { integers(op, [](int64_t a, int64_t b) { return std::max(a, b); }); })
        .Case([&](arith::MinSIOp each) { integers(op, [](int64_t a, int64_t b) { return std::min(a, b); }); })
        .Default([&](Operation *other) { refuse(other, "expects an operation with a plain meaning, but has none"); });
  }
};
} // namespace

Status interpretKernel(KernelOp kernel, const std::vector<std::variant<int64_t, InterpretedMatrix>> &arguments) {
  Interpreter interpreter;
  if (arguments.size() != kernel.getArgumentTypes().size())
    return fail(ErrorCode::KernelMeaning, "%s: expects %zu arguments, but got %zu", kernel.getSymName().str().c_str(),
                kernel.getArgumentTypes().size(), arguments.size());
  for (auto [parameter, argument] : llvm::zip(kernel.getBody().getArguments(), arguments)) {
    if (isa<MemRefType>(parameter.getType()) != std::holds_alternative<InterpretedMatrix>(argument))
      return fail(ErrorCode::KernelMeaning, "%s: expects a matrix where the kernel has one, but argument %u is other",
                  kernel.getSymName().str().c_str(), parameter.getArgNumber());
    std::visit([&, p = Value(parameter)](auto &value) { interpreter.values[p] = value; }, argument);
  }
  interpreter.run(kernel);
  if (interpreter.error)
    return *interpreter.error;
  return Done();
}

} // namespace stepdown
