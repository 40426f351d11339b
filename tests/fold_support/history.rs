//! Small, hostile histories: few names, so that everything meets everything; revs and times that lie.

use atrarium::fact::{
    Acceptance, AccessType, Account, Action, Body, Collection, CommunityId, Config, Fact, Host, Membership, Post,
    Record, Rev, Stage, Target, Verb,
};
use atrarium::syntax::{AtUri, Did, RecordKey, RecordUri, Tid, Time};
use fastrand::Rng;

use super::{DAY, HOUR, MINUTE, SECOND, T0, cid, config, did, uri};

/// `/` sorts after `.`, `-` and `%`, so AT-URIs of these are not ordered as the DIDs are.
pub const DIDS: [&str; 5] = ["did:web:b", "did:web:b.c", "did:web:b-x", "did:plc:a", "did:plc:zz"];
const CONFIGS: [(usize, &str); 5] =
    [(0, "3mabc222222ab"), (0, "self"), (1, "3mabc222222ab"), (3, "3mabc222222ac"), (1, "a.b")];
const TAGS: [u32; 3] = [0x1111_1111, 0xa1b2_c3d4, 0];
const RKEYS: [&str; 3] = ["3mabc222222zz", "3mabc222222zy", "x.y"];

/// All facts of one history, and what was made of them.
pub struct Generator {
    rng: Rng,
    facts: Vec<Fact>,
    /// How long after [`T0`] the history lasts.
    span: i64,
    /// A theme and its parent, three people, few lies: what is rare elsewhere is common here.
    narrow: bool,
}

/// A history of `length` facts.
pub fn history(seed: u64, length: usize) -> Vec<Fact> {
    let mut rng = Rng::with_seed(seed);
    let span = [2 * HOUR, 2 * DAY, 9 * DAY, 20 * DAY][rng.usize(..4)];
    let narrow = rng.bool();
    let mut generator = Generator { rng, facts: Vec::new(), span, narrow };
    if generator.one_in(8) {
        generator.span = 10 * SECOND;
    } else {
        generator.begin();
    }
    while generator.facts.len() < length {
        generator.next();
    }
    generator.facts
}

