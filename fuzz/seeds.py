#!/usr/bin/env python3
"""Writes what real servers sent (tests/golden/pgoutput) into corpus/pgoutput, for the fuzzer to begin with."""

from pathlib import Path

HERE = Path(__file__).parent

corpus = HERE / "corpus" / "pgoutput"
corpus.mkdir(parents=True, exist_ok=True)
for file in sorted((HERE.parent / "tests/golden/pgoutput").glob("*.hex")):
    messages = [bytes.fromhex(line) for line in file.read_text().split()]
    (corpus / file.stem).write_bytes(b"".join(len(message).to_bytes(2, "little") + message for message in messages))
    for number, message in enumerate(messages):
        (corpus / f"{file.stem}-{number}").write_bytes(len(message).to_bytes(2, "little") + message)
