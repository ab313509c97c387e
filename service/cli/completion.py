"""``jobspool completion``."""

from __future__ import annotations

import click
from click.shell_completion import BashComplete, FishComplete, ZshComplete

COMPLETERS = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}


@click.command()
@click.argument("shell", type=click.Choice(list(COMPLETERS)))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script for a shell's completion.

    It completes commands, options and ids.

    \b
    bash   echo 'eval "$(jobspool completion bash)"' >> ~/.bashrc
    zsh    echo 'eval "$(jobspool completion zsh)"' >> ~/.zshrc
    fish   jobspool completion fish > ~/.config/fish/completions/jobspool.fish
    """
    completer = COMPLETERS[shell](ctx.find_root().command, {}, "jobspool", "_JOBSPOOL_COMPLETE")
    click.echo(completer.source())
