"""Every option of the command line, declared once.

Options that several verbs share are fields of a group. A verb takes the group as one parameter, and the
group knows how to hand its values to the library.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from miscreen._version import __version__
from miscreen.cli.progress import Progress
from miscreen.cli.terminal import relay_notes, say
from miscreen.errors import InputError
from miscreen.estimators import ESTIMATORS
from miscreen.limits import POOLS, Limits
from miscreen.resources import Resources, parse_bytes
from miscreen.selection import STRATEGIES
from miscreen.tables.files import check_apart, files_of
from miscreen.tables.write import WRITERS, Destination, find_writer

if TYPE_CHECKING:
    from miscreen import ReadOptions
    from miscreen.result import Result

Argument, Option = typer.Argument, typer.Option

HELPER_BYTES = 512 << 20  # of the budget for each process that compiles, which takes about 200 MB outside it
MOST_HELPERS = 3  # no more, since the largest kernel takes a quarter of the time of all


def _number(text: str) -> int | float | str:
    """A number where the text is one, else the word."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _delimiter(text: str) -> str:
    return {"tab": "\t", "\\t": "\t"}.get(text, text)


def _quote(text: str) -> str:
    return "" if text == "none" else text


def _size(text: str) -> str:
    parse_bytes(text)  # complain before anything is read
    return text


def words(given: Sequence[str]) -> str | tuple[str, ...]:
    """The one word, or several where they have commas between them or the option is repeated."""
    found = tuple(word.strip() for text in given for word in text.split(","))
    return found if len(found) > 1 else found[0]


def sizes(given: Sequence[str] | None) -> tuple[int, ...] | None:
    """The whole numbers, as `words` has words; None when none were given."""
    if not given:
        return None
    try:
        return tuple(int(word) for text in given for word in text.split(","))
    except ValueError:
        raise InputError(
            f"--k is {','.join(given)!r}", "Give whole numbers with commas between, such as 10,50,200"
        ) from None


def only_target(names: list[str]) -> str:
    """The one target of a verb that takes no more, though others do; `InputError` when it got more."""
    if len(names) > 1:
        raise InputError(f"{len(names)} targets were named, and this takes one", "Run it for each of them")
    return names[0]


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"miscreen {__version__}")
        raise typer.Exit


# ---- options of single verbs -------------------------------------------------------------------------------

