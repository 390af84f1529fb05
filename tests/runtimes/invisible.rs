//! A runtime behind the proxy cannot tell, but by the address of the Runtime API.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::launch::{Kind, Launch};
use super::processes;
use super::runtime_api::{Event, RuntimeApi};

#[test]
fn a_process_is_started_as_without_it() {
    for kind in Kind::ALL {
        let faults = || json!([{ "latency": { "delayMs": 1 } }]);
        let (direct, address) = look(&Launch::direct(kind));
        let (mut behind, api) = look(&Launch::faulty(kind, faults()));
        let proxy = take(&mut behind, "AWS_LAMBDA_RUNTIME_API");
        assert_ne!(proxy, json!(api), "{kind:?}: the proxy stands between them");
        let mut expected = direct.clone();
        assert_eq!(take(&mut expected, "AWS_LAMBDA_RUNTIME_API"), json!(address));
        assert_eq!(behind, expected, "{kind:?}");
        assert_eq!(behind["children"], json!([]), "{kind:?}");
    }
}

/// Where an extension of somebody else's was before us, it stays.
#[test]
fn a_wrapper_that_was_there_before_is_chained() {
    for kind in Kind::ALL {
        let said = Temporary::new(&format!("said-{kind:?}"), "");
        let wrapper = wrapper(kind, &said);
        let launch = Launch::faulty(kind, json!([{ "latency": { "delayMs": 1 } }])).chained(wrapper.0.clone());
        let (mut behind, _) = look(&launch);
        let (mut direct, _) = look(&Launch::direct(kind));
        let (address, _) = (take(&mut behind, "AWS_LAMBDA_RUNTIME_API"), take(&mut direct, "AWS_LAMBDA_RUNTIME_API"));
        assert_eq!(take(&mut behind, "AWS_LAMBDA_EXEC_WRAPPER"), json!(wrapper.0), "{kind:?}");
        assert_eq!(take(&mut behind, "WRAPPED"), "yes", "{kind:?}");
        // The shell's own, that the wrapper is written for.
        take(&mut behind, "PWD");
        assert_eq!(behind, direct, "{kind:?}");
        let mut words: Vec<_> =
            kind.command("function.handler").into_iter().map(|word| word.into_string().unwrap()).collect();
        words.push(address.as_str().unwrap().to_owned());
        let lines = fs::read_to_string(&said.0).unwrap();
        assert_eq!(lines.lines().collect::<Vec<_>>(), words, "{kind:?}: its arguments, and the proxy's address");
    }
}

/// Among what it could keep is the descriptor that a runtime writes its log to.
#[test]
fn the_proxy_keeps_nothing_of_the_runtime() {
    for kind in Kind::ALL {
        let log = Temporary::new(&format!("telemetry-{kind:?}"), "");
        let api = RuntimeApi::start();
        let launch = Launch::faulty(kind, json!([{ "latency": { "delayMs": 1 } }])).telemetry(log.0.clone());
        let running = launch.start(&api);
        api.offer(Event::new("one", &json!({ "do": "look" })));
        let descriptors = api.answer("one").message.json()["descriptors"].clone();
        assert!(descriptors.as_array().unwrap().contains(&json!(log.0)), "{kind:?}: the runtime has it");
        if let Kind::NodeJs | Kind::NodeJsAlternative = kind {
            assert!(String::from_utf8_lossy(&fs::read(&log.0).unwrap()).contains("handled"), "{kind:?}: and uses it");
        }
        let proxy = processes::proxy(running.leader()).expect("the proxy runs");
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
fn what_it_cannot_read_it_leaves_alone() {
    for kind in Kind::ALL {
        let (direct, address) = look(&Launch::direct(kind));
        for (config, says) in [("{}", "missing field"), ("[", "cannot be read"), ("", "cannot be read")] {
            let api = RuntimeApi::start();
            let running = Launch::configured(kind, config.to_owned()).start(&api);
            let mut seen = look_at(&api);
            assert_eq!(seen["environment"]["AWS_LAMBDA_RUNTIME_API"], api.address(), "{kind:?}");
            seen["environment"]["AWS_LAMBDA_RUNTIME_API"] = json!(address);
            assert_eq!(seen, direct, "{kind:?}: {config}");
            let output = running.output();
            let said: Vec<_> = output.lines().filter(|line| line.starts_with("snapback-proxy: ")).collect();
            assert!(said.len() == 1 && said[0].contains(says), "{kind:?}: {said:?}");
            assert_eq!(processes::group(running.leader()), [running.leader()], "{kind:?}: there is no proxy");
            running.stop();
        }
    }
}

/// What a handler sees; and the address of the Runtime API.
fn look(launch: &Launch) -> (Map<String, Value>, String) {
    let api = RuntimeApi::start();
    let running = launch.start(&api);
    let seen = look_at(&api);
    running.stop();
    (seen, api.address())
}

/// The same without what differs from one start to the next.
fn look_at(api: &RuntimeApi) -> Map<String, Value> {
    // The second invocation: by then, every connection is as it stays.
    for id in ["first", "second"] {
        api.offer(Event::new(id, &json!({ "do": "look" })));
        api.answer(id);
    }
    let seen = api.answer("second").message.json();
    let Value::Object(mut seen) = seen else { panic!("{seen}") };
    seen["status"] = inherited(seen["status"].as_str().unwrap()).into();
    let descriptors = seen["descriptors"].as_array().unwrap();
    let comparable = descriptors.iter().filter_map(Value::as_str).filter(|target| !target.starts_with("/proc/"));
    seen["descriptors"] = comparable.map(without_number).collect::<Vec<_>>().into();
    seen["descriptors"].as_array_mut().unwrap().sort_by_key(ToString::to_string);
    seen
}

/// What a process gets from the one that starts it.
fn inherited(status: &str) -> Vec<&str> {
    let names =
        BTreeSet::from(["Umask", "PPid", "SigBlk", "SigIgn", "NoNewPrivs", "Seccomp", "Cpus_allowed", "CapEff"]);
    status.lines().filter(|line| line.split_once(':').is_some_and(|(name, _)| names.contains(name))).collect()
}

/// `socket:[1234]` is another one each time, and so is the file that a process writes to.
fn without_number(target: &str) -> String {
    target.chars().filter(|letter| !letter.is_ascii_digit()).collect()
}

fn take(seen: &mut Map<String, Value>, variable: &str) -> Value {
    seen["environment"].as_object_mut().unwrap().remove(variable).unwrap_or_default()
}

/// A wrapper as others write them: it writes down what it was called with.
fn wrapper(kind: Kind, said: &Temporary) -> Temporary {
    let script = format!(
        "#!/bin/sh\nprintf '%s\\n' \"$@\" \"$AWS_LAMBDA_RUNTIME_API\" >'{}'\nexport WRAPPED=yes\nexec \"$@\"\n",
        said.0.display()
    );
    let wrapper = Temporary::new(&format!("wrapper-{kind:?}"), &script);
    fs::set_permissions(&wrapper.0, Permissions::from_mode(0o755)).unwrap();
    wrapper
}

/// A file that goes with the test.
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
