"""The command ``resetsgd``: ``rate`` predicts from numbers, ``demo`` predicts, then measures.

Exit codes: 0, the command ran to its end; 2, wrong input, told in one line on standard error; 130,
interrupted by Ctrl-C; 141, nobody reads the output any more. Typer lays out options and help;
errors are told here, in one line.
"""

from __future__ import annotations

import json
import math
import os
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import resetsgd
from resetsgd.errors import DomainError, MissingExtra, OutputError, ResetSGDError

if TYPE_CHECKING:
    from resetsgd.passage.base import PassageTime
    from resetsgd.passage.optimum import Optimum

__all__ = ["main", "run"]

_EXTRAS = {"torch": "torch", "safetensors": "torch", "sklearn": "data", "PIL": "data"}
"""Optional package -> the extra that installs it."""

app = typer.Typer(
    name="resetsgd",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["--help", "-h"], "max_content_width": 100},
)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code; the console script.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; those of the process by default.

    Raises
    ------
    SystemExit
        With the exit code, unless it is 0.
    """
    code = run(sys.argv[1:] if argv is None else argv)
    if code:
        raise SystemExit(code)


def run(argv: Sequence[str]) -> int:
    """Run the command line; every error of input becomes one line.

    Parameters
    ----------
    argv : sequence of str
        Arguments without the program's name.

    Returns
    -------
    int
        The exit code: 0, 2, 130 or 141.
    """
    for stream in (sys.stdout, sys.stderr):  # a terminal without é still gets its numbers
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    command = typer.main.get_command(app)
    try:
        # Not through command.main(): it answers Ctrl-C and broken pipes in its own way.
        with command.make_context("resetsgd", list(argv)) as context:
            command.invoke(context)
        return 0
    except typer.Exit as stop:
        return stop.exit_code
    except _Unread:
        return 141
    except (KeyboardInterrupt, typer.Abort):
        hint = ": the same command continues where it stopped" if "demo" in argv else ""
        below = "\n" if sys.stderr is not None and sys.stderr.isatty() else ""  # the ^C shown there
        print(f"{below}resetsgd: interrupted{hint}", file=sys.stderr)
        return 130
    except _ClickException as error:
        return _fail(_usage(error))
    except DomainError as error:
        text = str(error)
        option = error.argument in ("drift", "diffusivity", "start", "target", "out", "plot")
        return _fail(f"--{text}" if option else text)
    except (ResetSGDError, OSError) as error:
        return _fail(str(error))


# Commands ----------------------------------------------------------------------------------------


def _version(wanted: bool) -> None:
    if wanted:
        _say(f"resetsgd {resetsgd.__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _top(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_version, is_eager=True),
    ] = False,
) -> None:
    """SGD as a diffusion with stochastic resetting: predict whether going back pays, then measure.

    Try: resetsgd rate --drift -0.5 --diffusivity 1 --start 1 --target 0
    """
    if context.invoked_subcommand is None:
        _say(context.get_help())


def _number(text: str | float) -> float:
    """A real number; anything else is an error of the option."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if math.isnan(value):
        raise typer.BadParameter(f"= {text!r}: must be a real number")
    return value


def _option(text: str, name: str) -> Any:
    return typer.Option(f"--{name}", help=text, parser=_number, metavar="NUMBER")


