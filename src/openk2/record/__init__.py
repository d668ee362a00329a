"""Records of a run: files that are whole or absent, metrics, tables, plots, the machine.

Nothing here knows what is recorded. matplotlib is imported when a plot is drawn.
"""

from openk2.record.atomic import (
    resume_folder_atomically,
    settled_folder,
    unfinished_folder,
    write_file_atomically,
    write_folder_atomically,
)
from openk2.record.bytes_bar import bytes_bar
from openk2.record.data_error import DataError
from openk2.record.file_sha256 import blob_sha256, file_sha256
from openk2.record.host_memory import available_host_memory
from openk2.record.lock import hold_folder
from openk2.record.machine import describe_machine
from openk2.record.metrics import MetricsLog, read_metrics
from openk2.record.plots import Line, Panel, PlotError, require_plots, svg
from openk2.record.printable import printable
from openk2.record.tables import Table, spread

__all__ = [
    "DataError",
    "Line",
    "MetricsLog",
    "Panel",
    "PlotError",
    "Table",
    "available_host_memory",
    "blob_sha256",
    "bytes_bar",
    "describe_machine",
    "file_sha256",
    "hold_folder",
    "printable",
    "read_metrics",
    "require_plots",
    "resume_folder_atomically",
    "settled_folder",
    "spread",
    "svg",
    "unfinished_folder",
    "write_file_atomically",
    "write_folder_atomically",
]
