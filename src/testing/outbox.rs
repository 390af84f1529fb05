//! The ledger's stream, and the notices about its records, in the order of the writes.

use crate::model::guarded_write::Item;
use crate::model::notice::{LedgerChange, Notice, Origin};
use crate::model::run::{Lever, Run, TargetRecord};
use crate::plan::notices::notice_of;

use super::State;

/// An item that can have transitions.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Image {
    Run(Box<Run>),
    Target(Box<TargetRecord>),
    Lever(Lever),
}

/// The notices so far.
#[derive(Debug, Default)]
pub struct Outbox {
    /// In order.
    pub notices: Vec<Notice>,
    /// How many records the stream has had.
    records: u64,
}

impl State {
    /// Returns an item as it is now, if it exists and can have transitions.
    pub(super) fn image(&self, item: &Item) -> Option<Image> {
        match item {
            Item::Run(id) => self.runs.get(id).cloned().map(Box::new).map(Image::Run),
            Item::Target(id, function) => {
                self.targets.get(&(id.clone(), function.clone())).cloned().map(Box::new).map(Image::Target)
            }
            Item::Lever => self.lever.clone().map(Image::Lever),
            Item::Lock(_) | Item::Active(_) | Item::Alarm(..) | Item::Metrics(_) | Item::AwaitsMetrics(_) => None,
        }
    }

    /// Adds the record of a write to the stream if the write has changed the item, and the notice about it.
    pub(super) fn record(&mut self, old: Option<Image>, item: &Item) {
        let new = self.image(item);
        if new == old {
            return;
        }
        let name = |run: &Run| run.experiment.as_ref().map(|experiment| experiment.name.to_string());
        let change = match (old, new) {
            (None, Some(Image::Run(new))) => LedgerChange::Run { old: None, experiment: name(&new), new },
            (Some(Image::Run(old)), Some(Image::Run(new))) => {
                LedgerChange::Run { old: Some(old), experiment: name(&new), new }
            }
            (None, Some(Image::Target(new))) => LedgerChange::Target { old: None, new },
            (Some(Image::Target(old)), Some(Image::Target(new))) => LedgerChange::Target { old: Some(old), new },
            (None, Some(Image::Lever(new))) => LedgerChange::Lever { old: None, new: Box::new(new) },
            (Some(Image::Lever(old)), Some(Image::Lever(new))) => {
                LedgerChange::Lever { old: Some(Box::new(old)), new: Box::new(new) }
            }
            _ => return,
        };
        self.outbox.records += 1;
        let sequence_number = self.outbox.records.to_string();
        let origin = Origin { stack: "snapback".into(), written_at: self.now(), sequence_number };
        self.outbox.notices.extend(notice_of(&change, &origin));
    }
}
