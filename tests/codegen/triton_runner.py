"""Runs generated Triton kernels on NumPy arrays in Triton's interpreter, in a process of its own.

`Interpreter` starts the process and talks to it; the file run as a script is the process, which
imports nothing of the package. TRITON_INTERPRET has to be set before Triton is first imported.
"""

from __future__ import annotations

import importlib.util
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

GUARD = 4096
"""Bytes before and after every array that a kernel must leave alone."""


@dataclass(frozen=True)
class Job:
    """A kernel and what it is launched with; `types` are elements' as Triton's signatures spell
    them, by parameter. Parameters with the same number in `places` share an array; after them come
    `sizes`."""

    name: str
    source: str
    programs: Any  # an integer
    constants: dict[str, Any]
    types: list[str]
    places: list[int]
    arrays: list[Array]
    sizes: list[int] = field(default_factory=list[int])


class Interpreter:
    """The process; `run` gives the arrays as the kernel leaves them."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env=os.environ | {"TRITON_INTERPRET": "1"},
        )  # fmt: skip

    def run(self, job: Job) -> list[Array]:
        """Runs the kernel on copies of the arrays. Raises RuntimeError with what went wrong, which
        a store outside of the arrays is too."""
        assert self.process.stdin is not None and self.process.stdout is not None
        pickle.dump(asdict(job), self.process.stdin)
        self.process.stdin.flush()
        answer = pickle.load(self.process.stdout)
        if isinstance(answer, str):
            raise RuntimeError(f"{answer}\n{job.source}")
        return answer

    def close(self) -> None:
        """Ends the process."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


class Guarded:
    """A copy of an array between guards, which show stores outside of it."""

    def __init__(self, array: Array) -> None:
        self.memory = np.full(array.nbytes + 2 * GUARD, 0xA5, np.uint8)
        self.array = self.memory[GUARD : GUARD + array.nbytes].view(array.dtype)
        self.array[...] = array

    @property
    def is_intact(self) -> bool:
        """Whether nothing stored to the guards."""
        return bool((self.memory[:GUARD] == 0xA5).all() and (self.memory[-GUARD:] == 0xA5).all())


class Storage:
    """The memory of a `Pointer`."""

    def __init__(self, array: Array) -> None:
        self.array = array

    def data_ptr(self) -> int:
        return self.array.ctypes.data

    def cpu(self) -> Storage:
        return self

    def copy_(self, other: Storage) -> None:
        """What the kernel wrote is there already: `cpu` does not copy."""


class Pointer:
    """What Triton's interpreter takes for an argument: as much of a tensor as it asks for."""

    def __init__(self, array: Array, dtype: str) -> None:
        self.array, self.dtype = array, dtype

    def data_ptr(self) -> int:
        return self.array.ctypes.data

    def untyped_storage(self) -> Storage:
        return Storage(self.array)

    def new_empty(self, size: int, device: str) -> Pointer:
        return Pointer(np.empty(size, self.array.dtype), self.dtype)

    def set_(self, storage: Storage, offset: int, size: Any, stride: Any) -> None:
        self.array = storage.array

    def size(self) -> tuple[int, ...]:
        return self.array.shape

    def stride(self) -> tuple[int, ...]:
        return (1,)

    def storage_offset(self) -> int:
        return 0


def _serve() -> None:
    """Answers jobs until there are no more."""
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    _round_to_nearest_even()
    _compare_to_bools()
    _combine_halves()
    _spoil_what_is_masked_off()
    while True:
        try:
            job = pickle.load(requests)
        except EOFError:
            return
        try:
            answer = _run(Job(**job))
        except Exception as error:
            answer = f"{type(error).__name__}: {error}"
        pickle.dump(answer, answers)
        answers.flush()


