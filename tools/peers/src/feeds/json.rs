//! `axum`, a map of queues behind a lock, and `Json`.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, RwLock};

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};

use super::{Feeds, Item, PATH, Question, Skeleton, unknown_feed};

/// A post as one would keep it: when it was seen, and where it is.
struct Post {
    millis: i64,
    uri: String,
}

type Shared = Arc<RwLock<HashMap<String, VecDeque<Post>>>>;

pub fn router(feeds: Feeds) -> Router {
    let queue = |uris: Vec<String>| {
        let newest = i64::try_from(uris.len()).unwrap_or(i64::MAX);
        (1..).zip(uris).map(|(age, uri)| Post { millis: (newest - age) * 1000, uri }).collect()
    };
    let shared: Shared = Arc::new(RwLock::new(feeds.into_iter().map(|(id, uris)| (id, queue(uris))).collect()));
    Router::new().route(PATH, get(skeleton)).with_state(shared)
}

async fn skeleton(State(shared): State<Shared>, Query(question): Query<Question>) -> Response {
    let feeds = shared.read().expect("nobody panics with it");
    let Some(posts) = feeds.get(question.id()) else { return unknown_feed() };
    let before = question.cursor.as_ref().and_then(|cursor| cursor.parse().ok()).unwrap_or(i64::MAX);
    let page: Vec<&Post> = posts.iter().filter(|post| post.millis < before).take(question.limit()).collect();
    let cursor = page.last().map(|post| post.millis.to_string());
    Json(Skeleton { feed: page.iter().map(|post| Item { post: post.uri.clone() }).collect(), cursor }).into_response()
}
