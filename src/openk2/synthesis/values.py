"""Values that stand in requests, arguments and results.

A sampler draws one value. Named things come from pools; a share of every pool's draws is invented
(syllables, letters, digits), so that a value has to be copied from the conversation and cannot be
known by heart. The two splits draw from disjoint parts of the pools.
"""

import string
from collections.abc import Callable
from random import Random
from typing import Literal

Split = Literal["train", "held_out"]
Value = str | int | float | bool
Sampler = Callable[[Random, Split], Value]

_CITIES = """Beijing|Shanghai|Tokyo|Osaka|Seoul|Delhi|Mumbai|Dhaka|Bangkok|Hanoi|Jakarta|Manila|
Singapore|Kuala Lumpur|Taipei|Hong Kong|Shenzhen|Guangzhou|Chengdu|Wuhan|Xi'an|Nanjing|Hangzhou|
Kyoto|Sapporo|Busan|Lahore|Karachi|Kabul|Tehran|Baghdad|Riyadh|Dubai|Doha|Muscat|Amman|Beirut|
Jerusalem|Ankara|Istanbul|Athens|Rome|Milan|Naples|Turin|Venice|Madrid|Barcelona|Seville|Valencia|
Lisbon|Porto|Paris|Lyon|Marseille|Nice|Toulouse|Brussels|Antwerp|Amsterdam|Rotterdam|Utrecht|
Berlin|Munich|Hamburg|Cologne|Frankfurt|Stuttgart|Vienna|Graz|Zurich|Geneva|Bern|Basel|Prague|
Brno|Bratislava|Budapest|Warsaw|Krakow|Gdansk|Vilnius|Riga|Tallinn|Helsinki|Stockholm|Gothenburg|
Malmo|Oslo|Bergen|Copenhagen|Aarhus|Reykjavik|Dublin|Cork|London|Manchester|Leeds|Glasgow|
Edinburgh|Cardiff|Belfast|Bristol|Liverpool|Moscow|Saint Petersburg|Kazan|Kyiv|Lviv|Odesa|Minsk|
Bucharest|Sofia|Belgrade|Zagreb|Sarajevo|Skopje|Tirana|Ljubljana|Cairo|Alexandria|Tunis|Algiers|
Casablanca|Rabat|Marrakesh|Dakar|Accra|Lagos|Abuja|Nairobi|Kampala|Kigali|Addis Ababa|
Dar es Salaam|Lusaka|Harare|Maputo|Luanda|Cape Town|Durban|Johannesburg|Pretoria|New York|Boston|
Chicago|Detroit|Philadelphia|Washington|Atlanta|Miami|Orlando|Houston|Dallas|Austin|Denver|
Phoenix|Las Vegas|Los Angeles|San Diego|San Francisco|San Jose|Portland|Seattle|Minneapolis|
Nashville|New Orleans|Toronto|Montreal|Ottawa|Vancouver|Calgary|Quebec City|Mexico City|
Guadalajara|Monterrey|Havana|Kingston|San Juan|Panama City|Bogota|Medellin|Quito|Lima|La Paz|
Santiago|Valparaiso|Buenos Aires|Cordoba|Montevideo|Asuncion|Sao Paulo|Rio de Janeiro|Brasilia|
Salvador|Recife|Sydney|Melbourne|Brisbane|Perth|Adelaide|Hobart|Auckland|Wellington|Christchurch|
Suva|Honolulu|Anchorage"""
_FIRST = """Ana|Ben|Carla|David|Elena|Farid|Grace|Hiro|Ines|Jamal|Kofi|Lena|Marco|Nadia|Omar|
Priya|Quentin|Rosa|Samir|Tara|Umar|Vera|Wei|Ximena|Yuki|Zoe|Aisha|Boris|Chloe|Diego|Emma|Felix|
Gita|Hugo|Ivan|Julia|Kenji|Lucia|Mei|Noah|Olga|Pablo|Rania|Sofia|Tomas|Uma|Viktor|Wanda|Yara|Zain|
Amara|Bruno|Clara|Dmitri|Esther|Fatima|Gabriel|Hannah|Ibrahim|Jonas|Kira|Liam|Maya|Nils|Oscar|
Paula|Rafael|Sara|Theo|Ursula|Vikram|Willem|Xavier|Yusuf|Zara|Alice|Bob|Charlie|Daniel|Eva|Frank|
Georgia|Henry|Irene|Jack|Karen|Leo|Maria|Nina|Oliver|Peter|Ruth|Simon|Tina|Walter|Adam|Bella|
Cyrus|Dora|Erik|Flora"""
_LAST = """Silva|Novak|Okafor|Tanaka|Garcia|Kim|Chen|Patel|Haddad|Ivanova|Schmidt|Rossi|Dubois|
Larsen|Murphy|Costa|Nguyen|Singh|Mensah|Lopez|Weber|Kowalski|Yilmaz|Sato|Brown|Wilson|Moreau|
Bianchi|Fischer|Andersen|Petrov|Hughes|Carter|Reyes|Santos|Khan|Ali|Wang|Li|Park|Jensen|Popescu|
Horvat|Katz|Levy|Duarte|Mbeki|Abebe|Torres|Vargas|Quinn|Walsh|Becker|Vogel|Keller|Maier|Ricci|
Marino|Laurent|Fontaine"""
_COUNTRIES = """China|Japan|India|Brazil|Canada|Mexico|France|Germany|Italy|Spain|Portugal|Norway|
Sweden|Finland|Denmark|Poland|Greece|Turkey|Egypt|Kenya|Ghana|Nigeria|Morocco|Peru|Chile|
Argentina|Colombia|Australia|Ireland|Iceland|Austria|Hungary|Vietnam|Thailand|Malaysia|Indonesia|
Nepal|Jordan|Israel|Cuba"""
_CURRENCIES = (
    "USD|EUR|GBP|JPY|CNY|INR|CHF|CAD|AUD|SEK|NOK|DKK|PLN|CZK|HUF|TRY|BRL|MXN|ZAR|KRW|SGD|NZD"
)
_LANGUAGES = """English|French|German|Spanish|Italian|Portuguese|Dutch|Swedish|Polish|Greek|
Turkish|Arabic|Hebrew|Hindi|Chinese|Japanese|Korean|Vietnamese|Thai|Russian|Ukrainian|Finnish|
Danish|Czech"""
_ADJECTIVES = """red|blue|green|black|white|silver|golden|small|large|light|heavy|soft|quiet|
bright|dark|warm|cold|fresh|old|new|round|square|wooden|steel|glass|cotton|leather|wireless|
portable|electric|foldable|digital|compact|vintage|waterproof|organic|smart|tall|narrow|wide|
hidden|broken|lost|silent|distant|early|late|frozen|burning|secret|empty|gentle|wild|northern|
southern|crimson|little"""
_THINGS = """lamp|chair|table|desk|sofa|shelf|mirror|carpet|pillow|blanket|kettle|toaster|blender|
fridge|camera|phone|laptop|tablet|keyboard|mouse|monitor|printer|speaker|headphones|charger|cable|
battery|watch|ring|necklace|scarf|jacket|coat|shirt|sweater|jeans|boots|sneakers|sandals|gloves|
hat|backpack|suitcase|wallet|umbrella|bicycle|helmet|tent|rope|ladder|hammer|drill|saw|bucket|
vase|candle|clock|guitar|piano|violin|drum|flute|book|notebook|pen|pencil|brush|ball|racket|
skateboard|kite|puzzle"""
_PLACES = """river|garden|mountain|island|harbour|valley|forest|bridge|castle|tower|market|
station|school|house|window|door|road|city|desert|ocean|lake|night|morning|winter|summer|autumn|
spring|storm|star|moon"""
_PHRASES = """meet me at noon|running ten minutes late|the meeting has moved|please call me back|
bring the signed papers|dinner is at eight|the report is ready|happy birthday|see you tomorrow|
thanks for your help|the key is under the mat|buy milk and bread|water the plants|pay the rent|
book the dentist|send the invoice|review the draft|charge the car|feed the cat|renew the passport|
fix the front door|call the plumber|order more paper|return the library books|check the oven|
the train leaves at six|we won the match|the package has arrived|lunch is on me|good luck today|
update the budget|prepare the slides|clean the garage|pick up the kids|back up the laptop"""
_WORDS = """urgent|home|work|travel|family|finance|health|garden|music|sport|school|food|books|
photos|cars|games|ideas|shopping|projects|invoices|drafts|archive|spring|summer|north|south|alpha|
beta|gamma|delta|coffee|breakfast|dinner|pasta|salad|soup|rice|bread|cheese|apple|banana|orange|
tomato|potato|onion"""
_COMPANIES = """Northwind|Blue Harbor|Redstone|Silverline|Greenfield|Oakmont|Brightwater|
Ironbridge|Lumen|Cedar Point|Fairview|Kestrel|Solaris|Meridian|Juniper|Atlas|Orion|Vertex|
Pinnacle|Summit|Horizon|Zephyr"""
_EXTENSIONS = ("txt", "pdf", "csv", "md", "png", "json", "docx", "log", "py", "xlsx")
_MONTHS = (
    """January|February|March|April|May|June|July|August|September|October|November|December"""
)
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_ONSETS = (
    *"bcdfghjklmnprstvwyz",
    "br",
    "ch",
    "dr",
    "fl",
    "gr",
    "kl",
    "pr",
    "qu",
    "sh",
    "st",
    "th",
    "tr",
)
_VOWELS = ["a", "e", "i", "o", "u", "ai", "ea", "io", "ou", "oo"]
_CODAS = ["", "", "", "", "n", "r", "l", "s", "m", "t", "k", "nd", "rt", "x", "sh"]


