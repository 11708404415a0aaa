#!/usr/bin/python3
"""report.py RESULT...: adds up what was tested and prints `N passed, N failed` as its last line.

A RESULT is a JUnit file, as pytest and `meson test` write them, or NAME:STATUS, the exit status of a
check that is one test. A file that is missing or holds no test is a failure, and so is a test that was
skipped because a program of ours was not built. Exit status 1 when anything failed.
"""
import re
import sys
import xml.etree.ElementTree as ET


def of_case(case):
    """'passed', 'failed' or 'skipped', and why."""
    for child in case:
        if child.tag in ("failure", "error"):
            return "failed", child.get("message") or ""
    for child in case:
        if child.tag == "skipped":
            why = child.get("message") or ""
            return ("failed" if why.endswith("is not built") else "skipped"), why
    return "passed", ""


def of_file(path):
    """(name, outcome, why) of each test in a JUnit file."""
    try:
        cases = list(ET.parse(path).getroot().iter("testcase"))
    except (OSError, ET.ParseError) as e:
        return [(path, "failed", str(e))]
    if not cases:
        return [(path, "failed", "no test was run")]
    return [(f"{case.get('classname', '')}.{case.get('name')}", *of_case(case)) for case in cases]


def of_result(result):
    check = re.fullmatch(r"([^/]+):(\d+)", result)
    if check:
        name, status = check.groups()
        return [(name, "passed" if status == "0" else "failed", f"exit status {status}")]
    return of_file(result)


def main(results):
    count = {"passed": 0, "failed": 0, "skipped": 0}
    for name, outcome, why in (test for result in results for test in of_result(result)):
        count[outcome] += 1
        if outcome != "passed":
            first = why.strip().splitlines()[0] if why.strip() else ""
            print(f"{outcome}: {name}: {first}"[:200])
    if count["passed"] + count["failed"] == 0:
        print("failed: no test was run")
        count["failed"] = 1
    print(f"{count['passed']} passed, {count['failed']} failed")
    return 1 if count["failed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
