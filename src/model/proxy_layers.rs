//! The layer versions with the proxy, one per architecture, and the one with the chaos handler, as the stack has
//! published them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::names::LayerVersionArn;
use super::text::shorten;

/// The name of the layer version with the chaos handler.
const HANDLER: &str = "handler";

/// The layer version of each architecture, by Lambda's name for it (`arm64`, `x86_64`). A stack from before the proxy
/// existed has none. The chaos handler's, which is for every architecture, is under [`HANDLER`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProxyLayers(BTreeMap<String, LayerVersionArn>);

impl ProxyLayers {
    /// Reads `arm64=ARN,x86_64=ARN,handler=ARN`, as the template writes it.
    ///
    /// # Errors
    /// A sentence with the value and the fix.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("`{}` {why}; write arm64=ARN,x86_64=ARN,handler=ARN", shorten(text));
        let mut layers = BTreeMap::new();
        for entry in text.split(',').filter(|entry| !entry.is_empty()) {
            let (architecture, arn) = entry.split_once('=').ok_or_else(|| wrong("names no architecture"))?;
            let arn = LayerVersionArn::try_from(arn).map_err(|_| wrong("does not name a layer version"))?;
            if layers.insert(architecture.to_owned(), arn).is_some() {
                return Err(wrong("names an architecture twice"));
            }
        }
        Ok(Self(layers))
    }

    /// The layer version for functions of this architecture.
    #[must_use]
    pub fn of(&self, architecture: &str) -> Option<&LayerVersionArn> {
        self.0.get(architecture).filter(|_| architecture != HANDLER)
    }

    /// The layer version with the chaos handler; `None` for a stack from before it existed.
    #[must_use]
    pub fn handler(&self) -> Option<&LayerVersionArn> {
        self.0.get(HANDLER)
    }

    /// The architectures that there is a layer for.
    pub fn architectures(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str).filter(|name| *name != HANDLER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARM: &str = "arn:aws:lambda:eu-west-1:123456789012:layer:snapback-proxy-arm64:3";
    const INTEL: &str = "arn:aws:lambda:eu-west-1:123456789012:layer:snapback-proxy-x86_64:7";

    #[test]
    fn each_architecture_has_its_layer() {
        let layers = ProxyLayers::parse(&format!("arm64={ARM},x86_64={INTEL}"));
        let layers = layers.unwrap_or_else(|wrong| unreachable!("{wrong}"));
        assert_eq!(layers.of("arm64").map(LayerVersionArn::as_str), Some(ARM));
        assert_eq!(layers.of("x86_64").map(LayerVersionArn::as_str), Some(INTEL));
        assert_eq!((layers.of("riscv"), layers.architectures().count()), (None, 2));
        assert_eq!(layers.handler(), None);
    }

    #[test]
    fn the_layer_of_the_chaos_handler_is_for_no_architecture() {
        let handler = "arn:aws:lambda:eu-west-1:123456789012:layer:snapback-handler:2";
        let layers = ProxyLayers::parse(&format!("arm64={ARM},handler={handler}"));
        let layers = layers.unwrap_or_else(|wrong| unreachable!("{wrong}"));
        assert_eq!(layers.handler().map(LayerVersionArn::as_str), Some(handler));
        assert_eq!((layers.of("handler"), layers.architectures().collect::<Vec<_>>()), (None, vec!["arm64"]));
    }

    #[test]
    fn a_stack_without_a_proxy_has_none() {
        assert_eq!(ProxyLayers::parse(""), Ok(ProxyLayers::default()));
    }

    #[test]
    fn what_is_no_such_list_is_refused() {
        for (text, says) in [
            (ARM, "names no architecture"),
            ("arm64=snapback-proxy", "does not name a layer version"),
            (&format!("arm64={ARM},arm64={ARM}"), "names an architecture twice"),
        ] {
            let refusal = ProxyLayers::parse(text).err().unwrap_or_default();
            assert!(refusal.contains(says) && refusal.ends_with("write arm64=ARN,x86_64=ARN,handler=ARN"), "{refusal}");
        }
    }
}
