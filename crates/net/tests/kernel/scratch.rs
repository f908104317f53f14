use net::*;
use std::time::Instant;
use crate::common::*;
#[test]
fn timing() {
    in_fresh_netns(|| async {
        run("ip link add br0 type bridge");
        run("ip link set br0 up");
        run("ip link add d0 type veth peer name d1");
        run("ip link set d1 up"); run("ip link set d0 address 00:01:00:00:00:01 master br0 up");
        let n = Netlink::here().unwrap();
        let br = n.link("br0").await.unwrap().unwrap().index;
        let mut made = vec![];
        for i in 0..20 {
            let mut v = veth(&format!("o{i}"), None);
            v.peer.name = format!("i{i}"); v.peer.up=false; v.master = Some(br);
            let t = Instant::now();
            let (o,_) = n.create_veth(&v).await.unwrap();
            println!("create {:?}", t.elapsed());
            made.push(o);
        }
        for o in made { let t = Instant::now(); n.delete_link(o).await.unwrap(); println!("delete {:?}", t.elapsed()); }
        let d0 = n.link("d0").await.unwrap().unwrap().index;
        let mut socks = vec![];
        for _ in 0..5 { let t = Instant::now(); socks.push(PacketSocket::open(d0, &Filter::dhcp4_replies(), Sees::Incoming).unwrap()); println!("open {:?}", t.elapsed()); }
        for s in socks { let t = Instant::now(); drop(s); println!("drop {:?}", t.elapsed()); }
        // raw close
        for _ in 0..5 { let s = PacketSocket::open(d0, &Filter::dhcp4_replies(), Sees::Incoming).unwrap();
          use std::os::fd::*; let raw = s.as_fd().as_raw_fd(); let dup = nix::unistd::dup(s.as_fd()).unwrap(); drop(s);
          while std::fs::read_link(format!("/proc/self/fd/{raw}")).is_ok() { std::thread::yield_now(); }
          let t = Instant::now(); drop(dup); println!("real close {:?}", t.elapsed()); }
        for nthreads in [1usize, 4, 16] {
          let mut fds = vec![];
          for _ in 0..64 { let s = PacketSocket::open(d0, &Filter::dhcp4_replies(), Sees::Incoming).unwrap(); use std::os::fd::*; fds.push(nix::unistd::dup(s.as_fd()).unwrap()); }
          std::thread::sleep(std::time::Duration::from_millis(500));
          let t = Instant::now();
          std::thread::scope(|sc| { for chunk in fds.chunks_mut(64/nthreads) { let v: Vec<_> = chunk.iter().map(|f| std::os::fd::AsRawFd::as_raw_fd(f)).collect(); sc.spawn(move || for f in v { let _ = nix::unistd::close(f); }); } });
          std::mem::forget(fds);
          println!("64 closes on {nthreads} threads {:?}", t.elapsed());
        }
        let t = Instant::now();
        let ns = Netns::create().unwrap(); println!("netns create {:?}", t.elapsed());
        for _ in 0..3 { let t = Instant::now(); ns.run(|| ()).unwrap(); println!("run {:?}", t.elapsed());
        let t = Instant::now(); let n2 = Netlink::in_netns(&ns).unwrap(); println!("in_netns {:?}", t.elapsed()); let t=Instant::now(); n2.link("lo").await.unwrap(); println!("link {:?}", t.elapsed());
        let t=Instant::now(); drop(n2); tokio::task::yield_now().await; println!("drop {:?}", t.elapsed()); }
    });
}
