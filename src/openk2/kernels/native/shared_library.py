"""`Library`: the compiled kernels, loaded and checked; its functions as ctypes sees them.

Functions that allocate raise MemoryError. ctypes releases the interpreter's lock during a call. The
library has its own threads, as many as torch is set to when it is loaded, MOST_THREADS at most,
until `set_threads`.
"""

import ctypes
import functools
import logging
from ctypes import c_char_p, c_float, c_int, c_int32, c_int64, c_void_p
from pathlib import Path
from struct import Struct
from typing import Any, Protocol

import torch
from torch import Tensor

from openk2.kernels.native.build import LIBRARY, digest

INSTRUCTION_SETS = ("avx512_bf16", "avx512", "avx2", "portable")

# How the library names the dtypes that it takes, and the formats of quantized weights: panel.h.
TYPES = {torch.float32: 0, torch.bfloat16: 1}
E4M3, INT4 = 2, 3

MOST_THREADS = 256  # of a call: pool.h

NO_MEMORY = -1  # what a function that allocates may return: pool.h

REBUILD = "run `python -m openk2.kernels.native.build`"


class NativeError(RuntimeError):
    """The library cannot be used; the message says why and what to do."""


# The C structures of the same names, in the processor's own alignment.
LINEAR = Struct("@PPqqqii")
EXPERTS = Struct("@PPPqqqii")
EXPERTS_CALL = Struct("@PqiPPPqiqqPP")
ATTENTION = Struct("@PPqqPqqqqPqqqPPPqqqqfiii")
LAYER = Struct("@PPiPiPiPiPPPPPPPPPPqqqqqqfffi")
PASS = Struct("@PqPPPPqqPqqqPPii")
NEWTON_SCHULZ = Struct("@PPqqqPPq")


class Library:
    """A library whose digest was checked. The functions' arguments: the .cpp file of each."""

    def __init__(self, handle: ctypes.CDLL) -> None:
        declare(handle.openk2_kernels, c_void_p, c_char_p)
        declare(handle.openk2_threads, c_int)
        declare(handle.openk2_set_threads, None, c_int)
        operand = (c_void_p, c_int64, c_int64, c_int32)
        self.linear = allocating(handle.openk2_linear, c_char_p, *operand, *operand, c_int64)
        self.experts = allocating(handle.openk2_experts, c_char_p, c_char_p)
        self.attention = allocating(handle.openk2_attention, c_char_p)
        self.stack = allocating(handle.openk2_stack, c_void_p, c_int64, c_char_p)
        self.newton_schulz = allocating(handle.openk2_newton_schulz, c_char_p)
        matrix = (c_void_p, c_int64)
        typed = (*matrix, c_int32)
        self.rms_norm = declare(
            handle.openk2_rms_norm,
            None,
            *(c_void_p, *typed, c_void_p, c_int32, *typed, c_int64, c_int64, c_float),
        )
        self.rotate = declare(
            handle.openk2_rotate,
            None,
            *(c_void_p, *operand, c_void_p, c_void_p, *operand, c_int64, c_int64, c_int64),
        )
        self.route = allocating(
            handle.openk2_route,
            *(c_void_p, c_void_p, c_void_p, c_int64, c_int64, c_int64),
            *(c_int32, c_float, c_void_p, c_void_p),
        )
        self.dequantize = declare(
            handle.openk2_dequantize,
            None,
            *(c_void_p, *matrix, *matrix, *typed, c_int64, c_int64, c_int64, c_int64),
        )
        self.pack = declare(
            handle.openk2_pack,
            None,
            *(c_void_p, c_void_p, c_int64, c_int64, c_int64, c_int64, c_int64, c_int32, c_void_p),
        )
        self.pack_quantized = declare(
            handle.openk2_pack_quantized,
            c_int,
            *(c_void_p, c_void_p, c_void_p, c_void_p, c_int64, c_int64, c_int64, c_int64),
            *(c_int32, c_void_p),
        )
        self.quantize_int4 = declare(
            handle.openk2_quantize_int4,
            c_int32,
            *(c_void_p, c_int32, c_void_p, c_void_p, c_int64, c_int64, c_int64, c_float),
        )
        self.dequantize_int4 = declare(
            handle.openk2_dequantize_int4,
            None,
            *(c_void_p, c_void_p, c_int32, *typed, c_int64, c_int64, c_int64),
        )
        self.quantize_fp8 = declare(
            handle.openk2_quantize_fp8,
            None,
            *(c_void_p, c_int32, c_void_p, c_void_p, c_int64, c_int64, c_int64, c_int64, c_float),
        )
        self.add_squares = allocating(
            handle.openk2_add_squares,
            *(c_void_p, c_int32, c_void_p, c_int32, c_int64, c_void_p),
        )
        self.handle = handle
        self._tables: dict[str, int | None] = {}

    def kernels(self, isa: str | None = None) -> int:
        """The address of an instruction set's functions; None asks for the best that runs here.

        Raises NativeError for one that this processor or this build lacks.
        """
        name = isa or ""
        if name not in self._tables:
            self._tables[name] = self.handle.openk2_kernels(name.encode())
        address = self._tables[name]
        if address is None:
            raise NativeError(f"instruction set {isa!r} does not run here: see instruction_sets()")
        return address


