"""`--device`: checked before anything is read or built."""

import typer


def require_device(device: str) -> None:
    """End the command with one line and status 1 if torch cannot compute on `device`."""
    import torch

    try:
        kind = torch.device(device)
        if kind.type == "cuda" and not torch.cuda.is_available():
            build = "has no CUDA" if torch.version.cuda is None else "finds no GPU"
            fault = f"torch {torch.__version__} {build}"
        elif kind.type == "cuda" and (kind.index or 0) >= torch.cuda.device_count():
            fault = f"there are {torch.cuda.device_count()} GPUs, counted from 0"
        elif kind.type not in ("cpu", "cuda"):
            fault = "openk2 computes on cpu and cuda"
        else:
            return
    except RuntimeError:
        fault = "it is no device; name cpu, cuda or cuda:1"
    typer.echo(f"error: --device {device}: {fault}", err=True)
    raise typer.Exit(1)
