//! Applies the journal to the view: the records that the view does not have yet, or all of them.

use std::{io, ops::Range, path::Path, sync::Arc};

use super::{disk::Disk, scan::Damage, segment};
use crate::store::{
    decider::mark_changed,
    overlay::Overlay,
    record,
    view::{View, ViewError},
};
use crate::{
    decide::{Changes, CustomerState},
    domain::CustomerId,
    outbox::JobId,
};

/// How many customers are collected before they are written to the view.
const FLUSH_CUSTOMERS: usize = 2_000;

pub enum ReplayError {
    View(ViewError),
    Io(io::Error),
    Damage(Damage),
    /// The view has records that the journal does not have.
    Ahead {
        view: u64,
    },
}

impl From<ViewError> for ReplayError {
    fn from(error: ViewError) -> Self {
        Self::View(error)
    }
}

impl From<io::Error> for ReplayError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Updates the view from its mark to record `last`, and reports its position to `progress`.
pub fn replay(disk: &Disk, dir: &Path, view: &View, last: u64, progress: &dyn Fn(u64)) -> Result<Overlay, ReplayError> {
    let mark = view.mark()?;
    let mut hot = Overlay::default();
    hot.set_customers(mark.customers);
    hot.set_durable(mark.applied);
    hot.set_global_state(mark.standing);
    if let Some(hash) = &mark.active_set {
        hot.set_active(hash);
    }
    let segments = segment::list(dir)?;
    for (nth, (first, path)) in segments.iter().enumerate() {
        let next = segments.get(nth + 1).map_or(last + 1, |(next, _)| *next);
        if next > mark.applied + 1 {
            let bytes = disk.read(path)?;
            // The seal may be missing; the segment ends where the next one begins.
            replay_segment(path, *first..next, &bytes, view, &mut hot, progress)?;
        }
    }
    flush(view, &mut hot)?;
    progress(last);
    Ok(hot)
}

fn replay_segment(
    path: &Path,
    numbers: Range<u64>,
    bytes: &[u8],
    view: &View,
    hot: &mut Overlay,
    progress: &dyn Fn(u64),
) -> Result<(), ReplayError> {
    let mut offset = 0;
    for (line, number) in bytes.split(|byte| *byte == b'\n').zip(numbers) {
        if record::is_seal(line) {
            break;
        }
        if number > hot.durable() {
            let record = record::decode(line).ok().filter(|record| record.header.n == number).ok_or_else(|| {
                let what = "the record cannot be read";
                ReplayError::Damage(Damage { file: path.to_owned(), offset, number, what })
            })?;
            let effects = &record.effects;
            if let Some(who) = &effects.who {
                let case = match hot.case(who) {
                    Some(case) => Some(case.clone()),
                    None => view.state(who)?.map(Into::into),
                };
                let case = with_changed_jobs(case.unwrap_or_default(), who, effects, hot, view)?;
                let touched = mark_changed(&case, number, record.header.at, effects);
                hot.publish(who, touched);
            } else {
                if let Some(hash) = &effects.set {
                    hot.set_active(hash);
                }
                if effects.standing.is_some() {
                    hot.set_global_state(number);
                }
            }
            hot.set_durable(number);
            if hot.waiting() >= FLUSH_CUSTOMERS {
                flush(view, hot)?;
                progress(number);
            }
        }
        offset += line.len() as u64 + 1;
    }
    Ok(())
}

/// Adds the jobs that the record changes to the customer's state, if they were left out by the limit on open jobs.
fn with_changed_jobs(
    mut case: Arc<CustomerState>,
    who: &CustomerId,
    effects: &Changes,
    hot: &Overlay,
    view: &View,
) -> Result<Arc<CustomerState>, ViewError> {
    let out_of_sight: Vec<JobId> = case.without_final_jobs(effects).collect();
    for id in out_of_sight {
        let job = match hot.job(who, id) {
            Some(job) => Some(Arc::clone(job)),
            None => view.job(id)?.map(|(_, job)| Arc::new(job)),
        };
        if let Some(job) = job.filter(|job| job.is_flood()) {
            case = Arc::new(case.with_job(job));
        }
    }
    Ok(case)
}

fn flush(view: &View, hot: &mut Overlay) -> Result<(), ViewError> {
    let (touched, mark) = hot.begin_flush();
    view.apply(touched.iter(), &mark, &|_| {})?;
    hot.end_flush();
    Ok(())
}
