//! How fast a service outside is asked, by everybody together, and when it is left alone.
//!
//! It knows nothing of what is asked: who asks waits for a [`Turn`], and says how it went and about whom. One who fails waits by
//! themselves, each time twice as long. When it has failed for several in a row, all who have failed wait together, and of the
//! others one a second is let try. Everybody waits when the service asks for it, or refuses us. So a service that is away gets
//! few questions, and those whose questions always fail hold up nobody else.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use http::{HeaderMap, header::RETRY_AFTER};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Duration, Instant, sleep_until},
};

const FIRST_PAUSE_MS: u64 = 1_000;
/// Of one who fails, and of all together.
const LONGEST_PAUSE_MS: u64 = 300_000;
const LONGEST_COMMON_PAUSE_MS: u64 = 60_000;

/// While they wait together, each comes so often to see whether it is over.
const LOOKS_AGAIN_MS: u64 = 5_000;

/// Nobody is left alone for longer because a server said so.
const LONGEST_ASKED_FOR_MS: i64 = 3_600_000;

/// Failures about so many different customers, and nothing that went well between them: it is not the customers.
const IN_A_ROW: usize = 3;

/// How many customers are remembered who fail; past it all begin anew.
const MAX_FAILING: usize = 10_000;

/// How often, while those who have failed wait, one is let try who has not.
const BETWEEN_TRIES: Duration = Duration::from_secs(1);

/// Who waits looks so often whether it is over: a person's question may have gone well.
const LOOKED_AGAIN: Duration = Duration::from_secs(1);

/// A pause of everybody that is told each time, and not only when the reason changes.
const TOLD_MS: u64 = 60_000;

#[derive(Debug)]
pub struct Pace {
    /// Whom it is about, as it is named in the log.
    whom: &'static str,
    /// The least time between two questions.
    between: Duration,
    free: Semaphore,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// When the next question may begin.
    next_at: Instant,
    /// Until when nobody asks.
    closed_until: Instant,
    /// Until when those don't ask who have failed, and when the next of the others may.
    doubted_until: Instant,
    next_try_at: Instant,
    /// How often there was such a pause since it went well.
    pauses: u32,
    /// Who has failed since it went well.
    in_a_row: HashSet<String>,
    /// How often in a row each has failed.
    failing: HashMap<String, u32>,
    trouble: Option<Wrong>,
}

/// The failure that a service is in trouble for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wrong {
    text: String,
    code: Option<Box<str>>,
    lasting: bool,
}

/// What is wrong with a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    pub text: String,
    /// The error code of the answer.
    pub code: Option<Box<str>>,
    /// It will not go by itself: a key or an address is wrong.
    pub lasting: bool,
    /// When it is asked again, in seconds from now.
    pub again_in_s: u64,
}

/// How a question came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub text: String,
    /// The error code of the answer, if it has one.
    pub code: Option<Box<str>>,
    /// It will not go by itself.
    pub lasting: bool,
    /// The service wants to be left alone, for so long.
    pub after_ms: Option<i64>,
}

/// The right to ask once.
pub struct Turn<'p> {
    pace: &'p Pace,
    _free: Option<SemaphorePermit<'p>>,
    /// How often there had been a pause when it began.
    pauses: u32,
}

