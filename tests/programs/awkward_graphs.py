"""Programs whose graphs are awkward: cut, changed in place, shared, clipped, by hand.

Inner functions are as users write them, without annotations.
"""

# pyright: reportOptionalOperand=none, reportAttributeAccessIssue=none, reportOperatorIssue=none

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from awkward import Call, Table, World

TABLE = Table()
Fn = Callable[..., Any]


@TABLE.program()
def no_grad_inside(w: World) -> Call:
    p = w.data(5, 3, grad=True)

    def fn(x):
        with w.lib.no_grad():
            scale = (p * 2).sum()
        (p * x * scale).sum().backward()
        return scale

    call = w.compile(fn)
    return lambda i: (call(w.data(i, 3)), p)


@TABLE.program()
def enable_grad_inside_no_grad(w: World) -> Call:
    p = w.data(5, 3, grad=True)

    def fn(x):
        with w.lib.no_grad():
            y = p * x
            with w.lib.enable_grad():
                z = p * x
        return y.requires_grad, z.requires_grad, z.detach()

    call = w.compile(fn)

    def step(i):
        if i % 2:
            with w.lib.no_grad():
                return call(w.data(i, 3))
        return call(w.data(i, 3))

    return step


@TABLE.program()
def grad_mode_is_set_and_left(w: World) -> Call:
    p = w.data(5, 3, grad=True)

    def fn(x):
        with w.lib.set_grad_enabled(False):
            y = p * x
        return y, (p * x).requires_grad

    call = w.compile(fn)
    return lambda i: call(w.data(i, 3))


@TABLE.program()
def detach_in_the_middle(w: World) -> Call:
    p = w.data(5, 3, grad=True)

    def fn(x):
        h = (p * x).tanh()
        (h.detach() * p + h).sum().backward()

    call = w.compile(fn)

    def step(i):
        call(w.data(i, 3))
        return p

    return step


@TABLE.program()
def clipping_of_gradients(w: World) -> Call:
    p, q = w.data(5, 3, grad=True), w.data(6, 2, grad=True)

    def fn(x, most):
        p.grad = q.grad = None
        ((p * x).sum() + (q * 5).sum()).backward()
        return w.lib.nn.utils.clip_grad_norm_([p, q], most)

    call = w.compile(fn)
    return lambda i: (call(w.data(i, 3), 0.5 + i), p, q)


@TABLE.program(follows=True)
def gradient_norm_decides(w: World) -> Call:
    p = w.data(5, 3, grad=True)

    def fn(x):
        p.grad = None
        (p * x).pow(2).sum().backward()
        norm = p.grad.norm()
        with w.lib.no_grad():
            if norm > 2:
                p.sub_(p.grad / norm)
            else:
                p.sub_(p.grad * 0.1)
        return norm

    call = w.compile(fn)
    return lambda i: (call(w.data(i, 3)), p)


@TABLE.program()
def update_by_hand(w: World) -> Call:
    p = w.data(5, 3, grad=True)

    def fn(x):
        loss = (p * x).pow(2).sum()
        loss.backward()
        with w.lib.no_grad():
            p.sub_(0.1 * p.grad)
            p.grad.zero_()
        return loss.detach()

    call = w.compile(fn)
    return lambda i: (call(w.data(i, 3)), p)


@TABLE.program()
def in_place_on_what_has_a_gradient(w: World) -> Call:
    p = w.data(5, 3, grad=True)

    def fn(x):
        h = p * x
        h.add_(1)
        h[0] = 7
        h.sum().backward()

    call = w.compile(fn)

    def step(i):
        call(w.data(i, 3))
        return p

    return step


@TABLE.program(torch=False)
def in_place_on_a_leaf(w: World) -> Call:
    p = w.data(5, 3, grad=True)

    def fn(x):
        p.add_(x)
        return p * 2

    call = w.compile(fn)
    return lambda i: call(w.data(i, 3))


@TABLE.program()
def shared_parameter(w: World) -> Call:
    layer = w.lib.nn.Linear(3, 3, bias=False)
    with w.lib.no_grad():
        layer.weight.copy_(w.data(4, 3, 3))
    net = w.lib.nn.Sequential(layer, w.lib.nn.Tanh(), layer)

    def fn(x):
        net(x).sum().backward()

    call = w.compile(fn)

    def step(i):
        call(w.data(i, 2, 3))
        return layer.weight

    return step


@TABLE.program()
def part_of_the_network_by_a_flag(w: World) -> Call:
    a, b = w.data(5, 3, grad=True), w.data(6, 3, grad=True)

    def fn(x, both):
        y = a * x
        if both:
            y = y + b
        y.pow(2).sum().backward()

    call = w.compile(fn)

    def step(i):
        a.grad = b.grad = None
        call(w.data(i, 3), i % 2 == 0)
        return a, b

    return step


@TABLE.program()
def average_of_the_weights(w: World) -> Call:
    p, mean = w.data(5, 3, grad=True), w.lib.zeros(3)
    optimizer = w.lib.optim.SGD([p], lr=0.1)

    def fn(x, decay):
        optimizer.zero_grad()
        (p * x).pow(2).sum().backward()
        optimizer.step()
        with w.lib.no_grad():
            mean.mul_(decay).add_(p * (1 - decay))

    call = w.compile(fn)

    def step(i):
        call(w.data(i, 3), 0.9 - i / 10)
        return p, mean

    return step


@TABLE.program()
def two_optimizers_in_turn(w: World) -> Call:
    a, b = w.data(5, 3, grad=True), w.data(6, 3, grad=True)
    first, second = w.lib.optim.SGD([a], lr=0.1), w.lib.optim.SGD([b], lr=0.05)

    def fn(x):
        first.zero_grad()
        ((a * x).sum() - b.detach().sum()).pow(2).backward()
        first.step()
        second.zero_grad()
        ((a.detach() * x).sum() - b.sum()).pow(2).backward()
        second.step()

    call = w.compile(fn)

    def step(i):
        call(w.data(i, 3))
        return a, b

    return step


@TABLE.program()
def autocast_inside(w: World) -> Call:
    def fn(x, on):
        with w.lib.autocast("cpu", dtype=w.lib.bfloat16, enabled=on):
            y = x @ x.t()
        return str(y.dtype).rpartition(".")[2], y.float().round()

    call = w.compile(fn)
    return lambda i: call(w.data(i, 3, 3), i % 2 == 0)


@TABLE.program()
def gradient_of_a_view_of_a_parameter(w: World) -> Call:
    p = w.data(5, 4, 3, grad=True)

    def fn(x):
        (p[1] * x + p.t()[:, 2]).sum().backward()

    call = w.compile(fn)

    def step(i):
        call(w.data(i, 3))
        return p

    return step


@TABLE.program()
def error_before_the_step(w: World) -> Call:
    p = w.data(5, 3, grad=True)
    optimizer = w.lib.optim.SGD([p], lr=0.1)

    def fn(x, stop):
        optimizer.zero_grad()
        (p * x).pow(2).sum().backward()
        if stop:
            raise RuntimeError("stop")
        optimizer.step()

    call = w.compile(fn)

    def step(i):
        w.log.append(p)
        call(w.data(i, 3), i == 2)
        return p

    return step


@TABLE.program(variants=1)
def leaf_is_made_inside(w: World) -> Call:
    def fn(x):
        y = (x * 2).detach().requires_grad_()
        (y**2).sum().backward()
        return y.grad

    call = w.compile(fn)
    return lambda i: call(w.data(i, 3))