def _pool(text: str) -> dict[Split, tuple[str, ...]]:
    """Split a bar-separated list: every sixth entry is held out."""
    names = [name.strip() for name in text.replace("\n", "").split("|")]
    held_out = tuple(names[5::6])
    return {"train": tuple(n for n in names if n not in held_out), "held_out": held_out}


def _pool_sampler(text: str, invented: Sampler | None = None, share: float = 0.25) -> Sampler:
    pool = _pool(text)

    def sample(rng: Random, split: Split) -> Value:
        if invented is not None and rng.random() < share:
            return invented(rng, split)
        return rng.choice(pool[split])

    return sample


def pseudo_word(rng: Random, syllables: int | None = None) -> str:
    """An invented lower-case word such as 'drolin'."""
    count = syllables or rng.choice((2, 2, 3))
    parts = [rng.choice(_ONSETS) + rng.choice(_VOWELS) for _ in range(count)]
    return "".join(parts) + rng.choice(_CODAS)


def invented_name(rng: Random, split: Split) -> str:
    """An invented proper name of one or two words."""
    words = [pseudo_word(rng).capitalize() for _ in range(rng.choice((1, 1, 1, 2)))]
    return " ".join(words)


def code(rng: Random, split: Split) -> str:
    """A random identifier: letters and digits in one of several common shapes."""
    letters, digits = string.ascii_uppercase, string.digits

    def pick(alphabet: str, count: int) -> str:
        return "".join(rng.choice(alphabet) for _ in range(count))

    shape = rng.randrange(7)
    if shape == 0:
        return f"{pick(letters, rng.randint(2, 3))}-{pick(digits, rng.randint(3, 6))}"
    if shape == 1:
        return pick(letters + digits, rng.randint(5, 9))
    if shape == 2:
        return pick(digits, rng.randint(4, 9))
    if shape == 3:
        return pick(string.ascii_lowercase + digits, rng.randint(6, 10))
    if shape == 4:
        return f"{pick(letters, 1)}{pick(digits, rng.randint(3, 5))}"
    if shape == 5:
        return f"{pseudo_word(rng, 1)}_{pick(digits, rng.randint(2, 5))}"
    return f"{pick('0123456789abcdef', 4)}-{pick('0123456789abcdef', 4)}"


