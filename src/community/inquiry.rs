//! Inquiries: what other threads ask the one thread that folds.
//!
//! ```text
//! askers, any thread ──► box, a ring of INQUIRIES_MAX ──► the folding thread: between batches, a few at a time
//!        ▲                                                      │
//!        └───────── look into their slip now and then ◄─────────┘ writes the answer there, and wakes nobody
//! ```
//! In: a post's URI, and perhaps a community. Out: an [`Explanation`] at one moment, or why there is none.
//!
//! What always holds:
//! - **the folding thread never waits for an asker**: the ring is wait-free for its consumer, the lock that askers share
//!   is not known to it, a slip is written by it alone, and it is neither woken by a question nor does it wake anybody;
//! - a question that finds the box full is refused at once, and one whose asker has gone is not answered.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::{Explanation, Fold, Unexplained};
use crate::fact::CommunityId;
use crate::limits::INQUIRIES_MAX;
use crate::ring::{self, Consumer, Producer, Signal};
use crate::syntax::{RecordUri, Time};

/// What comes of a question.
pub type Answer = Result<Explanation, Unexplained>;

/// Where one answer is written, once.
type Slip = OnceLock<Answer>;

/// One question. It is out of date when only the box still holds its slip.
struct Question {
    uri: RecordUri,
    only: Option<CommunityId>,
    slip: Arc<Slip>,
}

/// Makes an empty box: its asking end and its answering end.
pub fn inquiries() -> (Inquirer, Answerer) {
    // Nobody sleeps on this signal: the answerer looks into the box when it is awake anyway.
    let (producer, consumer) = ring::channel(INQUIRIES_MAX, &Signal::new());
    (Inquirer(Arc::new(Mutex::new(producer))), Answerer(consumer))
}

/// Asks. Clones ask through the same box.
#[derive(Clone)]
pub struct Inquirer(Arc<Mutex<Producer<Question>>>);

/// The box is full, or nobody answers any more: ask again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many questions are waiting: ask again in a second")]
pub struct Busy;

impl Inquirer {
    /// Puts a question into the box. Returns at once.
    ///
    /// # Errors
    /// The box is full, or its other end is gone.
    pub fn ask(&self, uri: RecordUri, only: Option<CommunityId>) -> Result<Pending, Busy> {
        let slip = Arc::new(Slip::new());
        let question = Question { uri, only, slip: Arc::clone(&slip) };
        // Held for one push, among askers alone. A panic there leaves nothing half done that counts.
        let mut producer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        producer.push(question).map_err(|_| Busy)?;
        Ok(Pending(slip))
    }
}

/// A question that was asked. Whoever drops it does not want the answer any more.
pub struct Pending(Arc<Slip>);

impl Pending {
    /// The answer, once there is one. It may never come: whoever waits sets a bound.
    ///
    /// # Errors
    /// It will certainly not come: the other end is gone.
    pub fn answer(&self) -> Result<Option<&Answer>, Busy> {
        let is_last = Arc::strong_count(&self.0) == 1;
        // Read after the count: an answer is written before the other end lets go.
        match self.0.get() {
            None if is_last => Err(Busy),
            answer => Ok(answer),
        }
    }
}

/// Answers.
pub struct Answerer(Consumer<Question>);

/// Whoever still waits is told so: the ring alone would keep their questions for as long as anybody could ask.
impl Drop for Answerer {
    fn drop(&mut self) {
        self.0.drain(INQUIRIES_MAX, drop);
    }
}

impl Answerer {
    /// Whether nobody waits for an answer.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Answers at most `max` questions, oldest first, while `has_time`; the first one in any case. Says how many. No more
    /// are taken out than the box holds, however fast it fills again.
    pub fn answer(&mut self, fold: &Fold, now: Time, max: usize, has_time: impl Fn() -> bool) -> usize {
        let mut answered = 0;
        for _ in 0..INQUIRIES_MAX {
            if answered == max || (answered > 0 && !has_time()) {
                break;
            }
            let Some(question) = self.0.pop() else { break };
            if Arc::strong_count(&question.slip) == 1 {
                continue;
            }
            let answer = fold.explain(&question.uri, question.only, now);
            question.slip.set(answer).expect("invariant: a slip is written once, by the one that took its question");
            answered += 1;
        }
        answered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(rkey: usize) -> RecordUri {
        RecordUri::parse(&format!("at://did:plc:a/app.bsky.feed.post/{rkey}")).expect("valid")
    }

    fn answer(answerer: &mut Answerer, max: usize) -> usize {
        answerer.answer(&Fold::new(), Time::EPOCH, max, || true)
    }

    #[test]
    fn questions_are_answered_in_turn_and_no_more_than_asked_for() {
        let (inquirer, mut answerer) = inquiries();
        let asked: Vec<Pending> = (0..3).map(|at| inquirer.ask(uri(at), None).expect("room")).collect();
        let done = || asked.iter().map(|it| it.answer().expect("alive").is_some()).collect::<Vec<_>>();
        assert_eq!(done(), [false, false, false]);
        assert_eq!(answer(&mut answerer, 2), 2);
        assert_eq!(done(), [true, true, false]);
        assert_eq!(answerer.answer(&Fold::new(), Time::EPOCH, 2, || false), 1, "the first one in any case");
        assert!(answerer.is_empty());
        let Ok(Some(Err(Unexplained::NotFound { uri: of, .. }))) = asked[2].answer() else { panic!("no answer") };
        assert_eq!(*of, uri(2));
    }

    #[test]
    fn a_full_box_refuses_and_has_room_again_later() {
        let (inquirer, mut answerer) = inquiries();
        let mut asked: Vec<Pending> = Vec::new();
        while let Ok(pending) = inquirer.ask(uri(asked.len()), None) {
            asked.push(pending);
        }
        assert_eq!(asked.len(), INQUIRIES_MAX);
        answer(&mut answerer, 1);
        assert!(inquirer.ask(uri(0), None).is_ok());
    }

    #[test]
    fn who_has_gone_is_not_answered() {
        let (inquirer, mut answerer) = inquiries();
        drop(inquirer.ask(uri(0), None));
        let stays = inquirer.ask(uri(1), None).expect("room");
        assert_eq!(answer(&mut answerer, 1), 1);
        assert!(stays.answer().expect("alive").is_some(), "the one before it took no turn");
    }

    #[test]
    fn the_end_of_the_answerer_is_told() {
        let (inquirer, mut answerer) = inquiries();
        let answered = inquirer.ask(uri(0), None).expect("room");
        let waiting = inquirer.ask(uri(1), None).expect("room");
        answer(&mut answerer, 1);
        drop(answerer);
        assert!(answered.answer().is_ok_and(|answer| answer.is_some()), "what was answered stays so");
        assert_eq!(waiting.answer().map(|answer| answer.is_some()), Err(Busy));
        assert!(inquirer.ask(uri(2), None).is_err());
    }
}
