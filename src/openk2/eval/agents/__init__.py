"""Agents in simulated worlds: dialogues with a simulated user, tools, and what is left at the end.

Knows no benchmark's files: `eval/tasks/acebench.py` and `eval/tasks/tau2.py` read those.
"""
