"""Small experiments on the report's claims: QK-Clip, sparsity, heads, optimizer (report 2.1, 2.3).

Each study trains small networks with the project's own step, keeps every run, and writes a page
with a table and a plot, whichever way the figures fall.
"""

from openk2.studies.corpus import open_corpus
from openk2.studies.error import StudyError
from openk2.studies.heads import HeadsStudy
from openk2.studies.optimizers import OptimizerStudy
from openk2.studies.page import write_page
from openk2.studies.qk_clip import QKClipStudy
from openk2.studies.run import StudyPlace
from openk2.studies.size import LARGE, SMALL, Size, quick
from openk2.studies.sparsity import SparsityStudy
from openk2.studies.study import Findings, Study, collect

__all__ = [
    "LARGE",
    "SMALL",
    "STUDIES",
    "Findings",
    "HeadsStudy",
    "OptimizerStudy",
    "QKClipStudy",
    "Size",
    "SparsityStudy",
    "Study",
    "StudyError",
    "StudyPlace",
    "collect",
    "open_corpus",
    "quick",
    "write_page",
]

STUDIES: tuple[Study, ...] = (QKClipStudy(), SparsityStudy(), HeadsStudy(), OptimizerStudy())