@app.command(short_help="Predict whether, and how often, a reset pays.")
def rate(
    drift: Annotated[float, _option("Drift velocity; negative moves down.", "drift")],
    diffusivity: Annotated[float, _option("Diffusivity D of D d²/dx²; positive.", "diffusivity")],
    start: Annotated[float, _option("Where it starts, and where a reset returns it.", "start")],
    target: Annotated[float, _option("Where it is to arrive.", "target")] = 0.0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object; infinity is the string inf.")
    ] = False,
    plot: Annotated[
        Path | None,
        typer.Option(
            "--plot", metavar="FILE", help="Draw mean against rate to a .png, .svg or .pdf file."
        ),
    ] = None,
) -> None:
    """Tell how often to reset a drifting, diffusing point on its way to a target.

    Prints the mean first-passage time without resetting, its spread, whether resetting pays and
    why, the best Poisson rate and the best fixed period, and how much faster they arrive.
    """
    if plot is not None:
        _check_plot(plot)
    inputs = {"drift": drift, "diffusivity": diffusivity, "start": start, "target": target}
    with warnings.catch_warnings():
        # Overflow shows in the numbers as inf; a warning would be a second line.
        warnings.simplefilter("ignore", RuntimeWarning)
        passage, found = _answer(inputs)
        if plot is not None:
            from resetsgd import plots

            title = f"drift {drift:g}, diffusivity {diffusivity:g}, {start:g} to {target:g}"
            plots.save(plots.mean_against_rate(passage, title=title), plot, argument="--plot")
    if as_json:
        _say(json.dumps(_strict(found), indent=2, allow_nan=False, ensure_ascii=False))
    else:
        _say(_table(found) + ("" if plot is None else f"\n\nplot: {plot}"))


@app.command(short_help="Predict, then measure, on a real network.")
def demo(
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder for the report and its data.")
    ] = Path("resetsgd-demo"),
    quick: Annotated[
        bool, typer.Option("--quick", help="Small sizes: a look at the road, no verdict to trust.")
    ] = False,
) -> None:
    """Train on noisy handwritten digits, predict what resetting does to it, then measure it.

    Writes report.html, figures and numbers to a folder. Stopped at any moment, the same command
    continues where it was.
    """
    _check_folder(out)
    try:
        from resetsgd.campaign import demo as campaign

        result = campaign.run(out, quick=quick)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _EXTRAS:
            raise
        raise MissingExtra(package, _EXTRAS[package]) from None
    _say(f"{result.status}: {result.sentence}\nreport: {result.report}")


@app.command(short_help="Compile the simulators ahead of time.")
def warmup(
    kinds: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KIND]...", help="line (the default), exact, noises, space, sgd, or all.",
            show_default=False,
        ),
    ] = None,
) -> None:  # fmt: skip
    """Compile the simulators into numba's cache, so that the first simulation starts at once.

    The kinds are one dimension, exact schemes and recording there, other noises there, many
    dimensions, and SGD on toy problems.
    The folder is beside the package, in the user's cache folder, or what NUMBA_CACHE_DIR says.
    """
    from resetsgd.montecarlo.warmup import warmup as compiled

    seconds, folder = compiled(*(kinds or ()))
    where = "nowhere: no folder can be written" if folder is None else folder
    _say(f"ready after {seconds:.1f} s\ncompiled code: {where}")


# What `rate` answers -----------------------------------------------------------------------------


def _answer(inputs: dict[str, float]) -> tuple[PassageTime, dict[str, Any]]:
    """The passage time and everything that `rate` prints of it, under the keys of its JSON."""
    from resetsgd.passage.drift_diffusion import DriftDiffusionPassage

    process = resetsgd.DriftDiffusion(drift=inputs["drift"], diffusivity=inputs["diffusivity"])
    passage = DriftDiffusionPassage(process, start=inputs["start"], target=inputs["target"])
    poisson, sharp = passage.best(resetsgd.Poisson), passage.best(resetsgd.Sharp)
    return passage, {
        "inputs": inputs,
        "mean": passage.mean(),
        "std": passage.std(),
        "cv": passage.cv(),
        "peclet": passage.peclet,
        "pays": poisson.pays,
        "reason": poisson.reason,
        "rate": poisson.rate,
        "mean_at_rate": poisson.mean,
        "speedup": poisson.speedup,
        "sharp": _sharp(sharp),
    }


def _sharp(best: Optimum) -> dict[str, Any]:
    return {
        "pays": best.pays,
        "reason": best.reason,
        "period": best.period,
        "mean_at_period": best.mean,
        "speedup": best.speedup,
    }


