"""The Python package as it was built, under the Python that runs the tests."""
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the fixtures of tests/conftest.py

BUILT = Path(os.environ.get("XT_BUILD_DIR", Path(__file__).resolve().parents[2] / "build")).resolve() / "client" / "python"
PYTHON_DIR = os.environ.get("XT_PYTHON_DIR", str(BUILT))  # or where it was installed

sys.path.insert(0, PYTHON_DIR)
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [PYTHON_DIR, os.environ.get("PYTHONPATH", "")]))
