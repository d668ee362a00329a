"""What the notes say that no file says."""

import pytest

from deployed import deployed
from openk2.deploy import ChatStyle, DeployedModel, deployment_notes

OTHER = DeployedModel("organisation/model", "model", ChatStyle.other)
AT_A_PATH = DeployedModel("/models/k2", "k2", ChatStyle.instruct)


@pytest.mark.parametrize(
    ("engine", "model", "needed"),
    [
        ("vllm", None, True),
        ("sglang", None, True),
        ("vllm", AT_A_PATH, False),
        ("vllm", OTHER, False),
        ("tensorrt-llm", None, False),
    ],
)
def test_a_gateway_with_a_tokenizer_of_the_hub_needs_the_extra(
    engine: str, model: DeployedModel | None, needed: bool
) -> None:
    notes = deployment_notes(deployed(engine, "k2", "h200", "TP16", changed=model))
    assert any("openk2[hub]" in note for note in notes) == needed
