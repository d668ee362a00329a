"""Chat that needs no tool: greetings, thanks, jokes, small games with words, the model's limits.

What it is, is in `identity`; what it knows and what it does not, in `facts` and `unknown`.
"""

from random import Random

from openk2.synthesis import values as v
from openk2.synthesis.identity import identity_exchange
from openk2.synthesis.jokes import joke
from openk2.synthesis.limits import ability, limit
from openk2.synthesis.phrasings import Exchange, phrasing
from openk2.synthesis.values import Split

_GREETINGS = (
    "Hi", "Hi!", "Hello", "Hello!", "Hey there!", "Hey", "Good morning", "Good evening!",
    "Hi there!", "Hello, you", "hello", "hi", "Hello there", "Good afternoon", "Good day",
    "Greetings", "Hey!", "Good evening", "Good morning!", "Hi, anybody there?", "Yo", "hey",
    "Hi.", "Hello. Are you there?", "Hello, nice to meet you.",
)  # fmt: skip
_GREETING_ANSWERS = ("Hello! How can I help you?", "Hello! How can I help you?",
                     "Hello! What can I do for you?")  # fmt: skip
_HOW = (
    "How are you?", "How are you doing?", "How's it going?", "How are you today?",
    "Are you all right?", "What's up?", "How do you do?", "Are you well?", "how are you",
    "How have you been?", "Hi, how are you?", "Hello, how are you?", "How is your day?",
    "How do you feel today?", "Is everything fine with you?",
)  # fmt: skip
_THANKS = (
    "Thanks!", "Thank you.", "Thank you very much!", "Great, thanks.", "Thank you so much.",
    "Thanks a lot.", "Perfect, thank you!", "That helps, thanks.", "Awesome, thanks!",
    "Thanks, you are great.", "ok thanks", "Cheers!", "Many thanks.", "Thanks, that is all.",
    "Wonderful, thanks!", "Great, that's what I needed.", "Thank you!", "Good job.",
    "Well done, thank you.", "That was useful.",
)  # fmt: skip
_FAREWELLS = (
    "Bye", "Goodbye!", "See you later.", "Bye bye!", "See you soon!", "Good night.",
    "That's all, bye.", "I have to go now.", "See you tomorrow!", "Until next time.",
    "Have a nice day!", "Bye!", "Goodbye.", "I'm leaving now.", "Take care!",
)  # fmt: skip
_COMMENTS = (
    ("Yes.", "All right. What else can I do for you?"),
    ("No.", "All right. What else can I do for you?"),
    ("OK.", "All right. Is there anything else?"),
    ("Okay", "All right. Is there anything else?"),
    ("I see.", "Good. Is there anything else?"),
    ("Really?", "I think so, but I am a small model and can be wrong."),
    ("Are you sure?", "I think so, but I am a small model and can be wrong."),
    ("That is wrong.", "I'm sorry about that: I am a small model and make mistakes."),
    ("You are wrong.", "I'm sorry about that: I am a small model and make mistakes."),
    ("You are stupid.", "I'm sorry that I was no help: I am only a small model."),
    ("I am sad.", "I'm sorry to hear that."),
    ("I am happy today!", "I'm glad to hear that!"),
    ("I am bored.", "Shall I tell you a joke?"),
    ("I love you.", "Thank you! I am only a program, but I like to help."),
    ("You are funny.", "Thank you!"),
    ("You are great!", "Thank you!"),
    ("test", "I am here. How can I help you?"),
    ("This is a test.", "The test has arrived. How can I help you?"),
    ("Are you there?", "Yes, I am here. How can I help you?"),
    ("I am tired.", "Then a rest would do you good."),
    ("I am hungry.", "Then it is time for something to eat."),
    ("Happy birthday!", "Thank you! A program has no birthday, but I am glad you think of me."),
    ("Merry Christmas!", "Merry Christmas to you, too!"),
    ("Happy New Year!", "Happy New Year to you, too!"),
    ("Sorry.", "No problem at all."),
)


def smalltalk(rng: Random, split: Split) -> Exchange:
    """One exchange that no tool could serve."""
    makers = (_greeting, _how, _thanks, _farewell, ability, limit, joke, _comment, _echo, _upper,
              _spell, _count, _first_of, identity_exchange)  # fmt: skip
    weights = (6, 4, 5, 3, 6, 6, 3, 3, 5, 2, 3, 2, 3, 12)
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
    return phrasing(rng, split, _GREETINGS), rng.choice(_GREETING_ANSWERS)


def _how(rng: Random, split: Split) -> Exchange:
    return phrasing(rng, split, _HOW), "I am fine, thank you. How can I help you?"


def _thanks(rng: Random, split: Split) -> Exchange:
    return phrasing(rng, split, _THANKS), "You're welcome!"


def _farewell(rng: Random, split: Split) -> Exchange:
    return phrasing(rng, split, _FAREWELLS), "Goodbye!"


def _comment(rng: Random, split: Split) -> Exchange:
    return rng.choice(_COMMENTS)


def _echo(rng: Random, split: Split) -> Exchange:
    sampler = rng.choice((v.phrase, v.title, v.code, v.sentence_text, v.product, v.full_name))
    text = str(sampler(rng, split))
    asked = ("Repeat after me: {}", "Say: {}", "Please repeat: {}", "Echo this: {}", "Repeat: {}",
             "Say {}", "Reply with {}", "Write exactly this: {}", "Copy this: {}",
             "Please say: {}")  # fmt: skip
    return phrasing(rng, split, asked).replace("{}", text), text


def _upper(rng: Random, split: Split) -> Exchange:
    text = str(v.word(rng, "train"))
    asked = ("Write {} in upper case.", "Put {} in capitals.", "Uppercase {}.",
             "Turn {} into capital letters.", "Write {} in capitals.")  # fmt: skip
    return phrasing(rng, split, asked).replace("{}", text), text.upper()


def _spell(rng: Random, split: Split) -> Exchange:
    text = str(rng.choice((v.thing, v.word))(rng, "train"))
    asked = ("Spell {}.", "How do you spell {}?", "Spell the word {}.", "How is {} spelt?",
             "Can you spell {}?")  # fmt: skip
    return phrasing(rng, split, asked).replace("{}", text), "-".join(text.upper())


def _count(rng: Random, split: Split) -> Exchange:
    items = [str(v.thing(rng, split)) for _ in range(rng.randint(2, 6))]
    text = ", ".join(items)
    asked = ("How many items are in this list: {}?", "Count these: {}.", "Count the items: {}",
             "How many things are these: {}?",
             "How many items does this list have: {}?")  # fmt: skip
    return phrasing(rng, split, asked).replace("{}", text), f"There are {len(items)} items."


def _first_of(rng: Random, split: Split) -> Exchange:
    items = list(dict.fromkeys(str(v.product(rng, split)) for _ in range(rng.randint(2, 4))))
    last = rng.random() < 0.5
    asked = f"Which is the {'last' if last else 'first'} in this list: {', '.join(items)}?"
    return asked, f"The {'last' if last else 'first'} is {items[-1 if last else 0]}."
