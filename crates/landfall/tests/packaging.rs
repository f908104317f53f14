//! What is shipped beside the binary.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // helpers of tests are tests

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;

use serde_json::Value;

fn unit() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/systemd/landfall.service")
}

fn analyze(args: &[&str], unit: &Path) -> Output {
    Command::new("systemd-analyze").args(args).arg(unit).env("LANG", "C").output().unwrap()
}

/// systemd finds nothing to say about the units.
#[test]
fn the_units_are_ones_that_systemd_takes() {
    let unit = fs::read_to_string(unit()).unwrap();
    let installed = "ExecStart=/usr/local/bin/landfall ";
    assert!(unit.contains(installed), "{unit}");
    // What it starts must be there.
    let here = format!("ExecStart={} ", env!("CARGO_BIN_EXE_landfall"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("landfall.service");
    fs::write(&path, unit.replace(installed, &here)).unwrap();
    let socket = folder.path().join("landfall.socket");
    fs::copy(self::unit().with_extension("socket"), &socket).unwrap();
    let output = analyze(&["verify", socket.to_str().unwrap()], &path);
    let said = String::from_utf8_lossy(&output.stderr);
    // It reads the machine's other units as well.
    let of_ours: Vec<&str> = said.lines().filter(|line| line.contains("landfall")).collect();
    assert_eq!(of_ours, [] as [&str; 0]);
    assert!(output.status.success(), "{said}");
}

/// Its exposure is below 5, which systemd calls "OK".
#[test]
fn the_unit_gives_no_more_rights_than_others_do() {
    let output = analyze(&["security", "--offline=true", "--threshold=49"], &unit());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The binary for this machine that `make build` has made.
fn shipped() -> Vec<u8> {
    let arch = match env::consts::ARCH {
        "x86_64" => "amd64",
        "x86" => "386",
        "aarch64" => "arm64",
        _ => "armv7",
    };
    let path = repository().join("dist/landfall-linux-".to_owned() + arch);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}: `make build`", path.display()))
}

/// It is at most as large as SPECIFICATION.md says.
#[test]
fn the_binary_is_small() {
    let size = shipped().len();
    assert!(size <= 8_000_000, "{size}");
}

/// No folder of the machine that built it is in it: who builds it elsewhere has the same bytes (`release::made`).
#[test]
fn the_binary_names_no_folder_of_the_machine_that_built_it() {
    let binary = shipped();
    let home = env::var("HOME").unwrap();
    let of_home = |name: &str| env::var(name).ok();
    let folders = [
        Some(repository().display().to_string()),
        of_home("CARGO_HOME"),
        of_home("RUSTUP_HOME"),
        of_home("CARGO_TARGET_DIR"),
        // `/proc/1/root`, which the daemon reads, is no home.
        Some(format!("{}/", home.trim_end_matches('/'))),
        Some("/.cargo/".to_owned()),
        Some("/.rustup/".to_owned()),
    ];
    for folder in folders.iter().flatten() {
        let found = binary.windows(folder.len()).position(|bytes| bytes == folder.as_bytes());
        assert_eq!(found, None, "{folder}");
    }
}

/// The bill of materials has the crates that the binary is made of, with the checksums of Cargo.lock, and none that only
/// tests it.
#[test]
fn the_bill_of_materials_is_what_cargo_lock_says() {
    let output = Command::new(repository().join("scripts/sbom")).arg("amd64").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let bill: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(bill["metadata"]["component"]["name"], "landfall");
    let components = bill["components"].as_array().unwrap();
    let components: BTreeMap<String, &Value> = components
        .iter()
        .map(|it| (format!("{} {}", it["name"], it["version"]), &it["hashes"][0]["content"]))
        .collect();
    let lock = fs::read_to_string(repository().join("Cargo.lock")).unwrap();
    let field = |package: &str, name: &str| {
        package
            .lines()
            .find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(" = ")?.to_owned()))
    };
    let mut crates = 0;
    for package in lock.split("[[package]]").skip(1) {
        let name = field(package, "name").unwrap();
        let found = components.get(&format!("{name} {}", field(package, "version").unwrap()));
        crates += usize::from(found.is_some());
        let of_tests = ["\"dhcproto\"", "\"lab\"", "\"proptest\"", "\"tempfile\""];
        if of_tests.contains(&name.as_str()) {
            assert_eq!(found, None, "{name}");
        } else if ["\"redb\"", "\"tokio\"", "\"wire\""].contains(&name.as_str()) {
            assert!(found.is_some(), "{name}");
        }
        if let Some(sum) = found {
            let of_lock = field(package, "checksum").unwrap_or_else(|| "null".to_owned());
            assert_eq!(sum.to_string(), of_lock, "{name}");
        }
    }
    assert_eq!(crates, components.len());
}

