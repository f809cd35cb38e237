//! Tests of reloads while callbacks arrive: the whole set is loaded or nothing, for every way of writing files.

use std::{fs, os::unix::fs::symlink, time::Duration};

use serde_json::json;

use crate::support::service::{Service, Shop, signal};

fn tags(name: &str) -> String {
    format!("  - {{id: mark, when: any -> FULL_USER, do: [{{tag: {name}}}]}}\n")
}

/// Waits until a new customer gets this tag, so that the rules with this tag are active.
async fn until_tagged(service: &Service, name: &str) {
    for nth in 0..200 {
        let customer = format!("{name}-{nth}");
        service.callback(&customer, "FULL_USER", json!({})).await;
        if service.get(&format!("customers/{customer}")).await["tags"] == json!([name]) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no customer is tagged {name}: {}", service.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_of_saving_triggers_a_reload() {
    let shop = Shop::new(&tags("first"));
    let real = shop.path("rules-1");
    fs::rename(shop.path("rules"), &real).expect("renamed");
    symlink(&real, shop.path("rules")).expect("linked");
    let service = shop.start().ready().await;
    until_tagged(&service, "first").await;

    // An editor writes a new file and renames it.
    shop.write("rules/kyc.yaml.tmp", &format!("format: 1\nrules:\n{}", tags("renamed")));
    fs::rename(shop.path("rules/kyc.yaml.tmp"), shop.path("rules/kyc.yaml")).expect("renamed");
    until_tagged(&service, "renamed").await;

    // A checkout removes and writes many files.
    fs::remove_file(shop.path("rules/kyc.yaml")).expect("removed");
    for nth in 0..20 {
        shop.write(&format!("rules/part-{nth}.yaml"), "format: 1\nrules: []\n");
    }
    shop.write("rules/all.yaml", &format!("format: 1\nrules:\n{}", tags("checkout")));
    until_tagged(&service, "checkout").await;

    // A deployment swaps a symbolic link.
    let next = shop.path("rules-2");
    fs::create_dir(&next).expect("made");
    fs::write(next.join("kyc.yaml"), format!("format: 1\nrules:\n{}", tags("swapped"))).expect("written");
    symlink(&next, shop.path("link")).expect("linked");
    fs::rename(shop.path("link"), shop.path("rules")).expect("swapped");
    until_tagged(&service, "swapped").await;

    shop.rules(&tags("hangup"));
    signal(service.pid(), "HUP");
    until_tagged(&service, "hangup").await;

    shop.rules(&tags("posted"));
    let (status, body) = service.ask("POST", "reload", None).await;
    assert_eq!(status, 200, "{body}");
    let status = service.get("status").await;
    assert_eq!(status["rules"]["error"], json!(null));
    until_tagged(&service, "posted").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_invalid_saves_refuse_no_callback() {
    let shop = Shop::new(&tags("good"));
    let service = shop.start().ready().await;
    let hash = service.get("status").await["rules"]["hash"].clone();
    let load = async {
        for nth in 0..2_000 {
            assert_eq!(service.callback(&format!("C-{nth}"), "FULL_USER", json!({})).await, "accepted");
        }
    };
    let saves = async {
        for nth in 0..200 {
            let broken =
                ["  - {id: x, when: nonsense}\n", "  - [", "\t- id: x\n", "  - {id: a, do: [{email: gone}]}\n"]
                    [nth % 4];
            shop.rules(broken);
            let (status, problem) = service.ask("POST", "reload", None).await;
            assert_eq!(status, 422, "{problem}");
            assert!(problem["detail"].as_str().expect("why").contains("error["), "{problem}");
        }
    };
    tokio::join!(load, saves);
    let status = service.get("status").await;
    assert_eq!(status["rules"]["hash"], hash, "the last good set stays active");
    assert!(status["rules"]["error"]["text"].as_str().expect("why").contains("kyc.yaml:"), "{status}");
    service.logs("the rules are refused").await;
    assert_eq!(service.get("customers/C-1999").await["tags"], json!(["good"]));

    // A restart with the broken files activates the last good set and logs this.
    service.kill();
    let service = shop.start().ready().await;
    let status = service.get("status").await;
    assert_eq!(status["rules"]["hash"], hash);
    assert_ne!(status["rules"]["error"], json!(null));
    service.logs("the last good set stays active").await;
    service.callback("later", "FULL_USER", json!({})).await;
    let later = service.get("customers/later").await;
    assert_eq!((&later["tags"], &later["timeline"][0]["rule_set"]), (&json!(["good"]), &hash));
    assert!(shop.path(&format!("data/rule-sets/{}.json", hash.as_str().expect("hash"))).exists());

    shop.rules(&tags("mended"));
    until_tagged(&service, "mended").await;
    assert_eq!(service.get("status").await["rules"]["error"], json!(null));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_without_a_reader_does_not_stop_the_service() {
    let shop = Shop::new(&tags("first"));
    let service = Service::start_unheard(shop.command()).ready().await;
    until_tagged(&service, "first").await;
    shop.rules("  - {id: x, when: nonsense}\n");
    service.until("status", |status| status["rules"]["error"] != json!(null)).await;
    shop.rules(&tags("second"));
    service.until("status", |status| status["rules"]["error"] == json!(null)).await;
    until_tagged(&service, "second").await;
}

#[test]
fn a_log_on_a_full_disk_does_not_keep_the_service_from_starting() {
    let shop = Shop::new(&tags("first"));
    let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
    let mut child = shop.command().arg("serve").stderr(full).spawn().expect("starts");
    let began = std::time::Instant::now();
    // The rule set is stored when the rules are active.
    while shop.path("data/rule-sets").read_dir().map_or(0, Iterator::count) == 0 {
        assert_eq!(child.try_wait().expect("status"), None, "the service ended");
        assert!(began.elapsed() < Duration::from_secs(20), "the service does not open its store");
        std::thread::sleep(Duration::from_millis(10));
    }
    signal(child.id(), "TERM");
    assert!(child.wait().expect("ended").success());
}
