//! The program as a child process: tests start it on a directory, call it over its sockets, and stop or kill it.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use kyc_rules::providers::xgateway::{Secret, hash_of};
use serde_json::{Value, json};

pub const SECRET: &str = "a-secret-of-more-than-24-bytes";
pub const TOKEN: &str = "a-token-for-the-admin-side";
const PATIENCE: Duration = Duration::from_secs(20);

/// A merchant's directory: configuration, rules, data, mails.
pub struct Shop {
    pub dir: tempfile::TempDir,
    pub transport: String,
    /// More text for the configuration's `email` section, such as `, brake: 5 per 1h`.
    pub email: String,
    /// More lines of the configuration.
    pub more: String,
}

impl Shop {
    /// Creates a directory with these rules and the templates `sorry`, `hello` and `bye`.
    pub fn new(rules: &str) -> Self {
        let shop = Self {
            dir: tempfile::tempdir().expect("directory"),
            transport: "file:./mail".to_owned(),
            email: String::new(),
            more: String::new(),
        };
        for name in ["sorry", "hello", "bye"] {
            shop.write(
                &format!("rules/templates/{name}.en.md"),
                &format!(
                    "Subject: {name} {{{{ to }}}}\n\nDear {{{{ customer.name or \"customer\" }}}},\n\n{name}: {{{{ missing_docs | words }}}}.\n\n{{% if message %}}\n> {{{{ message }}}}\n{{% endif %}}\n"
                ),
            );
            shop.write(
                &format!("rules/templates/{name}.de.md"),
                &format!("Subject: {name} auf Deutsch\n\nHallo: {{{{ missing_docs | words }}}}.\n"),
            );
        }
        shop.write("rules/labels/en.yaml", "SELFIE: selfie\nPASSPORT: passport\n");
        shop.write("rules/labels/de.yaml", "SELFIE: Selfie\nPASSPORT: Reisepass\n");
        shop.rules(rules);
        shop
    }

    /// Creates a directory with the rules that are shipped with the program.
    pub fn shipped() -> Self {
        let shop = Self {
            dir: tempfile::tempdir().expect("directory"),
            transport: "file:./mail".to_owned(),
            email: String::new(),
            more: String::new(),
        };
        for (path, text) in kyc_rules::shipped::files().iter() {
            shop.write(&format!("rules/{path}"), text);
        }
        shop
    }

    pub fn path(&self, relative: &str) -> PathBuf {
        self.dir.path().join(relative)
    }

    pub fn write(&self, relative: &str, text: &str) {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, text).expect("written");
    }

    /// Writes the rules to `kyc.yaml`, after the line with the format.
    pub fn rules(&self, rules: &str) {
        self.write("rules/kyc.yaml", &format!("format: 1\nrules:\n{rules}"));
    }

    pub fn command(&self) -> Command {
        let config = format!(
            "data: ./data\nrules: ./rules\nbrand: {{name: Shop, support: s@shop.example, url: https://shop.example}}\n\
             callback: {{listen: \"127.0.0.1:0\", secrets: [\"{SECRET}\"]}}\n\
             admin: {{listen: \"127.0.0.1:0\", token: {TOKEN}}}\n\
             email: {{from: Shop <kyc@shop.example>, transport: \"{}\"{}}}\n\
             store: {{min_free: 1MB}}\n{}",
            self.transport, self.email, self.more
        );
        self.write("kyc-rules.yaml", &config);
        let mut command = Command::new(env!("CARGO_BIN_EXE_kyc-rules"));
        command.arg("--config").arg(self.path("kyc-rules.yaml")).env_remove("RUST_LOG");
        command
    }

    pub fn start(&self) -> Service {
        Service::start(self.command())
    }

    /// Runs a command and waits until it exits. Returns its status, standard output and standard error.
    pub fn run(&self, arguments: &[&str]) -> (ExitStatus, String, String) {
        let output = self.command().args(arguments).output().expect("runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        (output.status, text(output.stdout), text(output.stderr))
    }

    /// Returns the texts of all mails, oldest first.
    pub fn mails(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path("mail")) else { return Vec::new() };
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("entry").path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "eml"));
        paths.sort();
        paths.iter().map(|path| fs::read_to_string(path).expect("mail")).collect()
    }

    /// Returns every record of the journal.
    pub fn journal(&self) -> Vec<Value> {
        let mut files: Vec<PathBuf> = fs::read_dir(self.path("data/journal"))
            .expect("journal")
            .map(|entry| entry.expect("entry").path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
            .collect();
        files.sort();
        let lines = files.iter().flat_map(|file| {
            let text = fs::read_to_string(file).expect("text");
            text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect::<Vec<_>>()
        });
        lines.map(|line| serde_json::from_str(&line).expect("JSON")).collect()
    }
}