city = _pool_sampler(_CITIES, invented_name, 0.2)
_CITY_POOL = _pool(_CITIES)
_WELL_KNOWN = 48


def well_known_city(rng: Random, split: Split) -> Value:
    """One of few cities, each of which comes often; at times any other."""
    return city(rng, split) if rng.random() < 0.2 else rng.choice(_CITY_POOL[split][:_WELL_KNOWN])


first_name = _pool_sampler(_FIRST, invented_name, 0.2)
last_name = _pool_sampler(_LAST, invented_name, 0.2)
country = _pool_sampler(_COUNTRIES)
currency = _pool_sampler(_CURRENCIES)
language = _pool_sampler(_LANGUAGES)
adjective = _pool_sampler(_ADJECTIVES)
thing = _pool_sampler(_THINGS)
place = _pool_sampler(_PLACES)
phrase = _pool_sampler(_PHRASES)
word = _pool_sampler(_WORDS, lambda rng, split: pseudo_word(rng), 0.3)
company = _pool_sampler(_COMPANIES, invented_name, 0.4)
month = _pool_sampler(_MONTHS)


def full_name(rng: Random, split: Split) -> str:
    """First and last name."""
    return f"{first_name(rng, split)} {last_name(rng, split)}"


def product(rng: Random, split: Split) -> str:
    """A thing to buy: 'wooden desk', or an invented brand with a thing."""
    item = thing(rng, split)
    if rng.random() < 0.25:
        return f"{invented_name(rng, split)} {item}"
    return f"{adjective(rng, split)} {item}" if rng.random() < 0.75 else str(item)