Version = Annotated[bool, Option("--version", help="Print the version.", is_eager=True, callback=_print_version)]
Source = Annotated[str, Argument(metavar="SOURCE", help="File, directory, quoted glob, or - for standard input.")]
Targets = Annotated[
    list[str],
    Option("--target", "-t", metavar="NAME", help="Target column; repeat it for several, read once."),
]
OptionalTargets = Annotated[
    list[str] | None, Option("--target", "-t", metavar="NAME", help="Target column to rank by; repeatable.")
]
OneTarget = Annotated[
    list[str] | None,
    Option("--target", "-t", metavar="NAME", help="Target column that the costs are estimated for."),
]
Exclude = Annotated[
    list[str] | None, Option("--exclude", metavar="NAMES", help="Leave these out: names, globs or @FILE; repeatable.")
]
Discrete = Annotated[
    list[str] | None, Option("--discrete", metavar="NAMES", help="Treat these as classes without an order; repeatable.")
]
Top = Annotated[
    int | None,
    Option("--top", min=1, metavar="N", help="The best N of each target (a table shows 20, files all)."),
]
Best = Annotated[int | None, Option("--top", min=1, metavar="N", help="How many to choose for each target.")]
Strategy = Annotated[
    str | None,
    Option("--strategy", metavar="|".join(STRATEGIES), help="How to choose (default: top with --top, else threshold)."),
]
MinScore = Annotated[
    float | None, Option("--min-score", metavar="X", help="Choose from columns of at least this score.")
]
ClumpMi = Annotated[
    float | None,
    Option(
        "--clump-mi", metavar="X", help="clump: columns that share more than this are one clump (default: 0.223 nats)."
    ),
]
CandidatePool = Annotated[
    int | None, Option("--pool", min=1, metavar="M", help="Choose from the best M (5000; submodular: 2000).")
]
Given = Annotated[
    list[str] | None, Option("--given", metavar="NAMES", help="Columns that the model has already; repeatable.")
]
Stability = Annotated[
    int, Option("--stability", metavar="B", help="Choose in B halves of the rows, too; tell how often each is.")
]
ShowSteps = Annotated[bool, Option("--steps", help="Write the table of steps instead of the columns.")]
EarlierSelection = Annotated[
    str | None, Option("--selection", metavar="FILE", help="Take the columns of this table of steps.")
]
MinMi = Annotated[
    float | None, Option("--min-mi", metavar="X", help="Choose from columns of at least X (in the ranking's unit).")
]
OrderBy = Annotated[Literal["score", "p_value", "q_value"], Option("--by", help="What the best are the best of.")]
FromRanking = Annotated[
    str | None, Option("--ranking", metavar="FILE", help="Take this ranking instead of making one.")
]
Keep = Annotated[
    list[str] | None,
    Option("--keep", metavar="NAMES", help="Further columns, written first: names, globs or @FILE; repeatable."),
]
Names = Annotated[bool, Option("--names", help="Print the chosen names, one a line, instead of the columns.")]
OptionalSource = Annotated[
    str | None, Argument(metavar="[SOURCE]", help="File, directory, quoted glob, or - for standard input.")
]
ShowResources = Annotated[
    bool, Option("--resources", help="Show the threads and memory that a run would take here, and why.")
]
Predicted = Annotated[list[str], Option("--target", "-t", metavar="NAME", help="Column to predict.")]
Methods = Annotated[
    list[str],
    Option("--method", "-m", metavar="NAMES", help=f"{', '.join(ESTIMATORS)}; several with commas, or repeatable."),
]
Sizes = Annotated[
    list[str] | None,
    Option(
        "--k",
        metavar="N,N",
        help="Numbers of columns (default: those of 10,50,200 that there are, or all); repeatable.",
    ),
]
Models = Annotated[
    list[str],
    Option("--model", metavar="NAMES", help="elasticnet, ridge, forest; several with commas, or repeatable."),
]
Folds = Annotated[int, Option("--folds", min=2, metavar="N", help="Folds of the cross-validation.")]
Groups = Annotated[
    str | None, Option("--groups", metavar="NAME", help="Column whose equal rows stay in one fold, such as a site.")
]
ShowLeakage = Annotated[
    bool, Option("--show-leakage", help="Also show the figure when columns are chosen with the test rows in view.")
]
Seed = Annotated[int, Option("--seed", min=0, metavar="N", help="Of the folds and the forests.")]
Plot = Annotated[str | None, Option("--plot", metavar="FILE", help="Draw the figures: .svg, .png or .pdf.")]
Json = Annotated[bool, Option("--json", help="Print JSON.")]
Format = Annotated[str | None, Option("--format", metavar="FORMAT", help=f"{', '.join(WRITERS)}.")]
Force = Annotated[bool, Option("--force", help="Replace an existing file.")]
Quiet = Annotated[bool, Option("--quiet", "-q", help="Write nothing but errors on standard error.")]
Parts = Annotated[
    list[str], Argument(metavar="PARTS...", help="Directory of parts, parts, or the output named to the shards.")
]
Shards = Annotated[int, Option("--shards", min=1, metavar="N", help="Jobs to divide the columns among.")]
Ranked = Annotated[str, Option("--output", "-o", metavar="FILE", help="The ranking; its ending says the format.")]
JobTime = Annotated[
    str | None, Option("--time", metavar="LIMIT", help="Of each job, as sbatch takes it: 30 is half an hour.")
]
Cpus = Annotated[int, Option("--cpus", min=1, metavar="N", help="Of each job.")]
JobMemory = Annotated[Any, Option("--memory", parser=_size, metavar="SIZE", help="Of each job, such as 8GB.")]
Sbatch = Annotated[
    list[str] | None,
    Option("--sbatch", metavar="OPTION", help="Further option, such as --sbatch=--account=x; repeatable."),
]
Submit = Annotated[bool, Option("--submit", help="Submit instead of printing.")]
Converted = Annotated[str, Argument(metavar="OUTPUT", help="File to write; its ending says the format.")]


# ---- groups ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Keywords:
    """A group whose options are keywords of the library."""

    def keywords(self) -> dict[str, Any]:
        """Keywords of `miscreen.rank` for what was given; the library has the same defaults."""
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name)) != f.default}


