"""What the values of a parameter look like, told from its words, type and format."""

import re
import string
from random import Random

from openk2.synthesis import values as v
from openk2.synthesis.apis.wording import word_set
from openk2.synthesis.values import Sampler, Split, Value

_SKIP = re.compile(
    r"json|xml|base ?64|base-64|regex|regular expression|sql|comma|delimited|separated|encoded|"
    r"timestamp|epoch|unix|milliseconds since|seconds since|binary|wildcard|expression|odata|"
    r"yyyy|mm/dd|rfc|cron|markdown|html|query string|reserved|deprecated|csv|certificate|"
    r"do not use|not used|unused|internal use|must be set to|always|template",
    re.IGNORECASE,
)
_SKIP_WORDS = word_set(
    "json xml html token secret password signature cursor callback jsonp nonce captcha csrf etag "
    "authorization auth oauth sql script policy template timestamp marker continuation fields "
    "expand select skiptoken pretty alt checksum md5 csr pem cron regex wkt geojson polygon arn "
    "kms idempotency header headers payload blob bytes odata embed projection cookie session "
    "filter filters sort order orderby include mask offset skip domains cors payload credential "
    "authtoken accesstoken usertoken passwd pwd credentials apikey accesskey privatekey"
)
# Tried in order; the last word of the name decides first, then any word.
_STRINGS: tuple[tuple[str, str], ...] = (
    ("email", "email mail"),
    ("phone", "phone telephone mobile msisdn fax cell"),
    ("url", "url uri link website webhook href homepage"),
    ("zone", "timezone tz"),
    ("clock", "time hour"),
    ("iso_time", "datetime at"),
    ("date", "on date day birthday dob until since expiration expiry expires from_date deadline"),
    ("month", "month"),
    ("country", "country nationality"),
    ("currency", "currency"),
    ("language", "language lang locale"),
    ("city", "city town municipality destination origin location place"),
    ("state", "province county"),
    ("status", "status state"),
    ("region", "region datacenter"),
    ("zip", "zip postcode postal zipcode"),
    ("address", "address street address1 address2 line1 line2"),
    ("first_name", "firstname forename givenname"),
    ("last_name", "lastname surname familyname"),
    ("username", "username login user owner author member screenname nickname assignee creator"),
    ("person", "person contact customer recipient sender employee patient student guest"),
    ("company", "company organization organisation vendor supplier brand manufacturer employer"),
    ("ip", "ip ipaddress ipv4"),
    ("host", "host hostname server machine node"),
    ("domain", "domain fqdn subdomain"),
    ("file", "file filename path filepath"),
    ("branch", "branch ref"),
    ("version", "version revision"),
    ("color", "color colour"),
    ("topic", "query q search term keyword keywords phrase topic"),
    ("phrase", "description comment comments message text body content note notes subject reason "
     "summary caption bio memo instructions feedback explanation remarks"),
    ("hash", "sha hash digest commit"),
    ("tag", "tag tags label labels category categories genre group role scope folder bucket table "
     "database collection namespace channel environment env"),
    ("title", "title headline"),
    ("name", "name alias displayname"),
    ("year", "year"),
    ("money", "price amount cost budget fee"),
    ("small", "limit count size page max min top results quantity priority index depth days hours "
     "minutes seconds"),
    ("code", "id ids uuid guid key code number reference sku barcode identifier uid handle slug "
     "isin isbn symbol ticker vin ref num no serial account"),
)  # fmt: skip
_NUMBERS: tuple[tuple[str, str], ...] = (
    ("latitude", "latitude lat"),
    ("longitude", "longitude lon lng long"),
    ("year", "year"),
    ("month_number", "month"),
    ("hour", "hour"),
    ("small", "page limit size count per top max min rows results days hours weeks nights guests "
     "adults children quantity qty depth level priority position index rank retries attempts"),
    ("percent", "percent percentage opacity volume brightness"),
    ("port", "port"),
    ("seconds", "timeout seconds minutes duration ttl delay interval"),
    ("pixels", "width height"),
    ("money", "price amount cost total budget fee salary balance"),
    ("rating", "rating score rate"),
    ("big", "id ids number"),
)  # fmt: skip
_LANGUAGES = "en de fr es it pt nl sv pl el tr ar he hi zh ja ko vi th ru uk fi cs da no ro hu"
_COUNTRIES = "US DE FR ES IT PT NL SE PL GR TR IN CN JP KR VN TH BR MX CA AU NO FI DK CZ"
_LANGUAGE_CODES, _COUNTRY_CODES = _LANGUAGES.split(), _COUNTRIES.split()
_FORMATS = {
    "date": "date", "date-time": "iso_time", "email": "email", "uuid": "uuid", "uri": "url",
    "url": "url", "ipv4": "ip", "hostname": "domain", "time": "clock",
}  # fmt: skip
_BAD_FORMATS = word_set("byte binary password json base64 duration ipv6 google-datetime")
# In the description of a string whose name says nothing.
_HINTS = (
    ("email", "email"), ("url", "url"), ("start date", "date"), ("end date", "date"),
    ("date and time", "iso_time"), ("the date", "date"), ("date ", "date"), ("identifier", "code"),
    ("unique id", "code"), (" id ", "code"), ("id of", "code"), ("name of", "name"),
    ("country", "country"), ("language", "language"), ("text", "phrase"), ("message", "phrase"),
)  # fmt: skip
_STRONG = (("phone number", "phone"), ("email address", "email"), ("postal code", "zip"))
_STRING_KIND = {word: kind for kind, words in _STRINGS for word in words.split()}
_NUMBER_KIND = {word: kind for kind, words in _NUMBERS for word in words.split()}


