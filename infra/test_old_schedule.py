"""Tests what a deployment does with schedules: those of the stack, and the one of an earlier release."""

from __future__ import annotations

import tempfile
import unittest
import unittest.mock
from pathlib import Path

import deploy
import old_schedule
import test_deploy
from deployed import CommandFailed


class Schedules(test_deploy.Case):
    """A stack of an earlier release has one schedule, by two parameters."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.kept = Path(folder.name) / "package" / "kept.json"
        # The default is bound when the function is defined.
        defaults = unittest.mock.patch.object(old_schedule.carried_over.__wrapped__, "__defaults__", (self.kept,))
        defaults.start()
        self.addCleanup(defaults.stop)

    def account(self, expression: str, experiment: str = '{"name": "n"}') -> test_deploy.Account:
        return test_deploy.Account("UPDATE_COMPLETE", ScheduleExpression=expression, ScheduledExperiment=experiment)

    def test_the_schedule_of_an_earlier_release_is_added_again(self) -> None:
        for expression, option in (("rate(7 days)", "--rate 7 days"), ("cron(0 9 ? * * *)", "--cron 0 9 ? * * *")):
            account = self.account(expression)
            said = self.deploy(account)
            [added] = [call for call in account.typed if call.startswith("schedule add")]
            self.assertEqual(
                added, f"schedule add scheduled-experiment {self.kept} {option} --replace --stack snapback"
            )
            # It is added to the group that the update creates.
            self.assertLess(account.calls.index("cloudformation deploy"), account.calls.index("schedule add"))
            self.assertIn(f"the schedule {expression} is now", said)
            self.assertNotIn("ScheduleExpression", account.overrides)
            self.assertFalse(self.kept.exists())

    def test_a_schedule_that_cannot_be_added_is_not_lost(self) -> None:
        account = self.account("rate(7 days)")
        account.failing = "schedule add"
        with self.assertRaisesRegex(CommandFailed, "its schedule rate\\(7 days\\) is not(?s:.*)snapback schedule add"):
            self.deploy(account)
        self.assertEqual(self.kept.read_text(), '{"name": "n"}')
        self.assertEqual(self.kept.stat().st_mode & 0o777, 0o600)

    def test_a_stack_without_a_schedule_gets_none(self) -> None:
        for account in (test_deploy.Account(), test_deploy.Account("UPDATE_COMPLETE"), self.account(""), self.account("rate(7 days)", "")):
            self.deploy(account)
            self.assertNotIn("schedule add", account.calls)

    def test_another_prefix_is_refused_while_there_are_schedules(self) -> None:
        account = test_deploy.Account("UPDATE_COMPLETE")
        account.schedules = ["nightly", "weekly"]
        with self.assertRaisesRegex(deploy.Refused, "the group of the stack's schedules, nightly, weekly; remove them"):
            self.deploy(account, "Prefix=other")
        self.assert_untouched(account)
        self.deploy(account, "Prefix=snapback")
        account.schedules = []
        self.deploy(account, "Prefix=other")
        self.assertIn("cloudformation deploy", account.calls)


if __name__ == "__main__":
    unittest.main()