@dataclass(frozen=True)
class Columns(_Keywords):
    """Which columns are measured, and what they are taken for."""

    features: Annotated[
        list[str] | None,
        Option("--features", metavar="NAMES", help="Rank these alone: names, globs or @FILE; repeatable."),
    ] = None
    exclude: Exclude = None
    discrete: Discrete = None
    continuous: Annotated[
        list[str] | None, Option("--continuous", metavar="NAMES", help="Treat these as numbers; repeatable.")
    ] = None
    target_kind: Annotated[
        Literal["continuous", "discrete"] | None, Option("--target-kind", help="Treat the target so.")
    ] = None
    max_levels: Annotated[
        int, Option("--max-levels", min=2, metavar="N", help="Integers of at most N values are classes.")
    ] = 20
    min_samples: Annotated[
        int,
        Option("--min-samples", min=2, metavar="N", help="Rows that a column must share with the target."),
    ] = 10


@dataclass(frozen=True)
class Screening(Columns):
    """Which columns are measured and how."""

    method: Annotated[
        str, Option("--method", "-m", metavar="|".join(ESTIMATORS), help="How dependence is measured.")
    ] = "auto"
    unit: Annotated[Literal["nats", "bits"], Option("--unit", help="Unit of mutual information.")] = "nats"
    extra: Annotated[
        list[str] | None,
        Option("--extra", metavar="COLUMN", help="Further column: linfoot or normalized; repeatable."),
    ] = None
    bins: Annotated[
        Any,
        Option(
            "--bins",
            parser=_number,
            metavar="N|RULE",
            help="bin: 2 to 1024, or birge-rozenholc, cube-root, fd, doane, scott, sturges, sqrt, rice "
            "(default: cube-root).",
        ),
    ] = None
    binning: Annotated[
        str | None,
        Option("--binning", metavar="WORD", help="bin: frequency or width, equal for all bins (default: frequency)."),
    ] = None
    correction: Annotated[
        str | None,
        Option("--correction", metavar="WORD", help="bin: adjusted, miller-madow or none (default: adjusted)."),
    ] = None
    kernel: Annotated[
        str | None,
        Option(
            "--kernel",
            metavar="WORD",
            help="kde: gaussian, exponential, box, tri, epa, biweight, triweight, tricube or cosine "
            "(default: gaussian).",
        ),
    ] = None
    bandwidth: Annotated[
        Any,
        Option(
            "--bandwidth",
            parser=_number,
            metavar="H|RULE",
            help="kde: a number, or silverman, scott, isj (default: silverman).",
        ),
    ] = None
    bandwidth_multiplier: Annotated[
        float | None, Option("--bandwidth-multiplier", metavar="X", help="kde: multiplies the bandwidth (default: 1).")
    ] = None
    grid: Annotated[
        int | None, Option("--grid", metavar="N", help="kde: points of the grid along each axis (default: 64).")
    ] = None
    scale: Annotated[
        str | None,
        Option(
            "--scale",
            metavar="WORD",
            help="kde: rank or raw (default: rank); ksg: standard, rank or raw (default: standard).",
        ),
    ] = None
    k: Annotated[int | None, Option("--k", metavar="N", help="ksg: which nearest neighbour (default: 3).")] = None
    no_mi: Annotated[bool | None, Option("--no-mi", help="auto: leave mutual information out, to save time.")] = None

    def keywords(self) -> dict[str, Any]:
        """Keywords of `miscreen.rank` for what was given; the library has the same defaults."""
        given = super().keywords()
        return given | {"mi": False} if given.pop("no_mi", None) else given


@dataclass(frozen=True)
class Inferring(_Keywords):
    """What is asked about chance."""

    p_values: Annotated[bool, Option("--p-values", help="Add p_value and q_value.")] = False
    fdr: Annotated[
        float | None, Option("--fdr", metavar="Q", help="Mark what is selected at this false discovery rate.")
    ] = None
    fdr_method: Annotated[
        Literal["bh", "by"], Option("--fdr-method", help="Benjamini-Hochberg, or -Yekutieli for any dependence.")
    ] = "bh"
    strata: Annotated[
        str | None, Option("--strata", metavar="NAME", help="Permute within the levels of this column alone.")
    ] = None
    max_t: Annotated[
        int | None, Option("--max-t", metavar="N", help="Add family-wise p-values from N permutations (19 or more).")
    ] = None
    ci: Annotated[
        float | None, Option("--ci", metavar="LEVEL", help="Add ci_low and ci_high, such as of level 0.95.")
    ] = None
    bootstrap: Annotated[
        int | None, Option("--bootstrap", metavar="N", help="Intervals from N half-samples (20 or more).")
    ] = None
    seed: Annotated[int, Option("--seed", metavar="N", help="Key of everything random.")] = 0


