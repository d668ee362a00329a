"""The few classes of org.javatuples that MultiPL-E's Java tests use, as Java source.

MultiPL-E puts the library's jar on the class path; here no jar is shipped. Tuples of one to five
values: `with`, constructors, `getValueN`, equality, hash and text as the library documents them.
"""

from collections.abc import Mapping
from functools import cache

_NAMES = ("Unit", "Pair", "Triplet", "Quartet", "Quintet")


@cache
def javatuples() -> Mapping[str, bytes]:
    """File name below the class path -> source."""
    return {
        f"org/javatuples/{name}.java": _source(name, size).encode()
        for size, name in enumerate(_NAMES, 1)
    }


def _source(name: str, size: int) -> str:
    letters = "ABCDE"[:size]
    types = ", ".join(letters)
    parameters = ", ".join(f"{letter} v{i}" for i, letter in enumerate(letters))
    values = ", ".join(f"v{i}" for i in range(size))
    fields = "".join(f"  private final {letter} v{i};\n" for i, letter in enumerate(letters))
    sets = " ".join(f"this.v{i} = v{i};" for i in range(size))
    gets = "".join(
        f"  public {letter} getValue{i}() {{ return v{i}; }}\n" for i, letter in enumerate(letters)
    )
    return f"""package org.javatuples;
import java.util.*;
public final class {name}<{types}> {{
{fields}  public {name}({parameters}) {{ {sets} }}
  public static <{types}> {name}<{types}> with({parameters}) {{ return new {name}<>({values}); }}
{gets}  public List<Object> toList() {{ return Arrays.asList({values}); }}
  public boolean equals(Object other) {{
    if (!(other instanceof {name})) return false;
    return toList().equals((({name}<?{", ?" * (size - 1)}>) other).toList());
  }}
  public int hashCode() {{ return toList().hashCode(); }}
  public String toString() {{ return toList().toString(); }}
}}
"""
