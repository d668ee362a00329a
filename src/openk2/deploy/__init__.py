"""From a serving plan to commands and files that launch it: four engines, five launchers.

`openk2 deploy` prints and writes them, and runs vLLM here. No torch. docs/design/deploy.md says
what is checked against what.
"""

from openk2.deploy.deployment import Deployment, NodePlace, Ports, ServingEngine
from openk2.deploy.engines import ENGINES, choose_layout, find_serving_engine
from openk2.deploy.error import DeployError
from openk2.deploy.flags import EngineFlags, recorded_flags
from openk2.deploy.installed_flags import installed_flags
from openk2.deploy.launched import LocalLaunch, StopAsked, hold, stop_signals
from openk2.deploy.model import ChatStyle, DeployedModel, published_model, read_model
from openk2.deploy.report import deployment_dict, deployment_text
from openk2.deploy.running import (
    RunningDeployment,
    find_running,
    forget_running,
    log_file,
    record_running,
    stop_running,
)
from openk2.deploy.words import shell_command
from openk2.deploy.written import deployment_files, deployment_notes, write_files

__all__ = [
    "ENGINES",
    "ChatStyle",
    "DeployError",
    "DeployedModel",
    "Deployment",
    "EngineFlags",
    "LocalLaunch",
    "NodePlace",
    "Ports",
    "RunningDeployment",
    "ServingEngine",
    "StopAsked",
    "choose_layout",
    "deployment_dict",
    "deployment_files",
    "deployment_notes",
    "deployment_text",
    "find_running",
    "find_serving_engine",
    "forget_running",
    "hold",
    "installed_flags",
    "log_file",
    "published_model",
    "read_model",
    "record_running",
    "recorded_flags",
    "shell_command",
    "stop_running",
    "stop_signals",
    "write_files",
]
