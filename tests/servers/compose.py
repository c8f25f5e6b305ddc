"""compose.py COMPOSE-FILE SCHEMA: checks the compose file where there is no Docker to ask.

Against the compose specification's schema, and for what matters here beyond it: every port is bound to 127.0.0.1, every
server says when it is healthy, the files it mounts are there, and tests/servers/docker.env names the ports it publishes.
"""

import json
import pathlib
import re
import sys

import jsonschema
import yaml

file, schema = map(pathlib.Path, sys.argv[1:])
compose = yaml.safe_load(file.read_text())
errors = [
    f"{'/'.join(map(str, error.absolute_path))}: {error.message}"
    for error in jsonschema.Draft7Validator(json.loads(schema.read_text())).iter_errors(compose)
]

published = set()
for name, service in compose["services"].items():
    for port in service.get("ports", []):
        if found := re.fullmatch(r"127\.0\.0\.1:(\d+):\d+", port):
            if found[1] in published:
                errors.append(f"{name}: port {found[1]} is published twice")
            published.add(found[1])
        else:
            errors.append(f"{name}: port {port} is not bound to 127.0.0.1")
    if "ports" in service and "healthcheck" not in service:
        errors.append(f"{name}: no healthcheck")
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        if not source.startswith("./target/") and not (file.parent / source).exists():
            errors.append(f"{name}: {source} is not there")
    if "build" in service and not (file.parent / service["build"] / "Dockerfile").exists():
        errors.append(f"{name}: no Dockerfile in {service['build']}")

named = set(re.findall(r"127\.0\.0\.1:(\d+)", (file.parent / "tests/servers/docker.env").read_text()))
if named != published:
    errors.append(f"docker.env and the compose file differ in ports: {sorted(named ^ published)}")

rust = re.search(r'rust-version = "([\d.]+)"', (file.parent / "Cargo.toml").read_text())
if rust and f"FROM rust:{rust[1]}-" not in (file.parent / "Dockerfile").read_text():
    errors.append(f"the Dockerfile does not build with Rust {rust[1]}, which Cargo.toml asks for")

for error in errors:
    print(f"{file.name}: {error}")
print(f"{file.name}: {len(compose['services'])} services, {len(errors)} errors")
sys.exit(bool(errors))