def declare(
    function: "ctypes._NamedFuncPointer", result: type | None, *arguments: type
) -> "ctypes._NamedFuncPointer":
    """Give a C function its types."""
    function.restype, function.argtypes = result, arguments
    return function


def allocating(
    function: "ctypes._NamedFuncPointer", *arguments: type
) -> "ctypes._NamedFuncPointer":
    """Give a C function that allocates its types; where it gets no memory it raises MemoryError."""
    declare(function, c_int, *arguments).errcheck = refuse_memory
    return function


def refuse_memory(result: Any, function: Any, _: object) -> Any:
    """Raise MemoryError if a function returned NO_MEMORY, else return its result."""
    if result == NO_MEMORY:
        raise MemoryError(f"{function.__name__}: this machine has no memory for the call")
    return result


def load(path: Path = LIBRARY) -> Library:
    """Load the library at `path`. Raises NativeError if it is not there or not of these sources."""
    if not path.exists():
        raise NativeError(f"{path} does not exist: {REBUILD}")
    try:
        handle = ctypes.CDLL(str(path))
        built_from = declare(handle.openk2_digest, c_char_p)().decode()
    except (OSError, AttributeError) as error:
        raise NativeError(f"{path} cannot be loaded ({error}): {REBUILD}") from error
    if built_from != digest():
        raise NativeError(f"{path} was built from other sources: {REBUILD}")
    return Library(handle)


@functools.cache
def library() -> Library | None:
    """The library of this package, or None, with a warning in the log, where it cannot be used."""
    try:
        found = load()
    except NativeError as error:
        logging.getLogger(__name__).warning(
            "native kernels are not used: %s. torch's are slower, and there a row's last bits "
            "depend on what shares its batch.",
            error,
        )
        return None
    found.handle.openk2_set_threads(min(torch.get_num_threads(), MOST_THREADS))
    return found


def available() -> bool:
    """Whether the native kernels are used on CPU tensors."""
    return library() is not None


def instruction_sets() -> list[str]:
    """The instruction sets that run here, best first; empty without the library."""
    found = library()
    if found is None:
        return []
    return [name for name in INSTRUCTION_SETS if found.handle.openk2_kernels(name.encode())]


def threads() -> int:
    """How many threads a call may use (0 without the library)."""
    found = library()
    return 0 if found is None else int(found.handle.openk2_threads())


def set_threads(count: int) -> None:
    """Let a call use `count` threads, the calling one among them. It changes no bit of a result."""
    if not 1 <= count <= MOST_THREADS:
        raise ValueError(f"{count} threads: 1 to {MOST_THREADS} are possible")
    found = library()
    if found is not None:
        found.handle.openk2_set_threads(count)


class Shaped(Protocol):
    """A tensor, or a weight that is stored as several."""

    @property
    def shape(self) -> torch.Size:
        """Its dimensions."""
        ...


def refuse_empty(name: str, tensor: Shaped, first: int = 0) -> None:
    """Raise ValueError if a dimension from `first` on is 0: the kernels divide work by widths.

    tensor: of any shape.
    """
    if 0 in tensor.shape[first:]:
        raise ValueError(f"{name} is {list(tensor.shape)}: no dimension of it may be 0")


def type_of(tensor: Tensor, name: str) -> int:
    """The library's name of the dtype of a tensor of any shape.

    Raises TypeError for another dtype or a device that is not the CPU, RuntimeError where a
    gradient would be lost.
    """
    kind = TYPES.get(tensor.dtype)
    if kind is None or not tensor.is_cpu:
        raise TypeError(
            f"{name} is {tensor.dtype} on {tensor.device}: the kernels take float32 and bfloat16 "
            "on the CPU"
        )
    if tensor.requires_grad and torch.is_grad_enabled():
        raise RuntimeError(
            f"{name} requires a gradient, which the kernels do not give: use no_grad"
        )
    return kind
