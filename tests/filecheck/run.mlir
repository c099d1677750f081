// RUN: ostinato run --input 1=2 %s | filecheck %s
// RUN: ostinato opt --passes=autodiff,decompose,simplify %s | ostinato run --input 1=2 - | filecheck %s
// RUN: diff <(ostinato run --seed 7 %s) <(ostinato opt %s | ostinato opt - | ostinato run --seed 7 -)

builtin.module {
  func.func @main(%n: tensor<2xi64> loc("m.py":1:0), %lr: !ot.number<f64> loc("m.py":1:0)) -> (tensor<2xf64>, tensor<2xf64>) {
    // CHECK:      result 0: tensor<2xf64>
    // CHECK-NEXT: [2. 4.]
    // CHECK-NEXT: result 1: tensor<2xf64>
    // CHECK-NEXT: [4. 4.]
    %0 = ot.constant 1.0 : f64 loc("m.py":2:0)
    %1 = ot.constant 2.0 : f64 loc("m.py":2:0)
    %2 = ot.iota %0, %0 {length = 2 : i64, dtype = f64} : (!ot.number<f64>, !ot.number<f64>) -> tensor<2xf64> loc("m.py":2:0)
    %3 = ot.mul %2, %lr : (tensor<2xf64>, !ot.number<f64>) -> tensor<2xf64> loc("m.py":3:0)
    %4 = ot.full %1 {size = array<i64: 2>, dtype = f64} : (!ot.number<f64>) -> tensor<2xf64> loc("m.py":4:0)
    %5 = ot.gradient (%3) by (%4) wrt (%2) : (tensor<2xf64>) by (tensor<2xf64>) wrt (tensor<2xf64>) -> (tensor<2xf64>) loc("m.py":5:0)
    func.return %3, %5 : tensor<2xf64>, tensor<2xf64> loc("m.py":6:0)
  } loc("m.py":1:0)
} loc("m.py":1:0)
