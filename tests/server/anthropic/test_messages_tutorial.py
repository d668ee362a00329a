"""Every Python block of docs/tutorials/clients.md runs against a server, in order."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs" / "tutorials" / "clients.md"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
END = "«<|im_end|>»"
CALL = (
    "«<|tool_calls_section_begin|>»«<|tool_call_begin|>»functions.get_weather:0"
    '«<|tool_call_argument_begin|>»{"city": "Beijing"}«<|tool_call_end|>»'
    f"«<|tool_calls_section_end|>»{END}"
)


def test_the_page_does_what_it_says(serve, scripted, masks, capsys):
    form = f'{{"greeting": true, "language": "English"}}{END}'
    openai = (f"Hi.{END}", form, CALL)
    tokens = scripted(*openai, f"Hello.{END}", f"More.{END}", CALL, f"Sunny.{END}")
    url = serve(tokens, masks, aliases=["openk2-nano"])
    blocks = BLOCK.findall(PAGE.read_text("utf-8"))
    assert len(blocks) >= 6
    names = {}
    for code in blocks:
        code = code.replace("http://127.0.0.1:8000", url)
        exec(compile(code, str(PAGE), "exec"), names)
    printed = capsys.readouterr().out
    answers = 'Hi.\n{"greeting": true, "language": "English"}\n'
    called = 'functions.get_weather:0 {"city": "Beijing"}\n'
    assert printed.startswith(f"{answers}{called}end_turn [TextBlock(")
    assert re.search(r"More\.[0-9]+\ntool_use\nend_turn\n$", printed)
    assert "Sunny in Beijing" in tokens.prompts[-1]
    names["client"].close()


def test_anthropics_client_lists_the_models(anthropic, scripted):
    client = anthropic(scripted(END), aliases=["claude-small"])
    assert [model.id for model in client.models.list()] == ["openk2-test", "claude-small"]
