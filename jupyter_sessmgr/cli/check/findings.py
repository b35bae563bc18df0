"""What a check found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    "warn" is something a person should know though kernels run; "fail" is why they do not.
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
    """Give the gravest level among findings; "ok" when there are none."""
    levels = {finding.level for finding in findings}
    return "fail" if "fail" in levels else "warn" if "warn" in levels else "ok"
