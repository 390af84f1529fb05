"""Which faults an invocation has."""

from snapback_handler.config import ALL
from snapback_handler.dice import Dice


class Choice:
    """Selects faults by percentage, qualifier and conditions."""

    def __init__(self, orders):
        self.faults = orders.faults
        self.dice = Dice(orders.seed, len(orders.faults))

    def due(self, event, context):
        """Returns the faults that are due, each with its roll."""
        return [
            (fault, roll)
            for fault, roll in zip(self.faults, self.dice.roll())
            if roll % ALL < fault.share and is_selected(fault, event, context)
        ]


def is_selected(fault, event, context):
    if fault.qualifier is not None:
        parts = getattr(context, "invoked_function_arn", "").split(":", 7)
        if fault.qualifier != (parts[7] if len(parts) > 7 else "$LATEST"):
            return False
    return all(holds(event) for holds in fault.conditions)
