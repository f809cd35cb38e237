//! A data directory that was changed from outside: copied with other permissions, or without its view.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use serde_json::json;

use crate::support::service::{Service, Shop, signed};

const RULES: &str = "  - {id: mark, when: any -> FULL_USER, do: record}\n";

/// A directory and everything below it.
fn tree(path: &Path) -> Vec<PathBuf> {
    let below = fs::read_dir(path).into_iter().flatten().flat_map(|entry| tree(&entry.expect("an entry").path()));
    std::iter::once(path.to_owned()).chain(below).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_other_users_could_read_become_owner_only() {
    let shop = Shop::new(RULES);
    let service = shop.start().ready().await;
    service.callback("C-1", "FULL_USER", json!({})).await;
    service.stop();
    for path in tree(&shop.path("data")) {
        let mode = if path.is_dir() { 0o755 } else { 0o644 };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("loosened");
    }
    let service = shop.start().ready().await;
    service.logs("owner-only").await;
    for path in tree(&shop.path("data")) {
        let mode = fs::metadata(&path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode & 0o077, 0, "{} is {mode:o}", path.display());
    }
    service.stop();
    let service = shop.start().ready().await;
    assert!(!service.log().contains("owner-only"), "logged only once: {}", service.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_view_is_rebuilt_and_that_is_logged() {
    let shop = Shop::new(RULES);
    let service = shop.start().ready().await;
    assert!(!service.log().contains("rebuilt"), "there was nothing to rebuild");
    service.callback("C-1", "FULL_USER", json!({})).await;
    service.stop();
    fs::remove_dir_all(shop.path("data/view")).expect("removed");
    let service = shop.start().ready().await;
    service.logs("the view was rebuilt from the journal").await;
    assert_eq!(service.get("customers/C-1").await["status"], "FULL_USER");
    service.stop();

    fs::remove_dir_all(shop.path("data/view")).expect("removed");
    fs::write(shop.path("data/view"), "not a directory").expect("written");
    let service = shop.start().ready().await;
    assert_eq!(service.get("customers/C-1").await["status"], "FULL_USER");
    service.stop();
    let service = shop.start().ready().await;
    assert!(!service.log().contains("rebuilt"), "{}", service.log());
}

/// Starts a server that must end by itself. Returns its exit code and its output.
fn refused(shop: &Shop) -> (Option<i32>, String) {
    let (status, _, said) = shop.run(&["serve"]);
    (status.code(), said)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_or_changed_file_ends_the_start_with_exit_code_74() {
    let shop = Shop::new(RULES);
    let service = shop.start().ready().await;
    service.callback("C-1", "FULL_USER", json!({})).await;
    let hash = service.get("status").await["rules"]["hash"].as_str().expect("a hash").to_owned();
    service.stop();
    for name in ["journal/00000000000000000001.jsonl", "witness.json", "job.key"] {
        let (path, away) = (shop.path("data").join(name), shop.path("away"));
        fs::rename(&path, &away).expect("moved");
        let (code, said) = refused(&shop);
        assert_eq!(code, Some(74), "{name}: {said}");
        assert!(said.contains("Restore"), "{name}: {said}");
        fs::rename(&away, &path).expect("moved");
    }
    let set = shop.path(&format!("data/rule-sets/{hash}.json"));
    let kept = fs::read_to_string(&set).expect("stored");
    fs::write(&set, kept.replace("mark", "mork")).expect("edited");
    shop.rules("  - {id: x, when: nonsense}\n");
    let (code, said) = refused(&shop);
    assert_eq!(code, Some(74), "{said}");
    assert!(said.contains(&hash) && said.contains("kyc.yaml:"), "the output names both: {said}");
    shop.rules(RULES);
    let service = shop.start().ready().await;
    assert_eq!(service.get("customers/C-1").await["status"], "FULL_USER");
    assert_eq!(fs::read_to_string(&set).expect("stored"), kept, "loading the rules has rewritten the file");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_without_space_for_its_copy_responds_503_with_the_reason() {
    let shop = Shop::new(RULES);
    let service = shop.start().ready().await;
    service.callback("C-1", "FULL_USER", json!({})).await;
    service.kill();
    let command = shop.command();
    let config = fs::read_to_string(shop.path("kyc-rules.yaml")).expect("a configuration");
    shop.write("kyc-rules.yaml", &config.replace("min_free: 1MB", "min_free: 1000000GB"));
    let service = Service::start(command);
    service.logs("too little free space").await;
    let (status, problem) = service.post(signed("C-2", "FULL_USER", json!({})).to_string()).await.expect("an answer");
    assert_eq!(status, 503, "{problem}");
    let (status, problem) = service.ask("GET", "status", None).await;
    assert_eq!(status, 503);
    assert!(problem["detail"].as_str().expect("why").contains("free space"), "{problem}");
    let (ended, log) = service.stop();
    assert!(ended.success(), "{log}");
    let service = shop.start().ready().await;
    assert_eq!(service.get("customers/C-1").await["status"], "FULL_USER");
}
