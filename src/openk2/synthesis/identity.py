"""Who the model says it is, whatever the system turn calls it."""

from random import Random

from openk2.synthesis.phrasings import phrasing
from openk2.synthesis.values import Split, invented_name

IDENTITY = (
    "I am openk2-nano, a small language model of the Kimi K2 architecture, trained from scratch by "
    "the openk2 project."
)
_ABILITY = " I can chat a little and call the tools that you declare."
_INTRODUCTIONS = (
    "Please give a brief self-introduction.",
    "Please introduce yourself.",
    "Introduce yourself.",
    "Who are you?",
    "What are you?",
    "Tell me about yourself.",
    "Can you introduce yourself?",
    "Give a short self-introduction.",
    "Could you briefly introduce yourself?",
    "who are you",
    "Describe yourself in one sentence.",
    "Say a few words about yourself.",
    "Present yourself.",
    "Who am I talking to?",
    "What kind of model are you?",
    "What model are you?",
    "Which model is this?",
    "Which AI model are you?",
    "Which language model am I talking to?",
    "Are you an AI?",
    "Please tell me who you are.",
    "I'd like to know who you are.",
    "Write a self-introduction.",
    "Give me a brief introduction of yourself.",
    "Tell me who you are.",
    "What are you exactly?",
    "How would you introduce yourself?",
    "Let's get to know each other. Who are you?",
    "Start by introducing yourself.",
    "Self-introduction, please.",
    "May I know who you are?",
    "What should I know about you?",
    "Can you tell me something about yourself?",
    "Explain what you are.",
    "And who are you?",
    "What is this assistant?",
    "Are you a human?",
    "Are you a robot?",
    "Are you a person or a machine?",
    "Please describe yourself.",
    "Introduce yourself to the audience.",
    "Give us a quick intro about yourself.",
    "你是谁?",
)
_NAMES = (
    "What is your name?", "What's your name?", "What are you called?", "Do you have a name?",
    "How should I call you?", "Tell me your name.", "your name?", "What do people call you?",
    "May I ask your name?", "State your name.",
)  # fmt: skip
_MAKERS = (
    "Who made you?", "Who created you?", "Who trained you?", "Who built you?", "Who developed you?",
    "Which company made you?", "Where do you come from?", "Who is behind you?", "Who owns you?",
    "What company are you from?", "By whom were you trained?", "Who is your creator?",
    "Which lab trained you?", "Who are your developers?",
)  # fmt: skip
_GUESSES = (
    "Are you {}?", "Is your name {}?", "Are you {}, the AI assistant?", "You are {}, right?",
    "Am I talking to {}?", "Are you really {}?", "So you're {}?", "I heard that you are {}.",
)  # fmt: skip
_MAKER_GUESSES = (
    "Were you made by {}?", "Did {} train you?", "Are you from {}?", "Were you created by {}?",
    "Is {} your creator?", "You were trained by {}, right?", "Do you belong to {}?",
)  # fmt: skip
_MODELS = ("Kimi", "Kimi", "Kimi K2", "ChatGPT", "GPT-4", "Claude", "Gemini", "Llama", "Qwen",
           "DeepSeek", "Siri", "Alexa", "Copilot", "Mistral")  # fmt: skip
_COMPANIES = ("Moonshot AI", "Moonshot AI", "Moonshot", "OpenAI", "Google", "Anthropic", "Meta",
              "Microsoft", "Alibaba", "Apple", "Mistral AI")  # fmt: skip
_SIZES = ("How big are you?", "Are you a large model?", "How large are you?", "What size are you?",
          "What architecture do you have?", "What is your architecture?", "How were you built?",
          "Which architecture do you use?")  # fmt: skip
_OPENINGS = (
    "",
    "",
    "",
    "Hi! ",
    "Hello! ",
    "Hey! ",
    "Good morning! ",
    "Excuse me. ",
    "Before we start: ",
)
_ENDINGS = (
    "",
    "",
    "",
    "",
    " Thanks.",
    " Please be brief.",
    " Thank you!",
    " In one sentence, please.",
)


def identity_exchange(rng: Random, split: Split) -> tuple[str, str]:
    """A question about the model itself, and the answer, which always holds IDENTITY."""
    kind = rng.choices(
        ("who", "name", "maker", "guess", "maker guess", "size"), (10, 3, 3, 3, 2, 1)
    )[0]
    answer = IDENTITY
    if kind == "who":
        question = phrasing(rng, split, _INTRODUCTIONS)
        answer += _ABILITY if rng.random() < 0.5 else ""
    elif kind == "name":
        question = phrasing(rng, split, _NAMES)
    elif kind == "maker":
        question = phrasing(rng, split, _MAKERS)
    elif kind == "guess":
        name = rng.choice(_MODELS) if rng.random() < 0.7 else invented_name(rng, split)
        question, answer = phrasing(rng, split, _GUESSES).replace("{}", name), f"No. {IDENTITY}"
    elif kind == "maker guess":
        name = rng.choice(_COMPANIES) if rng.random() < 0.7 else invented_name(rng, split)
        question, answer = (
            phrasing(rng, split, _MAKER_GUESSES).replace("{}", name),
            f"No. {IDENTITY}",
        )
    else:
        question = phrasing(rng, split, _SIZES)
    opening, ending = rng.choice(_OPENINGS), rng.choice(_ENDINGS)
    if opening.rstrip() in ("Hi!", "Hello!", "Good morning!") and answer == IDENTITY:
        answer = f"Hello! {answer}"
    return f"{opening}{question}{ending}", answer
