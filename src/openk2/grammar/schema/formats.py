"""The known formats as regular expressions: RFC 3339, 4122, 4291, 5321, 1123, 3986; ISO 8601."""

_DAY = r"(?:0[1-9]|1\d|2[0-8])"
_YEAR = r"(?:000[1-9]|00[1-9]\d|0[1-9]\d\d|[1-9]\d{3})"
_LEAP = r"(?:\d\d(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)"
_DATE = (
    rf"(?:{_YEAR}-(?:(?:0[1-9]|1[0-2])-{_DAY}|(?:0[13-9]|1[0-2])-(?:29|30)"
    rf"|(?:0[13578]|1[02])-31)|{_LEAP}-02-29)"
)
_CLOCK = r"(?:[01]\d|2[0-3]):[0-5]\d"
_TIME = rf"{_CLOCK}:[0-5]\d(?:\.\d{{1,9}})?(?:Z|[+-]{_CLOCK})"
# A label has no "--" after two characters: those are encoded, and most codes are wrong (RFC 5891).
_IN, _OUT = "[A-Za-z0-9-]", "[A-Za-z0-9]"
_LABEL = f"{_OUT}(?:{_IN}?{_OUT}|{_IN}{{2}}{_OUT}|{_IN}(?:{_OUT}{_IN}|-{_OUT}){_IN}{{0,58}}{_OUT})?"
_HOST = rf"{_LABEL}(?:\.{_LABEL})*"
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_IPV4 = rf"{_OCTET}(?:\.{_OCTET}){{3}}"
_GROUP = r"[0-9A-Fa-f]{1,4}"
_IPV6 = "|".join(
    [rf"(?:{_GROUP}:){{7}}{_GROUP}", rf"(?:{_GROUP}:){{6}}{_IPV4}"]
    + [
        rf"(?:{_GROUP}(?::{_GROUP}){{0,{before}}})?::(?:{_GROUP}(?::{_GROUP}){{0,{5 - before}}})?"
        for before in range(6)
    ]
)
_HOURS = r"(?:\d+H(?:\d+M(?:\d+S)?)?|\d+M(?:\d+S)?|\d+S)"
_DAYS = r"(?:\d+Y(?:\d+M(?:\d+D)?)?|\d+M(?:\d+D)?|\d+D)"
_ESCAPE = "%[0-9A-Fa-f]{2}"
_SAFE = r"A-Za-z0-9._~!$&'()*+,;="
_PATH = rf"(?:[{_SAFE}:@-]|{_ESCAPE})"
_AUTHORITY = (
    rf"(?:(?:[{_SAFE}:-]|{_ESCAPE})*@)?(?:\[(?:{_IPV6})\]|(?:[{_SAFE}-]|{_ESCAPE})*)(?::\d*)?"
)

# Draft 2020-12 makes `format` an annotation, so leaving any other to the model obeys the schema,
# and enforcing these is more than it asks.
FORMATS = {
    "date": _DATE,
    "time": _TIME,
    "date-time": f"{_DATE}T{_TIME}",
    "duration": rf"P(?:\d+W|{_DAYS}(?:T{_HOURS})?|T{_HOURS})",
    "email": rf"{_ATOM}(?:\.{_ATOM})*@{_HOST}",
    "hostname": f"(?=.{{1,253}}$){_HOST}",
    "ipv4": _IPV4,
    "ipv6": _IPV6,
    "uuid": "[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}",
    "uri": (
        rf"[A-Za-z][A-Za-z0-9+.-]*:(?://{_AUTHORITY}(?:/{_PATH}*)*|/(?:{_PATH}+(?:/{_PATH}*)*)?"
        rf"|(?:{_PATH}+(?:/{_PATH}*)*)?)(?:\?(?:{_PATH}|[/?])*)?(?:#(?:{_PATH}|[/?])*)?"
    ),
}


def format_pattern(name: str) -> str | None:
    """The pattern of a format; None of one that is not known."""
    return f"^(?:{FORMATS[name]})$" if name in FORMATS else None
