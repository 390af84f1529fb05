//! The wrapper: how it starts the runtime, and how the proxy lives and ends with the runtime.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::support::{ACCEPTED, Api, PATIENCE, PROXY, config, event};

const NEVER: &str = r#"[{"error":{"percentage":0}}]"#;

/// Returns the wrapper with `sh -c SCRIPT` as its runtime.
fn wrapped(api: &Api, faults: &str, script: &str) -> Command {
    let mut command = wrapper(api, faults);
    command.args(["/bin/sh", "-c", script, "a-name", "an argument"]);
    command
}

/// Returns the wrapper without a runtime.
fn wrapper(api: &Api, faults: &str) -> Command {
    let mut command = Command::new(PROXY);
    command.env("AWS_LAMBDA_RUNTIME_API", api.address().to_string());
    command.env("AWS_LAMBDA_EXEC_WRAPPER", "/opt/snapback-proxy");
    command.env("SNAPBACK_FAULTS", config(faults, Duration::from_secs(600)));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn output(command: &mut Command) -> (Output, String, String) {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, error) = (text(&output.stdout), text(&output.stderr));
    (output, out, error)
}

fn api_of(environment: &str) -> Option<&str> {
    environment.lines().find_map(|line| line.strip_prefix("AWS_LAMBDA_RUNTIME_API="))
}

#[test]
fn the_runtime_has_its_own_environment_and_another_address() {
    let api = Api::new();
    let (done, out, error) = output(&mut wrapped(&api, NEVER, r#"env; echo "arguments=$0:$1:$#""#));
    assert!(done.status.success(), "{error}");
    assert!(out.contains("arguments=a-name:an argument:1"), "{out}");
    let address = api_of(&out).unwrap();
    assert!(address.starts_with("127.0.0.1:") && address != api.address().to_string(), "{address}");
    assert!(!out.contains("SNAPBACK_") && !out.contains("EXEC_WRAPPER"), "{out}");
    assert_eq!(error, "");
}

#[test]
fn a_chained_wrapper_starts_with_the_same_arguments() {
    let api = Api::new();
    // A shell also starts a script without a first line that names its interpreter.
    for (name, first) in [("named", "#!/bin/sh\n"), ("unnamed", "")] {
        let script = std::env::temp_dir().join(format!("snapback-chained-{name}-{}", std::process::id()));
        std::fs::write(&script, format!("{first}echo \"chained: $AWS_LAMBDA_EXEC_WRAPPER: $*\"\nexec \"$@\"\n"))
            .unwrap();
        std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let path = script.to_str().unwrap();
        let mut command = wrapped(&api, NEVER, "echo runs; env");
        let (done, out, error) = output(command.env("SNAPBACK_CHAINED_WRAPPER", path));
        std::fs::remove_file(&script).unwrap();
        assert!(done.status.success(), "{error}");
        assert!(
            out.starts_with(&format!("chained: {path}: /bin/sh -c echo runs; env a-name an argument\nruns\n")),
            "{out}"
        );
        assert!(api_of(&out).is_some_and(|address| address != api.address().to_string()), "{out}");
        assert!(!out.contains("SNAPBACK_"), "{out}");
    }
}

#[test]
fn an_empty_chained_wrapper_is_ignored() {
    let api = Api::new();
    let (done, out, error) = output(wrapped(&api, NEVER, "echo runs").env("SNAPBACK_CHAINED_WRAPPER", ""));
    assert!(done.status.success() && out == "runs\n" && error.is_empty(), "{out}{error}");
}

#[test]
fn arguments_that_are_not_text_keep_their_places() {
    let api = Api::new();
    let odd = OsStr::from_bytes(b"/tmp/snapback-\xff-runtime");
    let _ = std::fs::remove_file(odd);
    std::os::unix::fs::symlink("/bin/echo", odd).unwrap();
    let mut command = wrapper(&api, NEVER);
    command.arg(odd).args(["--version", "--x"]).arg(OsStr::from_bytes(b"\xfe")).arg("--listen");
    let done = command.output().unwrap();
    std::fs::remove_file(odd).unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(done.stdout, b"--version --x \xfe --listen\n", "{}", done.stdout.escape_ascii());
}

#[test]
fn the_runtime_has_the_same_sigpipe_setting_as_without_proxy() {
    let api = Api::new();
    let ignored = |trap: &str, between: &str| {
        let script = format!("{trap} exec {between} /bin/sh -c 'grep SigIgn /proc/self/status'");
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &script]).env("AWS_LAMBDA_RUNTIME_API", api.address().to_string());
        let done = command.env("SNAPBACK_FAULTS", config(NEVER, PATIENCE)).output().unwrap();
        String::from_utf8_lossy(&done.stdout).into_owned()
    };
    for trap in ["", "trap '' PIPE;", "trap '' PIPE USR1;"] {
        assert_eq!(ignored(trap, PROXY), ignored(trap, ""), "{trap}");
    }
    assert_ne!(ignored("trap '' PIPE;", ""), ignored("", ""));
}

