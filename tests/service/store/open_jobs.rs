//! A customer with more open jobs than the limit.

use super::*;

const MAX_OPEN_JOBS: usize = kyc_rules::decide::MAX_OPEN_JOBS;
const BEYOND: usize = 30;

/// Each move orders a webhook, and a chat with a limit.
fn webhook_rules() -> Arc<RuleSet> {
    let rules = "format: 1\nrules:\n  - {id: told, when: any -> any, do: [{webhook: {to: shop, event: kyc.moved}}]}\n  \
                 - {id: shown, when: any -> any, do: [{chat: {to: ops, text: moved, limit: 100 per 24h}}]}\n";
    let files: Files = [("kyc.yaml".to_owned(), rules.to_owned())].into_iter().collect();
    let context = Environment {
        webhooks: vec!["shop".to_owned()],
        chats: vec!["ops".to_owned()],
        locale: "en".to_owned(),
        ..Environment::default()
    };
    let compiled = RuleSet::compile(&files, &context);
    Arc::new(compiled.set.unwrap_or_else(|| panic!("{:#?}", compiled.diagnostics)))
}

/// Orders `BEYOND` jobs more than the limit on open jobs.
async fn flood(store: &Store) {
    store.activate(webhook_rules()).await.expect("accepted");
    for nth in 0..(MAX_OPEN_JOBS - 100 + BEYOND) {
        seen(store, "C-1", ["CREATED", "KYC_NEEDED"][nth % 2]).await;
    }
}

async fn floods(store: &Store) -> Vec<kyc_rules::outbox::Job> {
    let filter = JobFilter { state: Some(JobState::Problem), ..JobFilter::default() };
    let rows = store.jobs(&filter, None, 100).await.expect("readable").rows;
    rows.into_iter().map(|(_, job)| job).collect()
}

fn open_jobs(store: &Store) -> usize {
    store.customer(&id("C-1")).expect("readable").expect("known").open.len()
}

/// Dropping one open job makes room for one problem, and a dropped problem stays dropped.
async fn one_for_one(store: &Store) {
    assert_eq!(open_jobs(store), MAX_OPEN_JOBS);
    let problems = floods(store).await;
    let names: Vec<_> = problems.iter().map(|job| job.fate.trouble.map(|trouble| trouble.name())).collect();
    assert!(names.iter().all(|name| *name == Some("flood")), "{names:?}");
    let [first, second, third] = [0, 1, 2].map(|nth| problems[nth].id());
    let retry = |job| store.submit(Command::Retry { customer: id("C-1"), job });
    let drop = |job| store.submit(Command::Drop { customer: id("C-1"), job });
    assert_eq!(retry(first).await, Ok(Receipt::NotNow), "the limit is reached");
    let oldest = store.customer(&id("C-1")).expect("readable").expect("known").open[0].id();
    assert_eq!(drop(oldest).await, Ok(Receipt::Recorded));
    let together = tokio::join!(retry(first), retry(second), drop(third), retry(third));
    let gone = (Ok(Receipt::Recorded), Ok(Receipt::NotNow), Ok(Receipt::Recorded), Ok(Receipt::Gone));
    assert_eq!(together, gone, "each is decided after the one before it");
    let state = |job| async move { store.job(job).await.expect("readable").expect("known").1.fate.state };
    assert_eq!(
        (state(first).await, state(second).await, state(third).await),
        (JobState::Queued, JobState::Problem, JobState::Cancelled)
    );
    assert_eq!(open_jobs(store), MAX_OPEN_JOBS);
}

#[tokio::test]
async fn a_job_beyond_the_limit_is_a_problem_until_another_job_ends() {
    each_engine(|store, _| async move {
        flood(&store).await;
        assert_eq!(floods(&store).await.len(), BEYOND);
        one_for_one(&store).await;
        assert_eq!(floods(&store).await.len(), BEYOND - 2);
    })
    .await;
}

#[tokio::test]
async fn many_jobs_fit_in_small_rows_and_survive_a_restart_and_a_lost_view() {
    let dir = tempfile::tempdir().expect("directory");
    let store = open(dir.path(), &options()).await;
    flood(&store).await;
    store.close().await;
    let mut left = BEYOND;
    for lost in [false, true, false, true] {
        let path = dir.path().join("view");
        if lost {
            fs::remove_dir_all(&path).expect("removed");
        }
        let store = open(dir.path(), &options()).await;
        assert_eq!((open_jobs(&store), floods(&store).await.len()), (MAX_OPEN_JOBS, left), "view lost: {lost}");
        one_for_one(&store).await;
        left -= 2;
        store.close().await;
        let view = sled::open(&path).expect("a view");
        let longest = view.iter().map(|row| row.expect("a row").1.len()).max();
        assert!(longest.is_some_and(|bytes| bytes <= 4_096), "{longest:?} bytes");
    }
}

#[tokio::test]
async fn a_kill_in_a_batch_of_retries_loses_no_acknowledged_retry() {
    let dir = tempfile::tempdir().expect("directory");
    let calm = options();
    let store = open(dir.path(), &calm).await;
    flood(&store).await;
    let oldest = store.customer(&id("C-1")).expect("readable").expect("known").open[0].id();
    let job = floods(&store).await[0].id();
    store.submit(Command::Drop { customer: id("C-1"), job: oldest }).await.expect("accepted");
    store.close().await;
    let store = open(dir.path(), &stop_at(CommitStep::Answered, 3)).await;
    assert_eq!(store.submit(Command::Retry { customer: id("C-1"), job }).await, Ok(Receipt::Recorded));
    while store.submit(callback("C-2", "CREATED")).await.is_ok() {}
    store.close().await;
    let store = open(dir.path(), &calm).await;
    let (_, job) = store.job(job).await.expect("readable").expect("known");
    assert_eq!(job.fate.state, JobState::Queued);
    store.close().await;
}
