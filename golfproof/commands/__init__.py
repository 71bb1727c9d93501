"""One file a command. Each imports its room when it runs, so that no command pays for another's libraries."""

from collections.abc import Callable

from golfproof.commands.gate import gate
from golfproof.commands.report import report
from golfproof.commands.reproduce import reproduce
from golfproof.commands.watch import watch

COMMANDS: tuple[Callable[..., None], ...] = (gate, report, reproduce, watch)
