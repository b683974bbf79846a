// RUN: stepdown-opt %s -dump-pass-pipeline -phase-transformer -phase-fusion -phase-linalg -phase-packing -phase-tiles -phase-buffers -phase-vector=target=x86-64-v3 -phase-cpu 2>&1 | sed -nE 's/^ +([a-z0-9-]+)(\{.*\})?,?$/\1;/p' | FileCheck %s --check-prefix=MODEL
// RUN: stepdown-opt %s -dump-pass-pipeline -phase-transformer=input=functions -phase-fusion=input=functions -phase-linalg=input=functions -phase-packing=input=functions -phase-tiles=input=functions -phase-buffers=input=functions -phase-vector="input=functions target=x86-64-v3" -phase-cpu=input=functions 2>&1 | sed -nE 's/^ +([a-z0-9-]+)(\{.*\})?,?$/\1;/p' | FileCheck %s --check-prefix=FUNCTIONS

// Every pass of a road, phase by phase. No pass asks on which road it is: what is in the one table and not in the other
// is the difference.
// MODEL:      check-contract;
// MODEL-NEXT: quantize-activations;
// MODEL-NEXT: pad-sizes;
// MODEL-NEXT: fuse-gated-activation;
// MODEL-NEXT: fuse-sibling-linears;
// MODEL-NEXT: fuse-rope-append;
// MODEL-NEXT: fuse-attention;
// MODEL-NEXT: fuse-residual-norm;
// MODEL-NEXT: wrap-kernels;
// MODEL-NEXT: check-contract;
// MODEL-NEXT: lower-operations;
// MODEL-NEXT: check-contract;
// MODEL-NEXT: pack-kernels;
// MODEL-NEXT: check-contract;
// MODEL-NEXT: tile-kernels;
// MODEL-NEXT: canonicalize;
// MODEL-NEXT: check-contract;
// MODEL-NEXT: one-shot-bufferize;
// MODEL-NEXT: canonicalize;
// MODEL-NEXT: cse;
// MODEL-NEXT: place-scratch;
// MODEL-NEXT: check-contract;
// MODEL-NEXT: select-block-dot;
// MODEL-NEXT: select-tile-ops;
// MODEL-NEXT: convert-linalg-to-loops;
// MODEL-NEXT: expand-math;
// MODEL-NEXT: canonicalize;
// MODEL-NEXT: cse;
// MODEL-NEXT: check-contract;
// MODEL-NEXT: bind-operands;
// MODEL-NEXT: expand-strided-metadata;
// MODEL-NEXT: lower-affine;
// MODEL-NEXT: convert-scf-to-cf;
// MODEL-NEXT: canonicalize;
// MODEL-NEXT: cse;
// MODEL-NEXT: lower-to-llvm;
// MODEL-NEXT: reconcile-unrealized-casts;
// MODEL-NEXT: canonicalize;
// MODEL-NEXT: check-contract;
// MODEL-NOT:  {{.}}

// FUNCTIONS:      check-contract;
// FUNCTIONS-NEXT: check-contract;
// FUNCTIONS-NEXT: lower-operations;
// FUNCTIONS-NEXT: decompose-operations;
// FUNCTIONS-NEXT: inline;
// FUNCTIONS-NEXT: symbol-dce;
// FUNCTIONS-NEXT: convert-elementwise-to-linalg;
// FUNCTIONS-NEXT: check-sizes;
// FUNCTIONS-NEXT: fuse-elementwise;
// FUNCTIONS-NEXT: check-contract;
// FUNCTIONS-NEXT: check-contract;
// FUNCTIONS-NEXT: canonicalize;
// FUNCTIONS-NEXT: check-contract;
// FUNCTIONS-NEXT: one-shot-bufferize;
// FUNCTIONS-NEXT: canonicalize;
// FUNCTIONS-NEXT: cse;
// FUNCTIONS-NEXT: place-arrays;
// FUNCTIONS-NEXT: check-contract;
// FUNCTIONS-NEXT: vectorize-structured;
// FUNCTIONS-NEXT: convert-linalg-to-loops;
// FUNCTIONS-NEXT: expand-elementary;
// FUNCTIONS-NEXT: canonicalize;
// FUNCTIONS-NEXT: cse;
// FUNCTIONS-NEXT: check-contract;
// FUNCTIONS-NEXT: bind-arrays;
// FUNCTIONS-NEXT: expand-strided-metadata;
// FUNCTIONS-NEXT: lower-affine;
// FUNCTIONS-NEXT: convert-scf-to-cf;
// FUNCTIONS-NEXT: canonicalize;
// FUNCTIONS-NEXT: cse;
// FUNCTIONS-NEXT: lower-assertions;
// FUNCTIONS-NEXT: carry-bfloat16;
// FUNCTIONS-NEXT: lower-to-llvm;
// FUNCTIONS-NEXT: reconcile-unrealized-casts;
// FUNCTIONS-NEXT: canonicalize;
// FUNCTIONS-NEXT: check-contract;
// FUNCTIONS-NOT:  {{.}}
module {
}
