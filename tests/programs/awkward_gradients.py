"""Programs whose gradients are awkward: kept, accumulated, taken twice; states and schedules.

Inner functions are as users write them, without annotations.
"""

# pyright: reportOptionalOperand=none, reportAttributeAccessIssue=none, reportOperatorIssue=none

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from awkward import Call, Table, World

TABLE = Table()
Fn = Callable[..., Any]


def step_of(w: World, optimizer: Any, p: Any) -> Any:
    """A training step of one parameter, compiled."""

    def fn(x):
        optimizer.zero_grad()
        loss = ((p * x) ** 2).sum()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return w.compile(fn)


@TABLE.program(variants=1)
def schedule_over_rate_and_betas(w: World) -> Call:
    p = w.data(5, 3, grad=True)
    optimizer = w.lib.optim.AdamW([p], lr=0.1)
    call = step_of(w, optimizer, p)
    p.grad = w.lib.zeros(3)

    def step(i):
        group = optimizer.param_groups[0]
        group["lr"], group["betas"] = 0.1 / (i + 1), (0.9 - i / 50, 0.99 - i / 500)
        return call(w.data(i, 3)), p

    return step


@TABLE.program()
def optimizer_state_is_made_by_the_first_call(w: World) -> Call:
    p = w.data(5, 3, grad=True)
    call = step_of(w, w.lib.optim.Adam([p], lr=0.1), p)
    return lambda i: (call(w.data(i, 3)), p)


@TABLE.program()
def momentum_and_weight_decay(w: World) -> Call:
    p = w.data(5, 3, grad=True)
    call = step_of(w, w.lib.optim.SGD([p], lr=0.05, momentum=0.9, weight_decay=0.1), p)
    return lambda i: (call(w.data(i, 3)), p)


@TABLE.program()
def group_is_added_between_calls(w: World) -> Call:
    p, q = w.data(5, 3, grad=True), w.data(6, 3, grad=True)
    optimizer = w.lib.optim.SGD([p], lr=0.05)

    def fn(x):
        optimizer.zero_grad()
        ((p * x + q) ** 2).sum().backward()
        optimizer.step()

    call = w.compile(fn)

    def step(i):
        if i == 2:
            optimizer.add_param_group({"params": [q], "lr": 0.2})
        call(w.data(i, 3))
        return p, q

    return step


@TABLE.program()
def accumulation_over_four_replays(w: World) -> Call:
    p = w.data(5, 3, grad=True)
    optimizer = w.lib.optim.SGD([p], lr=0.05)

    def fn(x):
        loss = ((p * x) ** 2).mean()
        loss.backward()
        return loss.detach()

    call = w.compile(fn)

    def step(i):
        losses = [call(w.data(10 * i + k, 3)) for k in range(4)]
        optimizer.step()
        optimizer.zero_grad()
        return losses, p

    return step


@TABLE.program()
def returned_gradient_is_held(w: World) -> Call:
    p = w.data(5, 3, grad=True)

    def fn(x):
        (p * x).pow(2).sum().backward()
        grad, p.grad = p.grad, None
        return grad

    call = w.compile(fn)
    return lambda i: call(w.data(i, 3))


@TABLE.program()
def gradient_left_on_the_parameter(w: World) -> Call:
    p = w.data(5, 3, grad=True)

    def fn(x):
        p.grad = None
        (p * x).sum().backward()

    call = w.compile(fn)

    def step(i):
        call(w.data(i, 3))
        w.log.append(p.grad)
        return p

    return step


@TABLE.program()
def gradient_is_none_or_zero(w: World) -> Call:
    p = w.data(5, 3, grad=True)

    def fn(x):
        (p * x).sum().backward()
        return p.grad.clone()

    call = w.compile(fn)

    def step(i):
        if i % 2:
            p.grad = None
        elif p.grad is not None:
            p.grad.zero_()
        return call(w.data(i, 3))

    return step


@TABLE.program(torch=False, refused="gradients of gradients are not recorded")
def penalty_on_a_gradient(w: World) -> Call:
    p = w.data(5, 3, grad=True)

    def fn(x):
        p.grad = None
        (p * x).pow(3).sum().backward(create_graph=True)
        grad, p.grad = p.grad, None
        grad.pow(2).sum().backward()
        return grad.detach()

    call = w.compile(fn)
    return lambda i: (call(w.data(i, 3)), p)


