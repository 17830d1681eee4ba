//! Listening sockets: for TCP one a core and address, sharing the port (SO_REUSEPORT), and one unix socket; with
//! `core-endpoints yes` one more a core and address, on a port of the core's own.
//!
//! ```text
//!  port P       core 0, core 1, core 2, …      the kernel deals connections out
//!  port P+1     core 0
//!  port P+2             core 1                 a cluster client's choice
//!  port P+3                     core 2
//! ```

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::own_files::OwnFile;
use crate::config::{BindAddress, Config};
use crate::session::Endpoint;

/// How long a port is waited for that a server stopped a moment ago still holds: the kernel takes its rings apart after
/// the process has ended.
const BIND_PATIENCE: Duration = Duration::from_millis(500);

/// Which port to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TcpPort {
    /// The configured one; 0 is none.
    Configured,
    /// Whichever is free.
    AnyFree,
}

/// What listening sockets have in common.
#[derive(Clone, Copy, Debug)]
struct Opening {
    /// Connections that may wait to be accepted.
    backlog: i32,
    /// The mark of what they send, by which the host may route or filter it; 0 is none.
    mark: u32,
}

/// A listening socket.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) socket: OwnedFd,
    /// Its path, for a unix socket.
    pub(super) unix_path: Option<Arc<str>>,
    /// What it is to clients.
    pub(super) endpoint: Endpoint,
}

/// What the server listens on.
#[derive(Debug)]
pub(super) struct Listeners {
    /// The listeners of each core.
    pub(super) of_cores: Vec<Vec<Listener>>,
    /// The TCP port; 0 without TCP.
    pub(super) port: u16,
    /// The cores' own ports; none without `core-endpoints yes`. While one is 0 it is to be found.
    pub(super) core_ports: Vec<u16>,
    /// The addresses, for people.
    pub(super) addresses: Vec<String>,
    /// What could not be listened on and need not.
    pub(super) notes: Vec<String>,
    /// The unix socket, removed when dropped.
    pub(super) unix: Option<OwnFile>,
}

/// Listens on everything `config` asks for, for `cores` cores.
///
/// # Errors
/// One line saying what could not be listened on, and why.
pub(super) fn listen(config: &Config, cores: u16, tcp: TcpPort) -> Result<Listeners, String> {
    let mut listeners = Listeners {
        of_cores: (0..cores).map(|_| Vec::new()).collect(),
        port: 0,
        core_ports: core_ports(config, cores, tcp)?,
        addresses: Vec::new(),
        notes: Vec::new(),
        unix: None,
    };
    let how = Opening {
        backlog: i32::try_from(config.tcp_backlog).unwrap_or(i32::MAX),
        mark: config.socket_mark_id,
    };
    if tcp == TcpPort::AnyFree || config.port != 0 {
        let port = if tcp == TcpPort::AnyFree {
            0
        } else {
            config.port
        };
        for bind in &config.bind {
            let addresses = resolve(&bind.host)
                .map_err(|why| format!("cannot resolve the address to bind {}: {why}", bind.host));
            match addresses {
                Ok(addresses) => {
                    for address in addresses {
                        listeners.add_tcp(bind, address, port, how)?;
                    }
                }
                Err(why) if bind.required => return Err(why),
                Err(why) => listeners.notes.push(why),
            }
        }
        if listeners.addresses.is_empty() && !config.bind.is_empty() {
            return Err("no address to listen on is available (see bind)".to_owned());
        }
    }
    if let Some(path) = &config.unixsocket {
        listeners.add_unix(path, config.unixsocketperm, how)?;
    }
    Ok(listeners)
}

impl Listeners {
    fn add_tcp(
        &mut self,
        bind: &BindAddress,
        ip: IpAddr,
        port: u16,
        how: Opening,
    ) -> Result<(), String> {
        // With port 0 the first address gets a free one, and the others the same.
        let address = SocketAddr::new(ip, if port == 0 { self.port } else { port });
        match open_all(address, self.of_cores.len(), how) {
            Ok((sockets, port)) => {
                self.port = port;
                self.addresses.push(SocketAddr::new(ip, port).to_string());
                for (core, socket) in self.of_cores.iter_mut().zip(sockets) {
                    core.push(Listener {
                        socket: socket.into(),
                        unix_path: None,
                        endpoint: Endpoint::Server,
                    });
                }
                self.add_core_ports(ip, how)
            }
            Err(why) => {
                let text = format!("Failed listening on port {} ({ip}): {why}", address.port());
                let is_absent = matches!(
                    why.raw_os_error(),
                    Some(libc::EADDRNOTAVAIL | libc::EAFNOSUPPORT)
                );
                if bind.required || !is_absent {
                    return Err(text);
                }
                self.notes.push(text);
                Ok(())
            }
        }
    }

    /// The port of its own of each core, if they have such, on one more address.
    fn add_core_ports(&mut self, ip: IpAddr, how: Opening) -> Result<(), String> {
        for (core, port) in self.core_ports.iter_mut().enumerate() {
            let (mut sockets, bound) = open_all(SocketAddr::new(ip, *port), 1, how)
                .map_err(|why| format!("Failed listening on port {port} ({ip}), core {core}'s own (core-endpoints): {why}"))?;
            *port = bound;
            let socket = sockets.pop().expect("one was asked for");
            self.of_cores[core].push(Listener {
                socket: socket.into(),
                unix_path: None,
                endpoint: Endpoint::Core,
            });
        }
        Ok(())
    }

