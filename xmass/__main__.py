"""``python -m xmass``."""

from __future__ import annotations

import argparse
import sys

USAGE, INTERRUPTED = 2, 130  # exit codes: what the user can put right; stopped by Ctrl-C


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
    return top


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
