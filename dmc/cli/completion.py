"""`dmc completion bash | zsh | fish`: the script that lets a shell ask dmc what may be typed next.

All three ask in the framework's own way for fish, which answers with a line per word and its meaning behind a tab: nothing of an
answer is ever run by the shell, since meanings hold names of files. A meaning is never broken into lines, however narrow the
terminal is: the next line would be taken for an offer.
"""

from enum import StrEnum
from typing import Annotated

import typer

from dmc.cli.render import screen_of

_ASK = "COLUMNS=1000 _DMC_COMPLETE=complete_fish _TYPER_COMPLETE_FISH_ACTION={action} _TYPER_COMPLETE_ARGS={typed} {dmc} 2>/dev/null"

_BASH = """\
# Completion of dmc for bash. Put this into ~/.bashrc:  source <(dmc completion bash)
_dmc_completion() {
    local word _meaning
    COMPREPLY=()
    while IFS=$'\\t' read -r word _meaning; do
        [ -n "$word" ] && COMPREPLY+=("$word")
    done < <(env @ASK@)
}
complete -o default -F _dmc_completion dmc
"""

_ZSH = """\
#compdef dmc
# Completion of dmc for zsh. Put this into ~/.zshrc, after compinit:  source <(dmc completion zsh)
_dmc() {
    local word meaning
    local -a offers
    while IFS=$'\\t' read -r word meaning; do
        [[ -n "$word" ]] && offers+=("${word//:/\\\\:}:${meaning}")
    done < <(env @ASK@)
    if (( $#offers )); then _describe -V dmc offers; else _files; fi
}
compdef _dmc dmc
"""

_FISH = """\
# Completion of dmc for fish. Put it where fish looks:  dmc completion fish > ~/.config/fish/completions/dmc.fish
complete --command dmc --no-files --arguments "(env @ASK@)" --condition "env @TEST@"
"""


class Shell(StrEnum):
    """Shells that dmc has a script for."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def register(app: typer.Typer) -> None:
    """Add the command of this file to the front door."""
    app.command()(completion)


def script(shell: Shell) -> str:
    """The script for a shell."""
    if shell is Shell.BASH:
        return _BASH.replace("@ASK@", _ASK.format(action="get-args", typed='"${COMP_LINE:0:$COMP_POINT}"', dmc='"$1"'))
    if shell is Shell.ZSH:
        return _ZSH.replace("@ASK@", _ASK.format(action="get-args", typed='"${words[1,$CURRENT]}"', dmc='"${words[1]}"'))
    asks = {name: _ASK.format(action=name, typed="(commandline -cp)", dmc="dmc") for name in ("get-args", "is-args")}
    return _FISH.replace("@ASK@", asks["get-args"]).replace("@TEST@", asks["is-args"])


def completion(context: typer.Context, shell: Annotated[Shell, typer.Argument(help="bash, zsh or fish.")]) -> None:
    """Print the script that completes commands, types and ids in a shell. Example: dmc completion bash >> ~/.bashrc"""
    screen_of(context).data(script(shell).rstrip("\n"))
