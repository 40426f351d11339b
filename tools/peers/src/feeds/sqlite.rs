//! `axum` and SQLite: the table and the query of the official starter kit, with a column for several feeds, and with an index
//! or, as the kit has it, without.

use std::sync::{Arc, Mutex};

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use rusqlite::{Connection, params};

use super::{Feeds, Item, PATH, Question, Skeleton, unknown_feed};

type Shared = Arc<Mutex<Connection>>;

const TABLES: &str = "
    CREATE TABLE feed (id TEXT PRIMARY KEY);
    CREATE TABLE post (uri TEXT PRIMARY KEY, cid TEXT NOT NULL, indexedAt INTEGER NOT NULL, feed TEXT NOT NULL);
";

const INDEX: &str = "CREATE INDEX post_by_time ON post (feed, indexedAt DESC, cid DESC)";

const PAGE: &str = "
    SELECT uri, indexedAt FROM post WHERE feed = ?1 AND indexedAt < ?2 ORDER BY indexedAt DESC, cid DESC LIMIT ?3
";

/// In memory: the kit's default.
pub fn router(feeds: Feeds, with_index: bool) -> Router {
    let mut connection = Connection::open_in_memory().expect("a database");
    connection.execute_batch(TABLES).expect("tables");
    let transaction = connection.transaction().expect("a transaction");
    for (id, uris) in feeds {
        transaction.execute("INSERT INTO feed VALUES (?1)", [&id]).expect("a feed");
        let newest = i64::try_from(uris.len()).unwrap_or(i64::MAX);
        let mut insert = transaction.prepare_cached("INSERT OR IGNORE INTO post VALUES (?1, ?2, ?3, ?4)").expect("SQL");
        for (age, uri) in (1..).zip(uris) {
            // A post of two hashtags is a row of each: the kit knows one feed.
            let key = format!("{id} {uri}");
            insert.execute(params![key, uri, (newest - age) * 1000, id]).expect("a post");
        }
    }
    transaction.commit().expect("a database");
    if with_index {
        connection.execute(INDEX, []).expect("an index");
    }
    Router::new().route(PATH, get(skeleton)).with_state(Arc::new(Mutex::new(connection)))
}

async fn skeleton(State(shared): State<Shared>, Query(question): Query<Question>) -> Response {
    let connection = shared.lock().expect("nobody panics with it");
    let mut known = connection.prepare_cached("SELECT 1 FROM feed WHERE id = ?1").expect("SQL");
    if !known.exists([question.id()]).expect("an answer") {
        return unknown_feed();
    }
    let before = question.cursor.as_ref().and_then(|cursor| cursor.parse().ok()).unwrap_or(i64::MAX);
    let mut select = connection.prepare_cached(PAGE).expect("SQL");
    let limit = i64::try_from(question.limit()).unwrap_or(100);
    let rows = select.query_map(params![question.id(), before, limit], |row| {
        let key: String = row.get(0)?;
        Ok((key, row.get::<_, i64>(1)?))
    });
    let (mut feed, mut cursor) = (Vec::new(), None);
    for row in rows.expect("an answer") {
        let (key, millis) = row.expect("a row");
        cursor = Some(millis.to_string());
        feed.push(Item { post: key.split_once(' ').map_or(key.clone(), |(_, uri)| uri.to_owned()) });
    }
    Json(Skeleton { feed, cursor }).into_response()
}
