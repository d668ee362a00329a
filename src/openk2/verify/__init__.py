"""Check any OpenAI-compatible endpoint of Kimi K2: the rules, the test cases and the report.

It uses the conversation format (`chat`) and raw HTTP, and imports no server: ours is checked from
the outside like any other.
"""

from openk2.verify.checks import CHECKS, GROUPS, INTERFACE, NUMERICS, Check
from openk2.verify.outcome import CheckOutcome, CheckResult, Report
from openk2.verify.page import html_page
from openk2.verify.requests_file import (
    RecordedRequest,
    RequestsFileError,
    read_requests,
    requests_check,
)
from openk2.verify.run import UnusableEndpointError, find_model, verify_endpoint
from openk2.verify.table import result_table
from openk2.verify.wire.endpoint import Endpoint, EndpointFault
from openk2.verify.wire.probe import Probe

__all__ = [
    "CHECKS",
    "GROUPS",
    "INTERFACE",
    "NUMERICS",
    "Check",
    "CheckOutcome",
    "CheckResult",
    "Endpoint",
    "EndpointFault",
    "Probe",
    "RecordedRequest",
    "Report",
    "RequestsFileError",
    "UnusableEndpointError",
    "find_model",
    "html_page",
    "read_requests",
    "requests_check",
    "result_table",
    "verify_endpoint",
]
