"""One file a command. Each imports its room when it runs, so that no command pays for another's libraries."""

from collections.abc import Callable

from golfproof.commands.audit import audit
from golfproof.commands.bundle import bundle
from golfproof.commands.data import data
from golfproof.commands.demo import demo
from golfproof.commands.describe import describe
from golfproof.commands.gate import gate
from golfproof.commands.probe import probe
from golfproof.commands.pull_request import pull_request
from golfproof.commands.report import report
from golfproof.commands.reproduce import reproduce
from golfproof.commands.rules import rules
from golfproof.commands.watch import watch

COMMANDS: tuple[Callable[..., None], ...] = (
    audit,
    bundle,
    data,
    demo,
    describe,
    gate,
    probe,
    pull_request,
    report,
    reproduce,
    rules,
    watch,
)
