//! Frames of v1 that say exactly what an experiment needs: communities, members, posts.

use atrarium::syntax::{Tid, Time};

const CID: &str = "bafyreiguce4jh7kcbmof3pmcvasifqtw24b6isakj5ve5ga2b4z4alpc4i";

/// A record is created.
fn create(who: &str, time: Time, collection: &str, rkey: &str, record: &str) -> String {
    let (micros, rev) = (time.micros(), Tid::from_time(time, 1));
    format!(
        "{{\"did\":\"{who}\",\"time_us\":{micros},\"kind\":\"commit\",\"commit\":{{\"rev\":\"{rev}\",\"operation\":\"create\",\
         \"collection\":\"{collection}\",\"rkey\":\"{rkey}\",\"record\":{record},\"cid\":\"{CID}\"}}}}"
    )
}

/// A community is founded, whose id is its number.
pub fn config(community: u32, time: Time) -> String {
    let record = format!(
        "{{\"$type\":\"net.atrarium.community.config\",\"name\":\"Community {community}\",\"hashtag\":\"#atrarium_{community:08x}\",\
         \"stage\":\"community\",\"feedMix\":{{\"own\":100,\"parent\":0,\"global\":0}},\"moderators\":[],\"createdAt\":\"{time}\"}}"
    );
    create(&owner(community), time, "net.atrarium.community.config", "self", &record)
}

/// An author joins a community.
pub fn membership(community: u32, author: u32, time: Time) -> String {
    let record = format!(
        "{{\"$type\":\"net.atrarium.community.membership\",\"role\":\"member\",\"joinedAt\":\"{time}\",\
         \"community\":\"at://{}/net.atrarium.community.config/self\"}}",
        owner(community)
    );
    create(&member(community, author), time, "net.atrarium.community.membership", "self", &record)
}

/// An author writes; the frame, and the post's address.
pub fn post(community: u32, author: u32, time: Time, number: i64) -> (String, String) {
    let record = format!(
        "{{\"$type\":\"app.bsky.feed.post\",\"createdAt\":\"{time}\",\"text\":\"post {number} #atrarium_{community:08x}\"}}"
    );
    let (who, rkey) = (member(community, author), Tid::from_time(time, (number % 1000) as u16).to_string());
    let uri = format!("at://{who}/app.bsky.feed.post/{rkey}");
    (create(&who, time, "app.bsky.feed.post", &rkey, &record), uri)
}

fn owner(community: u32) -> String {
    format!("did:plc:{}", base32(u64::from(community)))
}

fn member(community: u32, author: u32) -> String {
    format!("did:plc:{}", base32(1 << 40 | u64::from(community) << 16 | u64::from(author)))
}

/// As a did:plc is written: 24 characters.
fn base32(number: u64) -> String {
    const DIGITS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    (0..24).rev().map(|at| DIGITS[(number >> (at * 5).min(60) & 31) as usize] as char).collect()
}
