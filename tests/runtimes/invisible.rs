//! A runtime can detect the proxy only by the address of the Runtime API.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::launch::{Kind, Launch};
use super::processes;
use super::runtime_api::{Event, RuntimeApi};

#[test]
fn a_process_starts_the_same_as_without_the_proxy() {
    for kind in Kind::ALL {
        let faults = || json!([{ "latency": { "delayMs": 1 } }]);
        let (direct, address) = observe(&Launch::direct(kind));
        let (mut proxied, api) = observe(&Launch::faulty(kind, faults()));
        let proxy = take(&mut proxied, "AWS_LAMBDA_RUNTIME_API");
        assert_ne!(proxy, json!(api), "{kind:?}: the runtime does not use the proxy");
        let mut expected = direct.clone();
        assert_eq!(take(&mut expected, "AWS_LAMBDA_RUNTIME_API"), json!(address));
        assert_eq!(proxied, expected, "{kind:?}");
        assert_eq!(proxied["children"], json!([]), "{kind:?}");
    }
}

/// The wrapper of another extension stays in effect.
#[test]
fn a_previous_wrapper_is_chained() {
    for kind in Kind::ALL {
        let record = Temporary::new(&format!("record-{kind:?}"), "");
        let wrapper = wrapper(kind, &record);
        let launch = Launch::faulty(kind, json!([{ "latency": { "delayMs": 1 } }])).chained(wrapper.0.clone());
        let (mut proxied, _) = observe(&launch);
        let (mut direct, _) = observe(&Launch::direct(kind));
        let (address, _) = (take(&mut proxied, "AWS_LAMBDA_RUNTIME_API"), take(&mut direct, "AWS_LAMBDA_RUNTIME_API"));
        assert_eq!(take(&mut proxied, "AWS_LAMBDA_EXEC_WRAPPER"), json!(wrapper.0), "{kind:?}");
        assert_eq!(take(&mut proxied, "WRAPPED"), "yes", "{kind:?}");
        // The shell that runs the wrapper sets this.
        take(&mut proxied, "PWD");
        assert_eq!(proxied, direct, "{kind:?}");
        let mut words: Vec<_> =
            kind.command("function.handler").into_iter().map(|word| word.into_string().unwrap()).collect();
        words.push(address.as_str().unwrap().to_owned());
        let lines = fs::read_to_string(&record.0).unwrap();
        assert_eq!(
            lines.lines().collect::<Vec<_>>(),
            words,
            "{kind:?}: the wrapper's arguments, and the proxy's address"
        );
    }
}

/// One of the descriptors that the proxy must close is the one that a runtime writes its log to.
#[test]
fn the_proxy_closes_the_descriptors_of_the_runtime() {
    for kind in Kind::ALL {
        let log = Temporary::new(&format!("telemetry-{kind:?}"), "");
        let api = RuntimeApi::start();
        let launch = Launch::faulty(kind, json!([{ "latency": { "delayMs": 1 } }])).telemetry(log.0.clone());
        let running = launch.start(&api);
        api.offer(Event::new("one", &json!({ "do": "inspect" })));
        let descriptors = api.result("one").message.json()["descriptors"].clone();
        assert!(
            descriptors.as_array().unwrap().contains(&json!(log.0)),
            "{kind:?}: the runtime does not have the descriptor"
        );
        if let Kind::NodeJs | Kind::NodeJsAlternative = kind {
            assert!(
                String::from_utf8_lossy(&fs::read(&log.0).unwrap()).contains("handled"),
                "{kind:?}: the runtime does not use the descriptor"
            );
        }
        let proxy = processes::proxy(running.leader()).expect("there is no proxy");
        let streams = fs::read_link(format!("/proc/{}/fd/1", running.leader())).unwrap();
        let kept: Vec<PathBuf> = fs::read_dir(format!("/proc/{proxy}/fd"))
            .unwrap()
            .filter_map(|descriptor| fs::read_link(descriptor.ok()?.path()).ok())
            .filter(|target| *target != streams && target != Path::new("/dev/null"))
            .collect();
        let own = |target: &&PathBuf| {
            let text = target.to_string_lossy();
            ["socket:", "anon_inode:[eventpoll]", "anon_inode:[eventfd]", "anon_inode:[pidfd]"]
                .iter()
                .any(|kind| text.starts_with(kind))
        };
        assert_eq!(kept.iter().filter(|target| !own(target)).collect::<Vec<_>>(), [""; 0], "{kind:?}");
        running.stop();
    }
}

