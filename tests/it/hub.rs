//! A hub on loopback: repositories in memory, with a log of requests and faults to order.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::json;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::support::Sandbox;

/// The commit of every repository.
pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// Files of at least this size have a SHA-256, as large files on the hub; smaller ones a git hash.
const LARGE: usize = 1000;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    pub path: String,
    headers: BTreeMap<String, String>,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// So many bytes of the body are sent before the connection breaks.
    pub cut: Option<usize>,
}

impl Answer {
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Answer { status, headers: Vec::new(), body: body.into(), cut: None }
    }

    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.into(), value.to_string()));
        self
    }

    /// Content, or the part of it that the request asks for.
    pub fn content(seen: &Seen, bytes: &[u8]) -> Self {
        let range = seen.header("range").map(|range| range.strip_prefix("bytes=").expect("a range of bytes"));
        let Some((from, to)) = range.and_then(|range| range.split_once('-')) else { return Answer::new(200, bytes) };
        let from: usize = from.parse().unwrap();
        let to = to.parse().map_or(bytes.len(), |to: usize| (to + 1).min(bytes.len()));
        if from >= bytes.len() {
            return Answer::new(416, "");
        }
        let shown = format!("bytes {from}-{}/{}", to - 1, bytes.len());
        Answer::new(206, &bytes[from..to]).with("Content-Range", shown)
    }
}

/// What a fault does to the n-th request (from 0) for a path: an answer instead of the usual one, or `None`.
type Fault = Box<dyn Fn(&Seen, usize, &Answer) -> Option<Answer> + Send + Sync>;

/// A file's path and content.
pub type File<'a> = (&'a str, Vec<u8>);

/// Repositories, their files and their contents.
type Repos = BTreeMap<String, BTreeMap<String, Vec<u8>>>;

/// A server on loopback. Its thread ends with the test's process.
pub struct Hub {
    pub address: String,
    log: Arc<Mutex<Vec<Seen>>>,
}

impl Hub {
    /// Serves repositories.
    pub fn serve(repos: &[(&str, &[File<'_>])]) -> Self {
        Self::faulty(repos, |_, _, _| None)
    }

    /// Serves repositories with faults.
    pub fn faulty(
        repos: &[(&str, &[File<'_>])],
        fault: impl Fn(&Seen, usize, &Answer) -> Option<Answer> + Send + Sync + 'static,
    ) -> Self {
        let files = |files: &[File<'_>]| files.iter().map(|(path, b)| ((*path).to_string(), b.clone())).collect();
        let repos: Repos = repos.iter().map(|(name, list)| ((*name).to_string(), files(list))).collect();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let log = Arc::new(Mutex::new(Vec::new()));
        let (shared, fault) = (Arc::new((repos, log.clone())), Arc::new(Box::new(fault) as Fault));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (shared, fault) = (shared.clone(), fault.clone());
                thread::spawn(move || serve(&stream.unwrap(), &shared.0, &shared.1, &fault));
            }
        });
        Hub { address, log }
    }

    /// A model's folder, as repositories are served.
    pub fn files_of(folder: &Path) -> Vec<(String, Vec<u8>)> {
        let mut files = Vec::new();
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            if entry.file_type().unwrap().is_dir() {
                files.extend(Self::files_of(&entry.path()).into_iter().map(|(path, b)| (format!("{name}/{path}"), b)));
            } else {
                files.push((name, fs::read(entry.path()).unwrap()));
            }
        }
        files
    }

    /// The requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.log.lock().unwrap().clone()
    }

    /// The requests for a file so far.
    pub fn asked(&self, file: &str) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| seen.path.ends_with(file)).collect()
    }

    /// A command of `sdgen` that knows this hub and no other network.
    pub fn command(&self, sandbox: &Sandbox, args: &[&str]) -> Command {
        let mut command = sandbox.command(args);
        let unset = ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"];
        let proxies = ["ALL_PROXY", "all_proxy", "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"];
        let other = ["HF_HUB_OFFLINE", "HF_HUB_DOWNLOAD_TIMEOUT", "CIVITAI_TOKEN", "SSL_CERT_FILE"];
        for variable in unset.iter().chain(&proxies).chain(&other) {
            command.env_remove(variable);
        }
        command.env("HF_ENDPOINT", &self.address).env("HF_HOME", sandbox.path("hf")).env("SDGEN_RETRY_PAUSE", "0.01");
        command
    }