@TABLE.program()
def backward_twice_with_the_graph_kept(w: World) -> Call:
    p = w.data(5, 3, grad=True)

    def fn(x):
        loss = (p * x).pow(2).sum()
        loss.backward(retain_graph=True)
        loss.backward()
        return loss.detach()

    call = w.compile(fn)
    return lambda i: (call(w.data(i, 3)), p)


@TABLE.program(torch=False)
def backward_twice_without_the_graph(w: World) -> Call:
    p = w.data(5, 3, grad=True)

    def fn(x):
        loss = (p * x).pow(2).sum()
        loss.backward()
        try:
            loss.backward()
        except Exception as error:
            return loss.detach(), type(error).__name__

    call = w.compile(fn)
    return lambda i: (call(w.data(i, 3)), p)


@TABLE.program(variants=1)
def backward_outside(w: World) -> Call:
    p = w.data(5, 3, grad=True)
    call = w.compile(lambda x: (p * x).pow(2).sum())

    def step(i):
        loss = call(w.data(i, 3))
        loss.backward()
        return loss.detach(), p.grad

    return step


@TABLE.program()
def backward_in_another_compiled_function(w: World) -> Call:
    p = w.data(5, 3, grad=True)
    forward = w.compile(lambda x: (p * x).pow(2).sum())
    backward = w.compile(lambda loss: loss.backward())

    def step(i):
        backward(forward(w.data(i, 3)))
        return p

    return step


@TABLE.program(variants=1)
def outputs_of_several_calls_in_one_loss(w: World) -> Call:
    p = w.data(5, 3, grad=True)
    call = w.compile(lambda x: (p * x).tanh())

    def step(i):
        sum(call(w.data(10 * i + k, 3)).sum() for k in range(3)).backward()
        return p

    return step


@TABLE.program()
def compiled_twice_in_a_row(w: World) -> Call:
    p = w.data(5, 3, grad=True)
    call = w.compile(lambda x: (p * x).tanh())

    def step(i):
        y = call(call(w.data(i, 3)))
        y.sum().backward()
        return y.detach(), p.grad

    return step


@TABLE.program()
def gradient_of_an_input(w: World) -> Call:
    call = w.compile(lambda x: (x * 3).exp().sum())

    def step(i):
        x = w.data(i, 3, grad=True)
        call(x).backward()
        return x

    return step


@TABLE.program()
def requires_grad_flips(w: World) -> Call:
    p = w.data(5, 3, grad=True)
    call = w.compile(lambda x: p * x)

    def step(i):
        p.requires_grad_(i != 2)
        y = call(w.data(i, 3))
        return y.requires_grad, y.detach()

    return step


@TABLE.program()
def argument_sometimes_requires_grad(w: World) -> Call:
    call = w.compile(lambda x: x * 2)

    def step(i):
        y = call(w.data(i, 3, grad=i % 2 == 1))
        if y.requires_grad:
            y.sum().backward()
        return y.detach()

    return step


@TABLE.program()
def layer_is_frozen_half_way(w: World) -> Call:
    a, b = w.data(5, 3, grad=True), w.data(6, 3, grad=True)

    def fn(x):
        (a * x + b).pow(2).sum().backward()

    call = w.compile(fn)

    def step(i):
        if i == 2:
            a.requires_grad_(False)
        call(w.data(i, 3))
        return a, b

    return step


@TABLE.program()
def gradients_in_one_buffer(w: World) -> Call:
    p, q = w.data(5, 3, grad=True), w.data(6, 3, grad=True)
    both = w.keep(w.lib.zeros(6))
    p.grad, q.grad = both[:3], both[3:]

    def fn(x):
        ((p * x) * q).sum().backward()

    call = w.compile(fn)

    def step(i):
        call(w.data(i, 3))
        return p, q

    return step


@TABLE.program()
def arrays_of_a_parameter_and_its_gradient(w: World) -> Call:
    p = w.data(5, 3, grad=True)
    optimizer = w.lib.optim.SGD([p], lr=0.1, momentum=0.9)
    p.grad = w.lib.zeros(3)
    shown = p.detach().numpy(), p.grad.numpy()

    def fn(x):
        p.grad.zero_()
        (p * x).pow(2).sum().backward()
        w.log.append(float(shown[1].sum()))
        optimizer.step()
        w.log.append(float(shown[0].sum()))
        return p.detach() * 2

    call = w.compile(fn)
    return lambda i: (call(w.data(i, 3)), p)
