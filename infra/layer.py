#!/usr/bin/env python3
"""Builds the layers: the fault proxy for both architectures (target/layer/arm64.zip, target/layer/x86_64.zip), and the chaos handler
for all of them (target/layer/handler.zip).

A layer's root is /opt, so AWS_LAMBDA_EXEC_WRAPPER finds the proxy there. The proxy has no C code, so Rust's linker and Rust's musl
build it for both architectures, on every machine.
"""

from __future__ import annotations

import os
import subprocess
import sys

from binaries import ROOT, TARGETS, TooLarge, add_target, pack, pack_folder, target_directory

NAME = "snapback-proxy"
LAYERS = ROOT / "target" / "layer"
# The chaos handler's folders, as they are in /opt: Lambda has /opt/python in Python's search path
# (lambda/latest/dg/packaging-layers), and Node.js gets the path of the file.
HANDLER = ROOT / "infra" / "handler"
# Every cold start of a target downloads it.
LARGEST_BINARY = 1_200_000


def main(arguments: list[str]) -> int:
    if not set(arguments) <= set(TARGETS):
        print(f"usage: infra/layer.py [{'|'.join(TARGETS)}]...", file=sys.stderr)
        return 2
    architectures = arguments or list(TARGETS)
    print(pack_folder(HANDLER, LAYERS / "handler.zip"))
    print(f"building the fault proxy's layer for {' and '.join(architectures)}; the first time, about a minute", flush=True)
    build([TARGETS[architecture] for architecture in architectures])
    for architecture in architectures:
        binary = target_directory() / TARGETS[architecture] / "layer" / NAME
        try:
            print(pack(binary, NAME, LAYERS / f"{architecture}.zip", LARGEST_BINARY))
        except TooLarge as grown:
            print(f"layer: {grown}", file=sys.stderr)
            return 1
    return 0


def build(targets: list[str]) -> None:
    """Builds the proxy with one command for all targets: the last step of each has one thread, so two run at the same time."""
    environment = dict(os.environ)
    # Only the proxy, without the control plane and the SDKs.
    command = ["cargo", "build", "--profile", "layer", "--locked", "--bin", NAME, "--no-default-features", "--features", "proxy"]
    for target in targets:
        add_target(target)
        environment[f"CARGO_TARGET_{target.upper().replace('-', '_')}_LINKER"] = "rust-lld"
        command += ["--target", target]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except subprocess.CalledProcessError as failure:
        # The command has printed the reason.
        sys.exit(failure.returncode)
