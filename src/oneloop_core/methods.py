"""What generated clients are built on: the API as data, and methods loaded on first use."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from importlib import import_module
from types import FunctionType
from typing import Any, Literal, TypeVar, cast

from ._errors import OneloopError
from ._operation import Call, Operation, Response

T = TypeVar("T")


class LazyModule:
    """Stands for a module in annotations, and imports it when they are evaluated.

    `typing.get_type_hints` and `inspect.signature(eval_str=True)` look names up in the globals of a
    module. Importing the real module there would cost every process.
    """

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        """Import the module and return what it has under a name."""
        return getattr(import_module(self._name), name)


class Scheme:
    """How a credential is sent.

    Attributes:
        arguments: The arguments of a client that it is made of: one, or user name and password. The
            first one is also the name of the scheme, in `Definition.security` for example.
        place: Where it is sent.
        name: Name of the header, query parameter or cookie.
        prefix: What stands before it, such as `Bearer `.
    """

    __slots__ = ("arguments", "name", "place", "prefix")

    def __init__(
        self,
        arguments: tuple[str, ...],
        place: Literal["header", "query", "cookie"],
        name: str,
        prefix: str = "",
    ) -> None:
        self.arguments = arguments
        self.place = place
        self.name = name
        self.prefix = prefix


class Definition:
    """What a document says about an API as a whole, as far as a client needs it.

    Attributes:
        spec: The first 8 hexadecimal digits of `Spec.sha256`, for the `User-Agent`.
        schemes: The security schemes, by their names.
        security: The alternatives of operations without security of their own: each consists of the
            names of schemes that are sent together. `()` among them means that none is needed.
        servers: The URLs of the document's servers, by their names, the default first.
        relative: The path of a server without a host, for an error; usually empty.
        elsewhere: The URLs of the servers that only some operations have.
    """

    __slots__ = ("elsewhere", "relative", "schemes", "security", "servers", "spec")

    def __init__(
        self,
        *,
        spec: str,
        schemes: Iterable[Scheme],
        security: tuple[tuple[str, ...], ...],
        servers: Mapping[str, str],
        relative: str = "",
        elsewhere: tuple[str, ...] = (),
    ) -> None:
        self.spec = spec
        self.schemes = {scheme.arguments[0]: scheme for scheme in schemes}
        self.security = security
        self.servers = servers
        self.relative = relative
        self.elsewhere = elsewhere


class BlockingMethods:
    """A base of classes with blocking methods of operations.

    A client implements how calls are carried out. `_perform_special` is for operations that differ
    from the document's defaults in `accept`, `security` or `server`, which `_perform` ignores.
    """

    __slots__ = ()

    def _perform(self, call: Call[T]) -> T:
        raise NotImplementedError

    def _perform_special(self, call: Call[T]) -> T:
        raise NotImplementedError


class AsyncMethods:
    """A base of classes with async methods of operations; see `BlockingMethods`."""

    __slots__ = ()

    async def _perform(self, call: Call[T]) -> T:
        raise NotImplementedError

    async def _perform_special(self, call: Call[T]) -> T:
        raise NotImplementedError


class WithResponse:
    """The methods of a client, returning what another function makes of a call."""

    __slots__ = ("_perform", "_perform_special")

    def __init__(self, perform: Callable[[Call[Any]], Any]) -> None:
        self._perform = self._perform_special = perform


class AsyncWithResponse(WithResponse):
    """The async methods of a client, returning what another async function makes of a call."""

    __slots__ = ()

    def __init__(self, perform: Callable[[Call[Any]], Awaitable[Any]]) -> None:
        super().__init__(perform)


def add_methods(owner: type[object], tags: Mapping[str, str]) -> None:
    """Give a class a method for each operation. A method is imported when it is first looked up.

    Args:
        owner: A subclass of `BlockingMethods`, `AsyncMethods`, `WithResponse` or
            `AsyncWithResponse`, in the module `client` of a generated package.
        tags: The names of the operations, with their tags.
    """
    for name, tag in tags.items():
        setattr(owner, name, _Method(owner, name, tag))


def warn_deprecated(operation: Operation[Any]) -> None:
    """Warn the caller of the method that calls this function."""
    from warnings import warn  # on first use, as few operations are deprecated

    warn(operation.deprecated, DeprecationWarning, stacklevel=3)


class _Method:
    """Stands for a method until it is looked up, and then replaces itself with it."""

    __slots__ = ("name", "owner", "tag")

    def __init__(self, owner: type[object], name: str, tag: str) -> None:
        self.owner = owner
        self.name = name
        self.tag = tag

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        method = self._loaded()
        setattr(self.owner, self.name, method)
        return method if instance is None else method.__get__(instance, owner)

    def _loaded(self) -> FunctionType:
        owner = self.owner
        package = owner.__module__.rpartition(".")[0]
        try:
            module = import_module(f"{package}.api.{self.tag}.{self.name}")
        except ImportError as error:  # as while the interpreter exits
            problem = f"{self.name} was not sent: its module cannot be loaded: {error}"
            failure = OneloopError(problem)
            failure.operation = self.name
            raise failure from error
        is_async = issubclass(owner, AsyncMethods | AsyncWithResponse)
        plain = _function(module.BlockingMethod, self.name)
        method = _function(module.AsyncMethod, self.name) if is_async else plain
        if issubclass(owner, WithResponse):
            method = _with_response(method)
        else:
            method.__doc__ = plain.__doc__
        # Its module stays that of the operation, where pydantic looks up what annotations name.
        method.__qualname__ = f"{owner.__qualname__}.{self.name}"
        return method


def _function(owner: Any, name: str) -> FunctionType:
    return cast("FunctionType", vars(owner)[name])


def _with_response(plain: FunctionType) -> FunctionType:
    """Return a copy of a method that says in its annotation and docstring what it returns."""
    plain.__globals__["Response"] = Response  # for `typing.get_type_hints`
    code, closure = plain.__code__, plain.__closure__
    method = FunctionType(code, plain.__globals__, plain.__name__, plain.__defaults__, closure)
    method.__kwdefaults__ = plain.__kwdefaults__
    returned = f"Response[{plain.__annotations__['return']}]"
    method.__annotations__ = {**plain.__annotations__, "return": returned}
    method.__doc__ = f"`{plain.__name__}`, with the response around the answer."
    return method
