"""/v1/completions: prompts of every kind, echo and scores as harnesses read them, streams."""

import httpx
import pytest
from openai import BadRequestError

from openk2.protocol import TokenChunk

MODEL = "openk2-test"
END = "«<|im_end|>»"


def post(url, **fields):
    return httpx.post(f"{url}/v1/completions", json={"model": MODEL, **fields}, verify=False)


def test_a_whole_output_has_openais_form(serve, scripted):
    answer = post(serve(scripted(f" world.{END}")), prompt="Hello", max_tokens=20).json()
    assert answer["object"] == "text_completion"
    assert answer["model"] == MODEL
    assert answer["id"].startswith("cmpl-")
    assert answer["choices"] == [
        {"index": 0, "text": " world.", "logprobs": None, "finish_reason": "stop"}
    ]
    assert answer["usage"] == {
        "prompt_tokens": 5,
        "completion_tokens": 8,
        "total_tokens": 13,
        "prompt_tokens_details": {"cached_tokens": 0},
    }


def test_sixteen_tokens_are_made_unless_more_are_asked_for(serve, scripted):
    url = serve(scripted("x" * 50))
    for fields in ({}, {"max_tokens": None}):
        answer = post(url, prompt="a", **fields).json()
        choice = answer["choices"][0]
        assert (choice["text"], choice["finish_reason"]) == ("x" * 16, "length")


@pytest.mark.parametrize(
    ("prompt", "prompts"),
    [
        ("hi", ["hi"]),
        ([104, 105], ["hi"]),
        (["hi", "you"], ["hi", "you"]),
        ([[104, 105], [121, 111, 117]], ["hi", "you"]),
        (["hi", [121, 111, 117]], ["hi", "you"]),
        ("<|im_user|>user<|im_middle|>hi", ["<|im_user|>user<|im_middle|>hi"]),
    ],
)
def test_every_kind_of_prompt_is_understood(serve, scripted, tokenizer, prompt, prompts):
    def as_ids(value):
        bytes_only = isinstance(value, list) and all(isinstance(i, int) for i in value)
        return [tokenizer.encode(chr(i))[0] for i in value] if bytes_only else value

    prompt = as_ids(prompt)
    prompt = [as_ids(one) for one in prompt] if isinstance(prompt, list) else prompt
    tokens = scripted(END)
    answer = post(serve(tokens), prompt=prompt).json()
    assert sorted(tokens.prompts) == sorted(prompts)
    assert [choice["index"] for choice in answer["choices"]] == list(range(len(prompts)))
    assert answer["usage"]["prompt_tokens"] == sum(len(ids) for ids in tokens.ids)


class FirstToken:
    """Answers with the prompt's first token."""

    context_length = 99

    async def generate(self, prompt, params, mask=None):
        yield TokenChunk((prompt[0],), "length", cached_tokens=1)


def test_the_choices_of_a_prompt_stand_together(client):
    answer = client(FirstToken()).completions.create(
        model=MODEL, prompt=["ab", "c", "d"], n=2, seed=3
    )
    assert [choice.text for choice in answer.choices] == ["a", "a", "c", "c", "d", "d"]
    assert [choice.index for choice in answer.choices] == list(range(6))
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (4, 6)
    assert answer.usage.prompt_tokens_details.cached_tokens == 3


@pytest.mark.parametrize("size", [1, 2, 1000])
def test_a_stream_joins_to_the_whole_output(client, scripted, size):
    tokens = scripted(f"a雪b stop«[PAD]»{END}")
    tokens.size = size
    asked = {"prompt": ["雪hi", "x"], "echo": True, "logprobs": 2, "max_tokens": 20, "n": 2}
    openai = client(tokens)
    whole = openai.completions.create(model=MODEL, stop=["top"], **asked)
    texts, scores, reasons = {}, {}, {}
    *chunks, last = openai.completions.create(
        model=MODEL,
        stop="top",
        stream=True,
        stream_options={"include_usage": True},
        **asked,
    )
    for chunk in chunks:
        (choice,) = chunk.choices
        texts[choice.index] = texts.get(choice.index, "") + choice.text
        reasons[choice.index] = choice.finish_reason
        if choice.logprobs:
            for name, values in choice.logprobs.model_dump().items():
                scores.setdefault(choice.index, {}).setdefault(name, []).extend(values)
    for choice in whole.choices:
        assert texts[choice.index] == choice.text
        assert reasons[choice.index] == choice.finish_reason == "stop"
        assert scores[choice.index] == choice.logprobs.model_dump()
    assert whole.choices[0].text == "雪hia雪b s"
    assert last.usage == whole.usage
    assert all(chunk.usage is None for chunk in chunks)


