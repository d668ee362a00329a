"""The model of a run, as inspect_ai's models: always an OpenAI-compatible URL.

Chat goes through inspect's own `openai-api` provider. `CompletionsAPI` is for base models: it
continues a bare prompt, or scores given continuations of it, over /v1/completions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx
from inspect_ai.model import (
    ChatMessage,
    GenerateConfig,
    Model,
    ModelAPI,
    ModelOutput,
    ModelUsage,
    StopReason,
    get_model,
    modelapi,
)
from inspect_ai.tool import ToolChoice, ToolInfo

from openk2.eval.answers.scoring import JUDGE_TOKENS
from openk2.eval.benchmark import Asks, Role
from openk2.eval.loglikelihood import echoed_loglikelihood
from openk2.eval.retrying import RETRIED_STATUSES
from openk2.generation import EndpointError, api_root, credentials, error_message

SERVICE = "openk2"
# The prompts of one question are scored in one request; a long output on a slow CPU takes minutes.
SECONDS = 3600.0
TIMEOUT = httpx.Timeout(SECONDS, connect=30)
TOO_LONG = ("context_length_exceeded", "context length", "maximum model length", "too long")


@dataclass(frozen=True)
class ModelAddress:
    """url: of the API, with or without /v1. model: its name there. api_key: None needs none."""

    url: str
    model: str
    api_key: str | None = None

    def __str__(self) -> str:
        """As `--grader` takes it."""
        return f"{self.url}#{self.model}"


def open_model(address: ModelAddress, asks: Asks = "chat", cap: int | None = None) -> Model:
    """An inspect model that asks this way. Not memoized: it belongs to one event loop.

    cap: output tokens at most, where the one who asks says nothing else.
    """
    if asks == "chat":
        name, key = f"openai-api/{SERVICE}/{address.model}", address.api_key or "none"
    else:
        name, key = f"{SERVICE}-completions/{address.model}", address.api_key or ""
    return get_model(
        name,
        config=GenerateConfig(max_tokens=cap),
        base_url=api_root(address.url),
        api_key=key,
        client_timeout=SECONDS,
        memoize=False,
    )


def open_role(role: Role, address: ModelAddress, context: int | None) -> Model:
    """A further model. context: tokens of its own, None if unknown.

    A grader with a small context gets half of it for its reply: a cap that does not fit beside the
    prompt is refused.
    """
    small = role == "grader" and context is not None and context < 2 * JUDGE_TOKENS
    return open_model(address, cap=context // 2 if small and context else None)


def served_name(name: str) -> str:
    """The id at its server of a model that `open_model` opened, from its name in a log."""
    return name.removeprefix(f"openai-api/{SERVICE}/").removeprefix(f"{SERVICE}-completions/")


@modelapi(name=f"{SERVICE}-completions")
class CompletionsAPI(ModelAPI):
    """Bare prompts over /v1/completions, of our server or vLLM's.

    `generate` continues the text of the only message. With {"continuations": [...]} in the
    config's `extra_body` it scores each after the prompt instead, in one request with echo: the
    output's metadata has the `loglikelihoods`, its text is the likeliest.
    """

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig | None = None,
        **_: Any,
    ) -> None:
        super().__init__(model_name, base_url, api_key, [], config or GenerateConfig())
        headers = credentials(api_key or None)
        self.client = httpx.AsyncClient(base_url=base_url or "", headers=headers, timeout=TIMEOUT)

    async def aclose(self) -> None:
        """Close the connections."""
        await self.client.aclose()

    async def generate(
        self,
        input: list[ChatMessage],
        tools: list[ToolInfo],
        tool_choice: ToolChoice,
        config: GenerateConfig,
    ) -> ModelOutput:
        """See the class. Raises EndpointError for what the server refuses."""
        if len(input) != 1 or tools:
            raise ValueError(f"a completion has one prompt and no tools, not {len(input)} messages")
        continuations = (config.extra_body or {}).get("continuations")
        if continuations is None:
            return await self.continued(input[0].text, config)
        return await self.scored(input[0].text, continuations)

    async def continued(self, prompt: str, config: GenerateConfig) -> ModelOutput:
        """One continuation."""
        wanted = {
            "prompt": prompt,
            "max_tokens": config.max_tokens,
            "temperature": config.temperature,
            "seed": config.seed,
            "stop": config.stop_seqs,
        }
        answer = await self.post({name: v for name, v in wanted.items() if v is not None})
        if answer is None:
            return ModelOutput.from_content(self.model_name, "", stop_reason="model_length")
        choice = answer["choices"][0]
        reason: StopReason = "max_tokens" if choice.get("finish_reason") == "length" else "stop"
        output = ModelOutput.from_content(self.model_name, choice["text"], stop_reason=reason)
        output.usage = usage(answer)
        return output

    async def scored(self, prompt: str, continuations: Sequence[str]) -> ModelOutput:
        """The log-likelihood of each continuation after the prompt."""
        prompts = [prompt + continuation for continuation in continuations]
        body = {"prompt": prompts, "echo": True, "logprobs": 1, "max_tokens": 0, "temperature": 0}
        answer = await self.post(body)
        if answer is None:
            return ModelOutput.from_content(self.model_name, "", stop_reason="model_length")
        choices = sorted(answer["choices"], key=lambda choice: int(choice.get("index", 0)))
        if len(choices) != len(continuations):
            raise EndpointError(f"{len(continuations)} prompts got {len(choices)} choices")
        pairs = zip(choices, continuations, strict=True)
        scores = [echoed_loglikelihood(c.get("logprobs"), prompt, text) for c, text in pairs]
        best = scores.index(max(scores))
        output = ModelOutput.from_content(self.model_name, continuations[best])
        output.usage = usage(answer)
        output.metadata = {"loglikelihoods": scores}
        return output

    async def post(self, body: dict[str, Any]) -> dict[str, Any] | None:
        """The answer; None for a prompt that does not fit in the model's context."""
        body = {"model": self.model_name, **body}
        response = await self.client.post("completions", json=body)
        if response.status_code == 200:
            answer = response.json()
            if isinstance(answer, dict) and answer.get("choices"):
                return answer
            raise EndpointError("/v1/completions answered without choices", 200)
        if response.status_code == 400 and any(sign in response.text for sign in TOO_LONG):
            return None
        message = f"HTTP {response.status_code}: {error_message(response.text)}"
        raise EndpointError(message, response.status_code)

    def should_retry(self, error: BaseException) -> bool:
        """Whether the same request may succeed later: a busy server, a lost connection."""
        if isinstance(error, EndpointError):
            return error.status in RETRIED_STATUSES
        return isinstance(error, httpx.TransportError)

    def connection_key(self) -> str:
        """Requests in flight are counted by server."""
        return str(self.base_url)


def usage(answer: dict[str, Any]) -> ModelUsage | None:
    """The tokens of an answer, if the server counts them."""
    counted = answer.get("usage")
    if not isinstance(counted, dict):
        return None
    sent, written = int(counted["prompt_tokens"]), int(counted.get("completion_tokens") or 0)
    return ModelUsage(input_tokens=sent, output_tokens=written, total_tokens=sent + written)
