"""The native kernels as a part of the distribution. Everything else is in pyproject.toml.

Without a C++ compiler the package installs all the same: the kernels' plain twins are used, and
the log says so.
"""

import importlib.util
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

NATIVE = Path("src/openk2/kernels/native")


class BuildKernels(build_ext):
    """Builds by the package's own build.py: each instruction set's file has its own flags."""

    def build_extension(self, ext: Extension) -> None:
        # By path: importing the package would import torch, which is not there yet.
        spec = importlib.util.spec_from_file_location("build", NATIVE / "build.py")
        native = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(native)
        try:
            native.build(Path(self.get_ext_fullpath(ext.name)))
        except native.BuildError as error:
            self.warn(f"openk2 is installed without its native kernels: {error}")

    def get_ext_filename(self, fullname: str) -> str:
        return f"{fullname.replace('.', '/')}.so"


class KernelsWheel(bdist_wheel):
    """A wheel for one platform and any Python: the library knows nothing of Python."""

    def get_tag(self) -> tuple[str, str, str]:
        return "py3", "none", super().get_tag()[2]


setup(
    ext_modules=[
        Extension(
            "openk2.kernels.native.kernels",
            sources=sorted(map(str, NATIVE.glob("*.cpp"))),
            depends=sorted(map(str, NATIVE.glob("*.h"))),
            optional=True,
        )
    ],
    cmdclass={"build_ext": BuildKernels, "bdist_wheel": KernelsWheel},
)
