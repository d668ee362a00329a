"""Outputs being written: one value, a tool section or JSON content, and a token limit."""

from openk2.grammar.course.bounded import BoundedMask
from openk2.grammar.course.content import ContentCourse
from openk2.grammar.course.course import Course
from openk2.grammar.course.section import ToolSection
from openk2.grammar.course.value_grammar import ValueGrammar

__all__ = ["BoundedMask", "ContentCourse", "Course", "ToolSection", "ValueGrammar"]
