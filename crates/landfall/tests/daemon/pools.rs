//! What an engine does with Landfall as its IPAM driver.

use serde_json::{Value, json};

use crate::container::Container;
use crate::site::{Endpoint, Site, endpoint_argument, id};

/// Calls a method of the IPAM driver; `Err` is its refusal.
pub(crate) fn call(site: &Site, method: &str, argument: &Value) -> Result<Value, String> {
    let answer = site.answer(&format!("IpamDriver.{method}"), &argument.to_string());
    assert_eq!(answer.status, 200, "{method}: {answer:?}");
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    match body.get("Error").and_then(Value::as_str) {
        Some(refusal) => Err(refusal.to_owned()),
        None => Ok(body),
    }
}

/// RequestPool with these `--ipam-opt` and `--subnet`.
pub(crate) fn pool(site: &Site, options: &[(&str, &str)], subnet: &str) -> Result<Value, String> {
    let options: Value = options.iter().map(|(k, v)| (k.to_string(), json!(v))).collect();
    let argument = json!({
        "AddressSpace": "landfall", "Pool": subnet, "SubPool": "", "Options": options, "V6": false,
    });
    call(site, "RequestPool", &argument)
}

/// The argument of CreateNetwork with a pool of ours.
pub(crate) fn with_pool(site: &Site, name: &str, options: &[(&str, &str)], subnet: &str) -> Value {
    let mut argument = site.network_argument(name, options);
    argument["IPv4Data"] = json!([{"AddressSpace": "landfall", "Pool": subnet}]);
    argument
}

/// CreateEndpoint with an address that Docker was told before.
pub(crate) fn try_create(
    site: &Site,
    network: &str,
    name: &str,
    mac: &str,
    address: &str,
) -> Result<Endpoint, String> {
    let mut argument = endpoint_argument(network, name, mac);
    argument["Interface"]["Address"] = json!(address);
    let answer = site.call("CreateEndpoint", &argument)?;
    assert_eq!(answer["Interface"]["Address"], "", "engines take it for a change: {answer}");
    let made = answer["Interface"]["MacAddress"].as_str().unwrap();
    assert!(mac.is_empty() || made.is_empty(), "engines take it for a change: {answer}");
    Ok(Endpoint {
        network: id(network),
        id: id(name),
        mac: format!("{mac}{made}"),
        address: address.to_owned(),
        address6: answer["Interface"]["AddressIPv6"].as_str().unwrap_or_default().to_owned(),
    })
}

/// A network's addresses.
pub(crate) struct Pool {
    pub(crate) id: String,
    pub(crate) subnet: String,
}

impl Pool {
    /// RequestPool, and CreateNetwork with the same options and further ones.
    pub(crate) fn with_network(
        site: &Site,
        name: &str,
        ours: &[(&str, &str)],
        further: &[(&str, &str)],
    ) -> Pool {
        let pool = Pool::request(site, ours);
        let options = [ours, further].concat();
        site.ok("CreateNetwork", &with_pool(site, name, &options, &pool.subnet));
        pool
    }

    pub(crate) fn request(site: &Site, options: &[(&str, &str)]) -> Pool {
        let answer = pool(site, options, "").unwrap_or_else(|error| panic!("{error}"));
        let text = |key: &str| answer[key].as_str().unwrap().to_owned();
        Pool { id: text("PoolID"), subnet: text("Pool") }
    }

    /// RequestAddress; `name` as Engine 29 tells it.
    pub(crate) fn address(&self, site: &Site, name: Option<&str>) -> Result<String, String> {
        let options = name.map(|name| json!({"com.docker.network.endpoint.name": name}));
        let argument = json!({"PoolID": self.id, "Address": "", "Options": options});
        let answer = call(site, "RequestAddress", &argument)?;
        Ok(answer["Address"].as_str().unwrap().to_owned())
    }

    /// A container that runs: RequestAddress, CreateEndpoint, Join.
    pub(crate) fn run(&self, site: &Site, network: &str, name: &str) -> Container {
        let address = self.address(site, Some(name)).unwrap_or_else(|error| panic!("{error}"));
        let endpoint = try_create(site, network, name, "", &address);
        Container::start(site, endpoint.unwrap_or_else(|error| panic!("{error}")))
    }

    /// ReleaseAddress.
    pub(crate) fn give_back(&self, site: &Site, address: &str) {
        let address = address.split('/').next().unwrap();
        let argument = json!({"PoolID": self.id, "Address": address});
        assert_eq!(call(site, "ReleaseAddress", &argument), Ok(json!({})));
    }

    /// Leave, DeleteEndpoint and ReleaseAddress.
    pub(crate) fn end(&self, site: &Site, container: Container) {
        let address = container.endpoint.address.clone();
        container.stop(site);
        self.give_back(site, &address);
    }

    /// ReleasePool.
    pub(crate) fn release(&self, site: &Site) {
        assert_eq!(call(site, "ReleasePool", &json!({"PoolID": self.id})), Ok(json!({})));
    }
}