#[test]
fn with_an_unreadable_configuration_the_runtime_is_unchanged() {
    for kind in Kind::ALL {
        let (direct, address) = observe(&Launch::direct(kind));
        for (config, expected) in [("{}", "missing field"), ("[", "cannot be read"), ("", "cannot be read")] {
            let api = RuntimeApi::start();
            let running = Launch::configured(kind, config.to_owned()).start(&api);
            let mut observed = observe_invocation(&api);
            assert_eq!(observed["environment"]["AWS_LAMBDA_RUNTIME_API"], api.address(), "{kind:?}");
            observed["environment"]["AWS_LAMBDA_RUNTIME_API"] = json!(address);
            assert_eq!(observed, direct, "{kind:?}: {config}");
            let output = running.output();
            let log: Vec<_> = output.lines().filter(|line| line.starts_with("snapback-proxy: ")).collect();
            assert!(log.len() == 1 && log[0].contains(expected), "{kind:?}: {log:?}");
            assert_eq!(processes::group(running.leader()), [running.leader()], "{kind:?}: there is a proxy");
            running.stop();
        }
    }
}

/// Returns what a handler observes about its process, and the address of the Runtime API.
fn observe(launch: &Launch) -> (Map<String, Value>, String) {
    let api = RuntimeApi::start();
    let running = launch.start(&api);
    let observed = observe_invocation(&api);
    running.stop();
    (observed, api.address())
}

/// Returns what a handler observes, without the values that differ from one start to the next.
fn observe_invocation(api: &RuntimeApi) -> Map<String, Value> {
    // Use the second invocation, when all connections have been opened.
    for id in ["first", "second"] {
        api.offer(Event::new(id, &json!({ "do": "inspect" })));
        api.result(id);
    }
    let observed = api.result("second").message.json();
    let Value::Object(mut observed) = observed else { panic!("{observed}") };
    observed["status"] = inherited(observed["status"].as_str().unwrap()).into();
    let descriptors = observed["descriptors"].as_array().unwrap();
    let comparable = descriptors.iter().filter_map(Value::as_str).filter(|target| !target.starts_with("/proc/"));
    observed["descriptors"] = comparable.map(without_number).collect::<Vec<_>>().into();
    observed["descriptors"].as_array_mut().unwrap().sort_by_key(ToString::to_string);
    observed
}

/// Returns the lines of a process's status that it inherits from the process that starts it.
fn inherited(status: &str) -> Vec<&str> {
    let names =
        BTreeSet::from(["Umask", "PPid", "SigBlk", "SigIgn", "NoNewPrivs", "Seccomp", "Cpus_allowed", "CapEff"]);
    status.lines().filter(|line| line.split_once(':').is_some_and(|(name, _)| names.contains(name))).collect()
}

/// Removes the digits, because `socket:[1234]` and the name of an output file have another number each time.
fn without_number(target: &str) -> String {
    target.chars().filter(|letter| !letter.is_ascii_digit()).collect()
}

fn take(observed: &mut Map<String, Value>, variable: &str) -> Value {
    observed["environment"].as_object_mut().unwrap().remove(variable).unwrap_or_default()
}

/// Creates a wrapper like those of other extensions. It records its arguments.
fn wrapper(kind: Kind, record: &Temporary) -> Temporary {
    let script = format!(
        "#!/bin/sh\nprintf '%s\\n' \"$@\" \"$AWS_LAMBDA_RUNTIME_API\" >'{}'\nexport WRAPPED=yes\nexec \"$@\"\n",
        record.0.display()
    );
    let wrapper = Temporary::new(&format!("wrapper-{kind:?}"), &script);
    fs::set_permissions(&wrapper.0, Permissions::from_mode(0o755)).unwrap();
    wrapper
}

/// A file that is removed at the end of the test.
struct Temporary(PathBuf);

impl Temporary {
    fn new(name: &str, text: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        fs::write(&path, text).unwrap();
        Self(path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
