# SPDX-License-Identifier: Apache-2.0
"""Completion scripts for bash, zsh and fish, written from the command and flag tables.

The scripts hold every command and flag; names of images and containers are asked of scow when they are wanted.
"""

from __future__ import annotations

from scow.cli import main as table
from scow.cli.help import members, visible_flags
from scow.errors import InvalidArgumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.cli.flags import Command, Flag

SHELLS = ("bash", "zsh", "fish")


class Entry:
    """One command as completion sees it.

    Args:
        path: Its words.
        summary: One line.
        command: Its table.
    """

    __slots__ = ("command", "path", "summary")

    def __init__(self, path: str, summary: str, command: Command) -> None:
        self.path = path
        self.summary = summary
        self.command = command

    @property
    def wants(self) -> str:
        """What its arguments name: ``images``, ``containers``, ``volumes``, ``networks`` or ``files``."""
        usage = self.command.usage.upper()
        for word, wanted in (("CONTAINER", "containers"), ("IMAGE", "images"), ("VOLUME", "volumes")):
            if word in usage:
                return wanted
        return "networks" if "NETWORK" in usage else "files"

    @property
    def flags(self) -> list[Flag]:
        """The flags to offer."""
        return visible_flags(self.command)


def entries() -> list[Entry]:
    """Load every command that is not hidden."""
    return [
        Entry(path, summary, table.load(path)[0])
        for path, (_, summary, group) in table.COMMANDS.items()
        if " " in path or group != table.HIDDEN
    ]


def script(shell: str) -> str:
    """Return the script for a shell.

    Raises:
        InvalidArgumentError: An unknown shell.
    """
    if shell not in SHELLS:
        raise InvalidArgumentError(f"no completion for shell {shell!r}", hint=f"one of {', '.join(SHELLS)}")
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell](entries())


_LISTS = {
    "images": "scow images --format '{{.Repository}}:{{.Tag}}'",
    "containers": "scow ps -a --format '{{.Names}}'",
    "volumes": "scow volume ls -q",
    "networks": "scow network ls --format '{{.Name}}'",
}


def _first_words() -> list[tuple[str, str]]:
    """Every word that may stand first, with its summary."""
    words = {path: summary for path, (_, summary, group) in table.COMMANDS.items() if " " not in path and group}
    return sorted({**words, **{name: text for name, text in table.FAMILIES.items() if " " not in name}}.items())


def _names(flags: list[Flag]) -> list[str]:
    return [name for flag in flags for name in ((f"-{flag.short}",) if flag.short else ()) + (f"--{flag.name}",)]


def _bash(commands: list[Entry]) -> str:
    families = "\n".join(
        f"            '{family}') words='{' '.join(word for word, _ in members(family))}' ;;"
        for family in table.FAMILIES
    )
    cases = "\n".join(
        f"        '{entry.path}') flags='{' '.join([*_names(entry.flags), '--help'])}' wants={entry.wants} ;;"
        for entry in commands
    )
    lists = "\n".join(f"        {name}) names=$({command} 2>/dev/null) ;;" for name, command in _LISTS.items())
    return f"""# bash completion for scow: source <(scow completion bash)
_scow() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} word path= flags= wants=files names=
    local words='{" ".join(word for word, _ in _first_words())}'
    for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
        [[ $word == -* ]] && continue
        [[ -n $words ]] || break
        path="${{path:+$path }}$word" words=
        case $path in
{families}
        esac
    done
    case $path in
{cases}
    esac
    if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W "$flags" -- "$cur"))
        return
    elif [[ -n $words ]]; then
        COMPREPLY=($(compgen -W "$words" -- "$cur"))
        return
    fi
    case $wants in
{lists}
    esac
    COMPREPLY=($(compgen -W "$names" -- "$cur"))
    declare -F __ltrim_colon_completions >/dev/null && __ltrim_colon_completions "$cur"
}}
complete -o default -F _scow scow
"""


def _zsh_quote(text: str) -> str:
    return text.replace("'", "'\\''").replace("[", "\\[").replace("]", "\\]").replace(":", "\\:")


def _zsh(commands: list[Entry]) -> str:
    def described(rows: list[tuple[str, str]]) -> str:
        return " ".join(f"'{word}:{_zsh_quote(summary)}'" for word, summary in rows)

    def arguments(flags: list[Flag]) -> str:
        out = []
        for flag in flags:
            tail = (
                "[" + _zsh_quote(flag.help.split("\n", 1)[0]) + "]" + ("" if flag.kind == "bool" else ":value:_files")
            )
            out.append(f"'*--{flag.name}{'' if flag.kind == 'bool' else '='}{tail}'")
            if flag.short:
                out.append(f"'*-{flag.short}{tail}'")
        return " ".join(out)

    families = "\n".join(
        f'    if [[ $path == "{family}" ]]; then\n'
        f"        if (( CURRENT == {family.count(' ') + 3} )); then local -a rows; rows=({described(members(family))});"
        f' _describe command rows; return; fi\n        path="$path $words[{family.count(" ") + 3}]"\n    fi'
        for family in sorted(table.FAMILIES)
    )
    cases = "\n".join(
        f"        '{entry.path}') _arguments {arguments(entry.flags)} '*:{entry.wants}:_scow_{entry.wants}' ;;"
        for entry in commands
    )
    lists = "\n".join(
        f'_scow_{name}() {{ local -a names; names=(${{(f)"$({command} 2>/dev/null)"}}); compadd -a names }}'
        for name, command in _LISTS.items()
    )
    return f"""#compdef scow
# zsh completion for scow: source <(scow completion zsh)
{lists}
_scow_files() {{ _files }}
_scow() {{
    local path=$words[2]
    if (( CURRENT == 2 )); then
        local -a rows
        rows=({described(_first_words())})
        _describe command rows
        return
    fi
{families}
    case $path in
{cases}
        *) _files ;;
    esac
}}
compdef _scow scow
"""


def _fish_quote(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _fish(commands: list[Entry]) -> str:
    lines = ["# fish completion for scow: scow completion fish | source", "complete -c scow -f"]
    lines += [
        f"complete -c scow -n __fish_use_subcommand -a {word} -d {_fish_quote(summary)}"
        for word, summary in _first_words()
    ]
    for family in table.FAMILIES:
        rows = members(family)
        known = " ".join(word for word, _ in rows)
        seen = "; and ".join(f"__fish_seen_subcommand_from {word}" for word in family.split())
        lines += [
            f"complete -c scow -n '{seen}; and not __fish_seen_subcommand_from {known}'"
            f" -a {word} -d {_fish_quote(summary)}"
            for word, summary in rows
        ]
    for entry in commands:
        seen = "; and ".join(f"__fish_seen_subcommand_from {word}" for word in entry.path.split())
        for flag in entry.flags:
            short = f" -s {flag.short}" if flag.short else ""
            takes = "" if flag.kind == "bool" else " -r"
            summary = _fish_quote(flag.help.split("\n", 1)[0])
            lines.append(f"complete -c scow -n '{seen}' -l {flag.name}{short}{takes} -d {summary}")
        if entry.wants in _LISTS:
            lines.append(f"complete -c scow -n '{seen}' -a '({_LISTS[entry.wants].replace(chr(39), chr(34))})'")
        else:
            lines.append(f"complete -c scow -n '{seen}' -F")
    return "\n".join(lines) + "\n"
