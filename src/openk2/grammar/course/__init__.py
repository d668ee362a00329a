"""Outputs being written: one value, a tool section, JSON content, or either of these."""

from openk2.grammar.course.calls_or_content import CallsOrContent
from openk2.grammar.course.content import ContentCourse
from openk2.grammar.course.course import Course
from openk2.grammar.course.course_mask import CourseMask
from openk2.grammar.course.section import ToolSection
from openk2.grammar.course.value_grammar import ValueGrammar, WrittenSchema, written

__all__ = [
    "CallsOrContent",
    "ContentCourse",
    "Course",
    "CourseMask",
    "ToolSection",
    "ValueGrammar",
    "WrittenSchema",
    "written",
]