def kind_of(type_: str, words: list[str], form: str, description: str) -> str | None:
    """The kind of value, a key of SAMPLERS; None if a user could not say such a value."""
    if any(word in _SKIP_WORDS for word in words) or _SKIP.search(description):
        return None
    if type_ == "boolean":
        return "boolean"
    if form in _BAD_FORMATS:
        return None
    if type_ == "string":
        if form in _FORMATS:
            return _FORMATS[form]
        return _string_kind(words, description.lower())
    said = words[:-1] if words[-1] == "number" and len(words) > 1 else words
    kind = _looked_up(said, _NUMBER_KIND) or _looked_up(words, _NUMBER_KIND) or "count"
    if type_ == "integer":
        return {"money": "count", "rating": "small", "latitude": None, "longitude": None}.get(
            kind, kind
        )
    return {"small": "decimal", "count": "decimal", "seconds": "decimal",
            "percent": "decimal", "pixels": "decimal", "year": "decimal", "port": "decimal",
            "hour": "decimal", "month_number": "decimal"}.get(kind, kind)  # fmt: skip


def _string_kind(words: list[str], description: str) -> str:
    if words[-1] in ("name",) and len(words) > 1:
        first = {"first": "first_name", "given": "first_name", "last": "last_name",
                 "family": "last_name", "full": "person", "user": "username", "host": "host",
                 "file": "file", "domain": "domain", "city": "city", "country": "country",
                 "company": "company"}.get(words[-2])  # fmt: skip
        return first or "name"
    if words[-1] == "code" and len(words) > 1 and words[-2] in ("country", "currency", "language"):
        return {"country": "country_code", "currency": "currency", "language": "language_code"}[
            words[-2]
        ]
    if words[-1] == "zone" and "time" in words:
        return "zone"
    found = _looked_up(words, _STRING_KIND)
    if found == "code" and words[-1] not in ("id", "ids", "uuid", "key"):
        found = next((kind for mark, kind in _STRONG if mark in description), found)
    return found or next((kind for mark, kind in _HINTS if mark in description), "word")


def _looked_up(words: list[str], table: dict[str, str]) -> str | None:
    if words[-1] in table:
        return table[words[-1]]
    return next((table[word] for word in reversed(words) if word in table), None)


def _pick(rng: Random, alphabet: str, count: int) -> str:
    return "".join(rng.choices(alphabet, k=count))


def _uuid(rng: Random, split: Split) -> Value:
    # A whole UUID is 36 characters to copy; a short one in the same shape teaches the same.
    digits = "0123456789abcdef"
    return "-".join(_pick(rng, digits, n) for n in rng.choice(((8, 4), (4, 4, 4), (8, 4, 4))))


def _iso_time(rng: Random, split: Split) -> Value:
    return f"{_iso_date(rng, split)}T{rng.randint(0, 23):02d}:{rng.choice((0, 15, 30, 45)):02d}:00Z"


def _iso_date(rng: Random, split: Split) -> Value:
    return f"{rng.randint(2019, 2027)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"


def _state(rng: Random, split: Split) -> Value:
    return v.invented_name(rng, split) if rng.random() < 0.5 else str(v.place(rng, split)).title()


