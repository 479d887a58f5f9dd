# SPDX-License-Identifier: Apache-2.0
"""What goes wrong, as sentences on stderr and an exit status. Loaded only when something did."""

from __future__ import annotations

import errno
import os
import sys

from scow.errors import FlagError, ScowError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_HINTS = {
    errno.ENOSPC: "'scow system df' shows what takes space, 'scow system prune' frees it",
    errno.EDQUOT: "'scow system df' shows what takes space, 'scow system prune' frees it",
    errno.EACCES: "run scow as root, or set SCOW_ROOT to a directory of your own",
    errno.EPERM: "run scow as root, or set SCOW_ROOT to a directory of your own",
    errno.EROFS: "set SCOW_ROOT to a directory on a writable file system",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "the whole machine has no file handles left (sysctl fs.file-max)",
    errno.ENOMEM: "the machine, or the control group scow runs in, has no memory left",
}
_DEBUG_HINT = "set SCOW_DEBUG=1 to see where it happened"
_SIGPIPE_STATUS = 141


def note(text: str) -> None:
    """Write one line to stderr; a closed stderr is nobody's problem."""
    try:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        pass


def report(error: BaseException) -> int:
    """Show one failure as ``Error: ...`` and its hint; return the exit status it stands for.

    For commands that go on with their next argument (``rm a b c``).
    """
    return render(error, "")


def render(error: BaseException, path: str) -> int:
    """Show how a command line ended.

    Args:
        error: What the command raised.
        path: The command words, without the program's name.

    Returns:
        The exit status: docker's 125 for bad flags, 130 for Ctrl-C, 0 for ``--help``.
    """
    from scow.cli.flags import ArgumentCountError, CommandError, HelpRequested, UsageError

    full = f"scow {path}".rstrip()
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    if isinstance(error, HelpRequested):
        from scow.cli.help import print_help

        try:
            return print_help(path, error.command, asked=error.asked)
        except OSError as failure:
            return render(failure, path)
    if isinstance(error, KeyboardInterrupt):
        return 130
    if isinstance(error, OSError) and _output_is_gone(error):
        return _SIGPIPE_STATUS
    if os.environ.get("SCOW_DEBUG") not in (None, "", "0"):
        import traceback

        note("".join(traceback.format_exception(error)).rstrip())
    leaves = list(_leaves(error))
    first = leaves[0]
    status = first.exit_code if isinstance(first, ScowError) else 1
    if isinstance(first, (UsageError, ArgumentCountError)):
        from scow.cli.help import usage_lines

        head = first.message if isinstance(first, UsageError) else f"scow: '{full}' {first.rule}"
        verb = "See" if isinstance(first, ArgumentCountError) and first.command.max_args is None else "Run"
        note(f"{head}\n\n{usage_lines(path, first.command)}\n\n{verb} '{full} --help' for more information")
    elif isinstance(first, (CommandError, FlagError)):
        note(f"scow: {first.message}{_hint(first.hint)}\n\nRun '{full} --help' for more information")
    else:
        message, hint = _sentence(first)
        # docker has some sentences that begin so themselves
        head = "" if message.startswith(("Error ", "Warning: ")) else "Error: "
        note(f"{head}{message}{_hint(hint)}")
    if len(leaves) > 1:
        more = len(leaves) - 1
        note(f"and {more} more {'failure' if more == 1 else 'failures'} ({_DEBUG_HINT})")
    return status


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from _leaves(part)
    else:
        yield error


def _hint(hint: str) -> str:
    return f"\nHint: {hint}" if hint else ""


def _sentence(error: BaseException) -> tuple[str, str]:
    """Return message and hint of one failure."""
    if isinstance(error, ScowError):
        whole = getattr(error, "render", None)  # faults in a file are shown with their line
        return (whole() if whole is not None else error.message), error.hint
    if isinstance(error, OSError) and error.errno is not None:
        names = [str(name) for name in (error.filename, error.filename2) if name is not None]
        where = ", ".join(names) + ": " if names else ""
        return where + os.strerror(error.errno).lower(), _HINTS.get(error.errno, _DEBUG_HINT)
    if isinstance(error, MemoryError):
        return "out of memory", _HINTS[errno.ENOMEM]
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", ""
    if isinstance(error, RuntimeError) and "start new thread" in str(error):
        from scow.base.tasks import no_thread

        return _sentence(no_thread())
    detail = str(error)
    name = type(error).__name__
    return f"scow failed in a way it does not foresee: {name}{': ' if detail else ''}{detail}", (
        "set SCOW_DEBUG=1 to see the traceback, and please report it"
    )


def _output_is_gone(error: OSError) -> bool:
    """Tell whether the reader of stdout or stderr went away, and silence what is still buffered."""
    if error.errno != errno.EPIPE:
        return False
    import select

    poll = select.poll()
    poll.register(1, 0)
    poll.register(2, 0)
    gone = any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0))
    if gone:
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, 1)
        os.close(sink)
    return gone
