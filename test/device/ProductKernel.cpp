#include "test/device/ProductKernel.h"

namespace stepdown::test {
namespace {

/// Lines of a function, and values that number themselves.
class Text {
public:
  void line(const std::string &text) { out += "    " + text + "\n"; }
  std::string value(const std::string &operation) {
    const std::string name = "%v" + std::to_string(count++);
    line(name + " = " + operation);
    return name;
  }
  std::string constant(int64_t number, const char *type = "i32") {
    return value("arith.constant " + std::to_string(number) + " : " + type);
  }
  std::string at(const std::string &offset) {
    return value("llvm.getelementptr %smem[" + offset + "] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i8");
  }
  std::string add(const std::string &a, const std::string &b) { return value("arith.addi " + a + ", " + b + " : i32"); }
  std::string mul(const std::string &a, const std::string &b) { return value("arith.muli " + a + ", " + b + " : i32"); }
  std::string bitAnd(const std::string &a, const std::string &b) {
    return value("arith.andi " + a + ", " + b + " : i32");
  }
  std::string shift(const std::string &a, const std::string &b) {
    return value("arith.shrui " + a + ", " + b + " : i32");
  }
  std::string wide(const std::string &a) { return value("arith.extui " + a + " : i32 to i64"); }
  void wait(const std::string &barrier, const std::string &parity) {
    line("scf.while : () -> () {");
    const std::string done = value("nvvm.mbarrier.try_wait " + barrier + ", " + parity + " : !llvm.ptr<3>, i32 -> i1");
    const std::string again = value("arith.xori " + done + ", %true : i1");
    line("scf.condition(" + again + ")");
    line("} do { scf.yield }");
  }
  /// The descriptor of an operand at shared address `address` (i32): 128-byte swizzle, 1024 bytes from 8 rows to the
  /// next.
  std::string descriptor(const std::string &address) {
    const std::string sixteenths = shift(address, constant(4));
    const std::string low = wide(bitAnd(sixteenths, constant(0x3fff)));
    return value("arith.ori " + low + ", " + constant(int64_t(1) << 62 | int64_t(64) << 32 | 1 << 16, "i64") +
                 " : i64");
  }
  std::string out;

private:
  int count = 0;
};

std::string number(uint32_t x) { return std::to_string(x); }

} // namespace

std::string ProductKernel::text() const {
  const uint32_t sums = n / 2;
  std::string type = "!llvm.struct<(f32";
  for (uint32_t i = 1; i < sums; ++i)
    type += ", f32";
  type += ")>";
  Text t;
  t.line("%true = arith.constant true");
  t.line("%smem = llvm.mlir.addressof @smem : !llvm.ptr<3>");
  t.line("%c0 = arith.constant 0 : i32");
  t.line("%c1 = arith.constant 1 : i32");
  t.line("%tid = nvvm.read.ptx.sreg.tid.x : i32");
  t.line("%bx = nvvm.read.ptx.sreg.ctaid.x : i32");
  t.line("%by = nvvm.read.ptx.sreg.ctaid.y : i32");
  const std::string m0 = t.mul("%by", t.constant(64)), n0 = t.mul("%bx", t.constant(n));
  const std::string full = t.constant(offsetBarriers()), empty = t.constant(offsetBarriers() + 8 * stages);
  const std::string eight = t.constant(8), stageCount = t.constant(stages);
  const std::string isFirst = t.value("arith.cmpi eq, %tid, %c0 : i32");
  t.line("scf.if " + isFirst + " {");
  for (uint32_t s = 0; s < stages; ++s) {
    t.line("nvvm.mbarrier.init " + t.at(t.constant(offsetBarriers() + 8 * s)) + ", %c1 : !llvm.ptr<3>, i32");
    t.line("nvvm.mbarrier.init " + t.at(t.constant(offsetBarriers() + 8 * (stages + s))) + ", %c1 : !llvm.ptr<3>, i32");
  }
  t.line("nvvm.fence.mbarrier.init");
  t.line("}");
  t.line("nvvm.barrier0");
  const std::string warp = t.shift("%tid", t.constant(5));
  const std::string loads = t.value("arith.cmpi eq, " + warp + ", " + t.constant(4) + " : i32");
  auto next = [&](const std::string &stage, const std::string &phase) {
    const std::string up = t.add(stage, "%c1"), wraps = t.value("arith.cmpi eq, " + up + ", " + stageCount + " : i32");
    const std::string stage1 = t.value("arith.select " + wraps + ", %c0, " + up + " : i32");
    const std::string phase1 =
        t.value("arith.xori " + phase + ", " + t.value("arith.extui " + wraps + " : i1 to i32") + " : i32");
    return stage1 + ", " + phase1;
  };
  t.line("scf.if " + loads + " {");
  t.line("%elected = nvvm.elect.sync -> i1");
  t.line("scf.if %elected {");
  t.line("%ends:2 = scf.for %k = %c0 to %steps step %c1 iter_args(%stage = %c0, %phase = %c1) -> (i32, i32) : i32 {");
  {
    const std::string slot = t.mul("%stage", eight);
    t.wait(t.at(t.add(empty, slot)), "%phase");
    const std::string barrier = t.at(t.add(full, slot));
    t.value("nvvm.mbarrier.arrive.expect_tx " + barrier + ", " + t.constant(bytesA() + bytesB()) +
            " : !llvm.ptr<3>, i32 -> i64");
    const std::string k0 = t.mul("%k", t.constant(64));
    const std::string a = t.at(t.mul("%stage", t.constant(bytesA())));
    const std::string b = t.at(t.add(t.mul("%stage", t.constant(bytesB())), t.constant(offsetB())));
    const std::string a7 = t.value("llvm.addrspacecast " + a + " : !llvm.ptr<3> to !llvm.ptr<7>");
    const std::string b7 = t.value("llvm.addrspacecast " + b + " : !llvm.ptr<3> to !llvm.ptr<7>");
    t.line("nvvm.cp.async.bulk.tensor.shared.cluster.global " + a7 + ", %A, " + barrier + ", box[" + k0 + ", " + m0 +
           "] : !llvm.ptr<7>, !llvm.ptr");
    t.line("nvvm.cp.async.bulk.tensor.shared.cluster.global " + b7 + ", %B, " + barrier + ", box[" + k0 + ", " + n0 +
           "] : !llvm.ptr<7>, !llvm.ptr");
    const std::string after = next("%stage", "%phase");
    t.line("scf.yield " + after + " : i32, i32");
  }
  t.line("}");
  t.line("}");
  t.line("} else {");
  const std::string base = t.value("llvm.ptrtoint %smem : !llvm.ptr<3> to i32");
  const std::string lane = t.bitAnd("%tid", t.constant(31));
  // Row of the tile, and half of 16 columns, whose address a lane gives to ldmatrix and stmatrix.
  const std::string row = t.add(t.mul(warp, t.constant(16)), t.bitAnd(lane, t.constant(15)));
  const std::string half = t.shift(lane, t.constant(4));
  t.line("%undef = llvm.mlir.undef : " + type);
  auto multiply = [&](const std::string &sum, const std::string &stage, bool first) {
    const std::string baseA = t.add(base, t.mul(stage, t.constant(bytesA())));
    const std::string baseB = t.add(t.add(base, t.constant(offsetB())), t.mul(stage, t.constant(bytesB())));
    std::string registers[4][4];
    for (int k = 0; k < 4 && registersA; ++k) {
      // 16 bytes (row, chunk) of a tile swizzled over 128 bytes lie at chunk ^ row % 8.
      const std::string chunk = t.add(half, t.constant(2 * k));
      const std::string moved = t.value("arith.xori " + chunk + ", " + t.bitAnd(row, t.constant(7)) + " : i32");
      const std::string offset =
          t.add(t.add(t.mul(row, t.constant(128)), t.mul(moved, t.constant(16))), t.mul(stage, t.constant(bytesA())));
      const std::string loaded =
          t.value("nvvm.ldmatrix " + t.at(offset) +
                  " {eltType = #nvvm.ld_st_matrix_elt_type<b16>, layout = #nvvm.mma_layout<row>, num = 4 : i32, shape "
                  "= #nvvm.ld_st_matrix_shape<m = 8, n = 8>} : (!llvm.ptr<3>) -> !llvm.struct<(i32, i32, i32, i32)>");
      for (int i = 0; i < 4; ++i)
        registers[k][i] =
            t.value("llvm.extractvalue " + loaded + "[" + std::to_string(i) + "] : !llvm.struct<(i32, i32, i32, i32)>");
    }
    t.line("nvvm.wgmma.fence.aligned");
    std::string now = sum;
    for (int k = 0; k < 4; ++k) {
      const std::string b = t.descriptor(t.add(baseB, t.constant(32 * k)));
      const bool zero = first && k == 0;
      if (!registersA) {
        const std::string a = t.descriptor(t.add(baseA, t.constant(32 * k)));
        now = t.value("nvvm.wgmma.mma_async " + a + ", " + b + ", " + now + ", <m = 64, n = " + number(n) +
                      ", k = 16>, D [<f32>, <" + (zero ? "zero" : "one") +
                      ">], A [<bf16>, <one>, <row>], B [<bf16>, <one>, <col>] : " + type + " -> " + type);
        continue;
      }
      std::string assembly = "{ .reg .pred p; setp.ne.b32 p, $" + number(2 * sums + 5) +
                             ", 0; wgmma.mma_async.sync.aligned.m64n" + number(n) + "k16.f32.bf16.bf16 {",
                  constraints, operands, types;
      for (uint32_t i = 0; i < sums; ++i) {
        assembly += (i ? ", $" : "$") + number(i);
        constraints += "=f,";
      }
      for (uint32_t i = 0; i < sums; ++i) {
        constraints += number(i) + ",";
        operands += t.value("llvm.extractvalue " + now + "[" + number(i) + "] : " + type) + ", ";
        types += "f32, ";
      }
      for (int i = 0; i < 4; ++i)
        operands += registers[k][i] + ", ", types += "i32, ";
      assembly += "}, {$" + number(2 * sums) + ", $" + number(2 * sums + 1) + ", $" + number(2 * sums + 2) + ", $" +
                  number(2 * sums + 3) + "}, $" + number(2 * sums + 4) + ", p, 1, 1, 0; }";
      now = t.value("llvm.inline_asm has_side_effects \"" + assembly + "\", \"" + constraints + "r,r,r,r,l,r\" " +
                    operands + b + ", " + (zero ? "%c0" : "%c1") + " : (" + types + "i64, i32) -> " + type);
    }
    t.line("nvvm.wgmma.commit.group.sync.aligned");
    return now;
  };
  const std::string two = t.constant(2), warpgroup = t.constant(128);
  auto release = [&](const std::string &stage) {
    if (registersA) // every lane has read A; the machine reads B for all of them together
      t.line("nvvm.barrier id = " + two + " number_of_threads = " + warpgroup);
    t.line("scf.if " + isFirst + " {");
    const std::string barrier = t.at(t.add(empty, t.mul(stage, eight)));
    t.value("nvvm.mbarrier.arrive " + barrier + " : !llvm.ptr<3> -> i64");
    t.line("}");
  };
  // The first step is peeled: its first product overwrites the accumulators.
  t.wait(t.at(full), "%c0");
  const std::string first = multiply("%undef", "%c0", true);
  const std::string after0 = next("%c0", "%c0");
  const std::string stage1 = after0.substr(0, after0.find(',')), phase1 = after0.substr(after0.find(' ') + 1);
  t.line("%done:4 = scf.for %k = %c1 to %steps step %c1 iter_args(%sum = " + first + ", %stage = " + stage1 +
         ", %phase = " + phase1 + ", %before = %c0) -> (" + type + ", i32, i32, i32) : i32 {");
  {
    t.wait(t.at(t.add(full, t.mul("%stage", eight))), "%phase");
    const std::string sum = multiply("%sum", "%stage", false);
    t.line("nvvm.wgmma.wait.group.sync.aligned 1");
    release("%before");
    const std::string after = next("%stage", "%phase");
    t.line("scf.yield " + sum + ", " + after + ", %stage : " + type + ", i32, i32, i32");
  }
  t.line("}");
  t.line("nvvm.wgmma.wait.group.sync.aligned 0");
  release("%done#3");
  // bf16 through shared memory, rows of n elements, to a store by TMA.
  const std::string rowBytes = t.mul(row, t.constant(2 * n));
  for (uint32_t j = 0; j < n; j += 16) {
    std::string packed;
    for (uint32_t h = 0; h < 4; ++h) {
      const uint32_t at = j / 2 + 2 * h;
      const std::string low = t.value("llvm.extractvalue %done#0[" + number(at) + "] : " + type);
      const std::string high = t.value("llvm.extractvalue %done#0[" + number(at + 1) + "] : " + type);
      const std::string pair = t.value("nvvm.convert.f32x2.to.bf16x2 " + high + ", " + low +
                                       " {rnd = #nvvm.fp_rnd_mode<rn>} : vector<2xbf16>");
      packed += (h ? ", " : "") + t.value("llvm.bitcast " + pair + " : vector<2xbf16> to i32");
    }
    const std::string column = t.add(t.mul(half, t.constant(16)), t.constant(2 * j + offsetC()));
    t.line("nvvm.stmatrix " + t.at(t.add(rowBytes, column)) + ", " + packed +
           " {layout = #nvvm.mma_layout<row>, shape = #nvvm.ld_st_matrix_shape<m = 8, n = 8>, eltType = "
           "#nvvm.ld_st_matrix_elt_type<b16>} : !llvm.ptr<3>, i32, i32, i32, i32");
  }
  t.line("nvvm.fence.proxy {kind = #nvvm.proxy_kind<async.shared>, space = #nvvm.shared_space<cta>}");
  t.line("nvvm.barrier id = %c1 number_of_threads = " + t.constant(128));
  t.line("scf.if " + isFirst + " {");
  t.line("nvvm.cp.async.bulk.tensor.global.shared.cta %C, " + t.at(t.constant(offsetC())) + ", box[" + n0 + ", " + m0 +
         "] : !llvm.ptr, !llvm.ptr<3>");
  t.line("nvvm.cp.async.bulk.commit.group");
  t.line("nvvm.cp.async.bulk.wait_group 0 {read}");
  t.line("}");
  t.line("}");
  t.line("llvm.return");
  const std::string map = "!llvm.ptr {llvm.byval = !llvm.array<128 x i8>, llvm.align = 64 : i64, nvvm.grid_constant}";
  return "module attributes {gpu.container_module} {\n  gpu.module @kernels {\n"
         "  llvm.mlir.global external @smem() {addr_space = 3 : i32, alignment = 1024 : i64} : !llvm.array<0 x i8>\n"
         "  llvm.func @product(%A: " +
         map + ", %B: " + map + ", %C: " + map +
         ", %steps: i32) attributes {nvvm.kernel, nvvm.maxntid = array<i32: 160, 1, 1>, nvvm.minctasm = 1 : i32} {\n" +
         t.out + "  }\n  }\n}\n";
}

} // namespace stepdown::test
