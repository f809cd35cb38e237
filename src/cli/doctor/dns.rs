//! Queries a name server for TXT records.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use hickory_resolver::{
    TokioResolver,
    config::{NameServerConfig, ResolveHosts, ResolverConfig},
    net::{NetError, runtime::TokioRuntimeProvider},
    proto::rr::RData,
};

const TIMEOUT: Duration = Duration::from_secs(3);
const ATTEMPTS: usize = 2;
const PORT: u16 = 53;

pub struct DnsClient(TokioResolver);

/// The answer of a name server for a name.
pub enum TxtRecords {
    /// The name exists. These are its TXT records, each joined from its parts.
    Of(Vec<String>),
    /// The name does not exist.
    NoName,
}

impl DnsClient {
    /// Uses this name server, or those of the system.
    pub fn new(server: Option<SocketAddr>) -> Result<Self, String> {
        let mut builder = match server {
            None => TokioResolver::builder_tokio().map_err(|error| error.to_string())?,
            Some(address) => {
                let mut server = NameServerConfig::udp_and_tcp(address.ip());
                server.connections.iter_mut().for_each(|connection| connection.port = address.port());
                let config = ResolverConfig::from_name_servers(vec![server]);
                TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            }
        };
        let options = builder.options_mut();
        options.timeout = TIMEOUT;
        options.attempts = ATTEMPTS;
        options.edns0 = true;
        options.use_hosts_file = ResolveHosts::Never;
        builder.build().map(Self).map_err(|error| error.to_string())
    }

    pub async fn texts(&self, name: &str) -> Result<TxtRecords, String> {
        // The dot at the end makes the name absolute, so that the resolver appends no search domain of this machine.
        match self.0.txt_lookup(format!("{}.", name.trim_end_matches('.'))).await {
            Ok(found) => {
                Ok(TxtRecords::Of(found.answers().iter().filter_map(|record| text_of(&record.data)).collect()))
            }
            Err(error) if error.is_nx_domain() => Ok(TxtRecords::NoName),
            Err(error) if error.is_no_records_found() => Ok(TxtRecords::Of(Vec::new())),
            Err(NetError::Timeout) => Err("timed out".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}

fn text_of(data: &RData) -> Option<String> {
    let RData::TXT(text) = data else { return None };
    Some(String::from_utf8_lossy(&text.txt_data.concat()).into_owned())
}

/// Parses `9.9.9.9`, `127.0.0.1:5353` or `[::1]:53`.
pub fn server(text: &str) -> Result<SocketAddr, String> {
    let bare = |_| text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, PORT));
    text.parse().or_else(bare).map_err(|_| "not an IP address; write it as 9.9.9.9 or 127.0.0.1:5353".to_owned())
}
