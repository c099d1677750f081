// RUN: ! ostinato opt %s 2>&1 | filecheck %s

// CHECK:      ostinato: stage 'captured': ot.matmul: results of type tensor<2x3xf32>, but its operands and attributes make tensor<2x2xf32>
// CHECK-NEXT: in: %0 = ot.matmul %1, %2 : {{.*}} loc("m.py":2:0)

builtin.module {
  func.func @main(%x: tensor<2x3xf32> loc("m.py":1:0), %y: tensor<3x2xf32> loc("m.py":1:0)) -> tensor<2x3xf32> {
    %0 = ot.matmul %x, %y : (tensor<2x3xf32>, tensor<3x2xf32>) -> tensor<2x3xf32> loc("m.py":2:0)
    func.return %0 : tensor<2x3xf32> loc("m.py":3:0)
  } loc("m.py":1:0)
} loc("m.py":1:0)
