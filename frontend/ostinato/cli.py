"""The command line: `ostinato opt` runs passes on a module's text, `ostinato run` runs a module,
`ostinato view` makes a page of a dump, `ostinato bisect` finds the rewrite that is wrong."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Any

import click

from .ir.errors import CompileError, GradientError, IRError

if TYPE_CHECKING:
    from xdsl.dialects.builtin import ModuleOp

_FILE = click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))


@click.group(help=__doc__)
def cli() -> None: ...


def _list_passes(context: click.Context, option: click.Parameter, asked: bool) -> None:
    """Prints what each pass says of itself, and ends."""
    from .passes.pipeline import PIPELINE

    if not asked or context.resilient_parsing:
        return
    for each in PIPELINE:
        click.echo(f"{each.name}: to stage {each.stage}\n{indent(each.doc, '    ')}\n")
    context.exit()


@cli.command()
@_FILE
@click.option("--list", is_flag=True, is_eager=True, expose_value=False, callback=_list_passes,
              help="Print every pass, in order, with its documentation.")  # fmt: skip
@click.option("--passes", default="", help="Names with commas between them, run in this order.")
@click.option("--claims", help="Composites that stay whole, not those of the CPU target.")
@click.option("--fast-math", is_flag=True, help="Allow rewrites true of real numbers only.")
@click.option("--timing", is_flag=True, help="Print the seconds of each pass to stderr.")
@click.option("--trail", "tells", is_flag=True, help="Print each rewrite applied, to stderr.")
@click.option("--stop-after", type=click.IntRange(0), metavar="N",
              help="End the passes after N applications of rewrites (see --trail).")  # fmt: skip
@click.option("--output", "-o", type=click.Path(dir_okay=False), help="Write there, not to stdout.")
def opt(
    file: str, passes: str, claims: str | None, fast_math: bool, timing: bool, tells: bool,
    stop_after: int | None, output: str | None,
) -> None:  # fmt: skip
    """Run passes on the module in FILE (`-`: stdin), verified after each, and print the result."""
    from .ir.text import print_module
    from .passes.pipeline import Options, run_passes
    from .passes.target import CPU
    from .passes.trail import OFF, Trail

    module = _read(file)
    target = CPU if claims is None else replace(CPU, claims=frozenset(_names(claims)))
    trail = Trail(stop_after=stop_after) if tells or stop_after is not None else OFF
    options = Options(target, fast_math, trail=trail)
    report = run_passes(module, _names(passes), options, verify=True)
    if tells:
        click.echo("\n".join(map(str, trail.applications)), err=True)
    if timing:
        for name, seconds in report.seconds.items():
            click.echo(f"{name:12} {seconds:8.4f} s", err=True)
    text = print_module(module)
    if output is None:
        click.echo(text, nl=False)
    else:
        Path(output).write_text(text)


@cli.command()
@_FILE
@click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="INDEX=VALUE",
    help="Argument INDEX: a number or the name of a .npy file; others are random.",
)
@click.option("--inputs", "folder", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="Arguments as N.npy files, as `ostinato bisect` writes them.")  # fmt: skip
@click.option("--seed", default=0, help="Of the random arguments.")
@click.option("--save", type=click.Path(file_okay=False), help="Write results there as .npy files.")
@click.option("--device", metavar="DEVICE",
              help="Run the passes that are left, and code for DEVICE: cpu, cuda:0.")  # fmt: skip
@click.option("--stale", is_flag=True, help="Run it though the dumped source has changed.")
@click.option("--stats", is_flag=True, help="Write least, largest and mean of values beside FILE.")
def run(
    file: str, inputs: tuple[str, ...], folder: Path | None, seed: int, save: str | None,
    device: str | None, stale: bool, stats: bool,
) -> None:  # fmt: skip
    """Run the module in FILE (`-`: stdin) and print its results: by the reference interpreter,
    or on DEVICE as the rest of the passes makes it.

    FILE may be any step of a dump, edited or not; it is refused where the source that it was made
    of has changed since.

    Random arguments are normal numbers, integers and bools from {0, 1}, and 0.5, 1 and true for
    Python numbers.
    """
    from .compiler.resume.folder import expect_same_source

    if not stale:
        expect_same_source(Path(file))
    module = _read(file, runs=device is None)
    given = _given_in(folder) | dict(map(_given, inputs))
    results = _results(module, random_arguments(module, given, seed), file, device, stats)
    for index, (result, name) in enumerate(zip(results, _result_types(module), strict=True)):
        click.echo(f"result {index}: {name}\n{result}")
        if save is not None:
            _save(Path(save), index, result)


@cli.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path),
              help="The page; DIR/view.html if it is not given.")  # fmt: skip
@click.option("--open", "opens", is_flag=True, help="Show the page in the browser.")
def view(folder: Path, output: Path | None, opens: bool) -> None:
    """Make one HTML page of what OSTINATO_DUMP=DIR left: passes, changes, graphs, kernels.

    The page needs nothing else, and no network.
    """
    from .view.page import page_of

    page = page_of(folder)
    file = output or folder / "view.html"
    file.write_text(page, encoding="utf-8")
    click.echo(f"{file}: {len(page.encode()) / 1e6:.1f} MB")
    if opens:
        click.launch(str(file))


@cli.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def bisect(folder: Path) -> None:
    """Find the rewrite that makes a compiled region compute something else.

    FOLDER is what `OSTINATO_BUNDLE=FOLDER python PROGRAM` wrote, or a bundle in it. Expected
    results are those of the reference interpreter on the module as it was captured.
    """
    from .compiler.bisect.bundle import bundles_in
    from .compiler.bisect.report import bisected

    found = [bisected(path, click.echo) for path in bundles_in(folder)]
    if any(found):
        raise click.exceptions.Exit(1)


def main() -> int:
    """Runs the command line; 1 for a module that is refused, with the reason on stderr."""
    try:
        return cli.main(standalone_mode=False) or 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.exceptions.Abort:
        return 130
    except (IRError, GradientError, CompileError, ValueError, OSError) as error:
        notes: list[str] = getattr(error, "__notes__", [])
        click.echo("\n".join([f"ostinato: {error}", *notes]), err=True)
        return 1


def _names(option: str) -> list[str]:
    return [name.strip() for name in option.split(",") if name.strip()]


def _read(file: str, runs: bool = False) -> ModuleOp:
    """The module in a file, well formed and at one of the stages; one that only `runs` may be on
    its way from one to the next."""
    from .ir.bounds import check_bounds
    from .ir.locations import fill_locations
    from .ir.stages import is_half_lowered, stage_of
    from .ir.text import parse_placed

    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise IRError(f"{file} is not text; give a module as `opt` prints it") from error
    module, where = parse_placed(text, "stdin" if file == "-" else file)
    fill_locations(module)
    if not (runs and is_half_lowered(module)):
        stage_of(module, where)
    check_bounds(module, where)
    return module


def _given(option: str) -> tuple[int, Any]:
    import numpy as np

    index, equals, value = option.partition("=")
    if not equals or not index.isdigit():
        raise click.BadParameter(f"'{option}' is not INDEX=VALUE, as in 0=x.npy or 1=0.5")
    if value.endswith(".npy"):
        try:
            return int(index), np.load(value, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise click.BadParameter(f"'{value}' cannot be read as an array: {error}") from None
    try:
        return int(index), float(value)
    except ValueError:
        raise click.BadParameter(f"'{value}' is neither a number nor a .npy file") from None


def _given_in(folder: Path | None) -> dict[int, Any]:
    import numpy as np

    files = () if folder is None else folder.glob("*.npy")
    arrays = {int(f.stem): np.load(f, allow_pickle=False) for f in files if f.stem.isdigit()}
    return {i: x if x.shape else x.item() for i, x in arrays.items()}


def random_arguments(module: ModuleOp, given: dict[int, Any], seed: int) -> list[Any]:
    """The arguments of a module: those given by number, the others random."""
    import numpy as np

    from .ir.graph import main_of, type_of
    from .ir.interpret.arrays import convert

    random = np.random.default_rng(seed)
    made: list[Any] = []
    for index, argument in enumerate(main_of(module).args):
        of = type_of(argument)
        if of.wrapped:
            made.append(given.get(index, 0.5 if of.dtype.is_floating_point else 1))
            continue
        shape = [size for size in of.shape if isinstance(size, int)]
        plain = random.standard_normal(shape)
        value = np.asarray(given.get(index, plain if of.dtype.is_floating_point else plain > 0))
        try:
            made.append(convert(np.broadcast_to(value, shape), of.dtype))
        except ValueError:
            raise click.BadParameter(
                f"argument {index} has shape {tuple(shape)}, and {value.shape} came"
            ) from None
    unknown = sorted(set(given) - set(range(len(made))))
    if unknown:
        raise click.BadParameter(f"there is no argument {unknown[0]}; the module has {len(made)}")
    return made


def _results(
    module: ModuleOp, arguments: list[Any], file: str, device: str | None, stats: bool
) -> Sequence[Any]:
    """What the module gives, by the interpreter where no device is named."""
    if device is None:
        from .ir.interpret.module import run as interpret

        return _interpret_noting(module, arguments, file) if stats else interpret(module, arguments)
    from .compiler.resume.finish import run_on

    if stats:
        raise click.BadParameter("--stats are of the interpreter; leave --device out")
    return run_on(module, arguments, device, Path(file))


def _interpret_noting(module: ModuleOp, arguments: list[Any], file: str) -> list[Any]:
    """The results, with statistics of the values on the way written beside `file`."""
    from .ir.interpret.module import run as interpret
    from .view.statistics import Recorder

    if file == "-":
        raise click.BadParameter("--stats writes beside FILE; give a file, not stdin")
    recorder = Recorder(module)
    results = interpret(module, arguments, recorder.seen)
    click.echo(f"statistics: {recorder.write(Path(file))}")
    return results


def _result_types(module: ModuleOp) -> list[str]:
    from .ir.graph import main_of

    return [str(t) for t in main_of(module).function_type.outputs]


def _save(folder: Path, index: int, result: Any) -> None:
    import numpy as np

    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / f"{index}.npy", result)
