//! Guardrails on what belongs to a target besides its configuration: layers, their signatures, and event source
//! mappings.

use crate::model::facts::{CodeSigning, Facts, LayerFact, TargetFacts};
use crate::model::function::Tags;
use crate::model::names::LayerVersionArn;
use crate::model::refusal::{Guardrail, Refusal};
use crate::model::snapshot::Change;
use crate::plan::changes::ChangeSet;

use super::target::opt_in;

pub(super) fn about_layers(facts: &Facts, target: &TargetFacts, drafted: &ChangeSet) -> Vec<Refusal> {
    let about = target.seen.arn.name();
    let mut refusals = Vec::new();
    for change in &drafted.changes {
        let Change::Layers { original, added } = change else { continue };
        for layer in original.iter().chain(added) {
            let (reason, fix) = match facts.layers.get(layer) {
                Some(LayerFact::Here { architectures, .. }) if added.contains(layer) => {
                    let wanted = &target.seen.architecture;
                    if architectures.is_empty() || architectures.contains(wanted) {
                        continue;
                    }
                    (format!("the layer {layer} is not for {wanted}"), "use a version for its architecture".to_owned())
                }
                Some(LayerFact::Here { .. }) => continue,
                Some(LayerFact::Denied) => (
                    format!("the layer {layer} cannot be read: access denied"),
                    "allow lambda:GetLayerVersion on it".to_owned(),
                ),
                Some(LayerFact::Missing) | None if added.contains(layer) => {
                    (format!("there is no layer {layer}"), "correct the ARN, or publish the layer".to_owned())
                }
                Some(LayerFact::Missing) | None => (
                    format!("its layer {layer} was deleted, so it could not be restored"),
                    "update the function to a layer version that exists".to_owned(),
                ),
            };
            refusals.push(Refusal::new(Guardrail::LayerExists, about, reason, fix));
        }
    }
    refusals
}

/// Checks before anything is touched whether Lambda would reject a layer for its signature.
pub(super) fn about_code_signing(facts: &Facts, target: &TargetFacts, drafted: &ChangeSet) -> Vec<Refusal> {
    let about = target.seen.arn.name();
    let added = drafted.changes.iter().filter_map(|change| match change {
        Change::Layers { added, .. } => Some(added),
        _ => None,
    });
    let mut layers = added.flatten().peekable();
    let trusted = match &target.code_signing {
        CodeSigning::Off => return Vec::new(),
        CodeSigning::On { trusted, .. } => trusted,
        CodeSigning::Unknown => {
            let reason = "its code signing configuration cannot be read, and might reject the layers";
            let fix = "allow lambda:GetFunctionCodeSigningConfig on it, and lambda:GetCodeSigningConfig";
            return layers
                .peek()
                .map(|_| Refusal::new(Guardrail::CodeSigning, about, reason, fix))
                .into_iter()
                .collect();
        }
    };
    let is_trusted = |layer: &&LayerVersionArn| match facts.layers.get(*layer) {
        Some(LayerFact::Here { signer, .. }) => signer.as_ref().is_some_and(|signer| trusted.contains(signer)),
        // A layer that does not exist or cannot be read is refused elsewhere.
        _ => true,
    };
    let refuse = |layer: &LayerVersionArn| {
        let reason = format!("the layer {layer} is not signed by a profile that its code signing trusts");
        Refusal::new(
            Guardrail::CodeSigning,
            about,
            reason,
            "have a trusted profile sign it, or target functions without it",
        )
    };
    layers.filter(|layer| !is_trusted(layer)).map(refuse).collect()
}

/// When a mapping is updated, IAM evaluates the mapping's tags and not the function's, so Inject's role needs the
/// opt-in tag there (service-authorization/latest/reference/list_awslambda).
pub(super) fn about_mappings(facts: &Facts, target: &TargetFacts, drafted: &ChangeSet) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    for change in &drafted.changes {
        let Change::Mapping { id } = change else { continue };
        let tags = target.mapping_tags.get(id).unwrap_or(&Tags::Unknown);
        if let Some((reason, fix)) = opt_in(&facts.settings, tags) {
            let about = format!("{} event source mapping {id}", target.seen.arn.name());
            refusals.push(Refusal::new(Guardrail::OptIn, &about, reason, fix));
        }
    }
    refusals
}
