//! Who uses the command line: the caller, and the pipeline in which it runs.

use std::time::Duration;

use serde_json::Value;

use crate::aws::{SdkConfig, caller};
use crate::model::actor::{Actor, ActorArn, PageUrl, Via};
use crate::model::input::read;

/// How long a rollback waits to learn who asks for it. STS can be unreachable where other services are reachable.
const CALLER_TIMEOUT: Duration = Duration::from_secs(2);
/// The variable in which a tool that uses the command line gives its own name.
const TOOL: &str = "SNAPBACK_VIA";
/// What the command line states outside a pipeline.
const COMMAND_LINE: &str = "command line";

/// Returns the user of this command, for a rollback: an unknown caller must not delay it.
pub(super) async fn acting_user(config: &SdkConfig) -> Actor {
    let found = tokio::time::timeout(CALLER_TIMEOUT, caller(config)).await;
    actor(found.ok().and_then(Result::ok).map(|(arn, _)| arn).as_deref())
}

/// Returns the caller with this ARN, in the pipeline that the environment tells of.
pub(super) fn actor(caller: Option<&str>) -> Actor {
    actor_in(caller, |name| std::env::var(name).ok().filter(|value| !value.is_empty()))
}

/// Returns who starts a run. A file's own `startedBy` keeps what it states about the way and the page: a tool that uses
/// the command line writes it. The caller is the one whose credentials are used.
pub(super) fn starter(experiment: &Value, user: &Actor) -> Actor {
    match read::<Actor>(&experiment["startedBy"]) {
        Ok(stated) => Actor {
            caller: user.caller.clone().or(stated.caller),
            reason: user.reason.clone().or(stated.reason),
            ..stated
        },
        Err(_) => user.clone(),
    }
}

fn actor_in(caller: Option<&str>, variable: impl Fn(&str) -> Option<String>) -> Actor {
    let (via, url) = pipeline(&variable).unwrap_or((COMMAND_LINE, None));
    // A tool's name that cannot be shown is left out, as is a URL: neither must prevent a run or a rollback.
    let tool = variable(TOOL).and_then(|tool| Via::try_from(tool).ok());
    Actor {
        caller: caller.and_then(|arn| ActorArn::try_from(arn).ok()),
        via: tool.unwrap_or_else(|| Via::known(via)),
        url: url.and_then(|url| PageUrl::try_from(url).ok()),
        reason: None,
    }
}

/// Returns the pipeline and the page of its job. The variables are documented by each vendor:
/// docs.github.com/en/actions/reference/variables-reference, docs.gitlab.com/ci/variables/predefined_variables,
/// codebuild/latest/userguide/build-env-ref-env-vars, and Jenkins' page `env-vars.html`. A CodeBuild project can run
/// jobs of GitHub and of GitLab, so those come first. It gives a URL for public builds only.
fn pipeline(variable: impl Fn(&str) -> Option<String>) -> Option<(&'static str, Option<String>)> {
    if variable("GITHUB_ACTIONS").is_some() {
        let [server, repository, run] = ["GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID"].map(&variable);
        let page = |((server, repository), run)| format!("{server}/{repository}/actions/runs/{run}");
        let attempt = variable("GITHUB_RUN_ATTEMPT").map_or(String::new(), |attempt| format!("/attempts/{attempt}"));
        return Some(("GitHub Actions", server.zip(repository).zip(run).map(|parts| page(parts) + &attempt)));
    }
    if variable("GITLAB_CI").is_some() {
        return Some(("GitLab CI", variable("CI_JOB_URL")));
    }
    if variable("CODEBUILD_BUILD_ARN").is_some() {
        return Some(("CodeBuild", variable("CODEBUILD_PUBLIC_BUILD_URL")));
    }
    variable("JENKINS_URL").map(|_| ("Jenkins", variable("BUILD_URL")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ANA: &str = "arn:aws:sts::123456789012:assumed-role/Admin/ana";

    fn stated(variables: &[(&str, &str)]) -> String {
        let variable =
            |name: &str| variables.iter().find(|(other, _)| *other == name).map(|(_, value)| value.to_string());
        actor_in(Some(ANA), variable).to_string()
    }

    #[test]
    fn each_pipeline_is_recognized_with_its_page() {
        let github = [
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_SERVER_URL", "https://github.com"),
            ("GITHUB_REPOSITORY", "shop/checkout"),
            ("GITHUB_RUN_ID", "1658821493"),
            ("GITHUB_RUN_ATTEMPT", "2"),
            ("CODEBUILD_BUILD_ARN", "arn:aws:codebuild:eu-west-1:123456789012:build/runner:1"),
        ];
        let page = "https://github.com/shop/checkout/actions/runs/1658821493";
        assert_eq!(stated(&github), format!("{ANA}, via GitHub Actions ({page}/attempts/2)"));
        assert_eq!(stated(&github[..4]), format!("{ANA}, via GitHub Actions ({page})"));
        assert_eq!(stated(&github[..3]), format!("{ANA}, via GitHub Actions"));
        let job = "https://gitlab.example/shop/checkout/-/jobs/7";
        let gitlab = [("GITLAB_CI", "true"), ("CI_JOB_URL", job)];
        assert_eq!(stated(&gitlab), format!("{ANA}, via GitLab CI ({job})"));
        assert_eq!(stated(&github[5..]), format!("{ANA}, via CodeBuild"));
        let build = "http://jenkins.example/job/checkout/15/";
        let jenkins = [("JENKINS_URL", "http://jenkins.example/"), ("BUILD_URL", build)];
        assert_eq!(stated(&jenkins), format!("{ANA}, via Jenkins ({build})"));
        assert_eq!(stated(&[]), format!("{ANA}, via command line"));
        let toolkit = |name| [gitlab[0], gitlab[1], ("SNAPBACK_VIA", name)];
        assert_eq!(stated(&toolkit("Chaos Toolkit")), format!("{ANA}, via Chaos Toolkit ({job})"));
        assert_eq!(stated(&toolkit("two\nlines")), format!("{ANA}, via GitLab CI ({job})"));
    }

    #[test]
    fn a_page_with_credentials_is_left_out() {
        let gitlab = [("GITLAB_CI", "true"), ("CI_JOB_URL", "https://ana:secret@gitlab.example/-/jobs/7")];
        assert_eq!(stated(&gitlab), format!("{ANA}, via GitLab CI"));
    }

    #[test]
    fn a_file_states_the_way_and_not_the_caller() {
        let user = actor_in(Some(ANA), |_| None);
        let text = |experiment: Value, user: &Actor| starter(&experiment, user).to_string();
        let other = "arn:aws:iam::123456789012:user/eve";
        let file = json!({ "startedBy": { "caller": other, "via": "Chaos Toolkit", "url": "https://x/1" } });
        assert_eq!(text(file.clone(), &user), format!("{ANA}, via Chaos Toolkit (https://x/1)"));
        assert_eq!(text(json!({}), &user), format!("{ANA}, via command line"));
        // Without STS, the file knows more.
        let unknown = Actor { caller: None, ..user };
        assert_eq!(text(file, &unknown), format!("{other}, via Chaos Toolkit (https://x/1)"));
    }
}
