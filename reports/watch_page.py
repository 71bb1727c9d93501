"""Serves a run directory as a small page on this machine that refreshes itself; it reads files and changes none."""

from __future__ import annotations

import json
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import Any

from reports.line_chart import thin
from reproduce.errors import InputError
from reproduce.rundir import State
from reproduce.snapshot import SeedView, Snapshot, Watcher

HOST = "127.0.0.1"
_PAGE = Path(__file__).parent / "templates" / "watch.html"
_POINTS = 600  # of a curve: more than a page has pixels for
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; frame-ancestors 'none'",
}


def serve(path: Path, port: int = 0) -> ThreadingHTTPServer:
    """A server of the page for the run directory ``path``, bound to 127.0.0.1; the caller runs ``serve_forever``.

    Port 0 takes a free one (``server.server_port``). Raises InputError where ``path`` is no run directory or the port
    is taken.
    """
    watcher, lock = Watcher(path), Lock()

    def state() -> bytes:
        with lock:  # one browser window may ask while another is being answered
            return json.dumps(as_data(watcher.look())).encode()

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            # A foreign page that points its own name at this machine must not read the run: only our names are served.
            if self.headers.get("Host", "").rpartition(":")[0] not in (HOST, "localhost"):
                self._answer(HTTPStatus.FORBIDDEN, "text/plain", b"only for this machine")
            elif self.path == "/":
                self._answer(HTTPStatus.OK, "text/html; charset=utf-8", _PAGE.read_bytes())
            elif self.path == "/state.json":
                try:
                    self._answer(HTTPStatus.OK, "application/json", state())
                except InputError as error:
                    self._answer(HTTPStatus.SERVICE_UNAVAILABLE, "text/plain; charset=utf-8", str(error).encode())
            else:
                self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"nothing here")

        def _answer(self, status: HTTPStatus, kind: str, body: bytes) -> None:
            self.send_response(status)
            for name, value in {**_HEADERS, "Content-Type": kind, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing: the terminal belongs to the person who watches."""

    try:
        return ThreadingHTTPServer((HOST, port), Page)
    except OSError as error:
        raise InputError("--port", "a free port", f"{port} ({error.strerror})") from error


def as_data(snapshot: Snapshot) -> dict[str, Any]:
    """The snapshot as JSON data; losses in nats, times in seconds."""
    summary = snapshot.summary
    return {
        "name": snapshot.plan.name,
        "command": snapshot.plan.command,
        "machines": snapshot.machines,
        "over": snapshot.over,
        "mean": summary.mean if summary is not None else None,
        "std": summary.std if summary is not None else None,
        "seeds": [_seed(seed) for seed in snapshot.seeds],
    }


def _seed(seed: SeedView) -> dict[str, Any]:
    progress = seed.progress
    finished = seed.run.state is State.FINISHED
    curve = seed.log.curve if seed.log is not None else ()
    train = [(float(step.step), step.train_loss) for step in curve if step.train_loss is not None]
    validation = [(float(step.step), step.val_loss) for step in curve if step.val_loss is not None]
    return {
        "seed": seed.run.seed,
        "state": str(seed.run.state),
        "phase": str(progress.phase),
        "stage": progress.stage,
        "why": seed.run.why,
        "attempt": seed.run.attempt,
        "step": progress.step,
        "steps": progress.steps,
        "train_loss": progress.train_loss,
        "val_bpb": seed.val_bpb if finished else progress.val_bpb,
        "tokens_per_second": progress.tokens_per_second,
        "seconds_left": progress.seconds_left if seed.run.state is State.RUNNING else None,
        "seconds": seed.run.seconds,
        "quiet": seed.quiet,
        "fraction": progress.fraction,
        "train": thin(train, _POINTS),
        "validation": thin(validation, _POINTS),
    }
