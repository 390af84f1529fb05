#!/usr/bin/env python3
"""Builds the layers: the fault proxy and its shim for both architectures (target/layer/arm64.zip, target/layer/x86_64.zip), and the
chaos handler for all of them (target/layer/handler.zip).

A layer's root is /opt, so AWS_LAMBDA_EXEC_WRAPPER finds the proxy there. The proxy has no C code, so Rust's linker and Rust's musl
build it for both architectures, on every machine. The shim is loaded into other programs, so it uses their C library. Rust's linker
needs only the names of that one's functions.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from binaries import ROOT, TARGETS, Binary, TooLarge, add_target, pack, pack_folder, target_directory

NAME, SHIM = "snapback-proxy", "snapback-shim.so"
LAYERS = ROOT / "target" / "layer"
# The chaos handler's folders, as they are in /opt: Lambda has /opt/python in Python's search path
# (lambda/latest/dg/packaging-layers), and Node.js gets the path of the file.
HANDLER = ROOT / "infra" / "handler"
# Every cold start of a target downloads it.
LARGEST_PROXY, LARGEST_SHIM = 1_200_000, 60_000
# The names of the C library that the shim uses. Rust passes the last three to the linker, but they have nothing that it needs.
GLIBC, UNUSED = ROOT / "src" / "shim" / "glibc.rs", ("m", "pthread", "rt")


def main(arguments: list[str]) -> int:
    if not set(arguments) <= set(TARGETS):
        print(f"usage: infra/layer.py [{'|'.join(TARGETS)}]...", file=sys.stderr)
        return 2
    architectures = arguments or list(TARGETS)
    print(pack_folder(HANDLER, LAYERS / "handler.zip"))
    print(f"building the fault proxy's layer for {' and '.join(architectures)}; the first time, about a minute", flush=True)
    proxies, shims = [TARGETS[one] for one in architectures], [shim_target(one) for one in architectures]
    for target in (*proxies, *shims):
        add_target(target)
    build_proxy(proxies)
    build_shim(shims)
    for architecture in architectures:
        proxy = Binary(built(TARGETS[architecture], NAME), NAME, LARGEST_PROXY)
        shim = Binary(built(shim_target(architecture), "libsnapback_shim.so"), SHIM, LARGEST_SHIM)
        try:
            print(pack([proxy, shim], LAYERS / f"{architecture}.zip"))
        except TooLarge as grown:
            print(f"layer: {grown}", file=sys.stderr)
            return 1
    return 0


def build_proxy(targets: list[str]) -> None:
    """Builds the proxy with one command for all targets: the last step of each has one thread, so two run at the same time."""
    # Only the proxy, without the control plane and the SDKs.
    only = ["--bin", NAME, "--no-default-features", "--features", "proxy"]
    build(targets, only, {variable(target, "LINKER"): "rust-lld" for target in targets})


def build_shim(targets: list[str]) -> None:
    environment = {}
    for target in targets:
        # A shim that needs a name that its C library lacks is refused here, not in a function.
        link = [f"-L{build_glibc(target)}", "-ldl", "-zdefs"]
        environment[variable(target, "RUSTFLAGS")] = " ".join(["-Clinker=rust-lld", *(f"-Clink-arg={argument}" for argument in link)])
    build(targets, ["--package", "snapback-shim"], environment)


def build_glibc(target: str) -> Path:
    """Builds libraries that have only the names of the functions that the shim may use, and returns their folder."""
    folder = target_directory() / target / "layer" / "glibc"
    folder.mkdir(parents=True, exist_ok=True)
    how = ["--edition=2024", "--crate-type=cdylib", f"--target={target}", "-Cpanic=abort", "-Clinker=rust-lld"]
    for name, file in (("c", "libc.so.6"), ("dl", "libdl.so.2")):
        library = ["--crate-name", name, "--cfg", name, f"-Clink-arg=-soname={file}", "-o", folder / f"lib{name}.so"]
        subprocess.run(["rustc", *how, *library, GLIBC], cwd=ROOT, check=True)
    for name in UNUSED:
        (folder / f"lib{name}.so").write_bytes(b"")
    return folder


def build(targets: list[str], what: list[str], environment: dict[str, str]) -> None:
    command = ["cargo", "build", "--profile", "layer", "--locked", *what]
    for target in targets:
        command += ["--target", target]
    # Flags for all targets, which would take the place of those for one.
    others = {name: value for name, value in os.environ.items() if name not in ("RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS")}
    subprocess.run(command, cwd=ROOT, env=others | environment, check=True)


def built(target: str, file: str) -> Path:
    return target_directory() / target / "layer" / file


def shim_target(architecture: str) -> str:
    return TARGETS[architecture].replace("musl", "gnu")


def variable(target: str, name: str) -> str:
    """Returns the variable with which cargo is configured for one target."""
    return f"CARGO_TARGET_{target.upper().replace('-', '_')}_{name}"


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except subprocess.CalledProcessError as failure:
        # The command has printed the reason.
        sys.exit(failure.returncode)