/// A running server. Dropping it kills the process.
pub struct Service {
    child: Child,
    pub public: SocketAddr,
    pub admin: SocketAddr,
    log: Arc<Mutex<String>>,
    http: reqwest::Client,
}

impl Service {
    pub fn start(mut command: Command) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut child = command.arg("serve").stderr(Stdio::piped()).stdout(Stdio::null()).spawn().expect("starts");
        let log = Arc::new(Mutex::new(String::new()));
        let (into, errors) = (Arc::clone(&log), child.stderr.take().expect("piped"));
        thread::spawn(move || {
            for line in BufReader::new(errors).lines().map_while(Result::ok) {
                let mut log = into.lock().expect("log");
                log.push_str(&line);
                log.push('\n');
            }
        });
        let began = Instant::now();
        let (public, admin) = loop {
            if let Some(found) = listening(&log.lock().expect("log")) {
                break found;
            }
            if let Some(status) = child.try_wait().expect("status") {
                panic!("it ended with {status}: {}", log.lock().expect("log"));
            }
            assert!(began.elapsed() < PATIENCE, "it does not listen");
            thread::sleep(Duration::from_millis(5));
        };
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().expect("client");
        Self { child, public, admin, log, http }
    }

    /// Like [`Service::start`], but closes the log pipe when the server listens, so that later log writes fail.
    pub fn start_unheard(mut command: Command) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut child = command.arg("serve").stderr(Stdio::piped()).stdout(Stdio::null()).spawn().expect("starts");
        let mut log = String::new();
        let mut errors = BufReader::new(child.stderr.take().expect("piped"));
        let (public, admin) = loop {
            assert!(errors.read_line(&mut log).expect("a line") > 0, "it ended: {log}");
            if let Some(found) = listening(&log) {
                break found;
            }
        };
        drop(errors);
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().expect("client");
        Self { child, public, admin, log: Arc::new(Mutex::new(log)), http }
    }

    /// Waits until the server accepts callbacks.
    pub async fn ready(self) -> Self {
        let began = Instant::now();
        loop {
            let answer = self.http.get(format!("http://{}/readyz", self.admin)).send().await;
            if answer.is_ok_and(|answer| answer.status() == 200) {
                return self;
            }
            assert!(began.elapsed() < PATIENCE, "it is not ready: {}", self.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub fn log(&self) -> String {
        self.log.lock().expect("log").clone()
    }

    /// Waits until the log contains `part`. Log lines come through a pipe and may arrive later than responses.
    pub async fn logs(&self, part: &str) {
        let began = Instant::now();
        while !self.log().contains(part) {
            assert!(began.elapsed() < PATIENCE, "{part:?} is not in the log: {}", self.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Posts a body to the public side. Returns the status and the JSON of the response; `Err` if there is no response.
    pub async fn post(&self, body: impl Into<reqwest::Body>) -> Result<(u16, Value), reqwest::Error> {
        let answer = self.http.post(format!("http://{}/callbacks/kyc", self.public)).body(body).send().await?;
        let status = answer.status().as_u16();
        Ok((status, serde_json::from_slice(&answer.bytes().await?).unwrap_or_default()))
    }

    /// Sends a callback that must be answered with 200. Returns its outcome.
    pub async fn callback(&self, customer: &str, status: &str, more: Value) -> String {
        let (code, body) = self.post(signed(customer, status, more).to_string()).await.expect("an answer");
        assert_eq!(code, 200, "{body}");
        body["outcome"].as_str().expect("an outcome").to_owned()
    }

    pub async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let url = format!("http://{}/api/v1/{path}", self.admin);
        let mut request = self.http.request(method.parse().expect("method"), url).bearer_auth(TOKEN);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.expect("an answer");
        let status = answer.status().as_u16();
        (status, serde_json::from_slice(&answer.bytes().await.expect("a body")).unwrap_or_default())
    }

    pub async fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask("GET", path, None).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// Returns the text of `/metrics`.
    pub async fn metrics(&self) -> String {
        let request = reqwest::Client::new().get(format!("http://{}/metrics", self.admin)).bearer_auth(TOKEN);
        request.send().await.expect("an answer").text().await.expect("text")
    }

    pub async fn contact(&self, customer: &str, email: &str) {
        let (status, body) = self
            .ask("PUT", &format!("customers/{customer}/contact"), Some(json!({"email": email, "name": "Ada"})))
            .await;
        assert_eq!(status, 200, "{body}");
    }

    /// Waits until `holds` is true for the response to `GET path`, and returns that response.
    pub async fn until(&self, path: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let said = self.get(path).await;
            if holds(&said) {
                return said;
            }
            assert!(began.elapsed() < PATIENCE, "{path} still says {said:#}\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until the customer's jobs are in these states, oldest first.
    pub async fn until_jobs(&self, customer: &str, states: &[&str]) -> Vec<Value> {
        let said = self.until(&format!("jobs?customer={customer}"), |said| states_of(said) == states).await;
        let mut jobs = said["jobs"].as_array().expect("jobs").clone();
        jobs.reverse();
        jobs
    }

    /// Runs a command against this server. Returns its exit code, standard output and standard error.
    pub fn command(&self, shop: &Shop, arguments: &[&str]) -> (Option<i32>, String, String) {
        let config = format!(
            "data: ./data\nrules: ./rules\ncallback: {{secrets: [{SECRET}]}}\nadmin: {{listen: \"{}\", token: {TOKEN}}}\n\
             email: {{from: Shop <kyc@shop.example>, transport: \"file:./mail\"}}\n",
            self.admin
        );
        shop.write("client.yaml", &config);
        let output = Command::new(env!("CARGO_BIN_EXE_kyc-rules"))
            .arg("--config")
            .arg(shop.path("client.yaml"))
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .expect("runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    pub fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
    }

    /// Sends SIGTERM. Returns the exit status and the log.
    pub fn stop(self) -> (ExitStatus, String) {
        signal(self.pid(), "TERM");
        self.ended()
    }

    /// Waits until the process exits. Returns the exit status and the log.
    pub fn ended(mut self) -> (ExitStatus, String) {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("status") {
                return (status, self.log());
            }
            assert!(began.elapsed() < PATIENCE * 2, "it does not end: {}", self.log());
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().expect("kill runs");
    assert!(status.success());
}

fn states_of(said: &Value) -> Vec<&str> {
    let mut states: Vec<&str> =
        said["jobs"].as_array().expect("jobs").iter().filter_map(|job| job["state"].as_str()).collect();
    states.reverse();
    states
}

fn listening(log: &str) -> Option<(SocketAddr, SocketAddr)> {
    let line = log.lines().find(|line| line.contains("listening public="))?;
    let value = |key: &str| line.split(key).nth(1)?.split_whitespace().next()?.parse().ok();
    Some((value("public=")?, value("admin=")?))
}

/// Returns a callback in the provider's format. The status `none` becomes null.
pub fn signed(customer: &str, status: &str, more: Value) -> Value {
    let mut body = json!({
        "callbackType": "kyc",
        "customerId": customer,
        "hash": hash_of(customer, &Secret::new(SECRET)),
        "docsMissing": null,
        "kycRejectLabel": null,
        "kycEndUserErrorMessage": null,
        "status": (status != "none").then_some(status),
        "kycProcessingStatus": null,
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        body[key] = value.clone();
    }
    body
}

/// Whether a program is installed. It is required in CI; elsewhere, a test that needs it prints that it was skipped.
pub fn is_there(program: &str) -> bool {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir: PathBuf| Path::new(&dir).join(program).exists()));
    if !found {
        assert!(std::env::var_os("CI").is_none(), "{program} is missing, and this is CI");
        eprintln!("SKIPPED, and not tested: {program} is missing on this machine");
    }
    found
}
