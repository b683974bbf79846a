// RUN: stepdown-opt %s -split-input-file -bind-launches -canonicalize -cse | FileCheck %s

module attributes {gpu.container_module} {
  gpu.module @first {
  }
  gpu.module @launches_kernel {
    gpu.func @launches_kernel(%n: index, %x: memref<5xf32>) kernel {
      gpu.return
    }
  }
  func.func @launches(%operands: !llvm.ptr, %thread: i64, %threads: i64) {
    %n = arith.constant 3 : index
    %c1 = arith.constant 1 : index
    %c256 = arith.constant 256 : index
    %p = llvm.getelementptr %operands[1] : (!llvm.ptr) -> !llvm.ptr, i64
    %x = builtin.unrealized_conversion_cast %p : !llvm.ptr to memref<5xf32>
    gpu.launch_func @launches_kernel::@launches_kernel blocks in (%n, %c1, %c1) threads in (%c256, %c1, %c1) args(%n : index, %x : memref<5xf32>)
    return
  }
}
// CHECK-LABEL: func.func @launches(
// CHECK-SAME: %[[OPERANDS:.*]]: !llvm.ptr, %{{.*}}: i64, %{{.*}}: i64)
// CHECK: %[[RECORD:.*]] = llvm.load %{{.*}} : !llvm.ptr -> !llvm.ptr
// CHECK: %[[AT:.*]] = llvm.getelementptr %[[RECORD]][4]
// CHECK: %[[HOST:.*]] = llvm.load %[[AT]] : !llvm.ptr -> !llvm.ptr
// CHECK: %[[WORDS:.*]] = llvm.alloca
// CHECK: llvm.store %c3_i64, %[[WORDS]]
// CHECK: %[[LAUNCH:.*]] = llvm.load %[[HOST]] : !llvm.ptr -> !llvm.ptr
// CHECK: %[[STATUS:.*]] = llvm.call %[[LAUNCH]](%[[HOST]], %c1_i64, %[[WORDS]], %c6_i64, %c3_i64, %c1_i64, %c1_i64)
// CHECK: %[[GOOD:.*]] = arith.cmpi eq, %[[STATUS]], %c0_i32
// CHECK: cf.assert %[[GOOD]], "stepdown: the device refused"

// -----

// Blocks of a tile kernel: one for each tile of the result, and no more than run at a time.
module {
  gpu.module @product {
    llvm.func @product() attributes {nvvm.kernel, tile.launch = {parameters = [], shared_bytes = 0, threads = 384, tile = array<i64: 128, 256>}} {
      llvm.return
    }
  }
  func.func @products(%operands: !llvm.ptr, %thread: i64, %threads: i64) {
    %p = llvm.getelementptr %operands[1] : (!llvm.ptr) -> !llvm.ptr, i64
    %a = builtin.unrealized_conversion_cast %p : !llvm.ptr to memref<?x64xbf16>
    %b = builtin.unrealized_conversion_cast %p : !llvm.ptr to memref<64x520xbf16>
    %c = builtin.unrealized_conversion_cast %p : !llvm.ptr to memref<?x520xf32>
    tile.launch @product ins(%a, %b : memref<?x64xbf16>, memref<64x520xbf16>) outs(%c : memref<?x520xf32>)
    return
  }
}
// CHECK-LABEL: func.func @products
// CHECK: %[[ROWS:.*]] = memref.dim %{{.*}}, %c0 : memref<?x520xf32>
// CHECK: %[[M:.*]] = arith.index_cast %[[ROWS]]
// CHECK: %[[MORE:.*]] = arith.addi %[[M]], %c127_i64
// CHECK: %[[TILES:.*]] = arith.divui %[[MORE]], %c128_i64
// CHECK: %[[ALL:.*]] = arith.muli %[[TILES]], %c3_i64
// CHECK: %[[BLOCKS:.*]] = arith.minui %[[ALL]], %c132_i64
// CHECK: llvm.call %{{.*}}(%{{.*}}, %c0_i64, %{{.*}}, %c9_i64, %[[BLOCKS]], %c1_i64, %c1_i64)

// -----

// Or for each row of a table of tiles, and each head of the first operand.
module {
  gpu.module @attention {
    llvm.func @attention() attributes {nvvm.kernel, tile.launch = {over = array<i64: 1, 0, 0, 1>, parameters = [], shared_bytes = 0, threads = 384, tile = array<i64: 1, 64>}} {
      llvm.return
    }
  }
  func.func @heads(%operands: !llvm.ptr, %thread: i64, %threads: i64) {
    %p = llvm.getelementptr %operands[1] : (!llvm.ptr) -> !llvm.ptr, i64
    %q = builtin.unrealized_conversion_cast %p : !llvm.ptr to memref<?x192xbf16>
    %t = builtin.unrealized_conversion_cast %p : !llvm.ptr to memref<?x5xi32>
    %o = builtin.unrealized_conversion_cast %p : !llvm.ptr to memref<?x192xbf16>
    tile.launch @attention ins(%q, %t : memref<?x192xbf16>, memref<?x5xi32>) outs(%o : memref<?x192xbf16>)
    return
  }
}
// CHECK-LABEL: func.func @heads
// CHECK: %[[ROWS:.*]] = memref.dim %{{.*}}, %c0 : memref<?x5xi32>
// CHECK: %[[TILES:.*]] = arith.index_cast %[[ROWS]]
// CHECK: %[[ALL:.*]] = arith.muli %[[TILES]], %c3_i64
// CHECK: arith.minui %[[ALL]], %c132_i64

// -----

// Single elements are read and written; a constant is written whole.
memref.global "private" constant @table : memref<7xbf16> = dense<1.5>
func.func @elements(%operands: !llvm.ptr, %thread: i64, %threads: i64) {
  %c3 = arith.constant 3 : index
  %p = llvm.getelementptr %operands[1] : (!llvm.ptr) -> !llvm.ptr, i64
  %x = builtin.unrealized_conversion_cast %p : !llvm.ptr to memref<5xf32>
  %y = builtin.unrealized_conversion_cast %p : !llvm.ptr to memref<7xbf16>
  %0 = memref.load %x[%c3] : memref<5xf32>
  memref.store %0, %x[%c3] : memref<5xf32>
  %1 = memref.get_global @table : memref<7xbf16>
  memref.copy %1, %y : memref<7xbf16> to memref<7xbf16>
  return
}
// CHECK-LABEL: func.func @elements
// CHECK: %[[ELEMENT:.*]] = llvm.alloca
// CHECK: %[[THERE:.*]] = arith.addi %{{.*}}, %c12_i64
// CHECK: llvm.call %{{.*}}(%{{.*}}, %[[ELEMENT]], %[[THERE]], %c4_i64) : !llvm.ptr, (!llvm.ptr, !llvm.ptr, i64, i64) -> i32
// CHECK: %[[VALUE:.*]] = llvm.load %[[ELEMENT]] : !llvm.ptr -> f32
// CHECK: llvm.store %[[VALUE]], %[[ELEMENT]]
// CHECK: llvm.call %{{.*}}(%{{.*}}, %{{.*}}, %[[ELEMENT]], %c4_i64) : !llvm.ptr, (!llvm.ptr, i64, !llvm.ptr, i64) -> i32
// CHECK: llvm.call %{{.*}}(%{{.*}}, %{{.*}}, %{{.*}}, %c14_i64)
// CHECK-NOT: memref.copy
