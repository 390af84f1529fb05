"""Amounts of money as whole cents, so that sums are exact."""

from decimal import ROUND_HALF_UP, Decimal

CENT = Decimal("0.01")


def parse(amount: str) -> int:
    return int((Decimal(amount) / CENT).to_integral_value(ROUND_HALF_UP))


def add(*cents: int) -> int:
    return sum(cents)


def text(cents: int) -> str:
    return str(Decimal(cents) * CENT)
