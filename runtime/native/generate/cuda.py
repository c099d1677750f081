"""Prints the pointwise kernels of CUDA devices from the scalar bodies that the CPU's come from."""

from __future__ import annotations

from collections.abc import Iterator

from kernels import Kernel, kernels
from ostinato.ir.scalar.cpp import cpp_type, statements

# A file becomes a module, which is loaded when its first kernel is used: dtypes that are used apart
# lie apart. CMakeLists.txt names the files.
FILES = {"float32": 4, "float64": 4, "int64": 1, "bool": 1}


def _kernel(kernel: Kernel) -> str:
    names = {i: f"x{i}" for i, _ in kernel.arguments}
    lines, results = statements([kernel.root], names.__getitem__)
    body = "".join(f"    {line}\n" for line in lines)
    out = cpp_type(kernel.root.dtype)
    types = "".join(f", {cpp_type(d)}" for _, d in kernel.arguments)
    taken = ", ".join(f"[[maybe_unused]] {cpp_type(d)} {names[i]}" for i, d in kernel.arguments)
    return (
        f"OSTINATO_GLOBAL({kernel.name}, PointwiseParams) {{\n"
        f"  pointwise<{out}{types}>(p, []({taken}) {{\n{body}    return {results[0]};\n  }});\n}}\n"
    )


class _File:
    """A .cu file in the making."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.kernels: list[str] = []
        self.length = 0

    def add(self, text: str) -> None:
        self.kernels.append(text)
        self.length += len(text)

    def text(self) -> str:
        kernels = "\n".join(self.kernels)
        return (
            "// Printed from ir/ops by generate/main.py.\n"
            "#include <bit>\n#include <cmath>\n#include <cstdint>\n\n"
            '#include "cpu/integer_power.hpp"\n#include "cuda/kernels/pointwise.cuh"\n\n'
            f"namespace ostinato::cuda {{\n\n{kernels}\n}}  // namespace ostinato::cuda\n"
        )


def _files() -> tuple[list[_File], list[str]]:
    """The files, and for each of `kernels` the name of its own ("" for one that is not printed)."""
    by_dtype = {
        dtype: [_File(f"pointwise_{dtype}_{i}") for i in range(count)]
        for dtype, count in FILES.items()
    }
    places: list[str] = []
    for kernel in kernels():
        if kernel.passes_on:
            places.append("")
            continue
        file = min(by_dtype[kernel.compute.name], key=lambda f: f.length)
        file.add(_kernel(kernel))
        places.append(file.name)
    return [file for files in by_dtype.values() for file in files], places


def sources() -> Iterator[tuple[str, str]]:
    """The name and the text of each .cu file, and of cuda_pointwise.cpp, which says where the
    kernel of each entry of the table lies, by its number."""
    files, places = _files()
    for file in files:
        yield f"{file.name}.cu", file.text()
    rows = "\n".join(
        f'    {{"{place}", "{kernel.name}"}},'
        for place, kernel in zip(places, kernels(), strict=True)
    )
    yield (
        "cuda_pointwise.cpp",
        "// Printed from ir/ops by generate/main.py.\n"
        '#include "cuda/launch.hpp"\n#include "cuda/pointwise.hpp"\n\n'
        "namespace ostinato::cuda {\n\n"
        f"static KernelName kernels[] = {{\n{rows}\n}};\n\n"
        "KernelName& pointwise_kernel(uint16_t number) { return kernels[number]; }\n\n"
        "}  // namespace ostinato::cuda\n",
    )
