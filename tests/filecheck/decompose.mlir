// RUN: ostinato opt --passes=decompose --claims= %s | filecheck %s
// RUN: ostinato opt --passes=decompose --claims=log_softmax,mean %s | filecheck --check-prefix=CLAIMED %s

builtin.module {
  // CHECK:        attributes {ot.claims = []}
  // CLAIMED:      attributes {ot.claims = ["log_softmax", "mean"]}
  func.func @main(%x: tensor<2x3xf32> loc("m.py":1:0)) -> (tensor<2x3xf32>, tensor<2xf32>) {
    // CHECK-NEXT:   ot.constant 3 : i64
    // CHECK-NEXT:   [[T:%.*]] = ot.amax %x {dim = array<i64: 1>, keepdim = true}
    // CHECK-NEXT:   [[A:%.*]] = ot.sub %x, [[T]]
    // CHECK-NEXT:   [[E:%.*]] = ot.exp [[A]]
    // CHECK-NEXT:   [[S:%.*]] = ot.sum [[E]]
    // CHECK-NEXT:   [[L:%.*]] = ot.log [[S]]
    // CHECK-NEXT:   [[Y:%.*]] = ot.sub [[A]], [[L]] : {{.*}} loc("m.py":2:0)
    // CLAIMED-NEXT: [[Y:%.*]] = ot.log_softmax %x
    %0 = ot.log_softmax %x {dim = 1 : i64} : (tensor<2x3xf32>) -> tensor<2x3xf32> loc("m.py":2:0)
    // CHECK-NEXT:   [[M:%.*]] = ot.sum %x {dim = array<i64: 1>, keepdim = false}
    // CHECK-NEXT:   [[N:%.*]] = ot.div [[M]], %{{.*}} loc("m.py":3:0)
    // CLAIMED-NEXT: [[N:%.*]] = ot.mean %x
    %1 = ot.mean %x {dim = array<i64: 1>, keepdim = false} : (tensor<2x3xf32>) -> tensor<2xf32> loc("m.py":3:0)
    // CHECK-NEXT:   func.return [[Y]], [[N]]
    // CLAIMED-NEXT: func.return [[Y]], [[N]]
    func.return %0, %1 : tensor<2x3xf32>, tensor<2xf32> loc("m.py":4:0)
  } loc("m.py":1:0)
} loc("m.py":1:0)
