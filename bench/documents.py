#!/usr/bin/env python3
"""Copies a million documents out of MongoDB (or what speaks its protocol) into Parquet with tidemark and with other tools, in
turns, and prints what each took. README.md beside this file tells the rest."""

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import measure
import tools
from environment import HERE, TABLES
from servers import ROOT

DATABASE = "bench_documents"
SHAPES = ("flat", "wide", "nested", "unordered")
TOOLS = ("tidemark", "rivet", "sling", "dlt", "dlt-arrow")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--documents", type=int, default=1_000_000, help="documents of each collection")
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES), metavar="NAME", help=", ".join(SHAPES))
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="runs of each tool")
    parser.add_argument("--once-above", type=float, metavar="SECONDS", help="do not repeat a tool whose first run took longer")
    parser.add_argument("--timeout", type=float, default=900, metavar="SECONDS", help="end a run that takes longer")
    parser.add_argument("--tools", nargs="+", choices=TOOLS, default=list(TOOLS), metavar="NAME", help=", ".join(TOOLS))
    parser.add_argument("--profile", default="release", help="cargo profile that tidemark is built with")
    parser.add_argument("--bin", type=Path, metavar="PATH", help="use this tidemark instead of building one")
    parser.add_argument("--data", type=Path, metavar="DIR", help="keep the data of the server it starts here, for the next time")
    parser.add_argument("--url", help="a server that is there, in place of one that it starts")
    return parser.parse_args()


def serve(folder: Path, command: str) -> None:
    script = ROOT / "tests" / "servers" / "mongo.sh"
    subprocess.run([str(script), command, str(folder), "27717"], env={**os.environ, "MONGO_ONLY": "1"}, check=True)


def fill(url: str, shape: str, documents: int) -> None:
    subprocess.run([str(TABLES.program("python")), str(HERE / "documents_fill.py"), url, DATABASE, shape, str(documents)], check=True)


def command(tool: str, binary: Path, url: str, shape: str, folder: Path) -> tools.Command:
    whole = url.replace("/?", f"/{DATABASE}?")
    python = str(TABLES.program("python"))
    if tool == "tidemark":
        (folder / "pipeline.conf").write_text(
            f"[source bench]\ntype = mongodb\nurl = {whole}\n[destination lake]\ntype = local\npath = {folder}/out\nformat = parquet\n"
            # In one piece: SecantusDB sorts all of a collection for a sample of its keys, and seeks no range by an index.
            f"[stream copy]\nsource = bench\ndestination = lake\ncollection = {shape}\nchunk_rows = 100000000\n"
        )
        return tools.Command([str(binary), "run", "-c", str(folder / "pipeline.conf")], "out/[!_]*/**/*.parquet")
    if tool == "rivet":
        (folder / "rivet.yaml").write_text(
            "source:\n  type: mongo\n  url_env: DATABASE_URL\n  tls: { mode: disable }\n  tuning:\n    profile: fast\n"
            f"exports:\n  - name: {shape}\n    table: {shape}\n    mode: full\n    format: parquet\n"
            "    destination:\n      type: local\n      path: ./out\n"
        )
        return tools.Command([str(TABLES.program("rivet")), "run", "-c", "rivet.yaml"], f"out/{shape}*.parquet", {"DATABASE_URL": whole})
    if tool == "sling":
        architecture = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
        program = next(TABLES.python.glob(f"lib/python*/site-packages/sling_linux_{architecture}/bin/sling-linux-{architecture}"))
        file = folder / f"{shape}.parquet"
        argv = [str(program), "run", "--src-conn", "SOURCE", "--src-stream", f"{DATABASE}.{shape}", "--tgt-object", f"file://{file}"]
        argv += ["--src-options", "{flatten: true}"]
        env = {"SOURCE": whole, "SLING_DUCKDB_COMPUTE": "false", "SLING_DISABLE_TELEMETRY": "true", "HOME": str(folder)}
        return tools.Command(argv, file.name, env)
    way = "arrow" if tool == "dlt-arrow" else "object"
    argv = [python, str(HERE / "documents_dlt.py"), whole, DATABASE, shape, str(folder), way]
    env = {"RUNTIME__DLTHUB_TELEMETRY": "false", "HOME": str(folder)}
    return tools.Command(argv, f"out/bench/{shape}/*.parquet", env)


def rows(files: list[str]) -> int:
    """As DuckDB counts them."""
    script = "import duckdb,sys; print(duckdb.sql(f'select count(*) from read_parquet({sys.argv[1:]})').fetchall()[0][0])"
    done = subprocess.run([str(TABLES.program("python")), "-c", script, *files], capture_output=True, text=True, check=True)
    return int(done.stdout)


def once(tool: str, chosen: argparse.Namespace, binary: Path, url: str, shape: str) -> measure.Usage | str:
    """What a run took, or why it counts for nothing."""
    with tempfile.TemporaryDirectory(prefix="tidemark-bench.") as name:
        folder = Path(name)
        ask = command(tool, binary, url, shape, folder)
        usage = measure.run(ask.argv, ask.env, folder, folder / "log", chosen.timeout, False)
        if usage.timed_out:
            return f"took more than {chosen.timeout:.0f} s"
        if usage.code:
            lines = (folder / "log").read_text(errors="replace").strip().splitlines()
            return f"failed ({usage.code}): {(lines or [''])[-1][:160]}"
        there = rows([str(path) for path in folder.glob(ask.files)])
        return usage if there == chosen.documents else f"left {there} of {chosen.documents} rows"


def main() -> None:
    chosen = arguments()
    missing = TABLES.install()
    for name, why in missing.items():
        print(f"{name} cannot be had: {why}", file=sys.stderr)
    binary = chosen.bin or tools.build(chosen.profile)
    folder = chosen.data or Path(tempfile.mkdtemp(prefix="tidemark-bench-mongo."))
    if not chosen.url:
        serve(folder / "mongo", "start")
    url = chosen.url or "mongodb://127.0.0.1:27717/?directConnection=true"
    try:
        for shape in chosen.shapes:
            fill(url, shape, chosen.documents)
            took: dict[str, list[measure.Usage]] = {tool: [] for tool in chosen.tools}
            failed: dict[str, str] = {}
            for _ in range(chosen.rounds):
                for tool in chosen.tools:
                    slow = took[tool] and chosen.once_above and took[tool][0].wall > chosen.once_above
                    if tool in failed or slow:
                        continue
                    usage = once(tool, chosen, binary.resolve(), url, shape)
                    if isinstance(usage, str):
                        failed[tool] = usage
                    else:
                        took[tool].append(usage)
            print(f"\n{shape}, {chosen.documents} documents into Parquet ({time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores)")
            print("| tool | seconds | documents/s | CPU s | peak MB | runs |\n|---|---|---|---|---|---|")
            for tool in chosen.tools:
                if runs := took[tool]:
                    wall, cpu = statistics.median(run.wall for run in runs), statistics.median(run.cpu for run in runs)
                    peak = max(run.peak for run in runs) / 1e6
                    print(f"| {tool} | {wall:.2f} | {chosen.documents / wall:,.0f} | {cpu:.2f} | {peak:.0f} | {len(runs)} |")
                else:
                    print(f"| {tool} | {failed.get(tool, 'not run')} | | | | |")
            sys.stdout.flush()
    finally:
        if not chosen.url:
            serve(folder / "mongo", "stop")
        if not chosen.data:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
