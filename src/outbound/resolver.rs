//! Resolves names to addresses, without those to which nothing is sent.
//!
//! The client connects to the returned addresses: the name is not resolved a second time.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address::{ForbiddenAddress, forbidden_address};

/// A running lookup of a name.
pub type AddressesFuture = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// Resolves a name to its addresses.
pub type AddressLookup = Arc<dyn Fn(String) -> AddressesFuture + Send + Sync>;

#[derive(Clone)]
pub(super) struct FilteringResolver {
    private: bool,
    lookup: AddressLookup,
}

/// A name that resolves to addresses of which none is permitted.
#[derive(Debug)]
pub(super) struct OnlyForbiddenAddresses {
    pub address: IpAddr,
    pub why: ForbiddenAddress,
}

impl fmt::Display for OnlyForbiddenAddresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the name resolves to {}, which is {}", self.address, self.why)
    }
}

impl std::error::Error for OnlyForbiddenAddresses {}

impl FilteringResolver {
    pub fn new(private: bool, lookup: Option<AddressLookup>) -> Self {
        Self { private, lookup: lookup.unwrap_or_else(|| Arc::new(ask_the_system)) }
    }
}

fn ask_the_system(name: String) -> AddressesFuture {
    Box::pin(async move {
        let found = tokio::net::lookup_host((name, 0)).await?;
        Ok(found.map(|address| address.ip()).collect())
    })
}

impl FilteringResolver {
    /// Returns the permitted addresses of a name.
    pub async fn addresses(
        &self,
        name: &str,
        port: u16,
    ) -> Result<Vec<SocketAddr>, Box<dyn std::error::Error + Send + Sync>> {
        let found = (self.lookup)(name.to_owned()).await?;
        let is_fit = |address: &IpAddr| self.private || forbidden_address(*address).is_none();
        let fit: Vec<SocketAddr> = found.iter().copied().filter(is_fit).map(|address| (address, port).into()).collect();
        if fit.is_empty()
            && let Some((address, why)) =
                found.iter().find_map(|address| Some((*address, forbidden_address(*address)?)))
        {
            return Err(OnlyForbiddenAddresses { address, why }.into());
        }
        Ok(fit)
    }
}

impl Resolve for FilteringResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let this = self.clone();
        Box::pin(async move {
            // The caller sets the port.
            let fit = this.addresses(name.as_str(), 0).await?;
            Ok(Box::new(fit.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(private: bool, addresses: &[&str]) -> Result<Vec<String>, String> {
        let addresses: Vec<IpAddr> = addresses.iter().map(|text| text.parse().expect("an address")).collect();
        let lookup: AddressLookup = Arc::new(move |_| {
            let addresses = addresses.clone();
            Box::pin(async move { Ok(addresses) })
        });
        let resolving = FilteringResolver::new(private, Some(lookup)).resolve("shop.example".parse().expect("a name"));
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let found = runtime.block_on(resolving).map_err(|error| error.to_string())?;
        Ok(found.map(|address| address.ip().to_string()).collect())
    }

    #[test]
    fn a_name_without_a_permitted_address_is_refused() {
        assert_eq!(resolved(false, &["1.1.1.1", "2606:4700::1111"]).expect("fit").len(), 2);
        assert_eq!(resolved(false, &["127.0.0.1", "1.1.1.1", "::1"]), Ok(vec!["1.1.1.1".to_owned()]));
        let refused = resolved(false, &["169.254.169.254", "::ffff:10.0.0.1"]).expect_err("refused");
        assert_eq!(refused, "the name resolves to 169.254.169.254, which is a link-local address");
        assert_eq!(resolved(true, &["127.0.0.1"]), Ok(vec!["127.0.0.1".to_owned()]));
        assert_eq!(resolved(false, &[]), Ok(Vec::new()));
    }
}
