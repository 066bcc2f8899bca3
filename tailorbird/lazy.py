"""Commands whose modules are imported when they run, so that the overall help imports none of them."""

import ast
import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from importlib.abc import InspectLoader
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from tailorbird.errors import Unavailable


class LazyCommand(TyperCommand):
    """The function `package.module:function` as a command, of which only name and first docstring line are read."""

    def __init__(self, name: str, target: str) -> None:
        self.module, _, self.function = target.partition(":")
        super().__init__(name, help=_docstring(self.module, self.function).partition("\n")[0])

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        return self.load().make_context(*arguments, **options)

    def load(self) -> Any:
        """The command with its options."""
        app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown")
        app.command(self.name, cls=_Loaded)(getattr(self._imported(), self.function))
        return typer.main.get_command(app)

    def _imported(self) -> ModuleType:
        with _installed(self.name):
            return import_module(self.module)


class _Loaded(TyperCommand):
    """A command of an imported module, which imports further modules when it runs."""

    def invoke(self, ctx: Any) -> Any:
        with _installed(self.name):
            return super().invoke(ctx)


def group(commands: Mapping[str, str]) -> type[TyperGroup]:
    """A class for `typer.Typer(cls=…)`: a group with these commands, `package.module:function` by name."""

    class LazyGroup(TyperGroup):
        def __init__(self, **attributes: Any) -> None:
            super().__init__(**attributes)
            self.commands = {**{name: LazyCommand(name, target) for name, target in commands.items()}, **self.commands}

        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            """Options of a command may come before its name, if its group has no options."""
            name = next((word for word in args if word in self.commands), None)
            if ctx.parent and name and args[0].startswith("-") and args[0] != "--help":
                args = [name, *args[: args.index(name)], *args[args.index(name) + 1 :]]
            return super().parse_args(ctx, args)

        def resolve_command(self, ctx: Any, args: list[str]) -> Any:
            if not get_close_matches(args[0], self.commands):
                ctx.fail(f"No such command {args[0]!r}; accepted: {', '.join(self.commands)}.")
            return super().resolve_command(ctx, args)

    return LazyGroup


@contextmanager
def _installed(command: str | None) -> Iterator[None]:
    """Report a missing library instead of a failed import."""
    try:
        yield
    except ModuleNotFoundError as error:
        if not error.name or find_spec(error.name.partition(".")[0]):
            raise
        problem = f"`{command}` needs {error.name}, which is not installed"
        raise Unavailable(f"{problem}; see `tailorbird doctor`") from None


def _docstring(module: str, function: str) -> str:
    for node in _statements(module):
        if isinstance(node, ast.FunctionDef) and node.name == function:
            return inspect.cleandoc(ast.get_docstring(node) or "")
    return ""


@cache
def _statements(module: str) -> list[ast.stmt]:
    # read, not imported: importing a command may load torch or Ray
    spec = find_spec(module)
    source = spec.loader.get_source(module) if spec and isinstance(spec.loader, InspectLoader) else None
    return ast.parse(source or "").body
