//! A data directory that somebody has handled: copied with other rights, or with its view lost.

mod support;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use serde_json::json;
use support::service::Shop;

const RULES: &str = "  - {id: mark, when: any -> FULL_USER, do: record}\n";

/// Everything below a directory, and itself.
fn tree(path: &Path) -> Vec<PathBuf> {
    let below = fs::read_dir(path).into_iter().flatten().flat_map(|entry| tree(&entry.expect("an entry").path()));
    std::iter::once(path.to_owned()).chain(below).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_could_read_is_its_owners_alone_again() {
    let shop = Shop::new(RULES);
    let service = shop.start().ready().await;
    service.callback("C-1", "FULL_USER", json!({})).await;
    service.stop();
    for path in tree(&shop.path("data")) {
        let mode = if path.is_dir() { 0o755 } else { 0o644 };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("loosened");
    }
    let service = shop.start().ready().await;
    service.logs("its owner's alone").await;
    for path in tree(&shop.path("data")) {
        let mode = fs::metadata(&path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode & 0o077, 0, "{} is {mode:o}", path.display());
    }
    service.stop();
    let service = shop.start().ready().await;
    assert!(!service.log().contains("its owner's alone"), "said once: {}", service.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_view_is_made_again_and_that_is_said() {
    let shop = Shop::new(RULES);
    let service = shop.start().ready().await;
    assert!(!service.log().contains("made again"), "there was nothing to make");
    service.callback("C-1", "FULL_USER", json!({})).await;
    service.stop();
    fs::remove_dir_all(shop.path("data/view")).expect("removed");
    let service = shop.start().ready().await;
    service.logs("the view was made again from the journal").await;
    assert_eq!(service.get("customers/C-1").await["status"], "FULL_USER");
    service.stop();

    fs::remove_dir_all(shop.path("data/view")).expect("removed");
    fs::write(shop.path("data/view"), "no directory").expect("written");
    let service = shop.start().ready().await;
    assert_eq!(service.get("customers/C-1").await["status"], "FULL_USER");
    service.stop();
    let service = shop.start().ready().await;
    assert!(!service.log().contains("made again"), "{}", service.log());
}
