//! A real Postfix on loopback, with its own configuration, queue and processes. It delivers to a maildir.
//!
//! Postfix needs root; it uses nothing in `/etc/postfix`. Its log goes to a socket of the test: Postfix's own
//! `postlogd` writes to the socket that it reads from, and blocks for ever when that socket is full.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::{
        fs::{PermissionsExt, chown},
        net::UnixDatagram,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

const PATIENCE: Duration = Duration::from_secs(60);

const MASTER: &str = "pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
";

pub struct Postfix {
    dir: tempfile::TempDir,
    pub address: SocketAddr,
    master: Child,
    log: Arc<Mutex<String>>,
}

/// Whether Postfix can be started here. It is required in CI; elsewhere, a test that needs it prints that it was
/// skipped.
pub fn is_there() -> bool {
    let is_installed = Path::new("/usr/sbin/postfix").exists() && user("postfix").is_some();
    let is_root = fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    let missing = match (is_installed, is_root) {
        (true, true) => return true,
        (false, _) => "Postfix is missing on this machine",
        (true, false) => "Postfix needs root",
    };
    assert!(std::env::var_os("CI").is_none(), "{missing}, and this is CI");
    eprintln!("SKIPPED, and not tested: {missing}");
    false
}

/// Returns the user id and group id of a user.
fn user(name: &str) -> Option<(u32, u32)> {
    let users = fs::read_to_string("/etc/passwd").ok()?;
    let mut fields = users.lines().find(|line| line.starts_with(&format!("{name}:")))?.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

impl Postfix {
    /// Starts Postfix with the settings that a relay needs and these, one on each line.
    pub fn start(settings: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let (user, group) = user("postfix").expect("Postfix's user");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("permissions");
        for name in ["etc", "queue", "queue/public", "data", "mail"] {
            fs::create_dir(dir.path().join(name)).expect("a directory");
        }
        for name in ["queue/public", "data", "mail"] {
            chown(dir.path().join(name), Some(user), Some(group)).expect("an owner");
        }
        let log = listen_to_log(&dir.path().join("queue/public/log-of-test"));
        let address = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port");
        write_main(dir.path(), (user, group), settings);
        let master = format!("{address} inet n - n - - smtpd\n{MASTER}");
        fs::write(dir.path().join("etc/master.cf"), master).expect("written");
        let master = postfix(dir.path(), "start-fg").stdin(Stdio::null()).spawn().expect("Postfix starts");
        let this = Self { dir, address, master, log };
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(began.elapsed() < PATIENCE, "Postfix does not listen: {}", this.log());
            thread::sleep(Duration::from_millis(20));
        }
        this
    }

    /// Applies these settings to new connections.
    pub fn reconfigure(&self, settings: &str) {
        write_main(self.dir.path(), user("postfix").expect("Postfix's user"), settings);
        let reloads = || self.log().matches("reload -- version").count();
        let before = reloads();
        assert!(postfix(self.dir.path(), "reload").status().expect("runs").success());
        let began = Instant::now();
        while reloads() == before {
            assert!(began.elapsed() < PATIENCE, "Postfix does not reload: {}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn url(&self) -> String {
        format!("smtp://{}?tls=none", self.address)
    }

    pub fn log(&self) -> String {
        self.log.lock().expect("the log").clone()
    }

    /// Waits until the log contains `part`.
    pub async fn logs(&self, part: &str) {
        let began = Instant::now();
        while !self.log().contains(part) {
            assert!(began.elapsed() < PATIENCE, "{part:?} is not in the log: {}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Returns the mails in the maildir once there are `count` of them.
    pub async fn delivered(&self, count: usize) -> Vec<String> {
        let began = Instant::now();
        loop {
            let found = self.mails();
            if found.len() >= count {
                return found.iter().map(|path| fs::read_to_string(path).expect("a mail")).collect();
            }
            assert!(began.elapsed() < PATIENCE, "{} mails came, not {count}: {}", found.len(), self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn mails(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.dir.path().join("mail/inbox/new")).into_iter().flatten();
        entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        // The master leads its own process group, which contains all of its daemons.
        let id = fs::read_to_string(self.dir.path().join("queue/pid/master.pid")).unwrap_or_default();
        if let Ok(id) = id.trim().parse::<u32>() {
            let _ = Command::new("kill").args(["-KILL", "--", &format!("-{id}")]).stderr(Stdio::null()).status();
        }
        let _ = self.master.kill();
        let _ = self.master.wait();
    }
}

/// Collects the log of Postfix. The thread ends with the test program.
fn listen_to_log(path: &Path) -> Arc<Mutex<String>> {
    let socket = UnixDatagram::bind(path).expect("a socket");
    fs::set_permissions(path, fs::Permissions::from_mode(0o666)).expect("permissions");
    let log = Arc::new(Mutex::new(String::new()));
    let into = Arc::clone(&log);
    thread::spawn(move || {
        let mut line = vec![0; 65_536];
        while let Ok(length) = socket.recv(&mut line) {
            let mut log = into.lock().expect("the log");
            log.push_str(&String::from_utf8_lossy(&line[..length]));
            log.push('\n');
        }
    });
    log
}

fn postfix(dir: &Path, command: &str) -> Command {
    let mut postfix = Command::new("/usr/sbin/postfix");
    postfix.arg("-c").arg(dir.join("etc")).arg(command).stdout(Stdio::null()).stderr(Stdio::null());
    postfix
}

fn write_main(dir: &Path, (user, group): (u32, u32), settings: &str) {
    let dir_text = dir.display();
    let main = format!(
        "compatibility_level = 3.6
queue_directory = {dir_text}/queue
data_directory = {dir_text}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = {dir_text}/log
maillog_file_prefixes = {dir_text}
postlog_service_name = log-of-test
myhostname = relay.test.example
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_error_sleep_time = 0
smtpd_client_event_limit_exceptions =
alias_maps =
local_recipient_maps =
virtual_mailbox_domains = customer.example, shop.example
virtual_mailbox_base = {dir_text}/mail
virtual_mailbox_maps = static:inbox/
virtual_uid_maps = static:{user}
virtual_gid_maps = static:{group}
virtual_minimum_uid = 1
{settings}
"
    );
    fs::write(dir.join("etc/main.cf"), main).expect("written");
}
