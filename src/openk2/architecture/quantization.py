"""`quantization_config` of a config.json: how its linear layers are stored.

Two kinds: block-fp8 (DeepSeek-V3's and K2's), a `weight_block_size`, here a tuple of rows and
columns; and compressed-tensors' "pack-quantized" int4 (K2-Thinking's), here an `Int4`.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from openk2.architecture.error import ConfigError

# What K2-Thinking leaves unquantized: everything but the routed experts.
KEPT_BY_K2_THINKING = (
    "lm_head",
    "re:.*self_attn.*",
    "re:.*shared_experts.*",
    r"re:.*mlp\.(gate|up|gate_up|down)_proj.*",
)
# What a pattern may consist of. A regular expression from a file could keep a matcher busy for
# ever; one of these, with few repetitions, cannot.
PATTERN = re.compile(r"(?:[\w$^-]|\\[.d]\+?|\.[*+]?|\((?:\?:)?[\w.\\|-]*\)|\[\^?[\w-]+\][*+]?)*")
REPETITIONS = re.compile(r"[*+]")
MOST_REPETITIONS, LONGEST_PATTERN = 3, 200
PREFIXES = ("", "language_model.")  # of the text network inside a model that also sees


@dataclass(frozen=True)
class Int4:
    """4-bit integers with one multiplier a `group` of a row's values, see `kernels.int4`.

    targets, ignore: compressed-tensors' lists. An entry is a module's name, a class ("Linear"), or
    "re:" and a pattern that the start of the name matches. A module is quantized if an entry of
    targets fits it and none of ignore does.
    """

    group: int = 32
    targets: tuple[str, ...] = ("Linear",)
    ignore: tuple[str, ...] = KEPT_BY_K2_THINKING

    def covers(self, module: str) -> bool:
        """Whether the linear layer of this published name ("model.layers.1. ... up_proj") is."""
        targets, ignored = self._entries
        return targets.fit(module) and not ignored.fit(module)

    @cached_property
    def _entries(self) -> "tuple[_Entries, _Entries]":
        return _Entries.read(self.targets), _Entries.read(self.ignore)


Quantization = tuple[int, int] | Int4


@dataclass(frozen=True)
class _Entries:
    names: frozenset[str]
    patterns: tuple[re.Pattern[str], ...]

    @classmethod
    def read(cls, entries: tuple[str, ...]) -> "_Entries":
        patterns = [entry.removeprefix("re:") for entry in entries if entry.startswith("re:")]
        return cls(frozenset(entries), tuple(map(re.compile, patterns)))

    def fit(self, module: str) -> bool:
        if "Linear" in self.names:
            return True
        names = [prefix + module for prefix in PREFIXES]
        return any(name in self.names for name in names) or any(
            pattern.match(name) for pattern in self.patterns for name in names
        )


def read_quantization(data: dict[str, Any]) -> Quantization | None:
    """Read `quantization_config`: empty, block-fp8 e4m3, or pack-quantized int4.

    Raises ConfigError naming what openk2 does not read.
    """
    if not data:
        return None
    if data.get("quant_method") == "compressed-tensors":
        return _read_int4(data)
    _demand(data, {"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic"})
    block = data.get("weight_block_size")
    if not (isinstance(block, list) and [type(n) is int and n > 0 for n in block] == [True, True]):
        raise ConfigError(
            f"quantization_config.weight_block_size is {block!r}; openk2 reads [rows, columns]"
        )
    return block[0], block[1]


def quantization_config(quantization: Quantization) -> dict[str, Any]:
    """The published form, as `read_quantization` reads it."""
    if not isinstance(quantization, Int4):
        return {
            "quant_method": "fp8",
            "fmt": "e4m3",
            "activation_scheme": "dynamic",
            "weight_block_size": list(quantization),
        }
    weights: dict[str, Any] = {
        "actorder": None,
        "block_structure": None,
        "dynamic": False,
        "group_size": quantization.group,
        "num_bits": 4,
        "observer": "minmax",
        "observer_kwargs": {},
        "strategy": "group",
        "symmetric": True,
        "type": "int",
    }
    group = {
        "input_activations": None,
        "output_activations": None,
        "targets": list(quantization.targets),
        "weights": weights,
    }
    return {
        "config_groups": {"group_0": group},
        "format": "pack-quantized",
        "ignore": list(quantization.ignore),
        "kv_cache_scheme": None,
        "quant_method": "compressed-tensors",
        "quantization_status": "compressed",
    }


def _read_int4(data: dict[str, Any]) -> Int4:
    _demand(data, {"format": "pack-quantized", "quantization_status": "compressed"})
    for name in ("kv_cache_scheme", "sparsity_config", "transform_config"):
        if data.get(name):
            raise ConfigError(f"quantization_config.{name} is {data[name]!r}; openk2 reads none")
    groups = data.get("config_groups")
    if not (isinstance(groups, dict) and [isinstance(g, dict) for g in groups.values()] == [True]):
        raise ConfigError(
            "quantization_config.config_groups is not one group; openk2 reads int4 of one kind"
        )
    (name, group), place = next(iter(groups.items())), "config_groups."
    _demand(group, {"format": "pack-quantized"}, place + name)
    for activations in ("input_activations", "output_activations"):
        if group.get(activations):
            raise ConfigError(
                f"quantization_config.config_groups.{name}.{activations} is set; "
                "openk2 computes with activations as they are"
            )
    weights = group.get("weights")
    if not isinstance(weights, dict):
        raise ConfigError(f"quantization_config.config_groups.{name} has no weights")
    wanted = {"num_bits": 4, "type": "int", "symmetric": True, "strategy": "group"}
    _demand({**dict.fromkeys(wanted), **weights}, wanted, f"{place}{name}.weights")
    _demand(weights, {"dynamic": False, "actorder": None}, f"{place}{name}.weights")
    size = weights.get("group_size")
    if type(size) is not int or size < 8 or size % 8:
        raise ConfigError(
            f"quantization_config.config_groups.{name}.weights.group_size is "
            f"{size!r}; openk2 reads multiples of 8"
        )
    return Int4(
        size, _entries("targets", group.get("targets")), _entries("ignore", data.get("ignore", []))
    )


def _demand(data: dict[str, Any], wanted: dict[str, Any], where: str = "") -> None:
    """Raise ConfigError for a field of `data` with another value; an absent one is taken as it."""
    for name, value in wanted.items():
        found = data.get(name, value)
        if type(found) is not type(value) or found != value:
            path = ".".join(filter(None, ("quantization_config", where, name)))
            raise ConfigError(f"{path} is {found!r}; openk2 reads only {value!r}")


def _entries(name: str, entries: Any) -> tuple[str, ...]:
    if not (isinstance(entries, list) and all(type(entry) is str for entry in entries)):
        raise ConfigError(f"quantization_config's {name} is not a list of names")
    for entry in entries:
        pattern = entry.removeprefix("re:")
        if pattern == entry:
            continue
        if not _is_simple(pattern):
            raise ConfigError(
                f"quantization_config's {name} has the pattern {pattern[:80]!r}; "
                f"openk2 reads names, dots, alternatives and at most {MOST_REPETITIONS} repetitions"
            )
    return tuple(entries)


def _is_simple(pattern: str) -> bool:
    if len(pattern) > LONGEST_PATTERN or not PATTERN.fullmatch(pattern):
        return False
    try:
        re.compile(pattern)
    except re.error:
        return False
    return len(REPETITIONS.findall(pattern)) <= MOST_REPETITIONS
