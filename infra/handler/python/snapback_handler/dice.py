"""Random numbers with a seed, the same as the proxy's for the same seed. Loaded only for a seed."""

MASK = (1 << 64) - 1


def seeded(state, count):
    """Returns a function that returns the next numbers of the generator splitmix64, `count` at a time."""

    def roll():
        nonlocal state
        rolls = []
        for _ in range(count):
            state = mixed = (state + 0x9E3779B97F4A7C15) & MASK
            mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & MASK
            mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & MASK
            rolls.append(mixed ^ (mixed >> 31))
        return rolls

    return roll
