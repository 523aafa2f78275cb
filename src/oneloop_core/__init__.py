"""What generated code stands on: operations, calls, errors, and codecs for JSON's own types.

`decode_*` take parsed JSON and return a Python value or raise `DecodeError`; `encode_*` take an
argument and return what goes into JSON or raise `ArgumentError`. Applications import `oneloop`.
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
    missing,
    required_with,
)
from ._errors import (
    ArgumentError,
    ArgumentTypeError,
    ArgumentValueError,
    DecodeError,
    OneloopError,
    Outcome,
    mismatch,
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
