//! The table of observations: what completed attempts took, by the names that outlive an instance.

use ipc_proto::ids::ModelName;
use rusqlite::{Connection, Row, Statement, TransactionBehavior};

use super::row::{count, endpoint_from_word, endpoint_word, signed, word};
use crate::scheduler::learner::{KEPT_LOADS, Observation};

/// The statement that adds one row.
pub(super) const INSERT: &str = "INSERT INTO observations (backend, model, endpoint, input_tokens, output_tokens, \
     total_us, first_byte_us, loaded, after_load, concurrent) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

/// Runs the statement of [`INSERT`] for `observation`.
pub(super) fn write(
    statement: &mut Statement<'_>,
    observation: &Observation<String>,
) -> rusqlite::Result<usize> {
    statement.execute(rusqlite::params![
        observation.backend,
        observation.model.as_str(),
        endpoint_word(observation.endpoint),
        observation.input_tokens.map(signed),
        observation.output_tokens.map(signed),
        signed(observation.total_us),
        observation.first_byte_us.map(signed),
        observation.loaded,
        observation.after_load,
        observation.concurrent,
    ])
}

/// Every row, oldest first.
pub(super) fn all(connection: &Connection) -> rusqlite::Result<Vec<Observation<String>>> {
    let mut statement = connection.prepare("SELECT * FROM observations ORDER BY id")?;
    statement.query_map([], read)?.collect()
}

/// Deletes all but the newest `keep` rows of each backend, model and endpoint, and the newest few that began a load,
/// which are rare. Returns how many.
pub(super) fn trim(connection: &mut Connection, keep: usize) -> rusqlite::Result<usize> {
    let bound = |rows: usize| i64::try_from(rows).unwrap_or(i64::MAX);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut deleted = 0;
    {
        let mut overfull = transaction.prepare_cached(
            "SELECT backend, model, endpoint FROM observations GROUP BY backend, model, endpoint \
             HAVING count(*) > ?1",
        )?;
        let mut delete = transaction.prepare_cached(
            "DELETE FROM observations WHERE (backend, model, endpoint) = (?1, ?2, ?3) AND id <= ( \
                 SELECT id FROM observations WHERE (backend, model, endpoint) = (?1, ?2, ?3) \
                 ORDER BY id DESC LIMIT 1 OFFSET ?4) \
             AND id NOT IN ( \
                 SELECT id FROM observations WHERE (backend, model, endpoint) = (?1, ?2, ?3) AND loaded \
                 ORDER BY id DESC LIMIT ?5)",
        )?;
        let key = |row: &Row<'_>| -> rusqlite::Result<[String; 3]> {
            Ok([row.get("backend")?, row.get("model")?, row.get("endpoint")?])
        };
        let keys: Vec<[String; 3]> =
            overfull.query_map([bound(keep)], key)?.collect::<rusqlite::Result<_>>()?;
        for [backend, model, endpoint] in keys {
            let most = (bound(keep), bound(KEPT_LOADS));
            deleted += delete.execute(rusqlite::params![backend, model, endpoint, most.0, most.1])?;
        }
    }
    transaction.commit()?;
    Ok(deleted)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Observation<String>> {
    let model: String = row.get("model")?;
    Ok(Observation {
        backend: row.get("backend")?,
        model: ModelName::new(&model),
        endpoint: word(row, "endpoint", endpoint_from_word)?,
        input_tokens: count(row, "input_tokens")?,
        output_tokens: count(row, "output_tokens")?,
        total_us: count(row, "total_us")?.unwrap_or(0),
        first_byte_us: count(row, "first_byte_us")?,
        loaded: row.get("loaded")?,
        after_load: row.get("after_load")?,
        concurrent: row.get("concurrent")?,
    })
}