fn script(name: &str, args: &[&str]) -> (Option<i32>, String) {
    let path = repository().join("scripts").join(name);
    let output = Command::new(path).args(args).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// Nothing is built for an architecture that there is not, nor pushed to what is no registry.
#[test]
fn what_cannot_be_built_or_pushed() {
    let (status, said) = script("build", &["mips"]);
    assert_eq!(status, Some(2));
    let words = "there is no architecture 'mips': it is one of amd64 386 arm64 armv7, or all";
    assert!(said.contains(words), "{said}");
    let asking = a_registry_that_asks_who_it_is();
    for (repository, words) in [
        ("landfall", "'landfall' names no registry"),
        ("localhost:1/landfall", "there is no registry at localhost:1"),
        (&format!("{asking}/landfall"), "asks who pushes: set REGISTRY_USER and REGISTRY_PASSWORD"),
    ] {
        let (status, said) = script("plugin-push", &[repository, "amd64"]);
        assert_eq!(status, Some(1));
        assert!(said.contains(words), "{said}");
    }
}

/// On a system that is no Debian's a program that is there is enough, and one that is not is named.
#[test]
fn what_is_needed_on_another_system() {
    let folder = tempfile::tempdir().unwrap();
    for program in ["bash", "id", "sort"] {
        symlink(format!("/usr/bin/{program}"), folder.path().join(program)).unwrap();
    }
    let need = |args: &[&str]| {
        let path = repository().join("scripts/need");
        let mut command = Command::new("/bin/bash");
        let output = command.arg(path).args(args).env("PATH", folder.path()).output().unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(need(&["bash:bash", "libc6-dev"]), (true, String::new()));
    let (done, said) = need(&["none-such:its-package", "libc6-dev"]);
    assert!(!done && said.contains("the package its-package\n"), "{said}");
}

/// Where it listens; it answers one request.
fn a_registry_that_asks_who_it_is() -> String {
    let registry = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = registry.local_addr().unwrap().to_string();
    thread::spawn(move || {
        let (mut stream, _) = registry.accept().unwrap();
        // A request without a body ends with an empty line.
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
        let answer = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"it\"\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(answer.as_bytes()).unwrap();
    });
    place
}

/// What both packages hold; `/usr/share/zsh/…` is where each has it.
const FILES: &str = "\
-rw-r--r-- /etc/default/landfall
-rwxr-xr-x /usr/bin/landfall
-rw-r--r-- /usr/lib/systemd/system/landfall.service
-rw-r--r-- /usr/lib/systemd/system/landfall.socket
-rw-r--r-- /usr/share/bash-completion/completions/landfall
-rw-r--r-- /usr/share/doc/landfall/changelog.gz
-rw-r--r-- /usr/share/doc/landfall/copyright
-rw-r--r-- /usr/share/fish/vendor_completions.d/landfall.fish
-rw-r--r-- /usr/share/man/man1/landfall-serve.1.gz
-rw-r--r-- /usr/share/man/man1/landfall.1.gz
-rw-r--r-- /usr/share/zsh/FOLDER/_landfall
";

/// Modes and paths out of a listing as `ls -l` has it, in which all belongs to root; folders are left out.
fn files(listing: &str) -> String {
    let lines = listing.lines().filter(|line| !line.starts_with('d'));
    let mut files: Vec<String> = lines
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            assert!(words[1] == "root/root" || words[2..4] == ["root", "root"], "{line}");
            format!("{} {}\n", words[0], words[words.len() - 1].trim_start_matches('.'))
        })
        .collect();
    files.sort_by(|a, b| a[10..].cmp(&b[10..]));
    files.concat()
}

fn says(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).env("LANG", "C").output().unwrap();
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program} {args:?}: {err}");
    out.into_owned()
}