/// Reads the first line on stderr.
fn first_line(runtime: &mut Child) -> String {
    let mut line = String::new();
    BufReader::new(runtime.stderr.as_mut().unwrap()).read_line(&mut line).unwrap();
    line
}

#[test]
fn a_runtime_that_talks_to_another_address_is_logged() {
    let api = Api::new();
    let script = "export SECRET=hush AWS_LAMBDA_RUNTIME_API=127.0.0.1:9000; exec sleep 30";
    let mut runtime = wrapped(&api, NEVER, script).spawn().unwrap();
    let line = first_line(&mut runtime);
    runtime.kill().unwrap();
    let mut rest = String::new();
    runtime.stderr.take().unwrap().read_to_string(&mut rest).unwrap();
    runtime.wait().unwrap();
    assert_eq!(line, "snapback-proxy: the runtime talks to 127.0.0.1:9000, not to the proxy; no faults are injected\n");
    assert_eq!(rest, "");
}

#[test]
fn a_runtime_that_asks_for_no_event_is_logged() {
    let api = Api::new();
    let mut runtime = wrapped(&api, NEVER, "exec sleep 30").spawn().unwrap();
    let line = first_line(&mut runtime);
    runtime.kill().unwrap();
    runtime.wait().unwrap();
    assert!(line.contains("has not asked the proxy for an event in 12 s; no faults are injected"), "{line}");
}

#[test]
fn a_runtime_that_asks_for_events_is_not_logged() {
    let api = Api::new();
    let mut runtime = wrapper(&api, NEVER).args(["bash", "-c", ONE_EVENT]).spawn().unwrap();
    let mut peer = api.accept();
    assert!(peer.message().line().starts_with("GET "));
    std::thread::sleep(Duration::from_secs(13));
    runtime.kill().unwrap();
    assert_eq!(first_line(&mut runtime), "");
    runtime.wait().unwrap();
}

#[test]
fn init_rolls_for_each_environment_despite_a_seed() {
    let api = Api::new();
    let faults = r#"[{"init":{"delayMs":0,"percentage":50}}]"#;
    let hit: Vec<bool> = (0..40).map(|_| output(&mut wrapped(&api, faults, "true")).1.contains("init")).collect();
    assert!(hit.contains(&true) && hit.contains(&false), "{hit:?}");
}

