"""MultiPL-E's source file from a chat answer: a whole function, a whole class or only a body.

The tests continue the prompt, which ends inside the function. An answer that repeats the signature
replaces the prompt's own; what closes the function, and a `main` for trying it out, are dropped.
"""

import re

_CLASS = re.compile(r"(?:public\s+)?(?:static\s+)?class\s+Problem\s*\{")
_MAIN = re.compile(
    r"(?:public\s+)?static\s+(?:async\s+)?(?:void|int|Task)\s+[Mm]ain\s*\([^)]*\)\s*\{"
)
# How a line opens the function: a body may call it, which does not make it a whole function.
_SCRIPT = r"^(?:export\s+)?(?:async\s+)?(?:function\s*\*?\s*{name}\b|(?:const|let|var)\s+{name}\b)"
_MEMBER = r"^\s*(?:(?:public|private|protected|static|final)\s+)+[^;={{}}()]*\b{name}\s*\("
_OPENS = {
    "cpp": r"^[A-Za-z_][\w:<>,*&\s\[\]]*[\s*&]{name}\s*\(",
    "java": _MEMBER,
    "csharp": _MEMBER,
    "javascript": _SCRIPT,
    "typescript": _SCRIPT,
    "php": r"^function\s+&?{name}\s*\(",
    "bash": r"^(?:{name}\s*\(\)|function\s+{name}\b)",
}
_CLOSING = re.compile(r"^\s*\}\n")


def whole_program(language: str, prompt: str, answer: str, tests: str) -> tuple[str, str]:
    """(program, tests), which are to be joined in this order."""
    opens = _OPENS[language].format(name=re.escape(function_name(prompt)))
    if not re.search(opens, answer, re.M):
        return prompt + answer, tests
    if language in ("java", "csharp"):
        return _in_class(prompt, answer), _CLOSING.sub("", tests, count=1)
    if language == "cpp":
        # A `main` of the answer's stays legal under another name.
        answer = f"#define main main_of_the_answer\n{answer}\n#undef main\n"
    return _header(prompt) + answer, _CLOSING.sub("\n", tests, count=1)


def function_name(prompt: str) -> str:
    """The function that a prompt leaves open. Raises ValueError if its last line opens none."""
    last = prompt.rstrip().splitlines()[-1]
    found = re.findall(r"([A-Za-z_]\w*)\s*(?:<[^(]*>)?\s*\(", last)
    if not found:
        raise ValueError(f"the prompt's last line, {last!r}, opens no function")
    return str(found[0])


def _header(prompt: str) -> str:
    """Lines before the prompt's comment and function: includes, imports, `<?php`."""
    lines = []
    for line in prompt.splitlines():
        if line.startswith(("//", "# ", "/*", "function", "def ")) or function_opens(line):
            break
        lines.append(line)
    return "\n".join(lines) + "\n"


def function_opens(line: str) -> bool:
    """Whether a line opens a function's body."""
    return line.rstrip().endswith("{") and "(" in line


def _in_class(prompt: str, answer: str) -> str:
    """`class Problem` with the answer's members, left open."""
    found = _CLASS.search(answer)
    head = prompt[: prompt.index("class Problem")]
    if found is None:
        imports, members = _split_imports(answer)
        return f"{imports}{head}class Problem {{\n{_without_main(members)}\n"
    end = _closing_brace(answer, found.end() - 1)
    members = _without_main(answer[found.end() : end])
    before, after = answer[: found.start()], answer[end + 1 :]
    imports, others = _split_imports(before)
    # Other classes of the answer go inside, where Problem can use them all the same.
    nested = "".join(_static(part) for part in (others, after) if "class " in part)
    return f"{imports}{head}class Problem {{\n{members}\n{nested}\n"


def _static(classes: str) -> str:
    return re.sub(r"^(?:public\s+)?class ", "static class ", classes, flags=re.M)


def _split_imports(text: str) -> tuple[str, str]:
    lines = text.splitlines()
    imports = [line for line in lines if re.match(r"\s*(import|using)\s[^(=]*;", line)]
    rest = [line for line in lines if line not in imports]
    return "".join(f"{line}\n" for line in imports), "\n".join(rest)


def _without_main(members: str) -> str:
    found = _MAIN.search(members)
    if found is None:
        return members
    return members[: found.start()] + members[_closing_brace(members, found.end() - 1) + 1 :]


def _closing_brace(text: str, opening: int) -> int:
    """Where the brace at `opening` is closed, strings and comments aside; the end if nowhere."""
    token = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|//[^\n]*|/\*.*?\*/|[{}]', re.S)
    depth = 0
    for found in token.finditer(text, opening):
        depth += {"{": 1, "}": -1}.get(found[0], 0)
        if depth == 0:
            return found.start()
    return len(text)
