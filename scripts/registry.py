"""Run a command with those settings of pip that say where packages come from, and with no others.

    python -I scripts/registry.py COMMAND [ARGUMENT ...]

A pip.conf or a PIP_* variable may install elsewhere (`target`, `user`), install nothing (`dry-run`)
or ask for other versions (`constraint`), which is meant for other environments than ours. What pip
needs to reach its registry is kept, and is passed on to uv, which does not read pip's settings.
"""

import ast
import os
import subprocess
import sys

KEPT = (
    "index-url", "extra-index-url", "find-links", "no-index", "trusted-host", "proxy",
    "cert", "client-cert", "keyring-provider", "timeout", "default-timeout", "retries",
    "cache-dir", "no-cache-dir",
)  # fmt: skip
SECTIONS = ("global", "install", ":env:")
"""Where pip looks for a setting when it installs; the last one that has it wins."""
UV = {
    "PIP_INDEX_URL": "UV_DEFAULT_INDEX",
    "PIP_EXTRA_INDEX_URL": "UV_INDEX",
    "PIP_FIND_LINKS": "UV_FIND_LINKS",
    "PIP_NO_INDEX": "UV_NO_INDEX",
    "PIP_TRUSTED_HOST": "UV_INSECURE_HOST",
    "PIP_CERT": "SSL_CERT_FILE",
    "PIP_PROXY": "ALL_PROXY",
}


def variable(setting: str) -> str:
    """Return the environment variable for a setting of pip."""
    return "PIP_" + setting.upper().replace("-", "_")


def configured(environment: dict[str, str]) -> dict[str, str]:
    """Return the settings to keep, as variables, from the environment and from each pip.conf."""
    # Each of these three restricts the list to one file, and a pip.conf may well have `user`.
    asking = environment | {"PIP_USER": "0", "PIP_GLOBAL": "0", "PIP_SITE": "0"}
    pip = (sys.executable, "-I", "-m", "pip", "config", "list")
    listed = subprocess.run(pip, env=asking, stdout=subprocess.PIPE, check=True, encoding="utf-8")
    found: dict[str, dict[str, str]] = {section: {} for section in SECTIONS}
    for line in listed.stdout.splitlines():
        name, _, value = line.partition("=")
        section, _, setting = name.partition(".")
        if section in found and setting in KEPT:
            found[section][variable(setting)] = ast.literal_eval(value)
    return {name: value for section in SECTIONS for name, value in found[section].items()}


def reaching_the_registry(environment: dict[str, str]) -> dict[str, str]:
    """Return an environment for pip or uv."""
    kept = {"PIP_CONFIG_FILE", *map(variable, KEPT)}
    clean = {k: v for k, v in environment.items() if not k.startswith("PIP_") or k in kept}
    clean |= configured(clean)
    clean["PIP_CONFIG_FILE"] = os.devnull  # pip then reads no file at all
    for_uv = {UV[name]: value for name, value in clean.items() if name in UV}
    if "UV_FIND_LINKS" in for_uv:
        for_uv["UV_FIND_LINKS"] = ",".join(for_uv["UV_FIND_LINKS"].split())
    # As pip does: the best version of all indexes, not the first index that has the package.
    return {"UV_INDEX_STRATEGY": "unsafe-best-match"} | for_uv | clean


if __name__ == "__main__":
    os.execvpe(sys.argv[1], sys.argv[1:], reaching_the_registry(dict(os.environ)))  # noqa: S606