def _strict(value: Any) -> Any:
    """The same for strict JSON: infinities as "inf" and "-inf", what is undefined as null."""
    if isinstance(value, dict):
        return {key: _strict(item) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def _table(found: dict[str, Any]) -> str:
    """The same for a person: aligned columns, headings bold on a terminal."""
    inputs, sharp = found["inputs"], found["sharp"]
    rows = [
        ("drift-diffusion", ", ".join(f"{name} {value:g}" for name, value in inputs.items())),
        None,
        ("mean without resetting", _shown(found["mean"])),
        ("standard deviation", _shown(found["std"])),
        ("coefficient of variation", _shown(found["cv"])),
        ("Péclet number", _shown(found["peclet"])),
        None,
        *_best("Poisson", "rate", found["rate"], found["mean_at_rate"], found),
        None,
        *_best("sharp", "period", sharp["period"], sharp["mean_at_period"], sharp),
    ]
    width = max(len(row[0]) for row in rows if row) + 2
    terminal = sys.stdout is not None and sys.stdout.isatty() and "NO_COLOR" not in os.environ
    lines = []
    for row in rows:
        label = f"{row[0]:<{width}}" if row else ""
        if row and terminal and row[0].startswith(("drift", "resetting")):
            label = typer.style(label, bold=True)
        lines.append(label + row[1] if row else "")
    return "\n".join(lines)


def _best(
    kind: str, name: str, value: float, mean: float, found: dict[str, Any]
) -> list[tuple[str, str]]:
    """Rows on the best member of one family."""
    verdict = ("yes: " if found["pays"] else "no: ") + found["reason"]
    rows = [(f"resetting pays, {kind}", verdict)]
    if found["pays"]:
        rows += [
            (f"best {name}", _shown(value)),
            (f"mean at that {name}", _shown(mean)),
            ("speed-up", _shown(found["speedup"])),
        ]
    return rows


def _shown(value: float) -> str:
    if math.isnan(value):
        return "undefined (beyond float64)"
    return "infinite" if math.isinf(value) else f"{value:.6g}"


# Input and output --------------------------------------------------------------------------------


class _Unread(Exception):
    """Whoever read our output has gone."""


def _say(text: str) -> None:
    """Print to standard output now, so that a closed pipe shows here and not at exit."""
    try:
        print(text, flush=True)
    except OSError as error:
        # Or the interpreter would flush what is left when it exits, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise _Unread from None
        raise OutputError(f"standard output cannot be written ({error.strerror})") from None


def _check_plot(path: Path) -> None:
    """Refuse a plot that could not be written, before anything is computed."""
    from resetsgd import plots

    plots.checked_suffix(path, "plot")
    if path.is_dir() or not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise OutputError(f"--plot = {str(path)!r}: must be a file in an existing, writable folder")


def _check_folder(path: Path) -> None:
    """Make a folder and write to it once, before anything is computed."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise OutputError(f"--out = {str(path)!r}: must be a writable folder ({why})") from None


def _fail(text: str) -> int:
    """Tell an error in one line."""
    print(f"resetsgd: error: {' '.join(text.split())}", file=sys.stderr)
    return 2


# Typer brings its own click or uses the installed one, depending on its version.
_ClickException: type[Exception] = next(
    base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException"
)


def _usage(error: Any) -> str:
    """One line for an error that click found: what, its value, and what is allowed."""
    name, context = type(error).__name__, getattr(error, "ctx", None)
    text = str(error.format_message()).strip().rstrip(".")
    if context is None:
        return text
    options = [p.opts[0] for p in context.command.params if p.opts[0].startswith("-")]
    allowed = [*options, "--help"]
    param = getattr(error, "param", None)
    if name == "NoSuchOption":
        given = error.option_name
        return f"unknown option {given}: {context.info_name} has {', '.join(allowed)}"
    if name == "MissingParameter" and param is not None:
        return (
            f"option {param.opts[0]} is missing: must be given as {param.opts[0]} {param.metavar}"
        )
    if name == "BadParameter" and param is not None:
        return f"{param.opts[0]} {error.message}"
    commands = getattr(context.command, "commands", None)
    if commands and "command" in text.lower():
        return f"{text}: must be one of {', '.join(commands)}"
    return text