    fn add_unix(&mut self, path: &Path, mode: Option<u32>, how: Opening) -> Result<(), String> {
        let text = path.display().to_string();
        let failed = |why: io::Error| format!("Failed listening on the unix socket {text}: {why}");
        // Left behind by a server that was killed.
        match fs::remove_file(path) {
            Err(why) if why.kind() != ErrorKind::NotFound => return Err(failed(why)),
            _ => {}
        }
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(failed)?;
        let address = SockAddr::unix(path).map_err(failed)?;
        self.unix = Some(OwnFile::at(path));
        socket.bind(&address).map_err(failed)?;
        if let Some(mode) = mode {
            fs::set_permissions(path, Permissions::from_mode(mode)).map_err(failed)?;
        }
        socket.listen(how.backlog).map_err(failed)?;
        self.addresses.push(text.clone());
        // One core accepts and deals the connections out.
        self.of_cores[0].push(Listener {
            socket: socket.into(),
            unix_path: Some(text.into()),
            endpoint: Endpoint::Server,
        });
        Ok(())
    }
}

/// The ports that the cores are to listen on by themselves, 0 for any free one; empty if they do not.
///
/// # Errors
/// One line: there are no such ports.
fn core_ports(config: &Config, cores: u16, tcp: TcpPort) -> Result<Vec<u16>, String> {
    if !config.core_endpoints {
        return Ok(Vec::new());
    }
    if tcp == TcpPort::AnyFree {
        return Ok(vec![0; usize::from(cores)]);
    }
    if config.port == 0 {
        return Err("core-endpoints yes needs a TCP port to count from, and port is 0".to_owned());
    }
    let ports = (1..=cores).map(|offset| config.port.checked_add(offset));
    ports.collect::<Option<Vec<u16>>>().ok_or_else(|| {
        format!(
            "core-endpoints yes needs the {cores} ports behind port {}, and there are not so many",
            config.port
        )
    })
}

fn resolve(host: &str) -> io::Result<Vec<IpAddr>> {
    match host {
        "*" => return Ok(vec![Ipv4Addr::UNSPECIFIED.into()]),
        "::*" => return Ok(vec![Ipv6Addr::UNSPECIFIED.into()]),
        _ => {}
    }
    let mut addresses: Vec<IpAddr> = (host, 0)
        .to_socket_addrs()?
        .map(|address| address.ip())
        .collect();
    addresses.dedup();
    Ok(addresses)
}

/// `count` listening sockets on `address`, and its port.
fn open_all(address: SocketAddr, count: usize, how: Opening) -> io::Result<(Vec<Socket>, u16)> {
    let deadline = Instant::now() + BIND_PATIENCE;
    loop {
        match open_all_once(address, count, how) {
            Err(why) if why.kind() == ErrorKind::AddrInUse && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(20));
            }
            done => return done,
        }
    }
}

fn open_all_once(
    mut address: SocketAddr,
    count: usize,
    how: Opening,
) -> io::Result<(Vec<Socket>, u16)> {
    // SO_REUSEPORT would share the port with any other process of this user that set it too; a socket without it does not.
    if count > 1 && address.port() != 0 {
        drop(open(address, Sharing::Alone, how)?);
    }
    let sharing = if count > 1 {
        Sharing::WithCores
    } else {
        Sharing::Alone
    };
    let mut sockets = Vec::with_capacity(count);
    for _ in 0..count {
        let socket = open(address, sharing, how)?;
        let bound = socket.local_addr()?.as_socket();
        address.set_port(bound.map_or(address.port(), |bound| bound.port()));
        sockets.push(socket);
    }
    Ok((sockets, address.port()))
}

/// Whether sockets share their port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sharing {
    Alone,
    WithCores,
}

fn open(address: SocketAddr, sharing: Sharing, how: Opening) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if how.mark != 0 {
        socket.set_mark(how.mark)?;
    }
    socket.set_reuse_address(true)?;
    if sharing == Sharing::WithCores {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(how.backlog)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Opening = Opening {
        backlog: 16,
        mark: 0,
    };

    fn localhost(port: u16) -> SocketAddr {
        SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)
    }

    #[test]
    fn the_listeners_of_all_cores_share_one_free_port() {
        let (sockets, port) = open_all(localhost(0), 3, PLAIN).unwrap();
        assert_ne!(port, 0);
        for socket in sockets {
            assert_eq!(
                socket.local_addr().unwrap().as_socket().unwrap().port(),
                port
            );
        }
    }

    #[test]
    fn a_port_in_use_is_an_error_even_to_one_who_would_share_it() {
        let (_held, port) = open_all(localhost(0), 2, PLAIN).unwrap();
        for cores in [1, 2] {
            let error = open_all_once(localhost(port), cores, PLAIN).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AddrInUse);
        }
    }

    #[test]
    fn wildcards_stand_for_all_addresses_of_their_family() {
        assert_eq!(resolve("*").unwrap(), [IpAddr::from([0, 0, 0, 0])]);
        assert_eq!(resolve("::*").unwrap(), [IpAddr::from([0u16; 8])]);
        assert_eq!(
            resolve("127.0.0.1").unwrap(),
            [IpAddr::from([127, 0, 0, 1])]
        );
        assert_eq!(resolve("::1").unwrap(), [IpAddr::from(Ipv6Addr::LOCALHOST)]);
    }
}
