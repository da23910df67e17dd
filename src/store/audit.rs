//! The audit log in Postgres.

use super::{Error, Store};

impl Store {
    /// Adds records, each one JSON object, in one statement.
    pub async fn append_audit_records(&self, records: &[&str]) -> Result<(), Error> {
        let records: Vec<String> = records.iter().map(|&record| record.to_owned()).collect();
        let insert = sqlx::query!(
            "insert into audit_records (record) select unnest($1::text[])::jsonb",
            &records
        );
        self.run("INSERT audit_records", async |connection| insert.execute(connection).await)
            .await?;
        Ok(())
    }
}
