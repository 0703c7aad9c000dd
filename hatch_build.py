"""Compiles the kernels when the package is built, so that the first run does not: a hook of hatchling.

A wheel then holds machine code and carries the tag of its platform; an editable install has it in the source tree,
where it counts until a source changes. Whatever goes wrong, the build goes on without it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from contextlib import suppress
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_FILE = "src/lastack/kernels/shipped.kernels"
_LIMIT_S = 600


class KernelsHook(BuildHookInterface[Any]):
    """Puts a file of compiled kernels into the package."""

    def dependencies(self) -> list[str]:
        """Return what compiling needs: the package itself, so all that it needs to run."""
        return list(self.metadata.core.dependencies)

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and let a wheel have the file and the tag of this platform."""
        if not self._compiled(version):
            self.clean([version])
        elif version == "standard":
            build_data["artifacts"].append(f"/{_FILE}")
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"

    def clean(self, versions: list[str]) -> None:
        """Remove the file."""
        with suppress(OSError):
            (Path(self.root) / _FILE).unlink(missing_ok=True)

    def _compiled(self, version: str) -> bool:
        # Sources are found through the current folder: pip takes paths out of isolated builds that others use.
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
        try:
            done = subprocess.run(
                [sys.executable, "-m", "lastack.app.ship", version],
                cwd=Path(self.root) / "src",
                env=environment,
                stdin=subprocess.DEVNULL,
                timeout=_LIMIT_S,
                check=False,
            )
        except (OSError, subprocess.SubprocessError) as error:
            self.app.display_warning(f"the kernels were not compiled, the first run does it: {error}")
            return False
        if done.returncode:
            self.app.display_warning("the kernels were not compiled, the first run does it")
        return done.returncode == 0
