"""Chat that needs no tool: greetings, thanks, small sums, spelling, echoing, a few facts.

The model that learns from this is small. It is taught to say so when a question is beyond it.
"""

from random import Random

from openk2.synthesis import values as v
from openk2.synthesis.identity import identity_exchange
from openk2.synthesis.requests import listed
from openk2.synthesis.values import Split

Exchange = tuple[str, str]

_GREETINGS = (
    "Hi",
    "Hi!",
    "Hello",
    "Hello!",
    "Hey",
    "Hey there",
    "Good morning",
    "Good evening!",
    "Hi there!",
    "hello",
    "hi",
    "Hello there",
    "Greetings",
    "Good afternoon",
    "Yo",
)
_HOW = ("How are you?", "How are you doing?", "How's it going?", "How are you today?", "What's up?",
        "How do you do?", "Are you well?", "how are you")  # fmt: skip
_THANKS = ("Thanks!", "Thank you.", "Thank you very much!", "Great, thanks.", "Thanks a lot.",
           "Perfect, thank you!", "That helps, thanks.", "Awesome, thanks!", "ok thanks", "Cheers!",
           "Many thanks.", "Thanks, that is all.", "Great, that's what I needed.")  # fmt: skip
_FAREWELLS = ("Bye", "Goodbye!", "See you later.", "Bye bye!", "Good night.", "That's all, bye.",
              "I have to go now.", "See you tomorrow!", "Have a nice day!")  # fmt: skip
_ABILITIES = (
    "What can you do?",
    "How can you help me?",
    "What are you able to do?",
    "Can you help me?",
    "What are your abilities?",
    "What can I ask you?",
    "What are you good at?",
    "Help",
    "What do you do?",
    "I need help.",
    "Can you do something useful?",
)
_OPEN = (
    "Write a poem about {}.",
    "Explain {} to me.",
    "What do you think about {}?",
    "Tell me a story about {}.",
    "Write an essay on {}.",
    "Who invented {}?",
    "What is the history of {}?",
    "Why is {} important?",
    "Give me advice about {}.",
    "Write a program about {}.",
    "Summarise the book {}.",
    "How does {} work?",
)
_TOPICS = (
    "quantum physics",
    "democracy",
    "love",
    "the ocean",
    "economics",
    "evolution",
    "philosophy",
    "football",
    "chess",
    "the internet",
    "electricity",
    "poetry",
    "volcanoes",
    "gravity",
    "the stock market",
    "marketing",
    "climate",
    "dreams",
    "medicine",
    "the Roman Empire",
)
_CAPITALS = (
    "France=Paris|Germany=Berlin|Italy=Rome|Spain=Madrid|Portugal=Lisbon|Japan=Tokyo|China=Beijing|"
    "Russia=Moscow|Egypt=Cairo|Greece=Athens|Austria=Vienna|Norway=Oslo|Sweden=Stockholm|"
    "Finland=Helsinki|Poland=Warsaw|Hungary=Budapest|Ireland=Dublin|India=New Delhi|Cuba=Havana|"
    "Canada=Ottawa|Peru=Lima|Chile=Santiago|Kenya=Nairobi|Turkey=Ankara|Thailand=Bangkok|"
    "England=London|the United States=Washington|Brazil=Brasilia|Argentina=Buenos Aires|Korea=Seoul"
)
_OPPOSITES = (
    "hot=cold|big=small|fast=slow|day=night|up=down|old=young|happy=sad|light=dark|"
    "open=closed|early=late|hard=soft|full=empty|left=right|high=low|rich=poor|wet=dry|"
    "good=bad|long=short|near=far|first=last|strong=weak|clean=dirty|black=white"
)
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def smalltalk(rng: Random, split: Split) -> Exchange:
    """One exchange that needs no tool."""
    makers = (
        _greeting,
        _how,
        _thanks,
        _farewell,
        _ability,
        _sum,
        _echo,
        _upper,
        _spell,
        _count,
        _capital,
        _opposite,
        _next_day,
        _open_question,
        _first_of,
        identity_exchange,
    )
    weights = (6, 4, 6, 3, 5, 7, 6, 4, 4, 3, 4, 4, 3, 6, 4, 10)
    return rng.choices(makers, weights)[0](rng, split)


def thanks(rng: Random, split: Split) -> Exchange:
    """The end of a conversation."""
    return (_thanks if rng.random() < 0.7 else _farewell)(rng, split)


def naming(rng: Random, split: Split) -> tuple[Exchange, Exchange]:
    """The user says something about themselves and asks for it later."""
    subject, sampler = rng.choice(
        (
            ("name", v.first_name),
            ("favourite color", v.adjective),
            ("city", v.city),
            ("cat's name", v.first_name),
            ("code word", v.code),
            ("job", v.word),
            ("favourite book", v.title),
            ("lucky number", v.count),
        )
    )
    value = sampler(rng, split)
    told = rng.choice((f"My {subject} is {value}.", f"Remember that my {subject} is {value}.",
                       f"Hi, my {subject} is {value}."))  # fmt: skip
    reply = (
        f"Nice to meet you, {value}." if subject == "name" else f"Noted. Your {subject} is {value}."
    )
    asked = rng.choice((f"What is my {subject}?", f"Do you remember my {subject}?",
                        f"Tell me my {subject}."))  # fmt: skip
    return (told, reply), (asked, f"Your {subject} is {value}.")


