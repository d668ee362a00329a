"""The `huggingface_hub` library: imported when it is needed, its errors as one line each."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from openk2.pretrained.error import LocalModelError
from openk2.pretrained.hub.name import HubName

HUB_EXTRA = "pip install 'openk2[hub]'"
LOG_IN = "log in (`hf auth login`, or HF_TOKEN in the environment)"


class HubUnreachableError(LocalModelError):
    """The hub did not answer, or not sensibly; what the cache holds may do."""


def hub_library(name: HubName) -> ModuleType:
    """The imported library. Raises LocalModelError if it is not installed."""
    try:
        import huggingface_hub
    except ImportError as error:
        raise LocalModelError(
            f"{name} is no folder here; to download it from the hub, install huggingface_hub: "
            f"{HUB_EXTRA}"
        ) from error
    return huggingface_hub


def is_offline() -> bool:
    """Whether the user forbids the network: HF_HUB_OFFLINE=1."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def endpoint() -> str:
    """The hub's address: https://huggingface.co, or HF_ENDPOINT."""
    from huggingface_hub import constants

    return str(constants.ENDPOINT)


@contextmanager
def one_line_errors(name: HubName) -> Iterator[None]:
    """What the library raises becomes a LocalModelError of one line, with a remedy."""
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError as error:
        raise LocalModelError(
            f"{name.repository} is gated: accept its terms on {endpoint()}/{name.repository}, "
            f"then {LOG_IN}"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise LocalModelError(
            f"{name.repository} has no revision {name.revision!r} on {endpoint()}: give a branch, "
            "a tag or a commit of it, or none"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise LocalModelError(
            f"{name.repository} is no folder here, and {endpoint()} has no such model or does not "
            f"show it to you: check the spelling; if it is private, {LOG_IN}"
        ) from error
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        if status in (401, 403):
            raise LocalModelError(
                f"{endpoint()} refuses {name} (HTTP {status}): {LOG_IN} as someone who may read it"
            ) from error
        raise HubUnreachableError(f"{endpoint()} answers HTTP {status} for {name}") from error
    except (errors.HTTPError, errors.OfflineModeIsEnabled) as error:  # type: ignore[attr-defined]
        reason = " ".join(str(error).split()) or type(error).__name__
        raise HubUnreachableError(f"{endpoint()} cannot be reached ({reason})") from error
