"""What the shim needs of the programs that load it: no symbol that glibc of Amazon Linux 2 does not have."""

from __future__ import annotations

import struct
import unittest
from pathlib import Path

from stage import TARGET

LARGEST_BYTES = 60_000
# glibc 2.26 has all of them, on both architectures; getauxval since 2.16 (getauxval(3)), the others from its beginning.
LIBRARIES = ["libc.so.6", "libdl.so.2"]
NEEDED = {"__errno_location", "__h_errno_location", "dlsym", "getauxval", "memcmp", "memcpy", "memset", "strlen"}
INTERPOSED = {
    "connect", "getaddrinfo", "gethostbyname", "gethostbyname2", "gethostbyname2_r", "gethostbyname_r", "sendmmsg", "sendmsg",
    "sendto",
}  # fmt: skip
# Types of sections, and a tag (elf(5)).
DYNAMIC, DYNSYM, VERNEED, NEEDED_LIBRARY = 6, 11, 0x6FFFFFFE, 1


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

    def needed_libraries(self) -> list[str]:
        section = self.of_type(DYNAMIC)
        entries = [self.read("<QQ", section[4] + at) for at in range(0, section[5], 16)]
        return [self.text(section, value) for tag, value in entries if tag == NEEDED_LIBRARY]

    def symbols(self, are_own: bool) -> set[str]:
        """Returns the names of the functions that it has, or of those that it needs."""
        section = self.of_type(DYNSYM)
        symbols = [self.read("<IBBHQQ", section[4] + at) for at in range(24, section[5], 24)]
        return {self.text(section, name) for name, _, _, home, _, _ in symbols if (home != 0) == are_own}


class Shim(unittest.TestCase):
    def test_it_loads_on_every_managed_runtime(self) -> None:
        for machine in ["x86_64", "aarch64"]:
            file = TARGET / f"{machine}-unknown-linux-gnu" / "layer" / "libsnapback_shim.so"
            with self.subTest(file=file):
                self.assertTrue(file.exists(), "run `make layer`")
                self.assertLessEqual(file.stat().st_size, LARGEST_BYTES)
                library = Library(file)
                self.assertEqual(library.symbols(are_own=True), INTERPOSED)
                self.assertEqual(library.needed_libraries(), LIBRARIES)
                self.assertEqual(library.symbols(are_own=False) - NEEDED, set())
                # A version would have to be in the runtime's glibc, too.
                self.assertNotIn(VERNEED, [section[1] for section in library.sections])


if __name__ == "__main__":
    unittest.main()