impl Generator {
    fn one_in(&mut self, count: u32) -> bool {
        self.rng.u32(..count) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.rng.usize(..from.len())]
    }

    fn did(&mut self) -> &'static str {
        if self.narrow { self.pick(&DIDS[..3]) } else { self.pick(&DIDS) }
    }

    fn rkey(&mut self) -> &'static str {
        if self.narrow { self.pick(&RKEYS[..2]) } else { self.pick(&RKEYS) }
    }

    /// The index of a config: in a narrow history 0 is the theme and 2 its parent.
    fn place(&mut self) -> usize {
        let of = if self.narrow { &[0, 0, 2][..] } else { &[0, 1, 2, 3, 4] };
        self.pick(of)
    }

    /// Most histories have a community with a member.
    fn begin(&mut self) {
        let config = self.config(0);
        let (owner, rkey) = CONFIGS[0];
        self.record(DIDS[owner], rkey, Body::Config(Box::new(config)));
        for _ in 0..3 {
            let member = self.did();
            let community = uri(DIDS[owner], Collection::Config, rkey);
            let joined = Time::EPOCH;
            self.record(member, "self", Body::Membership(Membership { community, active: true, joined }));
        }
    }

    fn next(&mut self) {
        match self.rng.u32(..100) {
            0..32 => self.post(),
            32..40 => self.config_put(),
            40..52 => self.membership(),
            52..70 => self.action(),
            70..76 => self.acceptance(),
            76..83 => self.delete(),
            83..88 => self.account(),
            88..90 => {
                let now = self.now();
                self.facts.push(Fact::Clock(now));
            }
            _ => self.redeliver(),
        }
    }

    /// A clock that stands anywhere, or where something told is about 7 days old.
    fn now(&mut self) -> Time {
        let told = self.facts.iter().filter_map(|fact| match fact {
            Fact::Record(record) => Some(record.witnessed),
            _ => None,
        });
        let told = self.rng.choice(told.collect::<Vec<_>>());
        let about = self.rng.i64(-2 * HOUR..2 * HOUR);
        match told.filter(|_| self.rng.bool()) {
            Some(told) => told.plus_micros(7 * DAY + about),
            None => self.time(),
        }
    }

    fn time(&mut self) -> Time {
        let micros = match self.rng.u32(..4) {
            0 => self.rng.i64(0..=4) * self.span / 4,
            1 => self.rng.i64(0..=self.span / MINUTE) * MINUTE,
            _ => self.rng.i64(0..=self.span),
        };
        Time::from_micros(T0 + micros)
    }

    /// An honest rev, mostly; else one that is forged, or that the same record already has.
    fn rev(&mut self, did: &str, rkey: &str, collection: Collection, witnessed: Time) -> Rev {
        let clock = u16::try_from(self.rng.u32(..3)).expect("small");
        let at = |micros: i64| Tid::from_time(witnessed.plus_micros(micros), clock);
        let tid = match self.rng.u32(..28) {
            0..14 => at(-self.rng.i64(0..SECOND)),
            20 => at(self.rng.i64(-2 * DAY..2 * DAY)),
            21 => at(self.rng.i64(-10 * MINUTE..10 * MINUTE)),
            22 => at(400 * DAY),
            23 => Tid::from_u64(self.rng.u64(..)),
            24 => at(-9 * DAY),
            25 => Tid::from_u64(7),
            _ => {
                let known = self.facts.iter().filter_map(|fact| match fact {
                    Fact::Record(record) => Some(record),
                    _ => None,
                });
                let same = |record: &&Record| {
                    record.did.as_str() == did && record.rkey.as_str() == rkey && record.body.collection() == collection
                };
                let revs: Vec<Tid> = known.filter(same).map(|record| record.rev.tid()).collect();
                if revs.is_empty() { at(0) } else { self.pick(&revs) }
            }
        };
        if self.one_in(10) { Rev::AtMost(tid) } else { Rev::Exact(tid) }
    }

    fn record(&mut self, did: &str, rkey: &str, body: Body) {
        let same = if matches!(body, Body::Action(_)) && self.one_in(4) { self.moment_of_action() } else { None };
        let (witnessed, rev) = same.unwrap_or_else(|| {
            let witnessed = self.time();
            (witnessed, self.rev(did, rkey, body.collection(), witnessed))
        });
        let has_cid = !matches!(body, Body::Deleted(_)) && !self.one_in(10);
        let cid = has_cid.then(|| cid(u8::try_from(self.rng.u32(..3)).expect("small")));
        let rkey = RecordKey::parse(rkey).expect("valid");
        let did = super::did(did);
        self.facts.push(Fact::Record(Record { witnessed, host: Host::new("test"), did, rkey, rev, cid, body }));
    }

    /// The inner time of some event of an account.
    fn time_of_account(&mut self, did: &Did) -> Option<Time> {
        let times = self.facts.iter().filter_map(|fact| match fact {
            Fact::Account(account) if account.did == *did => Some(account.time),
            _ => None,
        });
        let times: Vec<Time> = times.collect();
        self.rng.choice(times)
    }

    /// When some action was made.
    fn moment_of_action(&mut self) -> Option<(Time, Rev)> {
        let moments = self.facts.iter().filter_map(|fact| match fact {
            Fact::Record(record) if matches!(record.body, Body::Action(_)) => Some((record.witnessed, record.rev)),
            _ => None,
        });
        let moments: Vec<(Time, Rev)> = moments.collect();
        self.rng.choice(moments)
    }

    fn tag(&mut self) -> CommunityId {
        CommunityId(if self.rng.bool() { TAGS[0] } else { self.pick(&TAGS) })
    }

    fn post(&mut self) {
        let (author, rkey) = (self.did(), self.rkey());
        let mut tags: Vec<CommunityId> = (0..self.rng.u32(..3)).map(|_| self.tag()).collect();
        tags.sort();
        tags.dedup();
        let near = self.time();
        let created = match self.rng.u32(..8) {
            0 => Some(near.plus_micros(-8 * DAY)),
            1 => Some(near.plus_micros(400 * DAY)),
            2 => Some(Time::from_micros(self.rng.i64(-5..5))),
            3 | 4 => Some(near),
            _ => None,
        };
        self.record(author, rkey, Body::Post(Post { tags, created }));
    }

    fn config(&mut self, place: usize) -> Config {
        if self.narrow && !self.one_in(6) {
            return self.narrow_config(place);
        }
        let tag = self.tag().0;
        let stage = self.pick(&[Stage::Theme, Stage::Theme, Stage::Community, Stage::Graduated, Stage::Graduated]);
        let parent = (!self.one_in(3)).then(|| self.community());
        let parent = parent.and_then(|uri| AtUri::parse(&uri.to_string()).ok());
        let parent = if self.one_in(12) { AtUri::parse("at://example.com/x.y.z/self").ok() } else { parent };
        let access = if self.one_in(4) { AccessType::InviteOnly } else { AccessType::Open };
        let moderators = (0..self.rng.u32(..3)).map(|_| did(self.did())).collect();
        let name = self.pick(&["one", "two"]).into();
        Config { name, stage, parent, access, moderators, ..config(tag) }
    }

    fn narrow_config(&mut self, place: usize) -> Config {
        let moderators = (0..self.rng.u32(..2)).map(|_| did(self.did())).collect();
        let (owner, rkey) = CONFIGS[2];
        let parent = AtUri::parse(&uri(DIDS[owner], Collection::Config, rkey).to_string()).ok();
        let access = if self.one_in(5) { AccessType::InviteOnly } else { AccessType::Open };
        match place {
            0 => {
                let stage = if self.one_in(4) { Stage::Community } else { Stage::Theme };
                Config { stage, parent, moderators, access, ..config(TAGS[0]) }
            }
            _ => Config { stage: Stage::Graduated, moderators, access, ..config(TAGS[1]) },
        }
    }

    fn config_put(&mut self) {
        let place = self.place();
        let (owner, rkey) = CONFIGS[place];
        let config = self.config(place);
        self.record(DIDS[owner], rkey, Body::Config(Box::new(config)));
    }

    /// A config's URI, nearly always.
    fn community(&mut self) -> RecordUri {
        let (owner, rkey) = if self.one_in(2) { CONFIGS[0] } else { CONFIGS[self.place()] };
        let collection = if self.one_in(25) { Collection::Post } else { Collection::Config };
        uri(DIDS[owner], collection, rkey)
    }

    fn membership(&mut self) {
        let (member, rkey) = (self.did(), self.pick(&["self", "3mabc222222mm"]));
        let (community, active) = (self.community(), !self.one_in(6));
        self.record(member, rkey, Body::Membership(Membership { community, active, joined: Time::EPOCH }));
    }

    fn action(&mut self) {
        let (author, rkey) = (self.moderator(), self.rkey());
        let on_post = self.rng.bool();
        let verb = match (on_post != self.one_in(20), self.rng.u32(..3)) {
            (true, 0) => Verb::UnhidePost,
            (true, _) => Verb::HidePost,
            (false, 0) => Verb::UnblockUser,
            (false, _) => Verb::BlockUser,
        };
        let target = if on_post {
            let collection = if self.one_in(20) { Collection::Config } else { Collection::Post };
            let posts = self.facts.iter().filter_map(|fact| match fact {
                Fact::Record(record) if matches!(record.body, Body::Post(_)) => Some((&record.did, &record.rkey)),
                _ => None,
            });
            match self.rng.choice(posts.collect::<Vec<_>>()) {
                Some((author, rkey)) => Target::Record(uri(author.as_str(), collection, rkey.as_str())),
                None => Target::Record(uri(self.did(), collection, self.rkey())),
            }
        } else {
            Target::Account(did(self.did()))
        };
        let (community, reason) = (self.community(), self.one_in(5).then(|| "spam".into()));
        self.record(author, rkey, Body::Action(Action { verb, target, community, created: Time::EPOCH, reason }));
    }

    /// The owner of most communities, or anybody.
    fn moderator(&mut self) -> &'static str {
        if self.one_in(3) { DIDS[0] } else { self.did() }
    }

    fn acceptance(&mut self) {
        let (author, rkey) = (self.moderator(), self.rkey());
        let (community, subject) = (self.community(), did(self.did()));
        self.record(author, rkey, Body::Acceptance(Acceptance { community, subject, created: Time::EPOCH }));
    }

    /// Deletes what there is, mostly.
    fn delete(&mut self) {
        let known = self.facts.iter().filter_map(|fact| match fact {
            Fact::Record(record) => Some((record.did.clone(), record.rkey.clone(), record.body.collection())),
            _ => None,
        });
        let known: Vec<_> = known.collect();
        let Some((did, rkey, collection)) = self.rng.choice(known) else { return };
        self.record(did.as_str(), rkey.as_str(), Body::Deleted(collection));
    }

    fn account(&mut self) {
        let (witnessed, did) = (self.time(), did(self.did()));
        let time = match self.rng.u32(..4) {
            0 => self.time(),
            1 => self.time_of_account(&did).unwrap_or(witnessed),
            _ => witnessed,
        };
        let active = self.one_in(2);
        let status = if active { None } else { Some(self.pick(&["deleted", "takendown", "suspended"]).into()) };
        let (host, name) = (Host::new("test"), did.clone());
        self.facts.push(Fact::Account(Account { witnessed, host: host.clone(), did, active, status, time }));
        if !active && self.rng.bool() {
            // Back again, and a member again.
            let (time, did, status) = (time.plus_micros(SECOND), name.clone(), None);
            self.facts.push(Fact::Account(Account { witnessed, host, did, active: true, status, time }));
            let (owner, rkey) = CONFIGS[0];
            let (community, joined) = (uri(DIDS[owner], Collection::Config, rkey), Time::EPOCH);
            let body = Body::Membership(Membership { community, active: true, joined });
            self.record(name.as_str(), "3mabc222222mb", body);
        }
        if self.narrow && !active {
            // Whoever is gone may come back, and found the community again.
            self.config_put();
            self.config_put();
        }
    }

    /// Another host tells again what one has told: earlier, later, or with the same time.
    fn redeliver(&mut self) {
        let index = self.rng.usize(..self.facts.len().max(1));
        let earlier = self.rng.i64(-3 * HOUR..3 * HOUR).min(self.rng.i64(-3 * HOUR..3 * HOUR));
        let Some(Fact::Record(record)) = self.facts.get(index) else { return };
        let witnessed = record.witnessed.plus_micros(earlier);
        let again = Record { witnessed, host: Host::new("other"), ..record.clone() };
        self.facts.push(Fact::Record(again));
    }
}
