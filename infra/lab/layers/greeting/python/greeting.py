"""The greeting of the shop's next release."""

TEXT = "Thank you, and come again"
