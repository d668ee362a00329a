"""`Deployment`: one model, one engine, one planned layout, and where everything listens."""

from dataclasses import dataclass, field
from typing import Protocol

from openk2.deploy.error import DeployError
from openk2.deploy.flags import EngineFlags
from openk2.deploy.model import DeployedModel
from openk2.deploy.words import HEAD, Shell, Word, dns_label, plain_text
from openk2.plan import PlannedLayout, ServingLayout, ServingNode, ServingPlan

EVERYWHERE, HERE = "0.0.0.0", "127.0.0.1"
CONFIG_FOLDER, HUB_CACHE = "/etc/openk2", "/var/cache/huggingface"  # in containers


@dataclass(frozen=True)
class Ports:
    """gateway: for clients. engine: of the first node's HTTP server. group: where the processes of
    several nodes meet. ray: of Ray's head."""

    gateway: int = 8000
    engine: int = 8001
    group: int = 29500
    ray: int = 6379

    def __post_init__(self) -> None:
        ports = (self.gateway, self.engine, self.group, self.ray)
        if len(set(ports)) < len(ports) or not all(0 < port < 65536 for port in ports):
            raise DeployError(
                f"the ports {', '.join(map(str, ports))} must differ and lie between 1 and 65535"
            )


@dataclass(frozen=True)
class NodePlace:
    """Where a command runs. rank: of the node, None where the shell knows it as NODE_RANK. host:
    the address that the engine listens on. config: the path of the engine's own file."""

    rank: int | None = 0
    host: str = HERE
    config: Word = ""

    def node(self, times: int = 1) -> Word:
        """The node's rank, multiplied."""
        if self.rank is not None:
            return str(self.rank * times)
        return Shell("${NODE_RANK}" if times == 1 else f"$((NODE_RANK * {times}))")

    @property
    def is_head(self) -> bool:
        """Whether the HTTP server runs here."""
        return self.rank == 0


class ServingEngine(Protocol):
    """An inference engine. id: as in the command. profile: which of the planner's engines it is
    planned as. kinds: of the planned layouts that it serves. binary: what its image starts."""

    id: str
    profile: str
    kinds: tuple[str, ...]

    def refusal(self, plan: ServingPlan, planned: PlannedLayout) -> str | None:
        """Why it cannot serve this layout or this format, in words; None if it can."""

    def words(self, deployment: "Deployment", place: NodePlace) -> list[Word]:
        """The command of one node."""

    def first_flag(self, deployment: "Deployment") -> int:
        """The place in `words` from which on there are flags only."""

    def file(self, deployment: "Deployment") -> tuple[str, str] | None:
        """Name and text of a file that the command reads; None if it reads none."""
        return None

    def upstream_name(self, model: DeployedModel) -> str:
        """What its API calls the model."""
        return model.name

    def reads_ids(self) -> bool:
        """Whether the gateway may send it token ids."""
        return True

    def image(self, node: ServingNode) -> str | None:
        """The container image of the recorded version; None if none is known for these GPUs."""
        return None


@dataclass(frozen=True)
class Deployment:
    """Everything that files are written from. extra: more flags of the engine.

    flags: what the engine takes. gpu_experts: routed experts of a layer that the plan keeps on the
    GPUs, where the others are in RAM. gateway_image, image: of containers.
    """

    engine: ServingEngine
    model: DeployedModel
    plan: ServingPlan
    planned: PlannedLayout
    flags: EngineFlags
    ports: Ports = field(default_factory=Ports)
    extra: tuple[str, ...] = ()
    gpu_experts: int = 1
    image: str | None = None
    gateway_image: str = "openk2"

    def __post_init__(self) -> None:
        """Raise DeployError for a machine's name that would end a comment in a script."""
        plain_text("the machine's id", self.node.id)

    @property
    def layout(self) -> ServingLayout:
        """Of the planned layout."""
        assert self.planned.layout is not None
        return self.planned.layout

    @property
    def node(self) -> ServingNode:
        """The machine."""
        return self.plan.node

    @property
    def nodes(self) -> int:
        """How many of them."""
        return -(-self.planned.gpus // self.node.gpus)

    @property
    def node_gpus(self) -> int:
        """GPUs that are used of each."""
        return self.planned.gpus // self.nodes

    @property
    def context(self) -> int:
        """Tokens of the longest request, which the plan has room for."""
        return self.plan.demand.context

    @property
    def label(self) -> str:
        """The model's name where only a label may stand."""
        return dns_label(self.model.name)

    @property
    def engine_image(self) -> str | None:
        """The image of the engine's containers."""
        return self.image or self.engine.image(self.node)

    @property
    def amd(self) -> bool:
        """Whether the GPUs are AMD's."""
        return is_amd(self.node)

    @property
    def title(self) -> str:
        """For comments in files."""
        return (
            f"{self.model.name} by {self.engine.id} as {self.planned.name} on {self.nodes} x "
            f"{self.node.id}"
        )

    def command(self, place: NodePlace) -> list[Word]:
        """The engine's command of one node, checked. Raises DeployError."""
        words = self.engine.words(self, place)
        self.flags.check_extra(self.extra, words)
        self.flags.check([*words[self.engine.first_flag(self) :], *self.extra])
        return [*words, *self.extra]

    def gateway(self, upstream: Word, host: str) -> list[Word]:
        """The gateway's command."""
        return gateway_words(
            self.model, self.engine.upstream_name(self.model), upstream,
            ids=self.engine.reads_ids(), host=host, port=self.ports.gateway, context=self.context,
        )  # fmt: skip


def gateway_words(
    model: DeployedModel,
    upstream_name: str,
    upstream: Word,
    *,
    ids: bool,
    host: str,
    port: int,
    context: int,
) -> list[Word]:
    """`openk2 serve --upstream`. ids: whether the engine may be sent token ids.

    K2's prompts, with thoughts or without, are written by the gateway. Other formats are left to
    the engine, since the gateway writes no other model's prompts.
    """
    words: list[Word] = ["openk2", "serve", "--upstream", upstream]
    words += ["--upstream-model", upstream_name]
    if writes_prompts(model, ids=ids):
        words += ["--tokenizer", model.location]
    else:
        words += ["--upstream-mode", "chat"]
    words += ["--context-length", str(context), "--name", model.name]
    return [*words, "--host", host, "--port", str(port)]


def writes_prompts(model: DeployedModel, *, ids: bool) -> bool:
    """Whether the gateway writes the prompts, with the model's tokenizer.

    ids: whether the engine may be sent token ids.
    """
    return ids and model.style.is_k2


def is_amd(node: ServingNode) -> bool:
    """Whether the node's GPUs are AMD's."""
    return node.gpu is not None and node.gpu.is_amd


def head(port: int) -> Shell:
    """A port of the first node."""
    return Shell(f"{HEAD.expression}:{port}")
