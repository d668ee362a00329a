"""Whole numbers of a range as a regular expression, exactly and of any length."""


def whole_numbers(low: int, high: int) -> str:
    """The numbers from low to high, at least one, without a minus zero."""
    ways = []
    if low < 0:
        ways.append(f"-({positive(max(1, -high), -low)})")
    if low <= 0 <= high:
        ways.append("0")
    if high > 0:
        ways.append(positive(max(1, low), high))
    return "|".join(ways)


def positive(low: int, high: int) -> str:
    """The numbers from low to high, both above 0."""
    first, last = str(low), str(high)
    if len(first) == len(last):
        return _same_length(first, last)
    ways = [_same_length(first, "9" * len(first))]
    if len(last) - len(first) > 1:
        ways.append(f"[1-9][0-9]{{{len(first)},{len(last) - 2}}}")
    return "|".join([*ways, _same_length("1" + "0" * (len(last) - 1), last)])


def _same_length(first: str, last: str) -> str:
    """The texts of digits from first to last, which have equally many."""
    rest = len(first) - 1
    if not rest:
        return first if first == last else f"[{first}-{last}]"
    if first[0] == last[0]:
        return f"{first[0]}({_same_length(first[1:], last[1:])})"
    ways = []
    below, above = int(first[0]), int(last[0])
    if first[1:].strip("0"):
        ways.append(f"{below}({_same_length(first[1:], '9' * rest)})")
        below += 1
    if last[1:].strip("9"):
        ways.append(f"{above}({_same_length('0' * rest, last[1:])})")
        above -= 1
    if below <= above:
        ways.append(f"[{below}-{above}][0-9]{{{rest}}}")
    return "|".join(ways)