impl Pace {
    /// So many questions under way at once.
    pub fn new(whom: &'static str, at_once: usize, between: Duration) -> Self {
        let now = Instant::now();
        let state = State {
            next_at: now,
            closed_until: now,
            doubted_until: now,
            next_try_at: now,
            pauses: 0,
            in_a_row: HashSet::new(),
            failing: HashMap::new(),
            trouble: None,
        };
        Self { whom, between, free: Semaphore::new(at_once), state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a turn to ask about somebody. An error: they have failed, and wait for so many milliseconds more.
    pub async fn turn(&self, about: &str) -> Result<Turn<'_>, i64> {
        // It is never closed.
        let free = self.free.acquire().await.map_err(|_| signed(LONGEST_PAUSE_MS))?;
        loop {
            let at = {
                let mut state = self.state();
                let (now, at) = (Instant::now(), state.may_ask_at(about)?);
                if at <= now {
                    state.next_at = now + self.between;
                    state.next_try_at = now + BETWEEN_TRIES;
                    return Ok(Turn { pace: self, _free: Some(free), pauses: state.pauses });
                }
                at.min(now + LOOKED_AGAIN)
            };
            sleep_until(at).await;
        }
    }

    /// A turn for a person, who has waited enough.
    pub fn turn_at_once(&self) -> Turn<'_> {
        Turn { pace: self, _free: None, pauses: self.state().pauses }
    }

    /// How long it is still left alone, because it has failed.
    pub fn rests_for_ms(&self) -> Option<i64> {
        let left = self.state().rests_until().saturating_duration_since(Instant::now());
        (!left.is_zero()).then(|| i64::try_from(left.as_millis()).unwrap_or(i64::MAX))
    }

    pub fn trouble(&self) -> Option<Trouble> {
        let state = self.state();
        let Wrong { text, code, lasting } = state.trouble.clone()?;
        Some(Trouble {
            text,
            code,
            lasting,
            again_in_s: state.rests_until().saturating_duration_since(Instant::now()).as_secs(),
        })
    }
}

impl Turn<'_> {
    pub fn went_well(self, about: &str) {
        let mut state = self.pace.state();
        state.failing.remove(about);
        state.in_a_row.clear();
        state.pauses = 0;
        state.trouble = None;
        state.closed_until = Instant::now();
        state.doubted_until = state.closed_until;
    }

    /// There was no answer. Returns how long this one is to wait, at least.
    pub fn failed(self, about: &str, failure: Failure) -> i64 {
        let Failure { text, code, lasting, after_ms } = failure;
        let mut state = self.pace.state();
        let pause_ms = state.failed(about);
        let is_closed = lasting || after_ms.is_some();
        // Those that were under way together fail together and count as one, and who is let try meanwhile makes it no longer.
        let until = if is_closed { state.closed_until } else { state.rests_until() };
        let is_news = self.pauses == state.pauses && until <= Instant::now();
        let pauses = is_news && (is_closed || state.in_a_row.len() >= IN_A_ROW);
        let paused_ms = if pauses { state.pause(is_closed, after_ms) } else { 0 };
        let pause_ms = state.comes_again_in(pause_ms);
        let wrong = Wrong { text: text.clone(), code, lasting };
        let is_told = state.trouble.as_ref() == Some(&wrong);
        state.trouble = Some(wrong);
        drop(state);
        if !is_told || paused_ms >= TOLD_MS {
            let (whom, pause_s) = (self.pace.whom, paused_ms.max(pause_ms) / 1_000);
            tracing::warn!(error = text, pause_s, "{whom} gives no answer; it is asked again");
        }
        signed(pause_ms)
    }

    /// There was an answer that nobody can use. It says nothing about others, unless it is the same with several in a row.
    pub fn odd(self, about: &str, text: &str, code: Option<&str>) -> i64 {
        let mut state = self.pace.state();
        let pause_ms = state.failed(about);
        if state.in_a_row.len() >= IN_A_ROW {
            state.trouble = Some(Wrong { text: text.to_owned(), code: code.map(Into::into), lasting: false });
        }
        signed(pause_ms)
    }
}

impl State {
    /// Counts a failure. Returns how long this one waits.
    fn failed(&mut self, about: &str) -> u64 {
        if self.failing.len() >= MAX_FAILING {
            self.failing.clear();
        }
        if self.in_a_row.len() < IN_A_ROW {
            self.in_a_row.insert(about.to_owned());
        }
        let failures = self.failing.entry(about.to_owned()).or_default();
        let pause_ms = doubled(*failures);
        *failures = failures.saturating_add(1);
        pause_ms
    }