def _run(job: Job) -> Any:
    function = _loaded(job.source, job.name)
    made = {place: Guarded(a) for place, a in zip(job.places, job.arrays, strict=True)}
    used = [made[place] for place in job.places]
    given = [Pointer(g.array, t) for g, t in zip(used, job.types, strict=True)]
    with np.errstate(all="ignore"):
        function[(job.programs,)](*given, *job.sizes, **job.constants)
    wrong = [i for i, g in enumerate(used) if not g.is_intact]
    return f"stores outside of buffers {wrong}" if wrong else [g.array.copy() for g in used]


def _loaded(source: str, name: str) -> Any:
    # Triton reads the source of a function from its file.
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, f"{name}.py")
        with open(path, "w") as file:
            file.write(source)
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return getattr(module, name)


def _round_to_nearest_even() -> None:
    """Makes the interpreter round to bfloat16 as GPUs do; it cuts bits off."""
    import triton.language as tl
    from triton.runtime.interpreter import InterpreterBuilder, TensorHandle

    plain: Any = InterpreterBuilder.cast_impl

    def cast(self: Any, source: Any, target: Any) -> Any:
        if source.dtype.scalar != tl.float32 or target.scalar != tl.bfloat16:
            return plain(self, source, target)
        bits = np.ascontiguousarray(source.data).view(np.uint32).reshape(source.data.shape)
        rounded = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
        kept = np.where(np.isnan(source.data), bits | np.uint32(0x400000), rounded)
        return TensorHandle((kept >> np.uint32(16)).astype(np.uint16), tl.bfloat16)

    InterpreterBuilder.cast_impl = cast  # pyright: ignore[reportAttributeAccessIssue]


def _compare_to_bools() -> None:
    """Makes the interpreter's comparisons bools; it says they are of their operands' type, and
    broadcasts a scalar one as that."""
    import triton.language as tl
    from triton.runtime.interpreter import InterpreterBuilder, TensorHandle

    plain: Any = InterpreterBuilder.binary_op

    def binary(self: Any, lhs: Any, rhs: Any, op: Any) -> Any:
        made = plain(self, lhs, rhs, op)
        return TensorHandle(made.data, tl.int1) if made.data.dtype == bool else made

    InterpreterBuilder.binary_op = binary  # pyright: ignore[reportAttributeAccessIssue]


def _spoil_what_is_masked_off() -> None:
    """Makes the interpreter give junk where a load without `other` is masked off; it gives 0."""
    from triton.runtime.interpreter import InterpreterBuilder, TensorHandle, _get_np_dtype

    plain: Any = InterpreterBuilder.create_masked_load

    def load(self: Any, pointers: Any, mask: Any, other: Any, *rest: Any) -> Any:
        if other is None:
            type_ = pointers.get_element_ty()
            junk = np.full((*pointers.data.shape, _get_np_dtype(type_).itemsize), 0xC7, np.uint8)
            other = TensorHandle(junk.view(_get_np_dtype(type_))[..., 0].copy(), type_)
        return plain(self, pointers, mask, other, *rest)

    InterpreterBuilder.create_masked_load = load  # pyright: ignore[reportAttributeAccessIssue]


def _combine_halves() -> None:
    """Makes the interpreter combine whole arrays in a tree, as GPUs do; it goes over elements."""
    from triton.runtime.interpreter import ReduceOps

    def reduced(self: Any, given: Any) -> Any:
        (x,) = given
        whole = x.handle.data
        axis = 0 if self.axis is None else self.axis
        part = whole.reshape(-1) if self.axis is None else np.moveaxis(whole, axis, 0)
        while len(part) > 1:
            halves = (self.to_tensor(h, x.dtype) for h in np.split(part, 2))
            part = self.combine_fn.fn(*halves).handle.data
        total = np.expand_dims(part[0], axis) if self.keep_dims else part[0]
        return [self.to_tensor(np.asarray(total), x.dtype)]

    ReduceOps.generic_reduce = reduced  # pyright: ignore[reportAttributeAccessIssue]


def places_of(arrays: Sequence[Array]) -> list[int]:
    """A place for each array; the same for one that comes again."""
    first = {id(a): i for i, a in reversed(list(enumerate(arrays)))}
    return [first[id(a)] for a in arrays]


if __name__ == "__main__":
    _serve()
