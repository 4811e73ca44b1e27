"""Random descriptions with features of files of 1.x."""

from __future__ import annotations

import random
from dataclasses import dataclass

WORDS = ["apt-get", "install", "echo", "systemctl", "/etc/app.conf", "10.0.0.1", "--flag=on"]
PLAIN = [
    *(
        "yes",
        "no",
        "on",
        "off",
        "y",
        "n",
        "true",
        "false",
        "True",
        "null",
        "~",
        "12:30",
        "12:30:00",
        "0644",
        "0755",
        "NO",
    ),
    *("1_000", "1.10", "1e3", ".5", "0x1F", "0o17", "+5", "-3", "42", "2024-01-01", "22:22", "1.2.3", "text", "v1.10"),
    *(".inf", "08", "0.0.0.0", "5m", "1k"),
]
VALUES = [
    "3",
    "1.10",
    "true",
    "False",
    "yes",
    "off",
    "12:30",
    "text",
    "two words",
    "1e3",
    "0x1F",
    "~",
    "'0644'",
    "-7",
    "v1.10",
    ".5",
]
BLOCKS = [
    "|\n      ssh-rsa AAAA\n\n      BBBB==\n",
    "|\n      one\n      two\n",
    "|-\n      one\n      two\n",
    ">\n      one\n      two\n",
]
EXPRESSIONS = [
    *("variables.a", "variables.b", "variables.c", "variables['d']", "variables.none", "nothing", "infra_name", "name"),
    *("getip(variables.peer)", 'getip("peer")', "cut(infra_id, 0, 4)", "variables.a ~ name", "variables.d | upper"),
]


@dataclass(frozen=True)
class Made:
    """The text of a context template and that of the variables."""

    context_template: str
    variables: str


def made(seed: int) -> Made:
    chance = random.Random(seed)
    lines = [f"{key}:\n{_section(chance)}" for key in chance.sample(["runcmd", "write_files"], 1)]
    variables = {key: chance.choice(VALUES) for key in "abcd"}
    if chance.random() < 0.5:
        variables[chance.choice("abcd")] = chance.choice(BLOCKS).rstrip("\n")
    written = "".join(f"    {key}: {value}\n" for key, value in variables.items())
    return Made("#cloud-config\n" + "".join(lines), f"{written}    peer: peer\n")


def _section(chance: random.Random) -> str:
    return "".join(f"- {_item(chance)}" for _ in range(chance.randrange(1, 5)))


def _item(chance: random.Random) -> str:
    kind = chance.randrange(8)
    if kind == 0:
        return f"[{', '.join(_flow(chance) for _ in range(chance.randrange(1, 5)))}]\n"
    if kind == 1:
        return f"path: /etc/{chance.randrange(9)}\n  permissions: {_plain(chance)}\n  content: {_block(chance)}"
    if kind == 2:
        key = chance.choice(["80", "on", "1.5", "k"])
        return f"name: {_quoted(chance)}\n  value: {_plain(chance)}\n  blank:\n  {key}: {_templated(chance)}\n"
    if kind == 3:
        return f"{_quoted(chance)}\n"
    if kind == 4:
        return _block(chance)
    return f"{_templated(chance) if kind < 7 else _plain(chance)}\n"


def _plain(chance: random.Random) -> str:
    return chance.choice(PLAIN)


def _flow(chance: random.Random) -> str:
    return chance.choice([chance.choice(PLAIN), f"'{_words(chance)}'", "word"])


def _words(chance: random.Random) -> str:
    return " ".join(chance.choice(WORDS) for _ in range(chance.randrange(1, 4)))


def _expression(chance: random.Random) -> str:
    return f"{{{{{chance.choice(['', ' '])}{chance.choice(EXPRESSIONS)} }}}}"


def _templated(chance: random.Random) -> str:
    """A plain scalar with templates in it."""
    parts = [chance.choice(["echo", "ping", "-", "x", "v"]).replace("-", "ls"), _expression(chance), _words(chance)]
    return (
        " ".join(parts[: chance.randrange(2, 4)])
        if chance.random() < 0.7
        else f"{chance.choice('1x')}{_expression(chance)}"
    )


def _quoted(chance: random.Random) -> str:
    text = chance.choice([_expression(chance), f"{_words(chance)} {_expression(chance)}", chance.choice(PLAIN)])
    return (
        f'"{text}\\n"'.replace('"peer"', "variables.peer") if chance.random() < 0.3 else f"'{text}'".replace("''", "'")
    )


def _block(chance: random.Random) -> str:
    body = [
        f"{_words(chance)} {_expression(chance)}",
        _words(chance),
        "{% for i in range(3) %}",
        "  {{i}} {{name}}",
        "{% endfor %}",
    ]
    if chance.random() < 0.5:
        body = [f"key={_expression(chance)}", "", f"{_words(chance)}"]
    lines = "".join(f"    {line}\n" if line else "\n" for line in body)
    return f"{chance.choice(['|', '|-', '>', '|+'])}\n{lines}"
