"""Which files beside a checkpoint are its licences and notices: they go where the weights go."""

import re

LICENCE = re.compile(r"(?i:([\w-]+[-_])?(licen[cs]e|notice)s?([-_.][\w.-]+)?)(?<!\.csv)(?<!\.py)")
