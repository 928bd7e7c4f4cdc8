#!/usr/bin/env python3
"""Prints "PASSED FAILED" for one run of ctest: single GoogleTest cases where there are any.

usage: count_results.py DIRECTORY

DIRECTORY holds ctest.junit, with one entry for each executable or script, and for each GoogleTest
executable NAME that came to its end, NAME.xml with its cases. An entry that failed without a
failed case to show for it (a crash, a timeout, a leak found at exit) counts as one failure.
"""

import os
import sys
import xml.etree.ElementTree as ElementTree


def count_cases(path):
    """Returns (passed, failed) of one GoogleTest report."""
    passed = failed = 0
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        if case.find("failure") is not None:
            failed += 1
        elif case.get("result") == "completed":
            passed += 1
    return passed, failed


def count_entry(entry, directory):
    """Returns (passed, failed) of one ctest entry."""
    status = entry.get("status")
    skipped = entry.find("skipped")
    if status == "disabled":
        return 0, 0
    # A test whose executable is missing is "skipped" to ctest as well.
    if skipped is not None and skipped.get("message", "").startswith("SKIP_"):
        return 0, 0
    ok = status == "run"
    report = os.path.join(directory, entry.get("name") + ".xml")
    if not os.path.exists(report):
        return (1, 0) if ok else (0, 1)
    try:
        passed, failed = count_cases(report)
    except ElementTree.ParseError:
        return 0, 1
    return passed, failed if ok else max(failed, 1)


def main():
    directory = sys.argv[1]
    passed = failed = 0
    for entry in ElementTree.parse(os.path.join(directory, "ctest.junit")).getroot().iter("testcase"):
        entry_passed, entry_failed = count_entry(entry, directory)
        passed += entry_passed
        failed += entry_failed
    print(passed, failed)


if __name__ == "__main__":
    main()
