// RUN: ostinato opt --passes=lower %s | filecheck %s
// RUN: ostinato opt --passes=lower,plan_memory %s | filecheck --check-prefix=PLANNED %s

// Two passes over a row; what the first computes is kept in scratch. The result takes its argument's
// memory, and the transposed operand of the product is a view of an argument.
builtin.module {
  // CHECK:      kernel.func @exp_amax_div_0(%x0: !kernel.buffer<f32> {{.*}}, %o0: !kernel.buffer<f32> {{.*}}) parallel %i to 4 grain
  // PLANNED:    kernel.func @exp_amax_div_0({{.*}} aliased [0, 1] {
  // CHECK-NEXT:   [[S:%.*]] = kernel.local 8 : !kernel.buffer<f32>
  // CHECK-NEXT:   [[M:%.*]] = kernel.reduce max %k to 8 vector {
  // CHECK-NEXT:     [[X:%.*]] = kernel.load %x0[affine_map<(d0, d1) -> ((d1 + (d0 * 8)))>(%i, %k)]
  // CHECK-NEXT:     [[E:%.*]] = math.exp [[X]] : f32 loc("m.py":2:0)
  // CHECK-NEXT:     kernel.store [[E]], [[S]][affine_map<(d0) -> (d0)>(%k)]
  // CHECK-NEXT:     kernel.yield [[E]] : f32
  // CHECK:        kernel.for %j to 8 vector unroll 2 {
  // CHECK-NEXT:     [[K:%.*]] = kernel.load [[S]][affine_map<(d0) -> (d0)>(%j)]
  // CHECK-NEXT:     [[Q:%.*]] = arith.divf [[K]], [[M]] : f32 loc("m.py":4:0)
  // CHECK-NEXT:     kernel.store [[Q]], %o0[affine_map<(d0, d1) -> ((d1 + (d0 * 8)))>(%i, %j)]
  // CHECK:      func.func @main
  // PLANNED:    func.func @main{{.*}} program.arena_bytes = 0 : i64
  func.func @main(%x: tensor<4x8xf32> loc("m.py":1:0), %w: tensor<4x8xf32> loc("m.py":1:0)) -> (tensor<4x8xf32>, tensor<4x4xf32>) attributes {ot.writes = [array<i64: 0, 1>]} {
    // CHECK-NEXT:    [[D:%.*]] = program.launch @exp_amax_div_0(%w) reuse [array<i64: 0, 1>] : (tensor<4x8xf32>) -> tensor<4x8xf32>
    // PLANNED-NEXT:  [[A:%.*]] = program.input %w : tensor<4x8xf32> -> memref<4x8xf32>
    // PLANNED-NEXT:  program.launch @exp_amax_div_0([[A]]) into ([[A]])
    %d = ot.fusion %w : (tensor<4x8xf32>) -> tensor<4x8xf32> attributes {kind = "rows", length = 8 : i64} {
    ^bb0(%v: tensor<4x8xf32> loc("m.py":1:0)):
      %e = ot.exp %v : (tensor<4x8xf32>) -> tensor<4x8xf32> loc("m.py":2:0)
      %m = ot.amax %e {dim = array<i64: 1>, keepdim = true} : (tensor<4x8xf32>) -> tensor<4x1xf32> loc("m.py":3:0)
      %q = ot.div %e, %m : (tensor<4x8xf32>, tensor<4x1xf32>) -> tensor<4x8xf32> loc("m.py":4:0)
      ot.yield %q : tensor<4x8xf32> loc("m.py":4:0)
    } loc("m.py":4:0)
    // CHECK-NEXT:    [[T:%.*]] = program.view %x strides [1, 8] start 0 : tensor<4x8xf32> -> tensor<8x4xf32>
    // PLANNED-NEXT:  [[V:%.*]] = program.input %x : tensor<4x8xf32> -> memref<8x4xf32, strided<[1, 8]>>
    %t = ot.transpose %x {dim0 = 0 : i64, dim1 = 1 : i64} : (tensor<4x8xf32>) -> tensor<8x4xf32> loc("m.py":5:0)
    // CHECK-NEXT:    [[P:%.*]] = program.call matmul([[D]], [[T]]) {} : (tensor<4x8xf32>, tensor<8x4xf32>) -> tensor<4x4xf32>
    // PLANNED-NEXT:  [[O:%.*]] = program.output 1 : memref<4x4xf32>
    // PLANNED-NEXT:  program.call matmul([[A]], [[V]]) {} into ([[O]])
    %p = ot.matmul %d, %t : (tensor<4x8xf32>, tensor<8x4xf32>) -> tensor<4x4xf32> loc("m.py":6:0)
    // CHECK-NEXT:    func.return [[D]], [[P]]
    // PLANNED-NEXT:  [[R:%.*]] = program.result [[A]]
    // PLANNED-NEXT:  [[U:%.*]] = program.result [[O]]
    // PLANNED-NEXT:  func.return [[R]], [[U]]
    func.return %d, %p : tensor<4x8xf32>, tensor<4x4xf32> loc("m.py":7:0)
  } loc("m.py":1:0)
} loc("m.py":1:0)