    /// A pause twice as long as before, or as long as was asked for.
    fn pause(&mut self, is_closed: bool, asked_for_ms: Option<i64>) -> u64 {
        let asked_for_ms = asked_for_ms.map_or(0, |ms| ms.clamp(0, LONGEST_ASKED_FOR_MS).unsigned_abs());
        let pause_ms = doubled(self.pauses).min(LONGEST_COMMON_PAUSE_MS).max(asked_for_ms);
        self.pauses = self.pauses.saturating_add(1);
        let until = Instant::now() + Duration::from_millis(pause_ms);
        let pause = if is_closed { &mut self.closed_until } else { &mut self.doubted_until };
        *pause = until.max(*pause);
        pause_ms
    }

    fn may_ask_at(&self, about: &str) -> Result<Instant, i64> {
        let (now, at) = (Instant::now(), self.next_at.max(self.closed_until));
        if self.doubted_until <= now {
            return Ok(at);
        }
        if self.failing.contains_key(about) {
            let left_ms = u64::try_from((self.doubted_until - now).as_millis()).unwrap_or(u64::MAX);
            return Err(signed(left_ms.clamp(1, LOOKS_AGAIN_MS)));
        }
        Ok(at.max(self.next_try_at))
    }

    /// Of those who have failed together nobody has to wait for longer than the others.
    fn comes_again_in(&self, pause_ms: u64) -> u64 {
        if self.doubted_until > Instant::now() { pause_ms.min(LOOKS_AGAIN_MS) } else { pause_ms }
    }

    fn rests_until(&self) -> Instant {
        self.closed_until.max(self.doubted_until)
    }
}

