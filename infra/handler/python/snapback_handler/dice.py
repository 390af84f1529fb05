"""Random numbers that percentages and delays are rolled with, the same as the proxy's for the same seed."""

import os

MASK = (1 << 64) - 1


class Dice:
    """Rolls one number of 64 bits for each fault."""

    def __init__(self, seed, count):
        self.state = seed
        self.count = count
        self.roll = self.random if seed is None else self.seeded

    def random(self):
        # From the kernel: environments restored from one snapshot (SnapStart) share all other random state.
        drawn = os.urandom(8 * self.count)
        return [int.from_bytes(drawn[at : at + 8], "little") for at in range(0, len(drawn), 8)]

    def seeded(self):
        """Returns the next numbers of the generator splitmix64."""
        rolls = []
        for _ in range(self.count):
            self.state = mixed = (self.state + 0x9E3779B97F4A7C15) & MASK
            mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & MASK
            mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & MASK
            rolls.append(mixed ^ (mixed >> 31))
        return rolls


def between(least, most, roll):
    """Maps a roll to a number from `least` to `most`."""
    # The upper half is nearly independent of the remainder that decides the percentage.
    return least + (((roll >> 32) * (most - least + 1)) >> 32)
