"""Makes Python stubs from proto/ and imports them; none are kept in the repository."""

import importlib
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

PROTO = Path(__file__).resolve().parents[2] / "proto"


def load(*modules):
    """Compiles the whole contract and imports the named modules of `mingpian.v1`."""
    sources = sorted(str(path) for path in PROTO.rglob("*.proto"))
    well_known = files("grpc_tools") / "_proto"
    with tempfile.TemporaryDirectory(prefix="mingpian-stubs-") as out:
        command = ["protoc", f"-I{PROTO}", f"-I{well_known}", f"--python_out={out}"]
        if protoc.main([*command, f"--grpc_python_out={out}", *sources]) != 0:
            sys.exit(f"stubs: protoc refused {PROTO}")
        sys.path.insert(0, out)
        try:
            return [importlib.import_module(f"mingpian.v1.{module}") for module in modules]
        finally:
            sys.path.remove(out)
