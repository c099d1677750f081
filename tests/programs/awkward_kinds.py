"""Programs that tell kinds and identities of arguments apart which are equal otherwise, and that
ask the package for what it keeps.

Inner functions are as users write them, without annotations.
"""

# pyright: reportAttributeAccessIssue=none, reportUnknownLambdaType=none
# (Programs change what their types say is fixed.)

from __future__ import annotations

import math
import types
from typing import Any

import ostinato as ot
from awkward import Call, Program, Table, World

TABLE = Table()


class Word(str):
    """A text with a flag."""

    on = True


class Amount(float):
    """A number with a flag."""

    on = True


def flagged(name: str, kind: Any, value: Any) -> None:
    """Adds a program whose argument is equal each time, and has another flag."""

    def make(w: World) -> Call:
        call = w.compile(lambda x, given: x * 2 if given.on else -x)

        def step(i):
            given = kind(value)
            given.on = i != 2
            return call(w.data(i, 3), given)

        return step

    make.__name__ = name
    TABLE.programs.append(Program(make))


flagged("text_with_a_flag", Word, "a")
flagged("number_with_a_flag", Amount, 2.0)


@TABLE.program()
def keys_that_are_equal(w: World) -> Call:
    call = w.compile(lambda x, given: ([str(key) for key in given], x * 2))
    return lambda i: call(w.data(i, 3), {(1, True, 1.0)[i % 3]: w.data(i, 2)})


def compared(name: str, choose: Any, *values: Any) -> None:
    """Adds a program whose branch `choose` finds out from a value that is equal to the last one."""

    def make(w: World) -> Call:
        kept = types.SimpleNamespace(n=values[0])
        call = w.compile(lambda x: x * 2 if choose(kept.n) else -x)

        def step(i):
            kept.n = values[i]
            return call(w.data(i, 3))

        return step

    make.__name__ = name
    TABLE.programs.append(Program(make))


compared("true_becomes_one", lambda n: n is True, True, 1, True, 1.0, 1)
compared("whole_number_becomes_a_float", lambda n: isinstance(n, int), 1, 1.0, 1, 1.0, True)
compared("zero_changes_its_sign", lambda n: math.copysign(1, n) > 0, 0.0, -0.0, 0.0, -0.0, 0)


@TABLE.program()
def power_that_becomes_a_fraction(w: World) -> Call:
    call = w.compile(lambda x, n: x * 3**n)
    return lambda i: call(w.data(i, 3), (2, 5, -2, 3, -1)[i])


@TABLE.program()
def tensor_of_numbers_that_change(w: World) -> Call:
    call = w.compile(lambda x, n: x + w.lib.tensor([[n, 1.0, 2 * n]]))
    return lambda i: call(w.data(i, 3), 1.0 + i)


@TABLE.program()
def container_is_compared(w: World) -> Call:
    known = [1.0]
    call = w.compile(lambda x, given: x * 2 if given is known else -x)
    return lambda i: call(w.data(i, 3), known if i % 2 else [1.0])


@TABLE.program()
def containers_are_one(w: World) -> Call:
    call = w.compile(lambda x, one, other: x * 2 if one is other else -x)

    def step(i):
        given = [w.data(i, 2)]
        return call(w.data(i, 3), given, given if i % 2 else [given[0]])

    return step


@TABLE.program()
def container_is_handed_back(w: World) -> Call:
    call = w.compile(lambda x, given: (x * 2, given))

    def step(i):
        given = [w.data(i, 2), 3]
        result, back = call(w.data(i, 3), given)
        return result, back is given

    return step


@TABLE.program()
def container_from_outside_is_returned(w: World) -> Call:
    known = {"parts": [w.data(9, 2)]}
    call = w.compile(lambda x: (x * 2, known["parts"]))

    def step(i):
        result, parts = call(w.data(i, 3))
        return result, parts is known["parts"], len(parts)

    return step


def trained(w: World) -> tuple[Any, Any]:
    """A parameter and its optimizer."""
    p = w.data(0, 3, grad=True)
    return p, w.lib.optim.SGD([p], lr=0.5)


@TABLE.program()
def schedule_goes_on_inside(w: World) -> Call:
    p, opt = trained(w)
    schedule = w.lib.optim.lr_scheduler.StepLR(opt, 1, 0.5)

    def fn(x):
        opt.zero_grad()
        (p * x).sum().backward()
        opt.step()
        schedule.step()
        return p.detach().clone()

    call = w.compile(fn)
    return lambda i: (call(w.data(i, 3)), opt.param_groups[0]["lr"])


@TABLE.program()
def rate_decides(w: World) -> Call:
    _, opt = trained(w)
    call = w.compile(lambda x: x * 2 if opt.param_groups[0]["lr"] > 0.05 else -x)

    def step(i):
        opt.param_groups[0]["lr"] = 0.1 if i != 2 else 0.01
        return call(w.data(i, 3))

    return step


@TABLE.program(torch=False, variants=1)
def scale_of_a_loss_changes(w: World) -> Call:
    p = w.data(0, 3, grad=True)
    scaler = ot.amp.GradScaler("cpu", init_scale=8.0)

    def fn(x):
        scaler.scale((p * x).sum()).backward()

    call = w.compile(fn)

    def step(i):
        scaler.update(2.0**i)
        p.grad = None
        call(w.data(i, 3))
        return p.grad.clone()

    return step


@TABLE.program(torch=False)
def threads_are_counted(w: World) -> Call:
    before = ot.get_num_threads()
    call = w.compile(lambda x: x * ot.get_num_threads())

    def step(i):
        ot.set_num_threads(1 + i % 2)
        try:
            return call(w.data(i, 3))
        finally:
            ot.set_num_threads(before)

    return step


@TABLE.program()
def module_becomes_another(w: World) -> Call:
    nn = w.lib.nn

    class Tripled(nn.Linear):
        def forward(self, x):
            return x * 3

    layer = nn.Linear(3, 3)
    with w.lib.no_grad():
        layer.weight.fill_(0.5)
        layer.bias.fill_(1.0)
    call = w.compile(lambda x: layer(x).detach())

    def step(i):
        layer.__class__ = Tripled if i == 2 else nn.Linear
        return call(w.data(i, 3))

    return step
