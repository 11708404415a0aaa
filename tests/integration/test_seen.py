"""Runs last by its place (see pytest_collection_modifyitems): every method and error code of the protocol's
tables was seen by some test, or stands here with the reason why not."""
import json
import subprocess

import pytest
from conftest import BUILD, SEEN

NOT_PROVOKED = {
    "ok": "is never sent",
    "internal": "is a bug",
    "disk_full": "needs a small file system: test_disk_full mounts one where that is allowed",
    "io_error": "needs a disk that fails",
    "cache_damaged": "LMDB seldom notices: test_cache damages its file, and asks what becomes of it",
    "slow_reader": "the daemon stops reading from such a client long before; logged, not sent",
}


@pytest.mark.seen
def test_every_method_and_error_was_seen(request):
    files = {item.path.name for item in request.session.items}
    if len(files) < 8:
        pytest.skip("only after the whole suite")
    tables = json.loads(subprocess.run([BUILD / "xt-dump", "json"], capture_output=True, check=True).stdout)
    methods = {m["name"] for m in tables["methods"]}
    errors = {e["name"] for e in tables["errors"]}
    assert methods - SEEN == set()
    assert errors - SEEN - set(NOT_PROVOKED) == set()
