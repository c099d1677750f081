// RUN: ostinato opt --passes=fuse %s | filecheck %s

// Rows that are normalised are one kernel; the view between it and the product stays a view.
builtin.module {
  // CHECK:      func.func @main(%x: tensor<4x8xf32>
  // CHECK-SAME:   ot.writes
  func.func @main(%x: tensor<4x8xf32> loc("m.py":1:0), %w: tensor<4x8xf32> loc("m.py":1:0)) -> (tensor<4x8xf32>, tensor<4x4xf32>) attributes {ot.writes = [array<i64: 0, 1>]} {
    // CHECK-NEXT:   [[D:%.*]] = ot.fusion %w : (tensor<4x8xf32>) -> tensor<4x8xf32> attributes {kind = "rows", length = 8 : i64} {
    // CHECK-NEXT:   ^{{.*}}([[W:%.*]]: tensor<4x8xf32>
    // CHECK-NEXT:     [[E:%.*]] = ot.exp [[W]] : {{.*}} loc("m.py":2:0)
    %e = ot.exp %w : (tensor<4x8xf32>) -> tensor<4x8xf32> loc("m.py":2:0)
    // CHECK-NEXT:     [[M:%.*]] = ot.amax [[E]] {dim = array<i64: 1>, keepdim = true} : {{.*}} loc("m.py":3:0)
    %m = ot.amax %e {dim = array<i64: 1>, keepdim = true} : (tensor<4x8xf32>) -> tensor<4x1xf32> loc("m.py":3:0)
    // CHECK-NEXT:     [[Q:%.*]] = ot.div [[E]], [[M]]
    // CHECK-NEXT:     ot.yield [[Q]] : tensor<4x8xf32> loc(fused["m.py":2:0, "m.py":3:0, "m.py":4:0])
    // CHECK-NEXT:   } loc(fused["m.py":2:0, "m.py":3:0, "m.py":4:0])
    %d = ot.div %e, %m : (tensor<4x8xf32>, tensor<4x1xf32>) -> tensor<4x8xf32> loc("m.py":4:0)
    // CHECK-NEXT:   [[T:%.*]] = ot.transpose %x
    %t = ot.transpose %x {dim0 = 0 : i64, dim1 = 1 : i64} : (tensor<4x8xf32>) -> tensor<8x4xf32> loc("m.py":5:0)
    // CHECK-NEXT:   [[P:%.*]] = ot.matmul [[D]], [[T]]
    %p = ot.matmul %d, %t : (tensor<4x8xf32>, tensor<8x4xf32>) -> tensor<4x4xf32> loc("m.py":6:0)
    // CHECK-NEXT:   func.return [[D]], [[P]]
    func.return %d, %p : tensor<4x8xf32>, tensor<4x4xf32> loc("m.py":7:0)
  } loc("m.py":1:0)
} loc("m.py":1:0)
