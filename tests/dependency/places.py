"""Where the tests' dependencies are: their names and addresses in the namespace."""

from __future__ import annotations

import cases
import network

CASES = cases.all_cases(cases.CLIENTS)
# The addresses of a fault have its position, from here on. The first ones are what no fault names. Connections that stay open have
# addresses of their own, because Java's HttpClient keeps a connection for all names of an address.
FIRST, FIRST_KEPT = 10, 50
OTHER = network.ipv4(1)
SHOP_V4, SHOP_V6 = network.ipv4(101), network.ipv6(101)
QUIET, BROKEN, SLOW, CUT = 111, 112, 113, 114
PROGRAMS_V4, PROGRAMS_V6 = network.ipv4(121), network.ipv6(121)


def address_of(case: cases.Case) -> str:
    first = FIRST_KEPT if case.is_kept else FIRST
    number = 1 if case.fault == cases.UNNAMED else first + list(cases.FAULTS).index(case.fault)
    return network.ipv4(number) if case.family == 4 else network.ipv6(number)


def both(number: int) -> list[str]:
    return [network.ipv4(number), network.ipv6(number)]


def names() -> dict[str, list[str]]:
    own = {
        "pay.shop.test": [SHOP_V4],
        "six.shop.test": [SHOP_V6],
        "other.test": [OTHER],
        "quiet.edge.test": both(QUIET),
        "broken.edge.test": both(BROKEN),
        "slow.edge.test": both(SLOW),
        "cut.edge.test": both(CUT),
        "gone.edge.test": both(QUIET),
        "later.edge.test": both(QUIET),
        "programs.test": [PROGRAMS_V4, PROGRAMS_V6],
    }
    return own | {case.name: [address_of(case)] for case in CASES}
