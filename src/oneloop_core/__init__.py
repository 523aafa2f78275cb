"""The run-time library of generated code: operations, calls, errors, and codecs for JSON's types.

A codec is a pair of functions. `decode_*` takes parsed JSON and returns a Python value or raises
`DecodeError`; `encode_*` takes an argument and returns what goes into JSON or raises
`ArgumentError`. A codec for a type that is not JSON's own, such as those in `oneloop_overrides`,
raises what `mismatch` and `wrong_type` return. Applications import `oneloop` instead.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._codecs import (
    ApiModel,
    decode_boolean,
    decode_constant,
    decode_integer,
    decode_list,
    decode_map,
    decode_number,
    decode_object,
    decode_string,
    encode_boolean,
    encode_constant,
    encode_integer,
    encode_json,
    encode_list,
    encode_map,
    encode_model,
    encode_number,
    encode_string,
    plain_value,
)
from ._encoding import (
    encode_body,
    encode_cookie,
    encode_form,
    encode_header,
    encode_path,
    encode_path_segment,
    encode_query,
)
from ._errors import (
    ArgumentError,
    ArgumentTypeError,
    ArgumentValueError,
    DecodeError,
    OneloopError,
    Outcome,
    mismatch,
    missing,
    required_with,
    wrong_type,
)
from ._operation import Answer, Call, Operation, Response
from ._secrets import MAX_SECRET_LENGTH, Secret, encode_secret, given_secrets, hide, strings_in
from ._unset import UNSET, Unset
from .methods import Definition, Scheme, warn_deprecated

if TYPE_CHECKING:
    from ._bodies import (
        File,
        decode_file,
        encode_bytes,
        encode_file,
        encode_form_body,
        encode_multipart,
        encode_text,
    )
    from ._unions import (
        UnknownObject,
        decode_choice,
        decode_tagged,
        decode_union,
        encode_choice,
        encode_union,
    )

__all__ = [
    "MAX_SECRET_LENGTH",
    "UNSET",
    "Answer",
    "ApiModel",
    "ArgumentError",
    "ArgumentTypeError",
    "ArgumentValueError",
    "Call",
    "DecodeError",
    "Definition",
    "File",
    "OneloopError",
    "Operation",
    "Outcome",
    "Response",
    "Scheme",
    "Secret",
    "UnknownObject",
    "Unset",
    "decode_boolean",
    "decode_choice",
    "decode_constant",
    "decode_file",
    "decode_integer",
    "decode_list",
    "decode_map",
    "decode_number",
    "decode_object",
    "decode_string",
    "decode_tagged",
    "decode_union",
    "encode_body",
    "encode_boolean",
    "encode_bytes",
    "encode_choice",
    "encode_constant",
    "encode_cookie",
    "encode_file",
    "encode_form",
    "encode_form_body",
    "encode_header",
    "encode_integer",
    "encode_json",
    "encode_list",
    "encode_map",
    "encode_model",
    "encode_multipart",
    "encode_number",
    "encode_path",
    "encode_path_segment",
    "encode_query",
    "encode_secret",
    "encode_string",
    "encode_text",
    "encode_union",
    "given_secrets",
    "hide",
    "mismatch",
    "missing",
    "plain_value",
    "required_with",
    "strings_in",
    "warn_deprecated",
    "wrong_type",
]


def __getattr__(name: str) -> Any:
    """Import on first use what only some APIs need: files and forms, and alternatives."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    homes = (import_module(home, __name__) for home in ("._bodies", "._unions"))
    value = globals()[name] = next(getattr(one, name) for one in homes if hasattr(one, name))
    return value
