"""The run-time library of generated code: operations, calls, errors, and codecs for JSON's types.

A codec is a pair of functions. `decode_*` takes parsed JSON and returns a Python value or raises
`DecodeError`; `encode_*` takes an argument and returns what goes into JSON or raises
`ArgumentError`. A codec for a type that is not JSON's own, such as those in `oneloop_overrides`,
raises what `mismatch` and `wrong_type` return. Applications import `oneloop` instead.
"""

from ._containers import (
    decode_list,
    decode_map,
    decode_object,
    decode_union,
    encode_json,
    encode_list,
    encode_map,
    encode_model,
    encode_union,
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
from ._operation import (
    Call,
    Operation,
    Response,
    encode_body,
    encode_header,
    encode_path_segment,
    encode_query,
)
from ._scalars import (
    decode_boolean,
    decode_constant,
    decode_integer,
    decode_number,
    decode_string,
    encode_boolean,
    encode_constant,
    encode_integer,
    encode_number,
    encode_string,
)
from ._secrets import MAX_SECRET_LENGTH, Secret, encode_secret, given_secrets, hide, strings_in
from ._unset import UNSET, Unset

__all__ = [
    "MAX_SECRET_LENGTH",
    "UNSET",
    "ArgumentError",
    "ArgumentTypeError",
    "ArgumentValueError",
    "Call",
    "DecodeError",
    "OneloopError",
    "Operation",
    "Outcome",
    "Response",
    "Secret",
    "Unset",
    "decode_boolean",
    "decode_constant",
    "decode_integer",
    "decode_list",
    "decode_map",
    "decode_number",
    "decode_object",
    "decode_string",
    "decode_union",
    "encode_body",
    "encode_boolean",
    "encode_constant",
    "encode_header",
    "encode_integer",
    "encode_json",
    "encode_list",
    "encode_map",
    "encode_model",
    "encode_number",
    "encode_path_segment",
    "encode_query",
    "encode_secret",
    "encode_string",
    "encode_union",
    "given_secrets",
    "hide",
    "mismatch",
    "missing",
    "required_with",
    "strings_in",
    "wrong_type",
]
