// RUN: stepdown-opt %s -split-input-file -verify-diagnostics -pass-pipeline='builtin.module(builtin.module(func.func(bind-arrays)))' | FileCheck %s

// The result's address and size go behind the argument's.
// CHECK-LABEL: func.func @takes_from_the_arena(
// CHECK-SAME:    %[[OPERANDS:.*]]: !llvm.ptr, %{{.*}}: i64, %{{.*}}: i64)
// CHECK:         llvm.getelementptr %[[OPERANDS]][2]
// CHECK:         arith.mului_extended
// CHECK:         %[[NEXT:.*]] = llvm.load
// CHECK:         cf.assert %{{.*}}, "stepdown: the arena is too small"
// CHECK:         llvm.inttoptr %[[NEXT]]
// CHECK:         llvm.getelementptr %[[OPERANDS]][4]
// CHECK:         llvm.getelementptr %[[OPERANDS]][5]
// CHECK-NEXT:    llvm.store
// CHECK-NEXT:    return
module {
  module @kernels {
    func.func @takes_from_the_arena(%x: memref<?xf32>, %n: memref<index>) -> memref<?xf32> {
      %size = memref.load %n[] : memref<index>
      %y = memref.alloc(%size) : memref<?xf32>
      return %y : memref<?xf32>
    }
  }
}

// -----

// CHECK-LABEL: func.func @gives_back(
// CHECK:         scf.for
// CHECK-NEXT:      %[[PLACE:.*]] = llvm.getelementptr
// CHECK-NEXT:      %[[MARK:.*]] = llvm.load %[[PLACE]]
// CHECK:           cf.assert
// CHECK:           llvm.store %[[MARK]]
// CHECK-NEXT:    }
module {
  module @kernels {
    func.func @gives_back(%n: memref<index>, %x: memref<?xf32>) {
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %zero = arith.constant 0.0 : f32
      %size = memref.load %n[] : memref<index>
      scf.for %i = %c0 to %size step %c1 {
        %y = memref.alloc(%size) : memref<?xf32>
        memref.store %zero, %y[%i] : memref<?xf32>
      }
      return
    }
  }
}

// -----

// What an iteration hands on stays.
// CHECK-LABEL: func.func @hands_on(
// CHECK:         scf.for
// CHECK-NOT:       llvm.load
// CHECK:           arith.mului_extended
module {
  module @kernels {
    func.func @hands_on(%n: memref<index>, %x: memref<?xf32>) -> memref<?xf32> {
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %size = memref.load %n[] : memref<index>
      %z = scf.for %i = %c0 to %size step %c1 iter_args(%a = %x) -> memref<?xf32> {
        %y = memref.alloc(%size) : memref<?xf32>
        scf.yield %y : memref<?xf32>
      }
      return %z : memref<?xf32>
    }
  }
}

// -----

module {
  module @kernels {
    // expected-error @+1 {{expects arguments and results that are contiguous memrefs, but got 'f32'}}
    func.func @a_number(%x: f32) {
      return
    }
  }
}

// -----

module {
  module @kernels {
    // expected-error @+1 {{expects a function of one block}}
    func.func @branches(%x: memref<?xf32>) {
      cf.br ^bb1
    ^bb1:
      return
    }
  }
}

// -----

// Whoever reads IR may find a declaration in it.
// CHECK: func.func private @declared(memref<7xf32>)
module {
  module @kernels {
    func.func private @declared(memref<7xf32>)
  }
}

// -----

// Each size comes from the operation; upstream would take one of them, and come to a fault where there are two.
// CHECK-LABEL: func.func @expands(
// CHECK:         memref.reinterpret_cast %{{.*}} to offset: [0], sizes: [%{{.*}}, %{{.*}}], strides: [%{{.*}}, 1]
module {
  module @kernels {
    func.func @expands(%x: memref<?xf32>, %n: memref<index>, %m: memref<index>) -> memref<?x?xf32> {
      %rows = memref.load %n[] : memref<index>
      %columns = memref.load %m[] : memref<index>
      %y = memref.expand_shape %x [[0, 1]] output_shape [%rows, %columns] : memref<?xf32> into memref<?x?xf32>
      return %y : memref<?x?xf32>
    }
  }
}
