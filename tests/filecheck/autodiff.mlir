// RUN: ostinato opt --passes=autodiff %s | filecheck %s

// A gradient becomes ops with the line of the op that it is of and its own; the second looks
// through the first; a value that does not reach the output has zeros.

builtin.module {
  // CHECK:      func.func @main(%x: tensor<2x3xf32> {ot.name = "x"}
  func.func @main(%x: tensor<2x3xf32> {ot.name = "x"} loc("m.py":1:0), %y: tensor<3xf32> loc("m.py":1:0), %g: tensor<f32> loc("m.py":1:0)) -> (tensor<f32>, tensor<2x3xf32>, tensor<3xf32>, tensor<2x3xf32>) {
    // CHECK-NEXT: ot.constant 0 : i64
    // CHECK-NEXT: [[S:%.*]] = ot.sin %x : {{.*}} loc("m.py":2:0)
    // CHECK-NEXT: [[T:%.*]] = ot.sum [[S]]
    %0 = ot.sin %x : (tensor<2x3xf32>) -> tensor<2x3xf32> loc("m.py":2:0)
    %1 = ot.sum %0 {keepdim = false} : (tensor<2x3xf32>) -> tensor<f32> loc("m.py":3:0)
    // CHECK-NOT:  ot.gradient
    // CHECK:      [[E:%.*]] = ot.expand {{.*}} loc(fused["m.py":3:0, "m.py":4:0])
    // CHECK-NEXT: [[C:%.*]] = ot.cos %x : {{.*}} loc(fused["m.py":2:0, "m.py":4:0])
    // CHECK-NEXT: [[D:%.*]] = ot.mul [[E]], [[C]]
    // CHECK-NEXT: [[Z:%.*]] = ot.full {{.*}} -> tensor<3xf32> loc("m.py":4:0)
    %2, %3 = ot.gradient (%1) by (%g) wrt (%x, %y) : (tensor<f32>) by (tensor<f32>) wrt (tensor<2x3xf32>, tensor<3xf32>) -> (tensor<2x3xf32>, tensor<3xf32>) loc("m.py":4:0)
    // CHECK-NEXT: [[B:%.*]] = ot.mul [[D]], [[E]]
    // CHECK-NEXT: ot.neg [[B]] : {{.*}} loc(fused["m.py":2:0, "m.py":4:0, "m.py":5:0])
    // CHECK:      ot.sin %x
    %4 = ot.gradient (%2) by (%2) wrt (%x) : (tensor<2x3xf32>) by (tensor<2x3xf32>) wrt (tensor<2x3xf32>) -> (tensor<2x3xf32>) loc("m.py":5:0)
    // CHECK:      func.return [[T]], [[D]], [[Z]], %{{.*}}
    func.return %1, %2, %3, %4 : tensor<f32>, tensor<2x3xf32>, tensor<3xf32>, tensor<2x3xf32> loc("m.py":6:0)
  } loc("m.py":1:0)
} loc("m.py":1:0)
