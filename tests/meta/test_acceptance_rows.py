"""Every acceptance row that this release promises has a test named after it."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
FAULTS = [
    "I1",
    "I2",
    "I3",
    "I4",
    "I5",
    "I6",
    "I7",
    "I8",
    "I9",
    "P1",
    "P2",
    "P3",
    "P4",
    "P5",
    "P6",
    "P7",
    "P8",
    "P9",
    "P10",
    "D1",
    "D2",
    "D3",
    "D4",
    "D5",
    "D6",
    "D7",
    "D8",
    "D9",
    "D10",
    "D11",
    "D12",
    "D13",
    "D14",
    "D15",
    "D16",
    "C1",
    "C2",
    "C3",
    "C4",
    "C5",
    "C6",
    "C7",
    "C8",
    "C9",
    "C10",
    "S1",
    "S2",
    "S3",
    "S4",
    "S5",
    "S6",
    "S7",
    "S8",
    "T1",
    "T2",
    "T3",
    "T4",
    "T5",
    "T6",
    "T7",
    "T8",
    "T9",
    "T10",
]
THREATS = [
    "A1",
    "A2",
    "A3",
    "A4",
    "A7",
    "B1",
    "B2",
    "B3",
    "B4",
    "B5",
    "C1",
    "C2",
    "C3",
    "C4",
    "C5",
    "C6",
    "D1",
    "D2",
    "D3",
    "E1",
    "E2",
    "E3",
    "E5",
    "E6",
    "E7",
    "E8",
    "E9",
    "E10",
    "E11",
    "E12",
    "F1",
    "F2",
    "F3",
    "F4",
    "F5",
    "F6",
    "F7",
    "F8",
    "F9",
    "F10",
    "F11",
    "G1",
    "G2",
    "G3",
]


def rows_of(folders):
    """Collect the rows that tests in these folders are named after."""
    found = set()
    for folder in folders:
        for path in (TESTS / folder).rglob("test_*.py"):
            names = [path.stem, *re.findall(r"def (test_\w+)\(", path.read_text(encoding="utf-8"))]
            for name in names:
                found.update(
                    re.findall(
                        r"(?<![A-Za-z0-9])([A-Z]\d{1,2})(?![A-Za-z0-9])", name.replace("_", " ")
                    )
                )
    return found


def test_every_fault_has_its_test():
    assert set(FAULTS) - rows_of(["faults", "unit", "contract", "integration"]) == set()


def test_every_threat_has_its_test():
    assert set(THREATS) - rows_of(["security", "browser"]) == set()
