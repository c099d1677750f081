// RUN: ostinato opt --passes=simplify %s | filecheck %s
// RUN: ostinato opt --passes=simplify --fast-math %s | filecheck --check-prefix=FAST %s

builtin.module {
  // CHECK-LABEL: func.func @main
  // FAST-LABEL:  func.func @main
  func.func @main(%x: tensor<2x3xf32> loc("m.py":1:0), %y: tensor<2x3xf32> loc("m.py":1:0)) -> (tensor<2x3xf32>, tensor<2x3xf32>, tensor<3x2xf32>, tensor<2x3xf32>) {
    // CHECK-NEXT:  [[ZERO:%.*]] = ot.constant 0.0
    %0 = ot.constant 1 : i64 loc("m.py":2:0)
    %1 = ot.constant 0.0 : f64 loc("m.py":2:0)
    // Dead code.
    %2 = ot.exp %x : (tensor<2x3xf32>) -> tensor<2x3xf32> loc("m.py":3:0)
    // Algebra: the lines of both ops.
    // CHECK-NEXT:  [[D:%.*]] = ot.sub %x, %y : {{.*}} loc(fused["m.py":5:0, "m.py":4:0])
    // FAST-NEXT:   [[D:%.*]] = ot.sub %x, %y
    %3 = ot.neg %y : (tensor<2x3xf32>) -> tensor<2x3xf32> loc("m.py":4:0)
    %4 = ot.add %x, %3 : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x3xf32> loc("m.py":5:0)
    %5 = ot.mul %4, %0 : (tensor<2x3xf32>, !ot.number<i64>) -> tensor<2x3xf32> loc("m.py":6:0)
    // -0.0 + 0.0 is 0.0, so only fast math removes this.
    // CHECK-NEXT:  [[P:%.*]] = ot.add [[D]], [[ZERO]]
    // FAST-NOT:    ot.add
    %6 = ot.add %5, %1 : (tensor<2x3xf32>, !ot.number<f64>) -> tensor<2x3xf32> loc("m.py":7:0)
    // Views.
    // CHECK-NEXT:  [[T:%.*]] = ot.transpose %x {dim0 = 0 : i64, dim1 = 1 : i64}
    // FAST:        [[T:%.*]] = ot.transpose %x {dim0 = 0 : i64, dim1 = 1 : i64}
    %7 = ot.unsqueeze %x {dim = 0 : i64} : (tensor<2x3xf32>) -> tensor<1x2x3xf32> loc("m.py":8:0)
    %8 = ot.reshape %7 {shape = array<i64: 2, 3>} : (tensor<1x2x3xf32>) -> tensor<2x3xf32> loc("m.py":9:0)
    %9 = ot.permute %8 {dims = array<i64: 1, 0>} : (tensor<2x3xf32>) -> tensor<3x2xf32> loc("m.py":10:0)
    // The same again.
    // CHECK-NEXT:  [[M:%.*]] = ot.mul %x, %y : {{.*}} loc(fused["m.py":11:0, "m.py":12:0])
    // CHECK-NEXT:  [[Q:%.*]] = ot.add [[M]], [[M]]
    %10 = ot.mul %x, %y : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x3xf32> loc("m.py":11:0)
    %11 = ot.mul %y, %x : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x3xf32> loc("m.py":12:0)
    %12 = ot.add %10, %11 : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x3xf32> loc("m.py":13:0)
    // CHECK-NEXT:  func.return [[D]], [[P]], [[T]], [[Q]]
    // FAST:        func.return [[D]], [[D]], [[T]],
    func.return %5, %6, %9, %12 : tensor<2x3xf32>, tensor<2x3xf32>, tensor<3x2xf32>, tensor<2x3xf32> loc("m.py":14:0)
  } loc("m.py":1:0)
} loc("m.py":1:0)
