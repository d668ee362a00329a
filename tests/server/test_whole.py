"""Answers that are sent whole: the JSON of what they hold, written while the server answers on."""

import asyncio
import json

import pytest

from openk2.server.whole import ROWS, whole_json, written


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"a": [], "b": {}, "c": [[], {}, [1]]},
        {"a": None, "b": [True, 1.5, 'é\u2028"\\'], 'q"': {"r": [{"s": "t"}]}},
        {"half a character": "\ud83d"},
    ],
)
def test_the_pieces_are_the_json_of_the_whole(value):
    assert json.loads(written(value)) == value
    assert written(value).isascii()


@pytest.mark.parametrize("count", [0, 1, ROWS, ROWS + 1, 3 * ROWS])
def test_an_iterator_is_written_as_a_list(count):
    rows = [{"row": number, "of": [number]} for number in range(count)]
    assert json.loads(written({"a": iter(rows), "b": [iter(rows)]})) == {"a": rows, "b": [rows]}


def test_other_work_goes_on_while_a_large_answer_is_written():
    row = {"token": "x", "top_logprobs": [{"token": "x", "bytes": [1, 2]}] * 20}
    turns = 0

    async def others():
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async def write():
        task = asyncio.create_task(others())
        response = await whole_json({"content": (row for _ in range(5_000))})
        task.cancel()
        return response

    assert len(json.loads(asyncio.run(write()).body)["content"]) == 5_000
    assert turns > 10
