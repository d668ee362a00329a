"""instructor: its modes, and a cut output is reported as cut."""

from collections.abc import Iterable, Iterator

import instructor
import openai
import pytest
from cities import QUESTION, Place, Weather
from instructor.core.exceptions import IncompleteOutputException
from pydantic import BaseModel

from conftest import MODEL

ASKED = {"model": MODEL, "messages": [{"role": "user", "content": QUESTION}], "temperature": 0}
STRICT = {"strict": True}
MODES = [instructor.Mode.TOOLS_STRICT, instructor.Mode.TOOLS, instructor.Mode.JSON_SCHEMA]


class Named(BaseModel):
    """Its shortest instance fits where the tests cut; what the model writes may not."""

    name: str


@pytest.fixture
def plain(v1: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=v1, api_key="none", max_retries=0) as client:
        yield client


@pytest.mark.parametrize("mode", MODES)
def test_an_answer_is_of_its_class(plain: openai.OpenAI, mode: instructor.Mode) -> None:
    client = instructor.from_openai(plain, mode=mode)
    assert isinstance(client.create(response_model=Place, max_retries=0, **ASKED), Place)


@pytest.mark.parametrize("most", [16, 17, 18])
@pytest.mark.parametrize("mode", MODES)
def test_a_cut_answer_raises(plain: openai.OpenAI, mode: instructor.Mode, most: int) -> None:
    client = instructor.from_openai(plain, mode=mode)
    try:
        answer, raw = client.create_with_completion(
            response_model=Named, max_retries=0, max_tokens=most, **ASKED
        )
    except IncompleteOutputException:
        return
    assert isinstance(answer, Named)
    assert raw.choices[0].finish_reason in ("stop", "tool_calls")


def test_parallel_tools_are_of_their_classes(plain: openai.OpenAI) -> None:
    client = instructor.from_openai(plain, mode=instructor.Mode.PARALLEL_TOOLS)
    answers = list(client.create(response_model=Iterable[Weather | Place], max_retries=0, **ASKED))
    assert all(isinstance(answer, (Weather, Place)) for answer in answers)
