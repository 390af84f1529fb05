#!/usr/bin/env python3
"""Builds the layers: the fault proxy and its shim for both architectures (target/layer/arm64.zip, target/layer/x86_64.zip), and the
chaos handler for all of them (target/layer/handler.zip).

A layer's root is /opt, so AWS_LAMBDA_EXEC_WRAPPER finds the proxy there. The proxy has no C code, so Rust's linker and Rust's musl
build it for both architectures, on every machine. The shim is loaded into other programs, so it needs their C library, in the oldest
version that a managed runtime has. zig has it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from binaries import ROOT, TARGETS, Binary, TooLarge, add_target, pack, pack_folder, target_directory, zigbuild

NAME, SHIM = "snapback-proxy", "snapback-shim.so"
LAYERS = ROOT / "target" / "layer"
# The chaos handler's folders, as they are in /opt: Lambda has /opt/python in Python's search path
# (lambda/latest/dg/packaging-layers), and Node.js gets the path of the file.
HANDLER = ROOT / "infra" / "handler"
# Every cold start of a target downloads it.
LARGEST_PROXY, LARGEST_SHIM = 1_200_000, 60_000
# Amazon Linux 2 (docs.aws.amazon.com/linux/al2/ug/compare-with-al2023). Rust's targets have another name than its musl ones.
GLIBC = "2.26"


def main(arguments: list[str]) -> int:
    if not set(arguments) <= set(TARGETS):
        print(f"usage: infra/layer.py [{'|'.join(TARGETS)}]...", file=sys.stderr)
        return 2
    architectures = arguments or list(TARGETS)
    print(pack_folder(HANDLER, LAYERS / "handler.zip"))
    print(f"building the fault proxy's layer for {' and '.join(architectures)}; the first time, about a minute", flush=True)
    for architecture in architectures:
        try:
            target = TARGETS[architecture]
            binaries = [Binary(build_proxy(target), NAME, LARGEST_PROXY), Binary(build_shim(target), SHIM, LARGEST_SHIM)]
            print(pack(binaries, LAYERS / f"{architecture}.zip"))
        except TooLarge as grown:
            print(f"layer: {grown}", file=sys.stderr)
            return 1
    return 0


def build_proxy(target: str) -> Path:
    add_target(target)
    environment = dict(os.environ)
    environment[f"CARGO_TARGET_{target.upper().replace('-', '_')}_LINKER"] = "rust-lld"
    # Only the proxy, without the control plane and the SDKs.
    features = ["--no-default-features", "--features", "proxy"]
    command = ["cargo", "build", "--profile", "layer", "--locked", "--bin", NAME, "--target", target, *features]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    return target_directory() / target / "layer" / NAME


def build_shim(musl: str) -> Path:
    target = musl.replace("musl", "gnu")
    add_target(target)
    zigbuild(["--profile", "layer", "--locked", "--package", "snapback-shim", "--target", f"{target}.{GLIBC}"])
    return target_directory() / target / "layer" / "libsnapback_shim.so"


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except subprocess.CalledProcessError as failure:
        # The command has printed the reason.
        sys.exit(failure.returncode)
