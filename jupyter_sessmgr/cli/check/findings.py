"""What a check found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "note", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    "note" is something to know, whatever it is worth; "warn" is something that a person may want
    to change though kernels run; "fail" is why they do not.
    """

    level: Level
    #: What was looked at, in a word or two.
    topic: str
    #: What is so.
    text: str
    #: What to do; "" when nothing is to be done.
    remedy: str = ""

    def as_json(self) -> dict[str, str]:
        """Give what ``--json`` prints."""
        return {
            "level": self.level,
            "topic": self.topic,
            "text": self.text,
            "remedy": self.remedy,
        }


def worst(findings: Iterable[Finding]) -> Level:
    """Give the gravest level among findings; notes are as good as "ok"."""
    levels = {finding.level for finding in findings}
    return "fail" if "fail" in levels else "warn" if "warn" in levels else "ok"