@dataclass(frozen=True)
class Reading:
    """How a text table is read, and what means missing in any."""

    delimiter: Annotated[
        Any,
        Option(
            "--delimiter",
            parser=_delimiter,
            metavar="CHAR",
            help="Of CSV; tab or \\t for a tab (default: as the first line has it).",
        ),
    ] = None
    quote: Annotated[
        Any, Option("--quote", parser=_quote, metavar="CHAR", help="Of CSV; none where nothing is quoted.")
    ] = '"'
    no_header: Annotated[
        bool, Option("--no-header", help="The first row of a CSV holds data; columns are numbered.")
    ] = False
    null: Annotated[
        list[str] | None,
        Option(
            "--null",
            metavar="TEXT",
            help="What else means missing: text, or a number, however spelled (-999 is -999.0, too); repeatable.",
        ),
    ] = None

    def options(self) -> ReadOptions | None:
        """What the library calls `ReadOptions`; None when nothing was given."""
        if self == Reading():
            return None
        from miscreen import ReadOptions

        return ReadOptions(
            delimiter=self.delimiter,
            header=not self.no_header,
            quote=self.quote,
            null_values=tuple(self.null or ()),
        )


def _is_table(output: Path, source: str) -> bool:
    """Whether a file is one of those that the source is read from."""
    if not output.exists():
        return False
    if source == "-":
        return sys.stdin is not None and os.path.samestat(os.fstat(0), output.stat())
    with contextlib.suppress(InputError):  # which opening it will tell of
        return any(path.samefile(output) for path in files_of(source))
    return False


@dataclass(frozen=True)
class Writing:
    """Where the result goes."""

    output: Annotated[
        str | None, Option("--output", "-o", metavar="FILE", help="Write here; the ending says the format.")
    ] = None
    format: Format = None
    force: Force = False

    def __post_init__(self) -> None:
        if self.output == "-":  # standard output, as it is without -o
            object.__setattr__(self, "output", None)

    @property
    def to_terminal(self) -> bool:
        """Whether standard output is where the result goes, and somebody reads it there."""
        return self.output is None and sys.stdout.isatty()

    @property
    def draws(self) -> bool:
        """Whether the result is to be drawn there, since no format was asked for."""
        return self.to_terminal and self.format is None

    def put(self, result: Result, draw: Callable[[], None]) -> None:
        """Put a result where it is wanted: into a file, on the terminal by `draw`, or as text on standard output."""
        if self.output is not None:
            result.write(self.output, format=self.format, force=self.force)
        elif self.draws:
            draw()
        else:
            result.write_to(sys.stdout.buffer, self.format or "csv")

    def check(self, source: str | None = None) -> None:
        """Refuse at once what could not be written after a long run, or would take the place of the source."""
        if self.output is not None:
            if source is not None and _is_table(Path(self.output), source):
                raise InputError(f"the output {self.output!r} is the table itself", "Choose another name")
            Destination(Path(self.output), self.format, self.force)
            if source is not None:
                check_apart(source, Path(self.output))
        elif self.format is not None and find_writer(self.format).embeds and self.to_terminal:
            raise InputError(f"{self.format} is no text for a terminal", "Name a file with -o")


