//! Time zones on machines whose own database has all zones, some of them, or different ones.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use crate::support::service::Shop;

/// Returns a time zone file (RFC 8536) with a fixed offset from UTC, in hours.
fn fixed_zone(hours: i32) -> Vec<u8> {
    let block = |counts: [u32; 6]| {
        let mut block = b"TZif2".to_vec();
        block.extend([0; 15]);
        block.extend(counts.iter().flat_map(|count| count.to_be_bytes()));
        block.extend((hours * 3600).to_be_bytes());
        block.extend([0, 0]);
        block.extend(b"FIX\0");
        block
    };
    // One local time type and a name of four bytes, and nothing else.
    let one = block([0, 0, 0, 0, 1, 4]);
    [&one[..], &one[..], format!("\n<FIX>{}\n", -hours).as_bytes()].concat()
}

/// Creates a system database that contains only this zone.
fn only(shop: &Shop, name: &str, hours: i32) -> PathBuf {
    let dir = shop.path("zoneinfo");
    let file = dir.join(name);
    fs::create_dir_all(file.parent().expect("a parent")).expect("made");
    fs::write(file, fixed_zone(hours)).expect("written");
    dir
}

fn run(shop: &Shop, zones: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = shop.command().env("TZDIR", zones).args(arguments).stdin(Stdio::null()).output().expect("runs");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).expect("text"))
}

const RULES: &str =
    "  - {id: greet, when: any -> FULL_USER, do: [{email: {template: hello, quiet_hours: \"20:00-09:00\"}}]}\n";

fn shop(timezone: &str, test: &str) -> Shop {
    let mut shop = Shop::new(RULES);
    shop.more = format!("timezone: {timezone}\n");
    shop.write("rules/kyc.test.yaml", &format!("format: 1\ntests:\n{test}"));
    shop
}

const NIGHT: &str = "  - name: it waits for the morning
    start: 2026-07-01T03:00[Europe/Lisbon]
    customer: {timezone: America/New_York}
    steps:
      - callback: {status: FULL_USER}
      - expect: nothing
      - wait: 17h
      - expect: [{rule: greet, email: hello, at: 2026-07-01T14:00}]
";

#[test]
fn a_zone_that_the_system_lacks_is_read_from_the_built_in_database() {
    for name in ["Europe/Berlin", "UTC"] {
        let shop = shop(name, NIGHT);
        let zones = only(&shop, "Some/Where", 3);
        let (code, said) = run(&shop, &zones, &["check"]);
        assert_eq!(code, Some(0), "{said}");
        let (code, said) = run(&shop, &zones, &["test"]);
        assert!(code == Some(0) && said.contains("1 test passed"), "{said}");
        shop.write("customers.csv", "id,email,timezone\nC-1,ada@customer.example,Australia/Lord_Howe\n");
        let file = shop.path("customers.csv").display().to_string();
        let (code, said) = run(&shop, &zones, &["customers", "import", &file]);
        assert_eq!(code, Some(0), "{said}");
        shop.write("customers.csv", "id,email,timezone\nC-2,ada@customer.example,Australia/Lord_How\n");
        let (code, said) = run(&shop, &zones, &["customers", "import", &file]);
        assert!(code == Some(1) && said.contains("is no time zone"), "{said}");
    }
}

#[test]
fn the_system_database_takes_precedence_over_the_built_in_one() {
    // A hypothetical future law: Berlin is five hours ahead of UTC.
    let test = "  - name: four in the afternoon is eleven there
    start: 2026-07-01T16:00[Europe/Berlin]
    steps:
      - callback: {status: FULL_USER}
      - expect: [{rule: greet, email: hello, at: 2026-07-01T11:00Z}]
";
    let shop = shop("UTC", test);
    let zones = only(&shop, "Europe/Berlin", 5);
    let (code, said) = run(&shop, &zones, &["test"]);
    assert!(code == Some(0) && said.contains("1 test passed"), "{said}");
}

#[test]
fn rule_tests_use_the_first_of_two_equal_times_and_the_end_of_a_gap() {
    let quiet = "  - {id: greet, when: any -> FULL_USER, do: [{email: {template: hello, quiet_hours: \"22:00-02:30\"}}]}\n  \
                 - {id: at-once, when: any -> CREATED, do: [{email: bye}]}\n";
    let test = "  - name: quiet hours end at the second 02:30
    start: 2026-10-25T01:10Z
    customer: {timezone: Europe/Berlin}
    steps:
      - callback: {status: FULL_USER}
      - wait: 1h
      - expect: [{rule: greet, email: hello, at: 2026-10-25T01:30Z}]
  - name: an ambiguous time means the first one
    start: 2026-10-25T02:30[Europe/Berlin]
    steps:
      - callback: {status: CREATED}
      - expect: [{rule: at-once, email: bye, at: 2026-10-25T00:30Z}]
  - name: a skipped time means the end of the gap
    start: 2026-03-29T02:30[Europe/Berlin]
    steps:
      - callback: {status: CREATED}
      - expect: [{rule: at-once, email: bye, at: 2026-03-29T03:00}]
";
    let shop = shop("UTC", test);
    shop.rules(quiet);
    let (status, said, wrong) = shop.run(&["test"]);
    assert!(status.code() == Some(0) && said.contains("3 tests passed"), "{said}{wrong}");
}
