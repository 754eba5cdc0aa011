"""The root of the command line: imports commands on demand and turns errors into one line."""

from __future__ import annotations

import errno
import importlib
import importlib.util
import os
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar

import click

from neurossm.errors import NeuroSSMError, short_line
from neurossm.files import FULL

_DEBUG = "neurossm.debug"

_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])


class OneLineError(click.ClickException):
    """An error that is shown as one line on stderr; line breaks become spaces."""

    exit_code = 1

    def __init__(self, message: str) -> None:
        super().__init__(short_line(" ".join(message.split())))

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the line."""
        click.echo(f"neurossm: {self.format_message()}", file=file, err=file is None)


class WrongUsage(OneLineError):  # noqa: N818 (reads better where it is raised)
    """The command line itself is wrong."""

    exit_code = 2


class Interrupted(OneLineError):  # noqa: N818
    """The user pressed Ctrl-C."""

    exit_code = 130  # 128 + SIGINT, as shells report it


def _remember_debug(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        context.meta[_DEBUG] = True  # a context and its parents share `meta`


def debug_option(command: _Decorated) -> _Decorated:
    """Give a command `--debug`, which shows the traceback of an error."""
    return click.option(
        "--debug",
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_remember_debug,
        help="Show the traceback of an error.",
    )(command)


class RootGroup(click.Group):
    """A group whose commands live in modules that are imported when they are called.

    Parameters
    ----------
    name, callback, params, help, invoke_without_command, context_settings
        As in `click.Group`.
    commands_package
        The package that holds one module per command: `<package>.<name>` (`<name>_` where the
        name is a Python keyword), with the command as its attribute `command`.
    summaries
        One line of help per command, in the order of the listing. A command without a module is
        left out.
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        callback: Callable[..., Any] | None = None,
        params: list[click.Parameter] | None = None,
        help: str | None = None,  # noqa: A002 (click's name)
        invoke_without_command: bool = False,
        context_settings: dict[str, Any] | None = None,
        commands_package: str,
        summaries: Mapping[str, str],
    ) -> None:
        super().__init__(
            name,
            callback=callback,
            params=params,
            help=help,
            invoke_without_command=invoke_without_command,
            context_settings=context_settings,
        )
        self._package = commands_package
        self._summaries = {
            command: summary
            for command, summary in summaries.items()
            if importlib.util.find_spec(self._module(command)) is not None
        }

    def _module(self, command: str) -> str:
        suffix = "_" if command == "import" else ""
        return f"{self._package}.{command}{suffix}"

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands, without importing them."""
        return list(self._summaries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command's module and return the command."""
        if cmd_name not in self._summaries:
            return None
        command = importlib.import_module(self._module(cmd_name)).command
        if not isinstance(command, click.Command):
            raise TypeError(f"{self._module(cmd_name)}.command is not a click command")
        if not any(parameter.name == "debug" for parameter in command.params):
            debug_option(command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands' summaries, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self._summaries.items()))

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Parse the options before the command's name."""
        with _one_line_errors():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with _one_line_errors(ctx):
            return super().invoke(ctx)


@contextmanager
def _one_line_errors(context: click.Context | None = None) -> Iterator[None]:
    """Turn every error into one line and an exit status, after a traceback with `--debug`."""
    try:
        yield
    except (click.exceptions.Exit, click.Abort, OneLineError, BrokenPipeError):
        raise  # click knows what to do with these; a closed pipe ends the program quietly
    except (Exception, KeyboardInterrupt) as error:
        if context is not None and context.meta.get(_DEBUG):
            traceback.print_exc()
        raise _describe(error) from None


def _lacks_memory(error: BaseException) -> bool:
    """Tell whether a library was not loaded, or the system gave no memory."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    said = ("failed to map segment", "cannot allocate memory", "can't allocate memory")
    return isinstance(error, (ImportError, RuntimeError)) and any(
        words in str(error).lower() for words in said
    )


def _has_working_directory() -> bool:
    try:
        Path.cwd()
    except FileNotFoundError:
        return False
    return True


def _describe(error: BaseException) -> OneLineError:
    """Say in one line what went wrong, and choose the exit status."""
    if isinstance(error, click.UsageError):
        where = error.ctx.command_path if error.ctx is not None else "neurossm"
        return WrongUsage(f"{error.format_message().rstrip('.')} (see '{where} --help')")
    if isinstance(error, click.ClickException):
        return OneLineError(error.format_message())
    if isinstance(error, NeuroSSMError):
        return OneLineError(str(error))
    if isinstance(error, KeyboardInterrupt):
        return Interrupted("interrupted")
    if isinstance(error, MemoryError) or _lacks_memory(error):
        return OneLineError(f"out of memory: {str(error) or 'try fewer or shorter samples'}")
    if isinstance(error, OSError) and error.errno in FULL:
        where = error.filename or "the output"
        return OneLineError(f"{where}: cannot be written: {os.strerror(error.errno)}")
    if isinstance(error, FileNotFoundError) and not _has_working_directory():
        return OneLineError("the working directory was removed; change to one that exists")
    what = f"internal error: {type(error).__name__}: {error}"
    return OneLineError(f"{what} (--debug shows the traceback)")
