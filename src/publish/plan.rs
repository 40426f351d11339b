//! What is to be done: the difference between the records that are there and those that should be.
//!
//! What always holds: a record is removed only where it names this service and its key is an id; records of others are not
//! touched. The same records and communities give the same plan.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use super::record::{About, Wanted};
use crate::fact::CommunityId;

/// What becomes of one record.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// It is made.
    Create(Value),
    /// It says something else from now on.
    Update {
        /// The whole record.
        record: Value,
        /// The fields that differ.
        fields: Vec<String>,
    },
    /// It is removed: the community is not served any more.
    Delete,
}

impl Change {
    /// Points that a PDS takes for it.
    pub const fn points(&self) -> u64 {
        match self {
            Self::Create(_) => 3,
            Self::Update { .. } => 2,
            Self::Delete => 1,
        }
    }
}

/// One write.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The record key: a community's id.
    pub rkey: String,
    /// What is done.
    pub change: Change,
}

/// As a line of a difference.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |record: &Value| record["displayName"].as_str().unwrap_or_default().to_owned();
        match &self.change {
            Change::Create(record) => write!(f, "+ {}  {}", self.rkey, name(record)),
            Change::Update { record, fields } => {
                write!(f, "~ {}  {}  ({})", self.rkey, name(record), fields.join(", "))
            }
            Change::Delete => write!(f, "- {}", self.rkey),
        }
    }
}

/// All that is to be done.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Creates and updates in the order of ids, then removals.
    pub steps: Vec<Step>,
    /// Records that are as they should be.
    pub unchanged: usize,
    /// Records of other services, which are left alone.
    pub foreign: usize,
}

impl Plan {
    /// Points that all of it takes.
    pub fn points(&self) -> u64 {
        self.steps.iter().map(|step| step.change.points()).sum()
    }
}

/// Compares what is there (by record key) with what should be. Without `removes` nothing is removed.
pub fn plan(known: &BTreeMap<String, Value>, wanted: &[Wanted], about: &About, removes: bool) -> Plan {
    let mut plan = Plan::default();
    let mut sorted: Vec<&Wanted> = wanted.iter().collect();
    sorted.sort_unstable_by_key(|wanted| wanted.id);
    let ids: BTreeSet<String> = sorted.iter().map(|wanted| wanted.id.to_string()).collect();
    for wanted in sorted {
        let rkey = wanted.id.to_string();
        let before = known.get(&rkey);
        let record = wanted.record(about, before);
        let change = match before {
            None => Change::Create(record),
            Some(before) if *before == record => {
                plan.unchanged += 1;
                continue;
            }
            Some(before) => Change::Update { fields: differing(before, &record), record },
        };
        plan.steps.push(Step { rkey, change });
    }
    for (rkey, record) in known.iter().filter(|(rkey, _)| !ids.contains(*rkey)) {
        let is_ours = record["did"].as_str() == Some(about.service.as_str()) && CommunityId::parse(rkey).is_ok();
        match (is_ours, removes) {
            (true, true) => plan.steps.push(Step { rkey: rkey.clone(), change: Change::Delete }),
            (true, false) => plan.unchanged += 1,
            (false, _) => plan.foreign += 1,
        }
    }
    plan
}

fn differing(before: &Value, after: &Value) -> Vec<String> {
    let keys = [before, after].into_iter().filter_map(Value::as_object).flat_map(|object| object.keys());
    let keys: BTreeSet<&String> = keys.collect();
    keys.into_iter().filter(|key| before.get(key) != after.get(key)).cloned().collect()
}
