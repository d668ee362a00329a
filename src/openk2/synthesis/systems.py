"""System prompts: most often none or Kimi's, else one of many composed ones."""

from random import Random

from openk2.synthesis.values import Split, code, company, first_name, invented_name, word

KIMI = "You are Kimi, an AI assistant created by Moonshot AI."
_PLAIN = (
    "You are a helpful assistant.",
    "You are a helpful assistant.",
    "You are an AI assistant.",
    "Answer briefly.",
    "You are a helpful assistant with access to tools.",
    "Be concise and polite.",
    "You are a function calling assistant.",
    "Use the tools when they are needed.",
    "You are a helpful, honest assistant. Use the tools provided to help the user.",
    "Help the user with the tools you have. Do not make up results.",
    "Keep answers short.",
    "You are a chatbot.",
    "You are a friendly assistant who gives short answers.",
    "Call a tool when the request needs one. If something is missing, ask for it.",
)
_PERSONAS = (
    "You are {name}, an assistant created by {company}.",
    "You are {name}, a helpful AI assistant.",
    "You are the {word} assistant of {company}.",
    "Your name is {name}. You work for {company}.",
    "You are {name}, a large language model trained by {company}.",
    "Act as {name}, the support agent of {company}. Be polite.",
    "You are {name}. You help people with {word}.",
    "You are {name}, an AI made by {company}. Be brief.",
)
_NOTES = ("", "", "", " Answer in English.", " The user is called {name}.", " Be brief.",
          " The session id is {code}.", " Today is {date}.")  # fmt: skip


def draw_system(rng: Random, split: Split) -> str | None:
    """A system prompt; None means that the conversation has no system turn."""
    choice = rng.random()
    if choice < 0.3:
        return None
    if choice < 0.6:
        return KIMI
    template = rng.choice(_PLAIN if choice < 0.8 else _PERSONAS) + rng.choice(_NOTES)
    persona = first_name if rng.random() < 0.5 else invented_name
    day = f"{rng.randint(2024, 2026)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"
    return template.format(
        name=persona(rng, split), company=company(rng, split), word=word(rng, split),
        code=code(rng, split), date=day,
    )  # fmt: skip