/// Files, modes, scripts and what they are told by their names; the same bytes each time.
#[test]
fn what_is_in_the_packages() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    // What they are made of stands in for what takes minutes to build.
    fs::write(path("landfall"), "#!/bin/sh\n").unwrap();
    fs::create_dir(path("documents")).unwrap();
    for name in ["landfall.1", "landfall-serve.1", "landfall.bash", "landfall.fish", "_landfall"] {
        fs::write(folder.path().join("documents").join(name), name).unwrap();
    }
    let make = |format: &str, to: &str| {
        let [program, documents, to] = ["landfall", "documents", to].map(&path);
        let (status, said) = script("package", &[format, "arm64", &program, &documents, &to]);
        assert_eq!(status, Some(0), "{said}");
    };
    let version = env!("CARGO_PKG_VERSION");
    let (deb, rpm) =
        (format!("landfall_{version}_arm64.deb"), format!("landfall-{version}-1.aarch64.rpm"));
    for to in ["one", "two"] {
        make("deb", to);
        make("rpm", to);
    }
    for name in [&deb, &rpm] {
        let [one, two] =
            ["one", "two"].map(|to| fs::read(folder.path().join(to).join(name)).unwrap());
        assert!(one == two, "{name} is made anew with other bytes");
    }
    let (deb, rpm) = (path(&format!("one/{deb}")), path(&format!("one/{rpm}")));
    let listed = files(&says("dpkg-deb", &["--contents", &deb]));
    assert_eq!(listed, FILES.replace("FOLDER", "vendor-completions"));
    let listed = files(&says("rpm", &["-qlvp", &rpm]));
    assert_eq!(listed, FILES.replace("FOLDER", "site-functions"));

    let fields = says("dpkg-deb", &["--field", &deb, "Package", "Version", "Architecture"]);
    assert_eq!(fields, format!("Package: landfall\nVersion: {version}\nArchitecture: arm64\n"));
    assert_eq!(says("dpkg-deb", &["--info", &deb, "conffiles"]), "/etc/default/landfall\n");
    assert_eq!(says("rpm", &["-qcp", &rpm]), "/etc/default/landfall\n");
    assert_eq!(
        says("rpm", &["-qp", "--qf", "%{NAME} %{VERSION} %{ARCH}", &rpm]),
        format!("landfall {version} aarch64")
    );
    // Nothing but rpm's own features.
    let requires = says("rpm", &["-qp", "--requires", &rpm]);
    assert!(
        requires.lines().all(|line| line.starts_with("rpmlib(")
            || line.contains("/bin/sh")
            || line.contains("config(")),
        "{requires}"
    );
    for when in ["postinst", "prerm", "postrm"] {
        let text = says("dpkg-deb", &["--info", &deb, when]);
        assert!(text.starts_with("#!/bin/sh\nset -e\n"), "{text}");
    }
    let unit = says("dpkg-deb", &["--fsys-tarfile", &deb]);
    assert!(unit.contains("\nExecStart=/usr/bin/landfall serve\n"));
}

#[test]
fn packages_that_cannot_be_made() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().to_str().unwrap();
    let no_binary = format!("{here}/landfall");
    for (args, status, words) in [
        (vec!["deb", "mips", "/bin/sh", here, here], 1, "there is no architecture 'mips'"),
        (vec!["deb", "amd64", &no_binary, here, here], 1, "scripts/build amd64 makes it"),
        (vec!["deb", "amd64", "/bin/sh", here, here], 1, "`make documents` makes them"),
        (vec!["deb"], 2, "usage: "),
    ] {
        let (code, said) = script("package", &args);
        assert_eq!(code, Some(status), "{said}");
        assert!(said.contains(words), "{said}");
    }
}

/// Nothing is released but a tag of the version that is there.
#[test]
fn what_cannot_be_released() {
    let (status, said) = script("release", &["v999.0.0"]);
    assert_eq!(status, Some(1));
    assert!(said.contains("there is no tag 'v999.0.0'"), "{said}");
    let (status, said) = script("sbom", &["mips"]);
    assert_eq!(status, Some(1));
    assert!(said.contains("there is no architecture 'mips'"), "{said}");
}

/// The README's table of architectures is the one that scripts go by.
#[test]
fn the_readme_has_the_architectures() {
    let table = fs::read_to_string(repository().join("packaging/architectures")).unwrap();
    let readme = fs::read_to_string(repository().join("README.md")).unwrap();
    let lines: Vec<&str> = table.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines.len(), 4);
    for line in lines {
        let mut words = line.split_whitespace();
        let (arch, tag) = (words.next().unwrap(), words.next().unwrap());
        let row = format!("| `{arch}` | `release-linux-{tag}` |");
        assert!(readme.contains(&row), "{row}");
    }
}