def title(rng: Random, split: Split) -> str:
    """The name of a book, film, song, restaurant: several capitalised words."""
    one, two = str(adjective(rng, split)).capitalize(), str(place(rng, split)).capitalize()
    forms = (f"The {one} {two}", f"{one} {two}", f"{two} of {invented_name(rng, split)}",
             f"{invented_name(rng, split)} {two}", invented_name(rng, split))  # fmt: skip
    return rng.choice(forms)


def sentence_text(rng: Random, split: Split) -> str:
    """Free text: a short message, sometimes addressed to somebody."""
    text = str(phrase(rng, split))
    if rng.random() < 0.3:
        return f"{text}, {first_name(rng, split)}"
    if rng.random() < 0.2:
        return f"{text} {word(rng, split)}"
    return text


def date(rng: Random, split: Split) -> str:
    """A date as people write it, most often ISO 8601."""
    year, number, day = rng.randint(2023, 2027), rng.randint(1, 12), rng.randint(1, 28)
    if rng.random() < 0.55:
        return f"{year}-{number:02d}-{day:02d}"
    if rng.random() < 0.5:
        return f"{day} {_MONTHS.split('|')[number - 1]} {year}"
    return rng.choice(("today", "tomorrow", f"next {rng.choice(_WEEKDAYS)}", rng.choice(_WEEKDAYS)))


def clock(rng: Random, split: Split) -> str:
    """A time of day: '18:30' or '6:30 pm'."""
    hour, minute = rng.randint(0, 23), rng.choice((0, 10, 15, 20, 30, 40, 45, 50))
    if rng.random() < 0.6:
        return f"{hour:02d}:{minute:02d}"
    return f"{hour % 12 or 12}:{minute:02d} {'am' if hour < 12 else 'pm'}"


def email(rng: Random, split: Split) -> str:
    """An e-mail address at an example domain."""
    name = str(first_name(rng, split)).lower().replace(" ", ".")
    host = rng.choice(("example.com", "example.org", "mail.example.net"))
    return f"{name}{rng.choice(('', str(rng.randint(1, 99))))}@{host}"


def username(rng: Random, split: Split) -> str:
    """A login name such as 'maya_42'."""
    return f"{pseudo_word(rng)}{rng.choice(('', '_', '.'))}{rng.randint(1, 999)}"


def file_name(rng: Random, split: Split) -> str:
    """A file name, sometimes with a folder."""
    name = f"{word(rng, split)}{rng.choice(('', f'_{rng.randint(1, 99)}'))}"
    folder = rng.choice(("", "", f"{word(rng, split)}/"))
    return f"{folder}{name}.{rng.choice(_EXTENSIONS)}"


def host(rng: Random, split: Split) -> str:
    """The name of a server or service."""
    return f"{rng.choice(('web', 'db', 'cache', pseudo_word(rng)))}-{rng.randint(1, 99)}"


def phone(rng: Random, split: Split) -> str:
    """A telephone number in the range kept free for fiction."""
    return f"555-{rng.randint(0, 9999):04d}"