    /// Runs `sdgen` with this hub.
    pub fn run(&self, sandbox: &Sandbox, args: &[&str]) -> crate::support::Outcome {
        crate::support::Outcome::new(self.command(sandbox, args).output().unwrap())
    }
}

/// Bytes that no compression or chance repeats.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(|_| next()).collect()
}

pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// The name of a content's blob in the cache.
pub fn blob_name(bytes: &[u8]) -> String {
    if bytes.len() >= LARGE {
        return sha256(bytes);
    }
    let mut sha = Sha1::new();
    sha.update(format!("blob {}\0", bytes.len()));
    sha.update(bytes);
    hex(&sha.finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

fn serve(stream: &TcpStream, repos: &Repos, log: &Mutex<Vec<Seen>>, fault: &Fault) {
    let Some(seen) = read_request(stream) else { return };
    let earlier = {
        let mut log = log.lock().unwrap();
        log.push(seen.clone());
        log.iter().filter(|other| other.path == seen.path).count() - 1
    };
    let usual = usual(&seen, repos);
    let answer = fault(&seen, earlier, &usual).unwrap_or(usual);
    let mut head = format!("HTTP/1.1 {} Whatever\r\nConnection: close\r\n", answer.status);
    let says_length = |name: &str| ["content-length", "transfer-encoding"].contains(&name.to_lowercase().as_str());
    if !answer.headers.iter().any(|(name, _)| says_length(name)) {
        let _ = write!(head, "Content-Length: {}\r\n", answer.body.len());
    }
    for (name, value) in &answer.headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    let body = &answer.body[..answer.cut.unwrap_or(answer.body.len())];
    // The client may have gone.
    let mut stream = stream;
    let _ = stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.write_all(b"\r\n"))
        .and_then(|()| stream.write_all(body));
}

fn read_request(stream: &TcpStream) -> Option<Seen> {
    let mut lines = BufReader::new(stream.take(1 << 20)).lines();
    let path = lines.next()?.ok()?.split(' ').nth(1)?.to_string();
    let mut headers = BTreeMap::new();
    for line in lines.map_while(Result::ok).take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':')?;
        headers.insert(name.to_lowercase(), value.trim().to_string());
    }
    Some(Seen { path, headers })
}

/// What the hub answers: the listing of a repository, or a file of it.
fn usual(seen: &Seen, repos: &Repos) -> Answer {
    let path = seen.path.split('?').next().unwrap();
    if let Some(rest) = path.strip_prefix("/api/models/") {
        let (name, _) = rest.split_once("/revision/").unwrap();
        return match repos.get(name) {
            Some(files) => Answer::new(200, listing(files)).with("Content-Type", "application/json"),
            None => Answer::new(404, "{}").with("X-Error-Code", "RepoNotFound"),
        };
    }
    let found = path[1..].split_once("/resolve/").and_then(|(name, rest)| {
        let (_, file) = rest.split_once('/')?;
        repos.get(name)?.get(file)
    });
    match found {
        Some(bytes) => Answer::content(seen, bytes).with("ETag", format!("\"{}\"", blob_name(bytes))),
        None => Answer::new(404, "").with("X-Error-Code", "EntryNotFound"),
    }
}

fn listing(files: &BTreeMap<String, Vec<u8>>) -> String {
    let siblings = files.iter().map(|(path, bytes)| {
        let mut file = json!({ "rfilename": path, "size": bytes.len(), "blobId": blob_name(b"pointer") });
        if bytes.len() >= LARGE {
            file["lfs"] = json!({ "sha256": blob_name(bytes), "size": bytes.len(), "pointerSize": 100 });
        } else {
            file["blobId"] = blob_name(bytes).into();
        }
        file
    });
    json!({ "sha": COMMIT, "siblings": siblings.collect::<Vec<_>>() }).to_string()
}
