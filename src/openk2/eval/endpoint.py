"""A model as the command line names it: a URL, a folder or a built-in name, served for the run."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import httpx

from openk2.eval.local_server import local_server
from openk2.eval.model_api import ModelAddress
from openk2.generation import EndpointError, api_root, credentials, error_message


@dataclass
class Endpoints:
    """Opens each model once. serve: options of `openk2 serve` for local ones.

    contexts: tokens of the context of each opened model, where its server says so.
    """

    serve: tuple[str, ...] = ()
    contexts: dict[ModelAddress, int | None] = field(default_factory=dict)
    _opened: dict[str, ModelAddress] = field(default_factory=dict)
    _stack: ExitStack = field(default_factory=ExitStack)

    def open(self, model: str, api_key: str | None = None) -> ModelAddress:
        """The address of `URL`, `URL#MODEL`, a folder or a built-in name. api_key: for this URL
        alone, since a judge may be somebody else's.

        Raises LocalServerError, EndpointError.
        """
        if model not in self._opened:
            url, _, name = model.partition("#")
            if not is_url(model):
                url, name = self._stack.enter_context(local_server(model, *self.serve)), ""
                api_key = None
            address, context = served_model(url, name, api_key)
            self._opened[model] = address
            self.contexts[address] = context
        return self._opened[model]

    def close(self) -> None:
        """Stop the local servers."""
        self._stack.close()


@contextmanager
def endpoints(serve: tuple[str, ...] = ()) -> Iterator[Endpoints]:
    """`Endpoints` whose local servers stop afterwards."""
    opened = Endpoints(serve)
    try:
        yield opened
    finally:
        opened.close()


def is_url(model: str) -> bool:
    """Whether a model is named by its server; otherwise it is served here."""
    return model.startswith(("http://", "https://"))


def served_model(url: str, name: str, api_key: str | None) -> tuple[ModelAddress, int | None]:
    """The address of the model of this name, or of the server's first, and its context's tokens.

    Raises EndpointError for a server that does not answer, and for a name that it has not.
    """
    try:
        response = httpx.get(f"{api_root(url)}/models", headers=credentials(api_key), timeout=30)
        cards = response.json()["data"] if response.status_code == 200 else None
    except httpx.HTTPError as error:
        raise EndpointError(f"cannot reach {url}: {str(error) or type(error).__name__}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise EndpointError(f"{url} lists no models: is it an OpenAI-compatible server?") from error
    if not cards:
        raise EndpointError(
            f"{url} lists no models: HTTP {response.status_code} {error_message(response.text)}",
            response.status_code,
        )
    known = {str(card["id"]): card for card in cards}
    if name and name not in known:
        raise EndpointError(f"{url} has no model {name!r}: it has {', '.join(known)}")
    card = known[name or str(cards[0]["id"])]
    context = card.get("max_model_len")
    return ModelAddress(url, str(card["id"]), api_key), context if type(context) is int else None