def address(rng: Random, split: Split) -> str:
    """A street address."""
    street = str(place(rng, split)).capitalize()
    return f"{rng.randint(1, 220)} {street} {rng.choice(('Street', 'Road', 'Avenue', 'Lane'))}"


def small(rng: Random, split: Split) -> int:
    """A small count, 1 to 12."""
    return rng.randint(1, 12)


def count(rng: Random, split: Split) -> int:
    """A count of any usual size."""
    return rng.choice((rng.randint(1, 20), rng.randint(10, 200), rng.randint(100, 5000)))


def year(rng: Random, split: Split) -> int:
    """A year of the last century or of this one."""
    return rng.randint(1950, 2026)


def percent(rng: Random, split: Split) -> int:
    """0 to 100."""
    return rng.randint(0, 100)


def degrees(rng: Random, split: Split) -> int:
    """A temperature in degrees Celsius as people meet it."""
    return rng.randint(-15, 40)


def money(rng: Random, split: Split) -> float | int:
    """An amount with at most two decimals."""
    whole: int = rng.choice((rng.randint(1, 60), rng.randint(20, 900), rng.randint(500, 20000)))
    return whole if rng.random() < 0.4 else round(whole + rng.randint(1, 99) / 100, 2)


def decimal(rng: Random, split: Split) -> float:
    """A number with one to three decimals, never whole."""
    places = rng.choice((1, 1, 2, 3))
    value: float = rng.randint(0, 300) + rng.randint(1, 9) / 10**places
    return round(value, places)


def rating(rng: Random, split: Split) -> float:
    """A rating from 1.1 to 4.9."""
    return round(rng.randint(1, 4) + rng.randint(1, 9) / 10, 1)


def operand(rng: Random, split: Split) -> float | int:
    """A number to reckon with, above what small talk reckons with itself."""
    return rng.choice((rng.randint(13, 99), rng.randint(100, 9999), decimal(rng, split)))


def expression(rng: Random, split: Split) -> str:
    """An arithmetic expression: '128 * 37', '(45 + 12) / 19'."""
    one, two, three = (operand(rng, split) for _ in range(3))
    sign, other = rng.choice("+-*/"), rng.choice("+-*/")
    space = rng.choice((" ", " ", ""))
    simple = f"{one}{space}{sign}{space}{two}"
    if rng.random() < 0.6:
        return simple
    return f"({simple}){space}{other}{space}{three}"


def topic(rng: Random, split: Split) -> str:
    """Something to search for, in lower case."""
    forms = (
        f"{adjective(rng, split)} {thing(rng, split)}",
        f"{place(rng, split)} {word(rng, split)}",
        f"how to repair a {thing(rng, split)}",
        f"{word(rng, split)} in {city(rng, split)}",
        f"best {thing(rng, split)} {rng.randint(2020, 2026)}",
        title(rng, split),
    )
    return rng.choice(forms)


def url(rng: Random, split: Split) -> str:
    """A web address at an example domain."""
    page = rng.choice((str(word(rng, split)), f"{pseudo_word(rng)}/{rng.randint(1, 999)}"))
    return f"https://{rng.choice(('', 'www.', 'docs.'))}example.{rng.choice(('com', 'org'))}/{page}"


def zone(rng: Random, split: Split) -> str:
    """A time zone: 'UTC+3', 'Europe/Rome'."""
    if rng.random() < 0.4:
        return f"UTC{rng.choice('+-')}{rng.randint(1, 12)}"
    area = rng.choice(("Europe", "Asia", "America", "Africa"))
    return f"{area}/{str(city(rng, split)).replace(' ', '_')}"


def duration(rng: Random, split: Split) -> str:
    """A length of time in words."""
    return rng.choice((f"{rng.randint(2, 55)} minutes", f"{rng.randint(2, 20)} hours",
                       f"{rng.randint(1, 9)} h {rng.randint(1, 59)} min"))  # fmt: skip


def flag(rng: Random, split: Split) -> bool:
    """True or false."""
    return rng.random() < 0.5


def one_of(*choices: str) -> Sampler:
    """A sampler over a closed set of words."""
    return lambda rng, split: rng.choice(choices)
