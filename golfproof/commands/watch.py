"""``golfproof watch``: follow a run that another terminal, or another person, has started."""

from __future__ import annotations

import sys
from pathlib import Path

import typer


def watch(
    run_dir: Path = typer.Argument(..., help="A run directory of golfproof reproduce."),
    web: bool = typer.Option(False, "--web", help="Serve a page on this machine instead."),
    port: int = typer.Option(8338, min=0, max=65535, help="Of the page; 0 takes a free one."),
    every: float = typer.Option(1.0, min=0.1, help="Seconds between two looks."),
    once: bool = typer.Option(False, "--once", help="Look once and end; the default when piped."),
) -> None:
    """Show the seeds of a run and their loss curves until all have ended (Ctrl-C stops watching, not the run)."""
    if web:
        _serve(run_dir, port)
        return
    import time

    from rich.console import Console
    from rich.live import Live

    from reports.watch_terminal import render
    from reproduce.snapshot import Watcher

    watcher, console = Watcher(run_dir), Console(highlight=False)
    if once or not console.is_terminal:
        console.print(render(watcher.look(), width=min(console.width, 120)))
        return
    with Live(console=console, auto_refresh=False) as live:
        try:
            while True:
                snapshot = watcher.look()
                height = max(8, min(24, console.height - len(snapshot.seeds) - 10))
                live.update(render(snapshot, width=min(console.width, 160), height=height), refresh=True)
                if snapshot.over:
                    return
                time.sleep(every)
        except KeyboardInterrupt:
            return


def _serve(run_dir: Path, port: int) -> None:
    from reports.watch_page import HOST, serve

    with serve(run_dir, port) as server:
        sys.stdout.write(f"http://{HOST}:{server.server_port}/  (Ctrl-C ends)\n")
        sys.stdout.flush()
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return
