//! Names of the options of a network, as `docker network create -o` takes them.

/// Keep a log of what happens to the network's endpoints in the state folder; `false`.
pub(crate) const AUDIT_LOG: &str = "audit_log";
/// The bridge that is the LAN's port on this host. Required, except with `mode=macvlan` and `mode=ipvlan`.
pub(crate) const BRIDGE: &str = "bridge";
/// How containers reach the segment: `bridge`, `macvlan` or `ipvlan`.
pub(crate) const MODE: &str = "mode";
/// The network card that is the LAN's port on this host. Required with `mode=macvlan` and `mode=ipvlan`.
pub(crate) const PARENT: &str = "parent";
/// How containers on one parent reach each other: `bridge`, `private`, `vepa` or `passthru`.
pub(crate) const MACVLAN_MODE: &str = "macvlan_mode";
/// The VLAN, of those that the bridge keeps apart or that the parent carries: 1 to 4094. None: what comes without a tag.
pub(crate) const VLAN: &str = "vlan";
/// How long a container's start waits for its first lease; `10s`.
pub(crate) const LEASE_TIMEOUT: &str = "lease_timeout";
/// How an address is checked for other users: `fast`, `full` or `off`.
pub(crate) const CONFLICT_CHECK: &str = "conflict_check";
/// Let no container act as a DHCP server or an IPv6 router; `false`.
pub(crate) const DHCP_GUARD: &str = "dhcp_guard";
/// Take the bridge although another network of this host seems to fight with it; `false`.
pub(crate) const IGNORE_CONFLICTS: &str = "ignore_conflicts";
/// Do not copy the host's static routes of the bridge into containers; `false`.
pub(crate) const SKIP_ROUTES: &str = "skip_routes";
/// Whether containers have IPv4; `true`.
pub(crate) const IPV4: &str = "ipv4";
/// Where IPv6 addresses come from: `false`, `true` (`auto`), `auto`, `slaac` or `dhcp`.
pub(crate) const IPV6: &str = "ipv6";
/// How the lower half of an address from a router's prefix is made: `eui64` or `stable`.
pub(crate) const IPV6_ADDRESS: &str = "ipv6_address";
/// Ask for a prefix of that length for each container.
pub(crate) const IPV6_PD: &str = "ipv6_pd";
/// Let no container start without an IPv6 address; `false`.
pub(crate) const IPV6_REQUIRED: &str = "ipv6_required";
/// What a container's interface name begins with; `eth`.
pub(crate) const INTERFACE_PREFIX: &str = "interface_prefix";
/// What a container gets while no server answers: `fail`, `last` or `wait`.
pub(crate) const NO_SERVER: &str = "no_server";
/// What becomes of the address when the lease ends and no server answers: `drop` or `keep`.
pub(crate) const ON_LEASE_LOSS: &str = "on_lease_loss";
/// How long the lease of a container that has ended is kept for its return; `60s`.
pub(crate) const RELEASE_DELAY: &str = "release_delay";

/// The client identifier (option 61) of every container; its MAC. For a single endpoint too.
pub(crate) const CLIENT_ID: &str = "client_id";
/// Take leases in answer to a DISCOVER (option 80); `false`.
pub(crate) const RAPID_COMMIT: &str = "rapid_commit";
/// The host name that is told to the server: `container` or `none`. For a single endpoint: the name.
pub(crate) const HOSTNAME: &str = "hostname";
/// Whether containers have a default route through the network: `auto` or `never`.
pub(crate) const DEFAULT_ROUTE: &str = "default_route";
/// The default router, whichever the server names.
pub(crate) const GATEWAY: &str = "gateway";

/// Let containers ask the DNS servers that the LAN names: `false`, `true` or `fallback`.
pub(crate) const PROPAGATE_DNS: &str = "propagate_dns";
/// Give interfaces the MTU that the server names (option 26); `false`.
pub(crate) const PROPAGATE_MTU: &str = "propagate_mtu";
/// Ask the server to tell the DNS the host name (option 81); `false`.
pub(crate) const REGISTER_DNS: &str = "register_dns";
/// The user class (options 77 and 15); none.
pub(crate) const USER_CLASS: &str = "user_class";
/// Make no network where no DHCP server answers; `false`.
pub(crate) const VALIDATE_DHCP: &str = "validate_dhcp";
/// The vendor class (options 60 and 16); `landfall`.
pub(crate) const VENDOR_CLASS: &str = "vendor_class";
/// Take so many leases in advance, for containers that have none of their own yet; `0`.
pub(crate) const WARM: &str = "warm";

/// All of a network's, sorted.
pub(crate) const ALL: &[&str] = &[
    AUDIT_LOG,
    BRIDGE,
    CLIENT_ID,
    CONFLICT_CHECK,
    DEFAULT_ROUTE,
    DHCP_GUARD,
    GATEWAY,
    HOSTNAME,
    IGNORE_CONFLICTS,
    INTERFACE_PREFIX,
    IPV4,
    IPV6,
    IPV6_ADDRESS,
    IPV6_PD,
    IPV6_REQUIRED,
    LEASE_TIMEOUT,
    MACVLAN_MODE,
    MODE,
    NO_SERVER,
    ON_LEASE_LOSS,
    PARENT,
    PROPAGATE_DNS,
    PROPAGATE_MTU,
    RAPID_COMMIT,
    REGISTER_DNS,
    RELEASE_DELAY,
    SKIP_ROUTES,
    USER_CLASS,
    VALIDATE_DHCP,
    VENDOR_CLASS,
    VLAN,
    WARM,
];
