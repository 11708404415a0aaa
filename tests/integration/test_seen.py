"""Runs last by its mark (see pytest_collection_modifyitems, and tests/run): every method and error code of the protocol's
tables was seen by some test, or stands here with the reason why not."""
import json
import os
import subprocess
from pathlib import Path

import pytest
from conftest import BUILD, FILES, SEEN

NOT_PROVOKED = {
    "ok": "is never sent",
    "internal": "is a bug",
    "disk_full": "needs a small file system: test_disk_full mounts one where that is allowed",
    "io_error": "needs a disk that fails",
    "cache_damaged": "LMDB seldom notices: test_cache damages its file, and asks what becomes of it",
    "slow_reader": "the daemon stops reading from such a client long before; logged, not sent",
}


def in_all_processes():
    """What was seen, and in which files, by this process and by those whose tests ran before."""
    seen, files = set(SEEN), set(FILES)
    if "XT_SEEN_DIR" in os.environ:
        for path in Path(os.environ["XT_SEEN_DIR"]).iterdir():
            part = json.loads(path.read_text())
            seen.update(part["seen"])
            files.update(part["files"])
    return seen, files


@pytest.mark.seen
def test_every_method_and_error_was_seen():
    seen, files = in_all_processes()
    if len(files) < 8:
        pytest.skip("only after the whole suite")
    tables = json.loads(subprocess.run([BUILD / "xt-dump", "json"], capture_output=True, check=True).stdout)
    methods = {m["name"] for m in tables["methods"]}
    errors = {e["name"] for e in tables["errors"]}
    assert methods - seen == set()
    assert errors - seen - set(NOT_PROVOKED) == set()
