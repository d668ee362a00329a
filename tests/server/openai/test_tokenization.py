"""/tokenize and /detokenize, in vLLM's form."""

import httpx
import pytest

MODEL = "openk2-test"
END = "«<|im_end|>»"
MESSAGES = [{"role": "user", "content": "雪 <|im_end|>"}]
TOOLS = [{"type": "function", "function": {"name": "f"}}]


def post(url, path, **body):
    return httpx.post(f"{url}/{path}", json=body, verify=False)


def test_a_prompt_is_tokenized_as_completions_reads_it(serve, scripted):
    tokens = scripted(END)
    url = serve(tokens)
    prompt = "<|im_user|>user<|im_middle|>雪"
    answer = post(url, "tokenize", model=MODEL, prompt=prompt, add_special_tokens=True).json()
    post(url, "v1/completions", model=MODEL, prompt=prompt)
    assert answer["tokens"] == tokens.ids[0]
    assert answer["count"] == len(tokens.ids[0])
    assert answer["max_model_len"] == tokens.context_length
    assert post(url, "detokenize", tokens=answer["tokens"]).json() == {"prompt": prompt}


@pytest.mark.parametrize("tools", [None, TOOLS])
def test_messages_are_tokenized_as_chat_reads_them(serve, scripted, tools):
    tokens = scripted(END)
    url = serve(tokens)
    body = {"model": MODEL, "messages": MESSAGES, "tools": tools}
    answer = post(url, "tokenize", **body).json()
    post(url, "v1/chat/completions", **body)
    assert answer["tokens"] == tokens.ids[0]
    bare = post(url, "tokenize", **body, add_generation_prompt=False).json()["tokens"]
    header = "«<|im_assistant|>»assistant«<|im_middle|>»"
    assert bare + tokens.encode(header) == tokens.ids[0]


def test_the_tokens_texts_come_if_asked_for(serve, scripted):
    url = serve(scripted(END))
    asked = {"prompt": "hi[EOS]", "return_token_strs": True}
    assert post(url, "tokenize", **asked).json()["token_strs"] == ["h", "i", "[EOS]"]
    assert post(url, "tokenize", prompt="hi").json()["token_strs"] is None


def test_an_empty_prompt_has_no_tokens(serve, scripted):
    url = serve(scripted(END))
    assert post(url, "tokenize", prompt="").json()["tokens"] == []
    assert post(url, "detokenize", tokens=[]).json() == {"prompt": ""}


def test_a_harness_learns_how_to_end_and_to_render(serve, scripted):
    info = httpx.get(f"{serve(scripted(END))}/tokenizer_info", verify=False).json()
    assert (info["bos_token"], info["eos_token"]) == ("[BOS]", "[EOS]")
    assert "<|im_assistant|>" in info["chat_template"]


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("tokenize", {}, "prompt"),
        ("tokenize", {"prompt": "a", "messages": MESSAGES}, "prompt"),
        ("tokenize", {"prompt": ["a"]}, "prompt"),
        ("tokenize", {"messages": []}, "messages"),
        ("tokenize", {"messages": [{"role": "owl"}]}, "messages[0].role"),
        ("tokenize", {"messages": MESSAGES, "continue_final_message": True},
         "continue_final_message"),
        ("tokenize", {"messages": MESSAGES, "chat_template": "x"}, "chat_template"),
        ("detokenize", {}, "tokens"),
        ("detokenize", {"tokens": ["a"]}, "tokens[0]"),
        ("detokenize", {"tokens": [512]}, "tokens"),
        ("detokenize", {"tokens": [-1]}, "tokens"),
    ],
)  # fmt: skip
def test_what_cannot_be_obeyed_is_refused_by_name(serve, scripted, path, body, param):
    answer = post(serve(scripted(END)), path, **body)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, param), error


@pytest.mark.parametrize(("path", "body"), [("tokenize", {"prompt": "a"}),
                                            ("detokenize", {"tokens": [1]})])  # fmt: skip
def test_another_model_is_not_found(serve, scripted, path, body):
    assert post(serve(scripted(END)), path, model="other", **body).status_code == 404
