"""Write the reference of all commands and public names, from the code: `build/reference/*.md`."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import click

import neurossm
from neurossm.cli import cli

FOLDER = Path(__file__).resolve().parents[2] / "build" / "reference"
METHODS = ("save", "load", "run", "session", "emit", "to_lava", "same_as")


def main() -> None:
    """Write both pages."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "commands.md").write_text(commands(), encoding="utf-8")
    (FOLDER / "api.md").write_text(api(), encoding="utf-8")


def commands() -> str:
    """Return a page of all commands: what each does, and every option with its default."""
    parts = ["# Commands\n", "`neurossm COMMAND --help` says the same.\n"]
    context = click.Context(cli, info_name="neurossm")
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        own = click.Context(command, info_name=name, parent=context)
        usage = own.get_usage().partition(" ")[2]
        parts += [f"## {name}\n", f"{command.help}\n", f"```text\n{usage}\n```\n"]
        rows = [
            record
            for parameter in command.get_params(own)
            if (record := parameter.get_help_record(own)) is not None
        ]
        if rows:
            parts.append("| option | what it does |\n|---|---|")
            parts += [f"| `{_cell(option)}` | {_cell(text)} |" for option, text in rows]
            parts.append("")
    return "\n".join(parts) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def api() -> str:
    """Return a page of all public names: signature, and the docstring in its sections."""
    parts = ["# Python\n", f"{inspect.getdoc(neurossm)}\n"]
    for name in sorted(neurossm.__all__):
        value = getattr(neurossm, name)
        if name.startswith("_"):
            continue
        parts += _entry("##", name, value)
        if inspect.isclass(value) and not issubclass(value, Exception):
            for method in METHODS:
                if callable(found := getattr(value, method, None)):
                    parts += _entry("###", f"{name}.{method}", found)
    return "\n".join(parts) + "\n"


def _entry(level: str, name: str, value: object) -> list[str]:
    parts = [f"{level} {name}\n"]
    if not (inspect.isclass(value) and issubclass(value, Exception)):
        parts.append(f"```python\n{name}{_signature(value)}\n```\n")
    return [*parts, _markdown(inspect.getdoc(value) or ""), ""]


def _signature(value: object) -> str:
    signature = inspect.signature(value)  # type: ignore[arg-type]
    arguments = []
    for parameter in signature.parameters.values():
        text = parameter.name
        if parameter.annotation is not inspect.Parameter.empty:
            text += f": {parameter.annotation}"
        if parameter.default is not inspect.Parameter.empty:
            default = repr(parameter.default)
            text += f" = {'...' if default.startswith('<') else default}"
        arguments.append(text)
    inner = ", ".join(arguments)
    if len(inner) > 60:
        inner = "\n" + "".join(f"    {argument},\n" for argument in arguments)
    result = signature.return_annotation
    shown = "" if result in (inspect.Signature.empty, None, "None") else f" -> {result}"
    return f"({inner}){shown}"


def _markdown(text: str) -> str:
    """Return a NumPy docstring as Markdown: sections as definition lists."""
    lines, out, section = text.splitlines(), [], ""
    for index, line in enumerate(lines):
        following = lines[index + 1] if index + 1 < len(lines) else ""
        if following and set(following) == {"-"} and line:
            section = line
            out += ["", f"**{line}**", ""]
        elif line and set(line) == {"-"}:
            continue
        elif section and line and not line.startswith(" "):
            out += ["", "`" + "`, `".join(line.split(", ")) + "`"]
        elif section and line:
            begins = out[-1].startswith("`") if out else False
            out.append((":   " if begins else "    ") + line.strip())
        else:
            out.append(line.replace("::", ":") if line.endswith("::") else line)
    return "\n".join(out)


if __name__ == "__main__":
    sys.exit(main())