def test_scores_have_the_older_form(client, scripted, tokenizer):
    tokens = scripted(f"雪!«<|im_user|>»{END}")
    choice = client(tokens).completions.create(model=MODEL, prompt="ab", logprobs=1).choices[0]
    assert choice.text == "雪!<|im_user|>"
    scores = choice.logprobs
    assert scores.tokens == [
        "bytes:\\xe9", "bytes:\\x9b", "bytes:\\xaa", "!", "<|im_user|>", "<|im_end|>"
    ]  # fmt: skip
    assert scores.text_offset == [0, 0, 0, 1, 2, len(choice.text)]
    assert len(scores.token_logprobs) == len(scores.top_logprobs) == 6
    for token, logprob, top in zip(
        scores.tokens, scores.token_logprobs, scores.top_logprobs, strict=True
    ):
        assert top[token] == logprob
        assert len(top) == 1 + (logprob < max(top.values()))


@pytest.mark.parametrize("logprobs", [0, 1, 20])
def test_as_many_likeliest_tokens_are_reported_as_asked(client, scripted, logprobs):
    tokens = scripted("abc")
    choice = client(tokens).completions.create(
        model=MODEL, prompt="ab", logprobs=logprobs, max_tokens=3
    ).choices[0]  # fmt: skip
    assert tokens.params[0].logprobs == logprobs
    for token, top in zip(choice.logprobs.tokens, choice.logprobs.top_logprobs, strict=True):
        assert len(set(top) - {token}) <= logprobs <= len(set(top) | {token})


@pytest.mark.parametrize("max_tokens", [0, 1])
@pytest.mark.parametrize("end", ["x", END])
def test_lm_eval_scores_a_continuation(serve, scripted, tokenizer, max_tokens, end):
    """What lm-eval's local-completions sends, and how it reads the answer."""
    contexts, continuations = ["ab", "a"], ["cdef", "雪"]
    prompts = [tokenizer.encode(c + t) for c, t in zip(contexts, continuations, strict=True)]
    body = {
        "prompt": prompts,
        "temperature": 0,
        "max_tokens": max_tokens,
        "logprobs": 1,
        "seed": 1234,
        "echo": True,
    }
    answer = post(serve(scripted(end)), **body).json()
    for choice, ids, context in zip(answer["choices"], prompts, contexts, strict=True):
        scores = choice["logprobs"]
        assert scores["token_logprobs"][0] is scores["top_logprobs"][0] is None
        # lm-eval takes [ctxlen:-1]: the last entry must be the one generated token's.
        length = len(scores["token_logprobs"])
        assert length == len(ids) + max_tokens
        mine = scores["token_logprobs"][len(context) : length - max_tokens]
        assert len(mine) == len(ids) - len(context)
        assert mine == [-(1 + i % 100) / 64 for i in ids[len(context) :]]
        tops = scores["top_logprobs"][len(context) : length - max_tokens]
        greedy = [value == max(top.values()) for value, top in zip(mine, tops, strict=True)]
        assert greedy == [i % 2 == 0 for i in ids[len(context) :]]
    assert answer["usage"]["completion_tokens"] == 2 * max_tokens


def test_echo_without_scores_only_repeats_the_prompt(serve, scripted):
    answer = post(serve(scripted(END)), prompt="雪<|im_end|>", echo=True, max_tokens=0).json()
    assert answer["choices"] == [
        {"index": 0, "text": "雪<|im_end|>", "logprobs": None, "finish_reason": "length"}
    ]


