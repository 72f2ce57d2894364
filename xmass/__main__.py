"""``python -m xmass``."""

from __future__ import annotations

import argparse
import sys

NOT_WHOLE, USAGE, INTERRUPTED = 1, 2, 130  # exit codes: unfinished or damaged; what the user can put right; stopped by Ctrl-C
_CODES = "Exit code: 0 %s, 1 %s, 2 if there is no such store."


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="python -m xmass", description="Whole-brain models with labels, end to end.")
    commands = top.add_subparsers(dest="command", required=True)
    demo = commands.add_parser(
        "demo",
        help="sweep a whole-brain model over subjects, compare it with their recordings, write a table and figures",
        description="Simulates every subject's network over a grid of parameters into a zarr store, compares the functional connectivity "
        "with the subject's recording, and writes a table and figures. Without --data it takes the synthetic cohort that comes with xmass, "
        "about two minutes on two cores. Stopped and started again, it continues.",
    )
    demo.add_argument("--data", nargs="+", metavar="FILE.nc", default=[], help="netCDF files with weights, distances and bold")
    demo.add_argument("--subject", nargs="+", metavar="NAME", help="only these subjects")
    demo.add_argument("--out", metavar="DIR", default="xmass-demo", help="folder for the store, the table and the figures (%(default)s)")
    demo.add_argument("--model", choices=("wong_wang", "hopf"), default="wong_wang", help="what is simulated (%(default)s)")
    demo.add_argument("--full", action="store_true", help="the fine grid of 21 x 5 points with wide ranges, 2 seeds")
    demo.add_argument("--seeds", type=int, metavar="N", help="trials at each point, whose FC is averaged")
    demo.add_argument("--speed", type=float, metavar="MM_PER_MS", help="conduction speed; without it there are no delays")
    scalings = ("max", "none", "row", "spectral", "log")
    demo.add_argument("--normalize", choices=scalings, default="max", help="scaling of the weights (%(default)s)")
    demo.add_argument("--all-regions", action="store_true", help="keep regions that are not flagged cortical")
    state = commands.add_parser(
        "status",
        help="say how far a stored sweep is: done, failed, pending, rate, time left",
        description="Says how far a store of run_to_zarr is: runs done, failed and pending, who writes to it, the rate and the time left, "
        "and why runs failed. Only reads, also while another process writes.",
        epilog=_CODES % ("if every run has a result", "if runs are pending or failed"),
    )
    check = commands.add_parser(
        "verify",
        help="check every file of a stored sweep against its checksum",
        description="Reads every file of a store of run_to_zarr and compares it with the checksum in its ledger. Names what is damaged, "
        "with the parameters of the runs it concerns. Writes nothing, unless told to with --mark.",
        epilog=_CODES % ("if the store is finished and whole", "if it is damaged or unfinished"),
    )
    check.add_argument("--mark", action="store_true", help="mark what is damaged, so that run_to_zarr computes it, and only it, again")
    check.add_argument("--quiet", action="store_true", help="no progress bar")
    for command in (state, check):
        command.add_argument("store", metavar="STORE", help="folder of the store, for example sweep.zarr")
    return top


def status(options: argparse.Namespace) -> int:
    """Print how far a store is."""
    from xmass.scale import status

    found = status(options.store)
    print(found)
    return 0 if found.finished else NOT_WHOLE


def verify(options: argparse.Namespace) -> int:
    """Print what is wrong with a store."""
    from xmass.scale import verify

    found = verify(options.store, mark=options.mark, progress=False if options.quiet else None)
    print(found)
    return 0 if found.whole and not found.pending else NOT_WHOLE


def demo(options: argparse.Namespace) -> None:
    """Run the demo as the options say."""
    import dataclasses

    from xmass.demo import default_grid, load_recordings, run_demo

    grid = default_grid(options.model, full=options.full)
    if options.seeds is not None:
        grid = dataclasses.replace(grid, seeds=options.seeds)
    data = load_recordings(options.data, subjects=options.subject, normalization=options.normalize, all_regions=options.all_regions)

    def say(line: str) -> None:
        print(line, flush=True)

    run_demo(data, out=options.out, model=options.model, grid=grid, speed=options.speed, say=say, progress=True)


def main(arguments: list[str] | None = None) -> int:
    """The exit status."""
    options = parser().parse_args(arguments)
    return run_demo_command(options) if options.command == "demo" else store_command(options)


def store_command(options: argparse.Namespace) -> int:
    """A command that looks at a store."""
    try:
        return {"status": status, "verify": verify}[options.command](options)
    except (ValueError, OSError) as error:
        print(f"xmass {options.command}: {error}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        print(f"\nxmass {options.command}: stopped.", file=sys.stderr)
        return INTERRUPTED


def run_demo_command(options: argparse.Namespace) -> int:
    """The demo, with what goes wrong said in a line."""
    import matplotlib

    from xmass.demo import DemoError

    matplotlib.use("agg")  # figures go to files
    try:
        demo(options)
    except DemoError as error:
        print(f"xmass demo: {error}", file=sys.stderr)
        return USAGE
    except OSError as error:
        print(f"xmass demo: {error.filename or ''} {error.strerror or error}".replace("  ", " "), file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        print(
            f"\nxmass demo: stopped. What is finished lies in {options.out!r}; the same command continues from there.",
            file=sys.stderr,
        )
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
