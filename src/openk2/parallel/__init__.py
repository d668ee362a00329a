"""Makes the one-device model run on many, from outside."""

from openk2.parallel.replicas import ALONE, Replicas

__all__ = ["ALONE", "Replicas"]
