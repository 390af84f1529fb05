//! The bucket for reports in the lab: a run's page reaches it, is the page that the command line writes, and a bucket that
//! refuses it harms nothing.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

use super::lab::Lab;
use super::roles::{resource, template};

/// The bucket, which a test creates only after a page was refused.
const BUCKET: &str = "reports";
/// What `Lab::with_parameters` needs for it.
pub const PARAMETERS: &str = "ReportBucket=reports";
/// Longer ago than the last values of a run's metrics take to arrive.
const LONG_AGO_MS: u128 = 7 * 60_000;

/// Lets pages of two runs that are over meet a missing bucket, a missing right, and a bucket with Object Lock. Each run is given
/// with its experiment and its function. The lab's reaper stays disabled.
pub fn pages_reach_the_bucket(lab: &Lab, runs: [(&str, &str, &str); 2]) {
    // Only the ticks of this test put pages, and it changes what nobody but snapback may write.
    lab.stop_reaper();
    let table = format!("arn:aws:dynamodb:us-east-1:000000000000:table/{}", lab.description("table"));
    lab.aws(&["dynamodb", "delete-resource-policy", "--resource-arn", &table]);
    let [(first, _, function), (second, _, other)] = runs;
    let report = lab.snapback(&["report", first, "--json"]);
    end_long_ago(lab, first, function);
    assert_eq!(tick(lab), (0, 1), "{}", log(lab));
    assert!(log(lab).contains("NoSuchBucket"), "{}", log(lab));
    assert_eq!(lab.snapback(&["report", first, "--json"]), report, "the run is unharmed");
    create_bucket(lab);
    let role = without_right(lab);
    assert_eq!(tick(lab), (0, 1), "{}", log(lab));
    assert!(log(lab).contains("AccessDenied"), "{}", log(lab));
    lab.aws(&["iam", "delete-role-policy", "--role-name", &role, "--policy-name", "refuse"]);
    end_long_ago(lab, second, other);
    assert_eq!(tick(lab), (2, 0), "{}", log(lab));
    for (run, experiment, _) in runs {
        check_page(lab, run, experiment);
    }
    assert_eq!(tick(lab), (0, 0), "a page is put once");
    let versions = lab.aws(&["s3api", "list-object-versions", "--bucket", BUCKET]);
    assert_eq!(versions["Versions"].as_array().map(Vec::len), Some(2), "{versions}");
}

/// Runs one tick of the reaper. Returns how many pages it has put, and how many it could not.
fn tick(lab: &Lab) -> (u64, u64) {
    let result = lab.invoke("snapback-reaper", "{}");
    let count = |name: &str| result[name].as_u64().unwrap_or_else(|| panic!("{name}: {result}"));
    (count("reportsStored"), count("reportsNotStored"))
}

fn log(lab: &Lab) -> String {
    let lines = lab.aws(&["logs", "filter-log-events", "--log-group-name", "/aws/lambda/snapback-reaper"]);
    let texts = lines["events"].as_array().into_iter().flatten().filter_map(|event| event["message"].as_str());
    texts.filter(|text| text.contains("bucket")).collect::<Vec<_>>().join("\n")
}

/// Dates the end of a run's only target back, so that its metrics can be read now.
fn end_long_ago(lab: &Lab, run: &str, function: &str) {
    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() - LONG_AGO_MS;
    let arn = format!("arn:aws:lambda:us-east-1:000000000000:function:{function}");
    let key = json!({ "pk": { "S": format!("RUN#{run}") }, "sk": { "S": format!("TARGET#{arn}") } });
    let values = json!({ ":at": { "N": at.to_string() } }).to_string();
    let (table, key) = (lab.description("table"), key.to_string());
    let update = ["--update-expression", "SET endedAt = :at", "--condition-expression", "attribute_exists(endedAt)"];
    let what = ["dynamodb", "update-item", "--table-name", &table, "--key", &key];
    lab.aws(&[&what[..], &update, &["--expression-attribute-values", &values]].concat());
}

/// Creates the bucket as infra/README.md does, with Object Lock and a retention period by default.
fn create_bucket(lab: &Lab) {
    lab.aws(&["s3api", "create-bucket", "--bucket", BUCKET, "--object-lock-enabled-for-bucket"]);
    let rule =
        json!({ "ObjectLockEnabled": "Enabled", "Rule": { "DefaultRetention": { "Mode": "GOVERNANCE", "Days": 1 } } });
    let lock = ["--bucket", BUCKET, "--object-lock-configuration", &rule.to_string()];
    lab.aws(&[&["s3api", "put-object-lock-configuration"], &lock[..]].concat());
}

/// Denies the reaper's role what its policy allows. Returns the role.
fn without_right(lab: &Lab) -> String {
    let roles = lab.aws(&["iam", "list-roles"]);
    let mut names = roles["Roles"].as_array().unwrap().iter().filter_map(|role| role["RoleName"].as_str());
    let role = names.find(|name| name.contains("UndoRole")).unwrap().to_owned();
    let statement = json!({ "Effect": "Deny", "Action": "s3:PutObject", "Resource": "*" });
    let document = json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string();
    let policy = ["--role-name", &role, "--policy-name", "refuse", "--policy-document", &document];
    lab.aws(&[&["iam", "put-role-policy"], &policy[..]].concat());
    role
}

fn check_page(lab: &Lab, run: &str, experiment: &str) {
    let (key, stored, written) =
        (format!("snapback/000000000000/{experiment}/{run}.html"), lab.file("stored.html"), lab.file("written.html"));
    let get = ["s3api", "get-object", "--bucket", BUCKET, "--key", &key, stored.to_str().unwrap()];
    let object = lab.aws(&get);
    assert_eq!(
        (&object["ContentType"], &object["ObjectLockMode"]),
        (&"text/html; charset=utf-8".into(), &"GOVERNANCE".into())
    );
    let (code, _, err) = lab.snapback(&["report", run, "--html", written.to_str().unwrap()]);
    assert!([0, 4].contains(&code), "{err}");
    let [stored, written] = [stored, written].map(|path| std::fs::read_to_string(path).unwrap());
    assert!(stored == written, "{run}: the page in the bucket is not the page of the command line");
    assert!(stored.contains("Metrics were read from CloudWatch at "), "{stored}");
}

/// The role may add objects under its own prefix, and only if the right account owns the bucket.
#[test]
fn pages_go_only_under_the_stacks_own_prefix() {
    let template = template();
    let policy = resource(&template, "UndoReportPolicy");
    assert!(
        policy.contains("Condition: HasReportBucket\n") && policy.contains("\"aws:ResourceAccount\": "),
        "{policy}"
    );
    let place = "Resource: !Sub \"arn:${AWS::Partition}:s3:::${ReportBucket}/${Prefix}/${AWS::AccountId}/*\"";
    assert_eq!((policy.matches("Resource:").count(), policy.matches(place).count()), (2, 1), "{policy}");
    let actions: Vec<&str> = policy.split("Action: ").skip(1).map(|rest| rest.lines().next().unwrap()).collect();
    assert_eq!(actions, ["s3:PutObject", "kms:GenerateDataKey"]);
    let reaper = resource(&template, "ReaperFunction");
    for name in
        ["BUCKET: !If [HasReportBucket, ", "BUCKET_OWNER: !If [HasReportBucketOwner, ", "KEY: !If [HasReportKey, "]
    {
        assert!(reaper.contains(&format!("SNAPBACK_REPORT_{name}")), "{name}");
    }
    let others = template.matches("SNAPBACK_REPORT_BUCKET:").count();
    assert_eq!(others, 1, "only the reaper puts pages");
}
