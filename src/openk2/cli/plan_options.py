"""The options that `plan serve` and `deploy` share: what a served network is planned for."""

from typing import Annotated

import typer

ThisMachine = Annotated[bool, typer.Option("--this-machine", help="The machine that this runs on.")]
Context = Annotated[
    int | None, typer.Option(min=1, help="Tokens of the longest request. Default: the model's.")
]
Concurrency = Annotated[
    int, typer.Option(min=1, help="Requests of that length that must fit at once.")
]
Cache = Annotated[str, typer.Option(help="Numbers of the latent cache: bf16 or fp8.")]
Utilization = Annotated[
    float | None, typer.Option(help="Share of a GPU's memory that the engine may use.")
]
BatchedTokens = Annotated[int | None, typer.Option(help="Tokens of one forward pass at most.")]
Sequences = Annotated[int | None, typer.Option(help="Requests of one decode step at most.")]
GpuExperts = Annotated[
    int, typer.Option(min=0, help="Experts a layer on the GPUs, the others being in RAM.")
]
