//! The examples in the help of each command. A test parses each of them. One that is too long for a terminal of 80 columns continues in
//! another line, so that it can be pasted.

/// A line to type, and what it does.
type Example = (&'static str, &'static str);

/// The examples of each command, such as `run` or `schedule add`.
pub(super) const EXAMPLES: &[(&str, &[Example])] = &[
    (
        "check",
        &[
            ("snapback check experiment.yaml", "Validate an experiment."),
            ("snapback check chaos/*.yaml", "Validate all experiments of a folder, in a pipeline for instance."),
            ("snapback check experiment.yaml --print-json >experiment.json", "Turn an experiment into JSON."),
        ],
    ),
    ("compare", &[("snapback compare nightly-1 nightly-2", "Compare two runs.")]),
    (
        "completions",
        &[
            ("snapback completions bash >~/.local/share/bash-completion/completions/snapback", "Bash, for one user."),
            ("snapback completions zsh >~/.zfunc/_snapback", "Zsh, with ~/.zfunc in fpath."),
            ("snapback completions fish >~/.config/fish/completions/snapback.fish", "Fish."),
        ],
    ),
    (
        "history",
        &[("snapback history 'checkout survives throttling' --html history.html", "Draw the times of all its runs.")],
    ),
    (
        "import",
        &[
            ("snapback import fis.json >experiment.yaml", "Turn an AWS FIS experiment template into an experiment."),
            (
                "snapback import parameter.json --from failure-lambda --function checkout",
                "Name the tool, and the function that the file does not name.",
            ),
        ],
    ),
    (
        "init",
        &[
            ("snapback init latency --function checkout >slow.yaml", "Begin an experiment with one fault."),
            ("snapback init poison-message --function worker >poison.yaml", "Begin with a common failure."),
        ],
    ),
    (
        "lever",
        &[
            ("snapback lever engage --reason 'incident 4711'", "End all runs, and start no other."),
            ("snapback lever disengage --reason 'incident 4711 is over'", "Let runs start again."),
        ],
    ),
    (
        "lever disengage",
        &[("snapback lever disengage --reason 'incident 4711 is over'", "Let runs start again, and tell why.")],
    ),
    (
        "lever engage",
        &[
            ("snapback lever engage --reason 'incident 4711'", "End all runs, start no other, and tell why."),
            (
                "snapback lever engage --direct --table TABLE",
                "Do it while the stack is broken; make deploy printed the table's name.",
            ),
        ],
    ),
    (
        "lever show",
        &[
            ("snapback lever show", "See whether runs can start, who moved the lever, and why."),
            ("snapback lever show --json", "Read it in a script."),
        ],
    ),
    (
        "man",
        &[
            ("snapback man run | man -l -", "Read the page of a command."),
            ("snapback man --folder ~/.local/share/man/man1", "Install all pages for one user."),
        ],
    ),
    (
        "plan",
        &[
            ("snapback plan experiment.yaml", "Show what would change."),
            ("snapback plan experiment.yaml --summary plan.md", "Keep it as Markdown for a pull request, too."),
        ],
    ),
    (
        "report",
        &[
            ("snapback report nightly-1 --json", "Read the report of a run in a script."),
            ("snapback report nightly-1 --html report.html", "Write a page with charts, to send around or to print."),
        ],
    ),
    (
        "rollback",
        &[
            ("snapback rollback nightly-1 --reason 'customers complain'", "End a run, and restore its targets."),
            ("snapback rollback --all", "End all runs."),
            (
                "snapback rollback nightly-1 --direct --table TABLE",
                "Restore while the stack is broken; make deploy printed the table's name.",
            ),
        ],
    ),
    (
        "run",
        &[
            ("snapback run experiment.yaml", "Run an experiment; Ctrl-C rolls it back."),
            ("snapback run experiment.yaml --name game-day-1 --reason 'game day'", "Name the run, and tell why."),
            ("snapback run experiment.yaml --json | tail -n 1", "Get the report alone as JSON."),
            ("snapback run experiment.yaml --junit results.xml --timeout PT20M", "Test in a pipeline."),
        ],
    ),
    (
        "schedule",
        &[
            ("snapback schedule add weekly experiment.yaml --rate '7 days'", "Run an experiment once a week."),
            (
                "snapback schedule add nightly experiment.yaml \\\n      --cron '0 3 ? * MON-FRI *' --time-zone Europe/Berlin",
                "Run it at 3 o'clock on working days.",
            ),
            ("snapback schedule list", "List the schedules."),
        ],
    ),
    (
        "schedule add",
        &[
            (
                "snapback schedule add weekly experiment.yaml \\\n      --rate '7 days' --start 2030-01-07T09:00:00Z",
                "Run an experiment once a week, from a date on.",
            ),
            (
                "snapback schedule add nightly experiment.yaml \\\n      --cron '0 3 ? * MON-FRI *' --time-zone Europe/Berlin",
                "Run it at 3 o'clock on working days.",
            ),
            (
                "snapback schedule add game-day experiment.yaml --at 2030-01-07T09:00:00",
                "Run it once, at 9 o'clock UTC.",
            ),
            (
                "snapback schedule add weekly experiment.yaml \\\n      --rate '14 days' --window 60 --replace",
                "Change a schedule: start within an hour, every other week.",
            ),
        ],
    ),
    (
        "schedule list",
        &[
            ("snapback schedule list", "See every schedule, and the outcome of its last start."),
            ("snapback schedule list --json", "Read them in a script."),
        ],
    ),
    ("schedule pause", &[("snapback schedule pause nightly", "Start nothing until the schedule is resumed.")]),
    ("schedule remove", &[("snapback schedule remove nightly", "Delete a schedule.")]),
    ("schedule resume", &[("snapback schedule resume nightly", "Let a paused schedule start runs again.")]),
    ("schedule show", &[("snapback schedule show nightly", "See a schedule, and the outcomes of its latest starts.")]),
    (
        "schema",
        &[
            ("snapback schema >snapback.schema.json", "Let an editor check and complete experiments."),
            ("snapback schema --of report", "Read what report prints as JSON."),
        ],
    ),
    (
        "status",
        &[
            ("snapback status", "See what is active."),
            ("snapback status --outcome refused --since P7D", "See which starts of the last week were refused."),
            ("snapback status nightly-1", "See one run."),
            ("snapback status nightly-1 --watch", "Follow it to its end."),
        ],
    ),
];
