"""A tokenizer.json as DeepSeek publishes one, for tests."""

import json
from pathlib import Path

SPECIALS = ["<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>"]
BOS, EOS = SPECIALS[:2]


def write_tokenizer(folder: Path, **settings: object) -> None:
    """A byte-level BPE as DeepSeek publishes one: BOS and EOS first, other added tokens last."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=SPECIALS[:2],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["the lake froze over and the lake thawed " * 20], trainer)
    tokenizer.add_special_tokens(SPECIALS[2:])
    tokenizer.add_tokens([AddedToken("<think>", normalized=False), "</think>"])
    folder.mkdir(exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"bos_token": {"content": BOS}, "eos_token": EOS, "add_bos_token": True, **settings}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