#[test]
fn without_anything_to_inject_the_runtime_starts_directly() {
    let api = Api::new();
    let direct = api.address().to_string();
    for (faults, expected) in [("[]", ""), (r#"[{"init":{"delayMs":1}}]"#, "")] {
        let (_, out, error) = output(&mut wrapped(&api, faults, "env"));
        assert_eq!((api_of(&out), error.as_str()), (Some(direct.as_str()), expected), "{faults}");
    }
    let past = config(NEVER, Duration::ZERO);
    let (_, out, error) = output(wrapped(&api, NEVER, "env").env("SNAPBACK_FAULTS", past));
    assert_eq!((api_of(&out), error.as_str()), (Some(direct.as_str()), ""));
}

#[test]
fn on_any_error_the_runtime_starts_directly_with_one_log_line() {
    let api = Api::new();
    for (variable, value, expected) in [
        ("SNAPBACK_FAULTS", "{", "SNAPBACK_FAULTS cannot be read"),
        ("SNAPBACK_FAULTS", r#"{"until":1,"experiment":"","run":""}"#, "missing field `faults`"),
        ("AWS_LAMBDA_RUNTIME_API", "nowhere", "AWS_LAMBDA_RUNTIME_API is `nowhere`"),
    ] {
        let (done, out, error) = output(wrapped(&api, NEVER, "echo runs").env(variable, value));
        assert!(done.status.success());
        assert_eq!((out.as_str(), error.lines().count()), ("runs\n", 1), "{value}: {error}");
        assert!(error.contains(expected) && error.contains("the runtime starts without faults"), "{error}");
    }
    let (_, out, error) = output(wrapped(&api, NEVER, "echo runs").env_remove("SNAPBACK_FAULTS"));
    assert!(out == "runs\n" && error.contains("SNAPBACK_FAULTS is not set"), "{out}{error}");
}

#[test]
fn unknown_faults_are_logged_once_and_the_rest_is_injected() {
    let api = Api::new();
    let faults = r#"[{"init":{"delayMs":60000,"once":true}},{"melt":{}},{"init":{"delayMs":200}}]"#;
    let text = config(faults, Duration::from_secs(60)).replacen('{', r#"{"mood":"good","#, 1);
    let began = Instant::now();
    let (_, out, error) = output(wrapped(&api, NEVER, "echo runs").env("SNAPBACK_FAULTS", text));
    let expected = Duration::from_millis(200)..Duration::from_secs(60);
    assert!(expected.contains(&began.elapsed()) && out.ends_with("runs\n"), "{out}");
    let log: Vec<_> = error.lines().collect();
    assert_eq!(log.len(), 3, "{error}");
    for (line, part) in log.iter().zip(["`mood`", "faults[0].init: unknown field `once`", "faults[1].melt"]) {
        assert!(line.contains(part) && line.ends_with("; ignored"), "{line}");
    }
}

#[test]
fn the_runtime_has_no_child_or_descriptor_of_the_proxy() {
    let api = Api::new();
    // sh and ls open the same descriptors without the proxy.
    let script = "cat /proc/$$/task/$$/children; echo; exec ls -l /proc/self/fd";
    let mut alone = Command::new("/bin/sh");
    let (_, without, _) =
        output(alone.args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()));
    let (_, with, _) = output(&mut wrapped(&api, NEVER, script));
    let lines = |text: &str| text.lines().count();
    assert_eq!(lines(&with), lines(&without), "{with}\n{without}");
    assert!(!with.contains("socket:") && !with.contains("pidfd"), "{with}");
}

/// Returns the processes of the proxy in this process group.
fn proxies(group: u32) -> Vec<u32> {
    let processes =
        std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    let proxies = processes.filter(|pid: &u32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields: Vec<&str> = status.rsplit(") ").next().unwrap_or("").split(' ').collect();
        // The fields are state, parent, group. A zombie does not count.
        status.contains("(snapback-proxy)")
            && fields.first() != Some(&"Z")
            && fields.get(2) == Some(&group.to_string().as_str())
    });
    proxies.collect()
}

/// Waits until the condition holds, and fails with `otherwise` if it does not.
fn wait_until(otherwise: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "{otherwise}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Starts a runtime that prints `up` and runs until its stdin ends. It has its own process group, by which it can be
/// found.
fn waiting(api: &Api) -> Child {
    let mut command = wrapped(api, NEVER, "echo up; read line");
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut runtime = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(runtime.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "up\n");
    runtime
}

#[test]
fn the_proxy_stays_in_the_runtimes_group_and_ends_with_it() {
    let api = Api::new();
    for kill in [false, true] {
        let mut runtime = waiting(&api);
        let group = runtime.id();
        assert_eq!(proxies(group).len(), 1);
        if kill {
            runtime.kill().unwrap();
        } else {
            drop(runtime.stdin.take());
        }
        runtime.wait().unwrap();
        wait_until("the proxy outlives the runtime", || proxies(group).is_empty());
    }
}

#[test]
fn the_proxy_closes_all_descriptors_except_its_own() {
    let api = Api::new();
    let file = std::env::temp_dir().join(format!("snapback-telemetry-{}", std::process::id()));
    // The shell's descriptor 7 plays the part of Lambda's telemetry descriptor, which stays open on exec.
    let config = config(NEVER, Duration::from_secs(60));
    let script = format!("exec 7>{}; exec {PROXY} /bin/sh -c 'echo up >&7; echo up; read line'", file.display());
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", &script])
        .env("AWS_LAMBDA_RUNTIME_API", api.address().to_string())
        .env("SNAPBACK_FAULTS", config);
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut runtime = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    BufReader::new(runtime.stdout.as_mut().unwrap()).read_line(&mut String::new()).unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "up\n", "the runtime has the descriptor");
    let proxy = proxies(runtime.id())[0];
    let open: Vec<String> = std::fs::read_dir(format!("/proc/{proxy}/fd"))
        .unwrap()
        .filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok())
        .map(|target| target.display().to_string())
        .collect();
    std::fs::remove_file(&file).unwrap();
    drop(runtime.stdin.take());
    runtime.wait().unwrap();
    assert!(!open.contains(&file.display().to_string()), "{open:?}");
}

