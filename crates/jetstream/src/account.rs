//! What the server tells of the account.

use serde::Deserialize;

use crate::info::limit;

/// What JetStream stores for an account.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AccountInfo {
    /// Bytes of all its streams on disk, those of every server added up.
    pub storage: u64,
    /// Bytes that those may be; none without a limit.
    pub max_storage: Option<u64>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct AccountAnswer {
    #[serde(default)]
    storage: u64,
    #[serde(default)]
    limits: AccountLimits,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct AccountLimits {
    max_storage: i64,
}

impl From<AccountAnswer> for AccountInfo {
    fn from(answer: AccountAnswer) -> Self {
        Self { storage: answer.storage, max_storage: limit(answer.limits.max_storage) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn limits_are_told_where_there_are_any() {
        let account = |limits: Value| {
            let answer = json!({ "storage": 7, "limits": limits });
            let answer: AccountAnswer = serde_json::from_value(answer).expect("an answer");
            AccountInfo::from(answer).max_storage
        };
        assert_eq!(account(json!({ "max_storage": 1024 })), Some(1024));
        assert_eq!(account(json!({ "max_storage": -1 })), None);
        assert_eq!(account(json!({})), None, "the account has limits by the number of replicas");
    }
}
