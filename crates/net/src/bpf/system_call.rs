//! bpf(2): tables that programs look things up in, and programs loaded into the kernel.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;

use super::extended::Instruction;

const MAP_CREATE: i32 = 0;
const MAP_UPDATE_ELEM: i32 = 2;
const MAP_DELETE_ELEM: i32 = 3;
const PROG_LOAD: i32 = 5;

const MAP_TYPE_HASH: u32 = 1;
/// Memory for an entry is taken when it is set.
const F_NO_PREALLOC: u32 = 1;
const PROG_TYPE_SOCKET_FILTER: u32 = 1;

/// The licence that the kernel is told. The programs call nothing that asks for the GPL.
const LICENCE: &CStr = c"MIT";

/// Signals that arrive while the kernel checks a program make it give up with EAGAIN.
const LOAD_ATTEMPTS: usize = 5;

// What the commands take: parts of `union bpf_attr`, laid out as in linux/bpf.h, without gaps.

#[repr(C)]
struct MapCreate {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    map_flags: u32,
    inner_map_fd: u32,
    numa_node: u32,
    map_name: [u8; 16],
}

#[repr(C)]
struct Element {
    map_fd: u32,
    unused: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[repr(C)]
struct ProgLoad {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
}

/// # Safety
/// `attributes` is the structure that the command takes, and the addresses in it are those of
/// memory that the kernel may use as the command does until it returns.
#[allow(clippy::useless_conversion, reason = "it is another type on 32 bits")]
unsafe fn bpf<A>(command: i32, attributes: &mut A) -> nix::Result<i64> {
    let size = size_of::<A>();
    // SAFETY: the kernel reads `size` bytes of a structure that outlives the call; the rest is
    // the caller's promise.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attributes), size) };
    Errno::result(result).map(i64::from)
}

/// The new descriptor that a command returned. bpf(2) makes them close-on-exec.
fn descriptor(result: i64) -> nix::Result<OwnedFd> {
    let fd = RawFd::try_from(result).map_err(|_| Errno::EBADF)?;
    // SAFETY: the kernel has just made it for this call, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// At most 15 bytes of a name, by which `bpftool` shows a table or program.
fn named(name: &str) -> [u8; 16] {
    let mut bytes = [0; 16];
    for (to, from) in bytes.iter_mut().zip(name.bytes().take(15)) {
        *to = from;
    }
    bytes
}

fn address<T: ?Sized>(value: &T) -> u64 {
    std::ptr::from_ref(value).cast::<u8>().expose_provenance() as u64
}

/// A hash table in the kernel from 32 bits to 64 bits, both in host byte order.
#[derive(Debug)]
pub(crate) struct Table {
    map: OwnedFd,
}

impl Table {
    /// Makes an empty table for at most `capacity` entries, each of which takes memory only while
    /// it is there.
    pub(crate) fn new(name: &str, capacity: u32) -> nix::Result<Self> {
        let mut attributes = MapCreate {
            map_type: MAP_TYPE_HASH,
            key_size: size_of::<u32>() as u32,
            value_size: size_of::<u64>() as u32,
            max_entries: capacity,
            map_flags: F_NO_PREALLOC,
            inner_map_fd: 0,
            numa_node: 0,
            map_name: named(name),
        };
        // SAFETY: the structure for this command, without addresses.
        let map = unsafe { bpf(MAP_CREATE, &mut attributes) }?;
        Ok(Self { map: descriptor(map)? })
    }

    /// Sets an entry, in the place of another for the same key: who looks it up gets the old or
    /// the new value. E2BIG when the table is full.
    pub(crate) fn set(&self, key: u32, value: u64) -> nix::Result<()> {
        let mut attributes = self.element(&key, address(&value));
        // SAFETY: the structure for this command; the kernel reads the 4 and 8 bytes that the
        // table was made for from `key` and `value`.
        unsafe { bpf(MAP_UPDATE_ELEM, &mut attributes) }.map(drop)
    }

    /// Removes an entry. ENOENT when there is none.
    pub(crate) fn remove(&self, key: u32) -> nix::Result<()> {
        let mut attributes = self.element(&key, 0);
        // SAFETY: the structure for this command; the kernel reads the 4 bytes that the table was
        // made for from `key`, and nothing else.
        unsafe { bpf(MAP_DELETE_ELEM, &mut attributes) }.map(drop)
    }

    fn element(&self, key: &u32, value: u64) -> Element {
        Element {
            map_fd: self.fd().cast_unsigned(),
            unused: 0,
            key: address(key),
            value,
            flags: 0, // set, whether there is one or not
        }
    }

    /// How programs name it while they are loaded; from then on they hold it.
    pub(crate) fn fd(&self) -> RawFd {
        self.map.as_raw_fd()
    }
}

/// A program in the kernel.
#[derive(Debug)]
pub(crate) struct Loaded {
    program: OwnedFd,
}

impl Loaded {
    /// Makes it the filter of a socket, in the place of any other. The socket holds it.
    pub(crate) fn attach(&self, socket: BorrowedFd<'_>) -> nix::Result<()> {
        let program = self.program.as_raw_fd();
        let length = size_of_val(&program) as libc::socklen_t;
        // SAFETY: the pointer is to the descriptor that the option takes, of that length, which
        // outlives the call.
        let result = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_ATTACH_BPF,
                (&raw const program).cast(),
                length,
            )
        };
        Errno::result(result).map(drop)
    }
}

/// Loads a filter for sockets. EINVAL or EACCES when the kernel finds the program unsafe.
pub(crate) fn load_socket_filter(name: &str, program: &[Instruction]) -> nix::Result<Loaded> {
    let mut attributes = ProgLoad {
        prog_type: PROG_TYPE_SOCKET_FILTER,
        insn_cnt: u32::try_from(program.len()).map_err(|_| Errno::E2BIG)?,
        insns: address(program),
        license: address(LICENCE),
        log_level: 0,
        log_size: 0,
        log_buf: 0,
        kern_version: 0,
        prog_flags: 0,
        prog_name: named(name),
    };
    let mut attempts = 1;
    loop {
        // SAFETY: the structure for this command; the kernel reads `insn_cnt` instructions from
        // `program` and a string that ends with 0 from `LICENCE`.
        match unsafe { bpf(PROG_LOAD, &mut attributes) } {
            Err(Errno::EAGAIN) if attempts < LOAD_ATTEMPTS => attempts += 1,
            result => return Ok(Loaded { program: descriptor(result?)? }),
        }
    }
}

/// What a refusal to make a table or a program tells of what is missing.
pub(crate) fn lacking(refusal: Errno) -> &'static str {
    match refusal {
        Errno::EPERM | Errno::EACCES => {
            " (needs CAP_BPF or CAP_SYS_ADMIN, and before Linux 5.11 room in RLIMIT_MEMLOCK)"
        }
        Errno::ENOSYS => " (needs a kernel with CONFIG_BPF_SYSCALL)",
        _ => "",
    }
}
