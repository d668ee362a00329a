"""A resumable map over items: in this process, in several, or over the machines of a Ray cluster.

It knows neither what the items are nor what is done to them. Ray is imported in `on_ray` alone.
"""

from openk2.cluster.jobs import FileJob, finish_jobs
from openk2.cluster.local import LocalProcesses, ThisProcess
from openk2.cluster.on_ray import RayCluster
from openk2.cluster.workers import WorkerError, Workers

__all__ = [
    "FileJob",
    "LocalProcesses",
    "RayCluster",
    "ThisProcess",
    "WorkerError",
    "Workers",
    "finish_jobs",
]