@dataclass(frozen=True)
class Dividing:
    """How the work is divided, and what is kept of it."""

    shard: Annotated[
        str | None, Option("--shard", metavar="K/N", help="Rank the K-th of N ranges of columns, for merge.")
    ] = None
    resume: Annotated[
        bool, Option("--resume", help="Keep what is finished beside the output, and go on from there.")
    ] = False
    dask: Annotated[
        str | None,
        Option("--dask", metavar="WHERE", help="Let Dask score: local, slurm, tcp://HOST:PORT, or a scheduler file."),
    ] = None
    workers: Annotated[int | None, Option("--workers", min=1, metavar="N", help="Of --dask local or slurm.")] = None

    def check(self) -> None:
        """Refuse what does not go together."""
        if self.shard is not None and self.dask is not None:
            raise InputError("a shard is ranked by one process, without Dask", "Give --shard or --dask")
        if self.workers is not None and self.dask is None:
            raise InputError("--workers are those of --dask", "Give --dask, or --threads")

    def keywords(self, output: str | None) -> dict[str, Any]:
        """Keywords of `miscreen.rank` for what was given."""
        given = {"checkpoints": self.checkpoints(output), "dask": self.dask, "workers": self.workers}
        return {name: value for name, value in given.items() if value is not None}

    def checkpoints(self, output: str | None) -> Path | None:
        """Where what is finished is kept; None when it is not."""
        if not self.resume:
            return None
        if output is None:
            raise InputError("--resume keeps what is finished beside the output", "Name a file with -o")
        return Path(f"{output}.partial")


@dataclass(frozen=True)
class Running:
    """What the run may use, and whether it talks."""

    threads: Annotated[
        int | None, Option("--threads", min=1, metavar="N", help="Threads (default: what the job allows).")
    ] = None
    memory: Annotated[
        Any,
        Option(
            "--memory",
            parser=_size,
            metavar="SIZE",
            help="Such as 4GB (default: half of what the job allows).",
        ),
    ] = None
    scratch: Annotated[
        str | None,
        Option("--scratch", metavar="DIR", help="For tables larger than the memory (default: $TMPDIR)."),
    ] = None
    quiet: Quiet = False

    def start(self) -> dict[str, Any]:
        """Hold every library's pool to the run's threads, then give the keywords of the library's call.

        As many files may be open as the system allows, since a table may be one of thousands. The pools read these
        variables when their libraries are imported, so this comes first.
        """
        relay_notes(self.quiet)
        with contextlib.suppress(ImportError, OSError, ValueError):  # some systems allow fewer than they say
            import resource

            most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        threads = Resources.detect(self.threads, self.memory, self.scratch).threads
        for pool in POOLS:
            os.environ[pool] = str(threads)
        if Limits.detect().address_space is not None:  # Arrow's own allocator maps a gigabyte at once
            os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"
        return {"threads": self.threads, "memory": self.memory, "scratch_dir": self.scratch}

    def prepare_kernels(self, users: Iterable[str]) -> None:
        """Tell that kernels will be compiled if there is no machine code yet, and let idle processors help.

        Libraries may start threads, so it comes after `start`.
        """
        from miscreen.kernels import _ahead, _cache

        asked = os.environ.get("MISCREEN_CACHE_DIR")
        if not self.quiet and asked and _cache.CACHE_DIR is not None and _cache.CACHE_DIR.parent != Path(asked):
            say("note", f"MISCREEN_CACHE_DIR, {asked!r}, cannot be written; kernels are kept in {_cache.CACHE_DIR}")
        if not self.quiet and _cache.CACHE_DIR is None:
            say("note", "compiling kernels in every run: nothing can be kept; set MISCREEN_CACHE_DIR")
        elif not self.quiet and not _cache.kept_kernels():
            say("note", 'compiling kernels for this machine, once; "miscreen warmup" does it ahead')
        resources = Resources.detect(self.threads, self.memory, self.scratch)
        _ahead.start(users, min(resources.threads - 1, resources.memory_bytes // HELPER_BYTES, MOST_HELPERS))

    def progress(self) -> Progress:
        """A callback for the library that draws nothing when quiet."""
        return Progress(sys.stderr, quiet=self.quiet)


GROUPS = (Columns, Screening, Inferring, Reading, Writing, Dividing, Running)


def arguments_of(group: Any) -> list[str]:
    """The arguments that say what a group says, for a command line."""
    from typing import get_type_hints

    hints = get_type_hints(type(group), include_extras=True)
    arguments = []
    for member in fields(group):
        value = getattr(group, member.name)
        if value == member.default:
            continue
        (option,) = hints[member.name].__metadata__
        name = next(o for o in (option.default, *option.param_decls) if o.startswith("--"))
        if value is True:
            arguments.append(name)
        else:
            arguments += [f"{name}={one}" for one in (value if isinstance(value, list) else [value])]
    return arguments