def test_too_long_a_prompt_is_openais_context_length_error(client, scripted):
    with pytest.raises(BadRequestError) as caught:
        client(scripted(END)).completions.create(model=MODEL, prompt="x" * 5000)
    assert (caught.value.code, caught.value.param) == ("context_length_exceeded", "prompt")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"prompt": 5}, "prompt"),
        ({"prompt": [[]]}, "prompt[0]"),
        ({"prompt": ["a", ""]}, "prompt[1]"),
        ({"prompt": ["a", 5]}, "prompt[1]"),
        ({"prompt": [[1, True]]}, "prompt[0]"),
        ({"prompt": [[1, 512]]}, "prompt"),
        ({"prompt": [-1]}, "prompt"),
        ({"prompt": ["a"] * 300, "n": 2}, "prompt"),
        ({"suffix": "end"}, "suffix"),
        ({"best_of": 2}, "best_of"),
        ({"best_of": 1, "n": 2}, "best_of"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"logprobs": 21}, "logprobs"),
        ({"logprobs": True}, "logprobs"),
        ({"echo": "yes"}, "echo"),
        ({"prompt": [[1] * 5_000] * 4, "n": 16, "echo": True, "logprobs": 6}, "logprobs"),
        ({"prompt": "x" * 800_000, "echo": True, "logprobs": 5}, "logprobs"),
        ({"prompt": [[1] * 5_000] * 4, "n": 128, "echo": True}, "echo"),
        ({"prompt": "x" * 40_000, "n": 128, "echo": True, "stream": True}, "echo"),
        ({"n": 0}, "n"),
        ({"stop": [""]}, "stop[0]"),
        ({"logit_bias": {"512": 1}}, "logit_bias"),
        ({"min_p": 2}, "min_p"),
        ({"skip_special_tokens": True}, "skip_special_tokens"),
        ({"prompt_logprobs": 1}, "prompt_logprobs"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"truncate_prompt_tokens": 5}, "truncate_prompt_tokens"),
        ({"regex": "a+"}, "regex"),
        ({"json_schema": "{}"}, "json_schema"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_cannot_be_obeyed_is_refused_by_name(serve, scripted, fields, param, stream):
    tokens = scripted(END)
    answer = post(serve(tokens), **{"prompt": "a", **fields, "stream": stream})
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, param), error
    assert error["type"] == "invalid_request_error"
    assert param in error["message"]
    assert tokens.params == []


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 128, "max_tokens": 4_000, "logprobs": 20},
        {"prompt": ["a"] * 400, "max_tokens": 2_000, "logprobs": 5},
        {"prompt": ["a" * 800] * 100, "echo": True, "max_tokens": 4_000, "logprobs": 9},
    ],
)
def test_scores_that_would_be_kept_for_many_long_outputs_are_refused(serve, scripted, fields):
    tokens = scripted(END)
    answer = post(serve(tokens), **{"prompt": "a", **fields})
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, "logprobs"), error
    assert tokens.params == []


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 128, "max_tokens": 4_000, "logprobs": 20, "stream": True},
        {"n": 128, "max_tokens": 4_000},
        {"max_tokens": 4_000, "logprobs": 20},
        {"prompt": ["a" * 800] * 128, "echo": True, "max_tokens": 1, "logprobs": 5},
    ],
)
def test_what_harnesses_ask_for_is_answered(serve, scripted, fields):
    assert post(serve(scripted(END)), **{"prompt": "a", **fields}).status_code == 200


def test_neutral_values_and_unknown_fields_are_tolerated(serve, scripted):
    answer = post(
        serve(scripted(END)), prompt="a", suffix="", best_of=1, user="u", stop=None, echo=None,
        logprobs=None, skip_special_tokens=False, a_field_of_some_client=1,
    )  # fmt: skip
    assert answer.status_code == 200, answer.text


def test_another_model_is_not_found(serve, scripted):
    answer = post(serve(scripted(END)), model="other", prompt="a")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")


def test_without_a_completion_generator_there_is_no_route(serve, scripted):
    url = serve(scripted(END), completion=None)
    answer = post(url, prompt="a")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