fn doubled(before: u32) -> u64 {
    FIRST_PAUSE_MS.saturating_mul(1 << before.min(16)).min(LONGEST_PAUSE_MS)
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

/// How long the other side wants to be left alone. Seconds only: a date would hang on whose clock is right.
pub fn asked_for_ms(headers: &HeaderMap) -> Option<i64> {
    let seconds: i64 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(seconds.clamp(0, 86_400) * 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace() -> Pace {
        Pace::new("the shop", 16, Duration::from_millis(1))
    }

    fn failure() -> Failure {
        Failure { text: "it answers 500".to_owned(), code: None, lasting: false, after_ms: None }
    }

    async fn turn<'p>(pace: &'p Pace, about: &str) -> Turn<'p> {
        pace.turn(about).await.expect("a turn")
    }

    #[tokio::test(start_paused = true)]
    async fn one_who_fails_waits_alone_and_longer_each_time() {
        let pace = pace();
        for pause_ms in [1_000, 2_000, 4_000] {
            assert_eq!(turn(&pace, "C-1").await.failed("C-1", failure()), pause_ms);
            assert!(pace.rests_for_ms().is_none());
        }
        assert_eq!(pace.trouble().expect("it is told").text, "it answers 500");
        turn(&pace, "C-2").await.went_well("C-2");
        assert_eq!(pace.trouble(), None);
        assert_eq!(turn(&pace, "C-1").await.failed("C-1", failure()), 8_000, "others' luck is not theirs");
        turn(&pace, "C-1").await.went_well("C-1");
        assert_eq!(turn(&pace, "C-1").await.failed("C-1", failure()), 1_000);
        for _ in 0..20 {
            assert!(turn(&pace, "C-1").await.failed("C-1", failure()) <= 300_000);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn when_it_fails_for_several_in_a_row_they_wait_together_and_others_try() {
        let pace = pace();
        for customer in ["C-1", "C-2", "C-3"] {
            assert!(pace.rests_for_ms().is_none());
            turn(&pace, customer).await.failed(customer, failure());
        }
        for waited_s in [1, 2, 4, 8, 16, 32, 60, 60] {
            let began = Instant::now();
            while let Err(again_ms) = pace.turn("C-1").await {
                assert!(again_ms <= 5_000, "each looks again soon");
                tokio::time::sleep(Duration::from_millis(again_ms.unsigned_abs())).await;
            }
            assert!(began.elapsed().as_secs().abs_diff(waited_s) <= 1, "{waited_s}: {:?}", began.elapsed());
            let together = [turn(&pace, "C-1").await, turn(&pace, "C-1").await];
            for turn in together {
                turn.failed("C-1", failure());
            }
        }
        let until = pace.state().doubted_until;
        let began = Instant::now();
        for nth in 0..3 {
            let customer = format!("new-{nth}");
            turn(&pace, &customer).await.failed(&customer, failure());
        }
        assert!(began.elapsed() >= Duration::from_secs(2), "one a second");
        assert_eq!(pace.state().doubted_until, until, "who is let try makes it no longer");
        turn(&pace, "C-4").await.went_well("C-4");
        assert!(pace.rests_for_ms().is_none() && pace.trouble().is_none() && pace.turn("C-1").await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn many_who_always_fail_hold_up_nobody_else() {
        let pace = pace();
        let mut next: HashMap<String, i64> = (0..12).map(|nth| (format!("bad-{nth}"), 0)).collect();
        let began = Instant::now();
        let mut asked = 0;
        for nth in 0..60 {
            let now_ms = i64::try_from(began.elapsed().as_millis()).expect("short");
            for (customer, at_ms) in next.iter_mut().filter(|(_, at_ms)| **at_ms <= now_ms) {
                *at_ms = now_ms
                    + match pace.turn(customer).await {
                        Ok(turn) => {
                            asked += 1;
                            turn.failed(customer, failure())
                        }
                        Err(rests_ms) => rests_ms,
                    };
            }
            let (customer, came) = (format!("C-{nth}"), Instant::now());
            turn(&pace, &customer).await.went_well(&customer);
            assert!(came.elapsed() <= Duration::from_secs(2), "{customer} waited {:?}", came.elapsed());
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert!(asked <= 12 * 8, "{asked} questions about those who fail");
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_for_patience_or_refuses_us_is_left_alone_but_not_for_ever() {
        for (after_ms, lasting, waited_s) in
            [(Some(12_000), false, 12), (Some(100_000_000), false, 3_600), (Some(0), false, 1), (None, true, 1)]
        {
            let pace = pace();
            turn(&pace, "C-1").await.failed("C-1", Failure { after_ms, lasting, ..failure() });
            let trouble = pace.trouble().expect("told");
            assert!(pace.rests_for_ms().is_some() && trouble.lasting == lasting);
            assert!(trouble.again_in_s.abs_diff(waited_s) <= 1, "{trouble:?}");
            let began = Instant::now();
            drop(pace.turn_at_once());
            assert_eq!(began.elapsed(), Duration::ZERO, "a person does not wait");
            drop(turn(&pace, "C-2").await);
            assert_eq!(began.elapsed().as_secs(), waited_s);
        }
        let pace = pace();
        turn(&pace, "C-1").await.failed("C-1", Failure { after_ms: Some(3_000_000), ..failure() });
        let began = Instant::now();
        let person = async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            pace.turn_at_once().went_well("C-1");
        };
        let (_, waited) = tokio::join!(person, async { pace.turn("C-2").await.is_ok() });
        assert!(waited && began.elapsed() <= LOOKED_AGAIN, "what went well for one is over for all");
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_understands_is_trouble_when_it_is_all_there_is() {
        let pace = pace();
        for (customer, told) in [("C-1", false), ("C-2", false), ("C-3", true)] {
            turn(&pace, customer).await.odd(customer, "it is no JSON", Some("c1"));
            assert_eq!(pace.trouble().map(|trouble| trouble.code), told.then(|| Some("c1".into())));
            assert!(pace.rests_for_ms().is_none());
        }
    }
}