def _greeting(rng: Random, split: Split) -> Exchange:
    return rng.choice(_GREETINGS), "Hello! How can I help you?"


def _how(rng: Random, split: Split) -> Exchange:
    return rng.choice(_HOW), "I am fine, thank you. How can I help you?"


def _thanks(rng: Random, split: Split) -> Exchange:
    return rng.choice(_THANKS), "You're welcome!"


def _farewell(rng: Random, split: Split) -> Exchange:
    return rng.choice(_FAREWELLS), "Goodbye!"


def _ability(rng: Random, split: Split) -> Exchange:
    return rng.choice(_ABILITIES), (
        "I can call the tools that you declare and tell you their results, and chat a little."
    )


def _sum(rng: Random, split: Split) -> Exchange:
    one, two = rng.randint(0, 12), rng.randint(0, 12)
    if rng.random() < 0.6:
        text, words, result = f"{one} + {two}", f"{one} plus {two}", one + two
    else:
        one, two = max(one, two), min(one, two)
        text, words, result = f"{one} - {two}", f"{one} minus {two}", one - two
    shown = text if rng.random() < 0.5 else words
    asked = rng.choice(("What is {}?", "How much is {}?", "Compute {}.", "{} = ?", "Calculate {}."))
    return asked.replace("{}", shown), f"{one} {words.split()[1]} {two} is {result}."


def _echo(rng: Random, split: Split) -> Exchange:
    sampler = rng.choice((v.phrase, v.title, v.code, v.sentence_text, v.product, v.full_name))
    text = str(sampler(rng, split))
    asked = rng.choice(("Repeat after me: {}", "Say: {}", "Please repeat: {}", "Echo this: {}",
                        "Say {}", "Reply with {}", "Write exactly this: {}"))  # fmt: skip
    return asked.replace("{}", text), text


def _upper(rng: Random, split: Split) -> Exchange:
    text = str(v.word(rng, "train"))
    asked = rng.choice(("Write {} in upper case.", "Put {} in capitals.", "Uppercase {}."))
    return asked.replace("{}", text), text.upper()


def _spell(rng: Random, split: Split) -> Exchange:
    text = str(rng.choice((v.thing, v.word))(rng, "train"))
    asked = rng.choice(("Spell {}.", "How do you spell {}?", "Spell the word {}."))
    return asked.replace("{}", text), "-".join(text.upper())


def _count(rng: Random, split: Split) -> Exchange:
    items = [str(v.thing(rng, split)) for _ in range(rng.randint(2, 6))]
    text = ", ".join(items)
    asked = rng.choice(
        ("How many items are in this list: {}?", "Count these: {}.", "Count the items: {}")
    )
    return asked.replace("{}", text), f"There are {len(items)} items."


def _first_of(rng: Random, split: Split) -> Exchange:
    items = list(dict.fromkeys(str(v.product(rng, split)) for _ in range(rng.randint(2, 4))))
    last = rng.random() < 0.5
    asked = f"Which is the {'last' if last else 'first'} in this list: {', '.join(items)}?"
    return asked, f"The {'last' if last else 'first'} is {items[-1 if last else 0]}."


def _pair(rng: Random, table: str) -> tuple[str, str]:
    one, _, two = rng.choice(table.split("|")).partition("=")
    return one, two


def _capital(rng: Random, split: Split) -> Exchange:
    country, city = _pair(rng, _CAPITALS)
    asked = rng.choice(
        ("What is the capital of {}?", "Capital of {}?", "Tell me the capital of {}.")
    )
    return asked.replace("{}", country), f"The capital of {country} is {city}."


def _opposite(rng: Random, split: Split) -> Exchange:
    one, two = _pair(rng, _OPPOSITES)
    asked = rng.choice(
        ("What is the opposite of {}?", "Opposite of {}?", "Name the opposite of {}.")
    )
    return asked.replace("{}", one), f"The opposite of {one} is {two}."


def _next_day(rng: Random, split: Split) -> Exchange:
    number, after = rng.randrange(7), rng.random() < 0.5
    day, other = _DAYS[number], _DAYS[(number + (1 if after else -1)) % 7]
    side = "after" if after else "before"
    return f"What day comes {side} {day}?", f"The day {side} {day} is {other}."


def _open_question(rng: Random, split: Split) -> Exchange:
    topic = rng.choice((*_TOPICS, listed([str(v.thing(rng, split)), str(v.thing(rng, split))])))
    answer = "I am a small model, so I cannot do that well. I am best at calling tools."
    return rng.choice(_OPEN).replace("{}", topic), answer