def _region(rng: Random, split: Split) -> Value:
    area = rng.choice(("us", "eu", "ap", "sa", "ca", "af", "me"))
    side = rng.choice(("east", "west", "north", "south", "central", "southeast"))
    return f"{area}-{side}-{rng.randint(1, 4)}"


def _zip(rng: Random, split: Split) -> Value:
    return _pick(rng, string.digits, 5)


def _ip(rng: Random, split: Split) -> Value:
    return f"10.{rng.randint(0, 255)}.{rng.randint(0, 255)}.{rng.randint(1, 254)}"


def _domain(rng: Random, split: Split) -> Value:
    return f"{v.pseudo_word(rng)}.{rng.choice(('example.com', 'example.org', 'example.net'))}"


def _version(rng: Random, split: Split) -> Value:
    parts = [str(rng.randint(0, 12)) for _ in range(rng.choice((2, 3)))]
    return f"{rng.choice(('', '', 'v'))}{'.'.join(parts)}"


def _hash(rng: Random, split: Split) -> Value:
    return _pick(rng, "0123456789abcdef", rng.choice((7, 8, 10)))


def _branch(rng: Random, split: Split) -> Value:
    return f"{rng.choice(('', 'fix/', 'feature-', 'release-'))}{v.pseudo_word(rng)}"


def _name(rng: Random, split: Split) -> Value:
    """A name that somebody gave to something."""
    choice = rng.random()
    if choice < 0.4:
        return f"{v.pseudo_word(rng)}{rng.choice(('', '-', '_'))}{v.word(rng, split)}"
    if choice < 0.6:
        return v.invented_name(rng, split)
    return v.title(rng, split) if choice < 0.8 else f"{v.word(rng, split)}-{rng.randint(1, 99)}"


def _word(rng: Random, split: Split) -> Value:
    return v.pseudo_word(rng) if rng.random() < 0.5 else v.word(rng, split)


def _language_code(rng: Random, split: Split) -> Value:
    return rng.choice(_LANGUAGE_CODES)


def _country_code(rng: Random, split: Split) -> Value:
    return rng.choice(_COUNTRY_CODES)


def _coordinate(limit: int) -> Sampler:
    return lambda rng, split: round(rng.uniform(-limit, limit), rng.choice((1, 2, 4))) or 0.5


def _between(low: int, high: int) -> Sampler:
    return lambda rng, split: rng.randint(low, high)


def _seconds(rng: Random, split: Split) -> Value:
    return rng.choice((rng.randint(1, 90), 10 * rng.randint(1, 60), 60 * rng.randint(1, 60)))


def _big(rng: Random, split: Split) -> Value:
    return int(rng.randint(1, 9) * 10 ** rng.randint(1, 6) + rng.randint(0, 99))


SAMPLERS: dict[str, Sampler] = {
    "email": v.email, "phone": v.phone, "url": v.url, "zone": v.zone, "clock": v.clock,
    "iso_time": _iso_time, "date": _iso_date, "month": v.month, "country": v.country,
    "country_code": _country_code, "currency": v.currency, "language": v.language,
    "language_code": _language_code, "city": v.city, "state": _state, "region": _region,
    "zip": _zip, "address": v.address, "first_name": v.first_name, "last_name": v.last_name,
    "username": v.username, "person": v.full_name, "company": v.company, "ip": _ip,
    "host": v.host, "domain": _domain, "file": v.file_name, "branch": _branch,
    "version": _version,
    "status": v.one_of("active", "pending", "closed", "open", "failed", "done", "draft", "paused"),
    "color": v.one_of("red", "blue", "green", "teal", "amber", "violet"),
    "topic": v.product, "phrase": v.sentence_text, "hash": _hash, "tag": _word, "word": _word,
    "title": v.title, "name": _name, "code": v.code, "uuid": _uuid,
    "latitude": _coordinate(89), "longitude": _coordinate(179), "year": v.year,
    "month_number": _between(1, 12), "hour": _between(0, 23), "small": _between(1, 60),
    "percent": v.percent, "port": _between(1024, 65535), "seconds": _seconds,
    "pixels": _between(16, 2048), "money": v.money, "rating": v.rating, "big": _big,
    "count": v.count, "decimal": v.decimal,
    "boolean": lambda rng, split: rng.random() < 0.5,
}  # fmt: skip
# Free text is put in quotes where it stands in a sentence.
QUOTED = frozenset({"phrase", "topic", "title"})
