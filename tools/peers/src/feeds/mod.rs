//! Feed generators that answer what the engine answers, each in a process of its own.
//!
//! | name | what it does |
//! |---|---|
//! | `raw` | a loop over sockets on one thread; whatever is asked, the same bytes: the page of one feed |
//! | `axum-json` | `axum`, posts in a map of queues behind a lock, pages made by `Json` |
//! | `starter-kit` | `axum`, posts in SQLite, in the table and by the query of the official starter kit, which has no index by time |
//! | `axum-sqlite` | the same with that index |
//!
//! The three know the posts that the engine knows: they are given a file of them.

mod json;
mod raw;
#[cfg(feature = "others")]
mod sqlite;

use std::collections::HashMap;
use std::path::Path;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

/// Every feed by its id, newest post first: AT-URIs.
pub type Feeds = HashMap<String, Vec<String>>;

/// The feed generators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Generator {
    /// See the table above.
    Raw,
    /// See the table above.
    AxumJson,
    /// See the table above.
    #[cfg(feature = "others")]
    StarterKit,
    /// See the table above.
    #[cfg(feature = "others")]
    AxumSqlite,
}

/// Serves the feeds of a file until it is killed. The first line on stdout is `listening ADDR`.
pub fn run(generator: Generator, file: &Path) {
    let feeds: Feeds = serde_json::from_slice(&std::fs::read(file).expect("a file")).expect("feeds");
    match generator {
        Generator::Raw => raw::run(&feeds),
        Generator::AxumJson => on_one_thread(json::router(feeds)),
        #[cfg(feature = "others")]
        Generator::StarterKit => on_one_thread(sqlite::router(feeds, false)),
        #[cfg(feature = "others")]
        Generator::AxumSqlite => on_one_thread(sqlite::router(feeds, true)),
    }
}

/// The engine is given one thread for its readers, and so is everybody.
fn on_one_thread(router: axum::Router) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        println!("listening {}", listener.local_addr().expect("it is bound"));
        axum::serve(listener, router).await.expect("it serves");
    });
}

/// The question.
#[derive(Debug, Deserialize)]
struct Question {
    feed: String,
    limit: Option<usize>,
    cursor: Option<String>,
}

impl Question {
    fn id(&self) -> &str {
        self.feed.rsplit('/').next().unwrap_or_default()
    }

    fn limit(&self) -> usize {
        self.limit.unwrap_or(50).clamp(1, 100)
    }
}

/// The answer.
#[derive(Debug, Serialize)]
struct Skeleton {
    feed: Vec<Item>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

#[derive(Debug, Serialize)]
struct Item {
    post: String,
}

/// The answer to who asks for a feed that there is not.
fn unknown_feed() -> Response {
    let body = axum::Json(serde_json::json!({ "error": "UnknownFeed", "message": "unknown feed" }));
    (StatusCode::BAD_REQUEST, body).into_response()
}

const PATH: &str = "/xrpc/app.bsky.feed.getFeedSkeleton";
