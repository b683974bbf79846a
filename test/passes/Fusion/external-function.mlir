// RUN: stepdown-opt %s -phase-fusion | FileCheck %s

// A declaration has no body to fuse.
// CHECK: func.func private @declared
func.func private @declared(tensor<?x32xf32>) -> tensor<?x32xf32>