#[test]
fn a_signal_to_the_group_does_not_end_the_proxy() {
    let api = Api::new();
    let mut runtime = waiting(&api);
    let group = runtime.id();
    let proxy = proxies(group)[0];
    assert!(Command::new("kill").args(["-TERM", &proxy.to_string()]).status().unwrap().success());
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(proxies(group), [proxy]);
    drop(runtime.stdin.take());
    runtime.wait().unwrap();
    wait_until("the proxy outlives the runtime", || proxies(group).is_empty());
}

#[test]
fn init_delays_the_start_of_the_runtime() {
    let api = Api::new();
    let began = Instant::now();
    let (_, out, _) = output(&mut wrapped(&api, r#"[{"init":{"delayMs":300}}]"#, "echo runs"));
    assert!(began.elapsed() >= Duration::from_millis(300));
    let (metric, rest) = out.split_once('\n').unwrap();
    let metric: serde_json::Value = serde_json::from_str(metric).unwrap();
    assert_eq!((&metric["Fault"], &metric["InjectedDelay"], rest), (&"init".into(), &300.into(), "runs\n"));
}

#[test]
fn a_failed_init_is_reported_as_a_runtime_reports_it() {
    let api = Api::new();
    let mut command = wrapped(&api, r#"[{"init":{"fail":{"type":"No.Secrets","message":"none"}}}]"#, "echo runs");
    let runtime = command.spawn().unwrap();
    let mut peer = api.accept();
    let error = peer.message();
    assert_eq!(error.line(), "POST /2018-06-01/runtime/init/error HTTP/1.1");
    assert_eq!(error.header("lambda-runtime-function-error-type"), Some("No.Secrets"));
    assert_eq!(error.json()["errorMessage"], "none");
    peer.send(ACCEPTED);
    let done = runtime.wait_with_output().unwrap();
    assert!(!done.status.success());
    assert!(!String::from_utf8_lossy(&done.stdout).contains("runs"));
}

/// A runtime in bash: it asks for one event over a socket, prints the first line of the response, and then `survived`
/// unless it is killed.
const ONE_EVENT: &str = r#"
    IFS=: read -r host port <<<"$AWS_LAMBDA_RUNTIME_API"
    exec 9<>"/dev/tcp/$host/$port"
    printf 'GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n' >&9
    read -r line <&9; echo "$line"
    while read -r -t 20 -u 9 line; do :; done; echo survived"#;

#[test]
fn exit_kills_the_runtime_during_an_invocation() {
    let api = Api::new();
    let mut command = wrapper(&api, r#"[{"exit":{"delayMs":50}}]"#);
    let mut runtime = command.args(["bash", "-c", ONE_EVENT]).spawn().unwrap();
    let mut peer = api.accept();
    assert!(peer.message().line().starts_with("GET "));
    peer.send(event("a-1", "{}"));
    let mut out = String::new();
    runtime.stdout.as_mut().unwrap().read_to_string(&mut out).unwrap();
    let status = runtime.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
    assert!(out.contains("HTTP/1.1 200 OK") && out.contains(r#""Fault":"exit""#) && !out.contains("survived"), "{out}");
}

#[test]
fn invalid_arguments_and_faults_are_refused_standalone() {
    let run = |arguments: &[&str], faults: &str| {
        let mut command = Command::new(PROXY);
        command
            .args(arguments)
            .env("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:1")
            .env("SNAPBACK_FAULTS", config(faults, PATIENCE));
        let done = command.output().unwrap();
        (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
    };
    for (arguments, faults, expected) in [
        (&["--listen", "127.0.0.1:0"][..], r#"[{"exit":{}}]"#, "there is no runtime standalone"),
        (
            &["--listen", "127.0.0.1:0"],
            r#"[{"dependency":{"hosts":["db.shop"],"refuse":true}}]"#,
            "there is no runtime standalone",
        ),
        (&["--listen", "0.0.0.0:0"], "[]", "write 127.0.0.1:PORT"),
        (&["--listen", "here"], "[]", "--listen is `here`"),
        (&["--lisen", "127.0.0.1:0"], "[]", "usage:"),
        (&[], "[]", "usage:"),
    ] {
        let (code, error) = run(arguments, faults);
        assert!(code == Some(2) && error.contains(expected), "{arguments:?}: {code:?} {error}");
    }
}
