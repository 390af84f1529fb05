"""What the shim needs of the programs that load it: no symbol that glibc of Amazon Linux 2 does not have."""

from __future__ import annotations

import struct
import unittest
from pathlib import Path

from stage import TARGET

OLDEST_GLIBC = (2, 26)
LARGEST_BYTES = 60_000
LIBRARIES = {"libc.so.6", "libdl.so.2"}
INTERPOSED = {
    "connect", "getaddrinfo", "gethostbyname", "gethostbyname2", "gethostbyname2_r", "gethostbyname_r", "sendmsg", "sendto",
}  # fmt: skip
# Types of sections (elf(5)).
DYNSYM, VERNEED = 11, 0x6FFFFFFE


class Library:
    """A 64-bit ELF file with the lowest byte first (elf(5))."""

    def __init__(self, file: Path):
        self.bytes = file.read_bytes()
        start, (size, count) = self.read("<Q", 40)[0], self.read("<HH", 58)
        self.sections = [self.read("<IIQQQQIIQQ", start + at * size) for at in range(count)]

    def read(self, form: str, at: int) -> tuple:
        return struct.unpack_from(form, self.bytes, at)

    def of_type(self, kind: int) -> tuple:
        [section] = [section for section in self.sections if section[1] == kind]
        return section

    def text(self, section: tuple, at: int) -> str:
        start = self.sections[section[6]][4] + at
        return self.bytes[start : self.bytes.index(b"\0", start)].decode()

    def needed_versions(self) -> dict[str, set[str]]:
        """Returns the versions that it needs, by library."""
        section = self.of_type(VERNEED)
        needed, at = {}, section[4]
        for _ in range(section[7]):
            _, count, file, first, following = self.read("<HHIII", at)
            versions, inner = set(), at + first
            for _ in range(count):
                _, _, _, name, step = self.read("<IHHII", inner)
                versions.add(self.text(section, name))
                inner += step
            needed[self.text(section, file)] = versions
            at += following
        return needed

    def exported(self) -> set[str]:
        section = self.of_type(DYNSYM)
        symbols = [self.read("<IBBHQQ", section[4] + at) for at in range(0, section[5], 24)]
        return {self.text(section, name) for name, info, _, home, _, _ in symbols if home != 0 and info >> 4 == 1}


class Shim(unittest.TestCase):
    def test_it_loads_on_every_managed_runtime(self) -> None:
        for machine in ["x86_64", "aarch64"]:
            file = TARGET / f"{machine}-unknown-linux-gnu" / "layer" / "libsnapback_shim.so"
            with self.subTest(file=file):
                self.assertTrue(file.exists(), "run `make layer`")
                self.assertLessEqual(file.stat().st_size, LARGEST_BYTES)
                library = Library(file)
                self.assertEqual(library.exported(), INTERPOSED)
                needed = library.needed_versions()
                self.assertEqual(set(needed) - LIBRARIES, set())
                for version in set().union(*needed.values()):
                    name, _, number = version.partition("_")
                    self.assertEqual(name, "GLIBC")
                    self.assertLessEqual(tuple(map(int, number.split("."))), OLDEST_GLIBC)


if __name__ == "__main__":
    unittest.main()
