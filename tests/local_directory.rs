//! The bucket in a directory: what is left of a crash, who shares it, and what each failure is reported as.

use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use bytes::Bytes;
use futures_lite::future::block_on;
use replica::ports::{Bucket, BucketError, Created, Outcome};
use store_object::LocalBucket;
use tempfile::TempDir;

fn bucket() -> (TempDir, LocalBucket) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let bucket = LocalBucket::open(directory.path()).expect("an open bucket");
    (directory, bucket)
}

fn create(bucket: &LocalBucket, key: &str, body: &'static [u8]) -> Result<Created, BucketError> {
    block_on(bucket.create(key, Bytes::from_static(body)))
}

fn get(bucket: &LocalBucket, key: &str) -> Option<Bytes> {
    block_on(bucket.get(key)).expect("an answer")
}

fn keys(bucket: &LocalBucket) -> Vec<String> {
    let page = block_on(bucket.list("", None, 1_000)).expect("a page");
    page.objects.into_iter().map(|stored| stored.key).collect()
}

/// The error, if it is of this outcome, and says this and where.
fn demand<T: std::fmt::Debug>(result: Result<T, BucketError>, outcome: Outcome, says: &str, path: &Path) {
    let error = result.expect_err("an error");
    let message = error.to_string();
    assert_eq!(error.outcome, outcome, "{message}");
    assert!(message.contains(says), "{message} does not say {says:?}");
    assert!(message.contains(path.to_str().expect("a path of text")), "{message} does not name {path:?}");
}

/// Every file in the directory, also those that no list shows.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> = entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect();
    files.sort();
    files
}

#[test]
fn the_directory_is_made_with_those_above_it() {
    let directory = tempfile::tempdir().unwrap();
    let deep = directory.path().join("a/b/c");
    let bucket = LocalBucket::open(&deep).unwrap();
    assert!(deep.is_dir());
    assert_eq!(keys(&bucket), [""; 0]);
    assert_eq!(files(&deep), [""; 0].map(PathBuf::from), "to open a bucket writes nothing");
}

#[test]
fn nothing_is_left_in_staging() {
    let (directory, bucket) = bucket();
    create(&bucket, "v1/a", b"a").unwrap();
    create(&bucket, "v1/a", b"b").unwrap();
    create(&bucket, "v1/a/b", b"c").unwrap_err();
    assert_eq!(files(directory.path()).len(), 2, "the object and the lock: {:?}", files(directory.path()));
}

/// A crash between any two steps of a create leaves a staged file, a folder without an object, or both.
#[test]
fn what_a_crash_has_left_is_not_seen_and_is_cleaned_on_open() {
    let (directory, bucket) = bucket();
    create(&bucket, "v1/a", b"a").unwrap();
    drop(bucket);
    let staging = directory.path().join("#staging");
    fs::write(staging.join("4711-0"), b"half wr").unwrap();
    // Killed between the link and the removal of the staged file.
    fs::write(staging.join("4711-1"), b"b").unwrap();
    fs::hard_link(staging.join("4711-1"), directory.path().join("v1/b")).unwrap();
    // Killed between making the folders and the link.
    fs::create_dir_all(directory.path().join("v1/empty/deep")).unwrap();

    let bucket = LocalBucket::open(directory.path()).unwrap();
    assert_eq!(keys(&bucket), ["v1/a", "v1/b"]);
    assert_eq!(block_on(bucket.folders("")).unwrap(), ["v1"]);
    assert_eq!(block_on(bucket.folders("v1/")).unwrap(), [""; 0]);
    assert_eq!(get(&bucket, "v1/b").as_deref(), Some(&b"b"[..]));
    assert_eq!(files(&staging), [staging.join("lock")]);
    assert_eq!(create(&bucket, "v1/empty/deep/c", b"c").unwrap(), Created::New);
}

#[test]
fn what_another_is_writing_is_not_cleaned() {
    let (directory, bucket) = bucket();
    create(&bucket, "a", b"a").unwrap();
    let staged = directory.path().join("#staging/4711-0");
    fs::write(&staged, b"under way").unwrap();
    let other = LocalBucket::open(directory.path()).unwrap();
    assert!(staged.exists(), "its writer may be alive");
    drop((bucket, other));
    LocalBucket::open(directory.path()).unwrap();
    assert!(!staged.exists(), "nobody is left who could be writing it");
}

#[test]
fn the_staging_folder_comes_back() {
    let (directory, bucket) = bucket();
    create(&bucket, "a", b"a").unwrap();
    fs::remove_dir_all(directory.path().join("#staging")).unwrap();
    assert_eq!(create(&bucket, "b", b"b").unwrap(), Created::New);
}

#[test]
fn handles_on_one_directory_see_each_other() {
    let (directory, ours) = bucket();
    let theirs = LocalBucket::open(directory.path()).unwrap();
    for round in 0..50 {
        let key = format!("v1/part/{round}/x");
        assert_eq!(create(&ours, &key, b"ours").unwrap(), Created::New);
        assert_eq!(create(&theirs, &key, b"theirs").unwrap(), Created::Exists);
        assert_eq!(get(&theirs, &key).as_deref(), Some(&b"ours"[..]));
        // The folder goes with its last object, and comes back.
        block_on(theirs.delete(&key)).unwrap();
        assert_eq!(keys(&ours), [""; 0]);
        assert_eq!(create(&ours, &key, b"again").unwrap(), Created::New);
        block_on(ours.delete(&key)).unwrap();
    }
    assert!(!directory.path().join("v1").exists());
}

/// One creates what another deletes, in a folder that comes and goes with it.
#[test]
fn creates_survive_deletes_of_their_folder() {
    let (directory, _) = bucket();
    std::thread::scope(|scope| {
        for task in 0..4 {
            let directory = directory.path();
            scope.spawn(move || {
                let bucket = LocalBucket::open(directory).unwrap();
                for round in 0..150 {
                    let key = format!("a/b/{task}-{round}");
                    assert_eq!(create(&bucket, &key, b"x").unwrap(), Created::New);
                    assert!(get(&bucket, &key).is_some(), "{key}");
                    block_on(bucket.delete(&key)).unwrap();
                }
            });
        }
    });
    assert!(!directory.path().join("a").exists());
}

/// Processes that are killed while they create: each object is whole or not there, and the next who opens the bucket
/// cleans up.
#[test]
fn a_killed_process_leaves_whole_objects_only() {
    const SIZE: usize = 1 << 20;
    let directory = tempfile::tempdir().unwrap();
    if let Some(directory) = child("a_killed_process_leaves_whole_objects_only") {
        let bucket = LocalBucket::open(directory).unwrap();
        println!("ready");
        for number in 0.. {
            let key = format!("{}/{number:08}", std::process::id());
            block_on(bucket.create(&key, Bytes::from(vec![b'x'; SIZE]))).unwrap();
        }
    }
    let mut objects = 0;
    for milliseconds in [1, 5, 20, 50] {
        let mut child = again("a_killed_process_leaves_whole_objects_only", directory.path(), &[]);
        let mut child = child.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
        assert!(lines.any(|line| line.unwrap().contains("ready")));
        pause(milliseconds);
        child.kill().unwrap();
        child.wait().unwrap();
        let bucket = LocalBucket::open(directory.path()).unwrap();
        let staging = directory.path().join("#staging");
        assert!(files(&staging).len() <= 1, "{:?}", files(&staging));
        let page = block_on(bucket.list("", None, 100_000)).unwrap();
        assert!(page.objects.iter().all(|stored| stored.size == SIZE as u64), "{page:?}");
        objects = page.objects.len();
    }
    assert!(objects > 0);
}

/// Processes that want the same keys: each key is won once.
#[test]
fn of_several_processes_one_creates() {
    const NAME: &str = "of_several_processes_one_creates";
    const KEYS: u32 = 200;
    if let Some(directory) = child(NAME) {
        let bucket = LocalBucket::open(directory).unwrap();
        let key = |number: u32| format!("race/{}/{number}", number / 20);
        let won = (0..KEYS).filter(|number| create(&bucket, &key(*number), b"x").unwrap() == Created::New).count();
        return println!("done won={won}.");
    }
    let directory = tempfile::tempdir().unwrap();
    let start = || again(NAME, directory.path(), &[]).stdout(Stdio::piped()).spawn().unwrap();
    let children = [start(), start(), start(), start()];
    let won = children.map(|child| {
        let said = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        let (_, won) = said.split_once("won=").unwrap();
        won.split_once('.').unwrap().0.parse::<u32>().unwrap()
    });
    assert_eq!(won.iter().sum::<u32>(), KEYS, "{won:?}");
    assert_eq!(keys(&LocalBucket::open(directory.path()).unwrap()).len(), KEYS as usize);
}

#[test]
fn a_key_that_is_a_folder_or_below_an_object_is_refused() {
    let (directory, bucket) = bucket();
    create(&bucket, "v1/a/b", b"x").unwrap();
    let root = directory.path().canonicalize().unwrap();
    demand(create(&bucket, "v1/a", b"x"), Outcome::Refused, "folder of other objects", &root.join("v1/a"));
    demand(
        create(&bucket, "v1/a/b/c/d", b"x"),
        Outcome::Refused,
        "an object has the name of a folder",
        &root.join("v1/a/b"),
    );
    assert_eq!(keys(&bucket), ["v1/a/b"]);
}

#[test]
fn what_is_not_ours_is_not_listed() {
    let (directory, bucket) = bucket();
    create(&bucket, "v1/a", b"x").unwrap();
    for name in ["a b", "lost+found", "v1/~a", "v1/\u{e4}"] {
        fs::write(directory.path().join(name), b"x").unwrap();
    }
    fs::create_dir(directory.path().join("v1/#x")).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("/", directory.path().join("v1/link")).unwrap();
    assert_eq!(keys(&bucket), ["v1/a"]);
    assert_eq!(block_on(bucket.folders("v1/")).unwrap(), [""; 0]);
}

/// A disk that is not mounted looks like an empty directory, and must not be taken for an empty bucket.
#[test]
fn a_directory_that_is_gone_or_replaced_is_unavailable() {
    let (directory, bucket) = bucket();
    create(&bucket, "v1/a", b"x").unwrap();
    let root = directory.path().canonicalize().unwrap();
    let aside = root.with_extension("aside");
    let demand_all = |says: &str| {
        demand(block_on(bucket.get("v1/a")), Outcome::Unavailable, says, &root);
        demand(block_on(bucket.list("v1/", None, 1)), Outcome::Unavailable, says, &root);
        demand(block_on(bucket.folders("")), Outcome::Unavailable, says, &root);
        demand(block_on(bucket.delete("v1/a")), Outcome::Unavailable, says, &root);
        demand(create(&bucket, "v1/b", b"x"), Outcome::Unavailable, says, &root);
        demand(create(&bucket, "v2/b", b"x"), Outcome::Unavailable, says, &root);
    };
    fs::rename(&root, &aside).unwrap();
    demand_all("cannot find the directory of the bucket");
    if cfg!(unix) {
        fs::create_dir(&root).unwrap();
        demand_all("is not the one that was opened");
        assert_eq!(fs::read_dir(&root).unwrap().count(), 0, "nothing is written there");
        fs::remove_dir(&root).unwrap();
    }
    fs::rename(&aside, &root).unwrap();
    assert_eq!(get(&bucket, "v1/a").as_deref(), Some(&b"x"[..]), "it goes on when the directory is back");
}

#[test]
fn a_file_is_no_bucket() {
    let (directory, _) = bucket();
    let file = directory.path().join("file");
    fs::write(&file, b"").unwrap();
    demand(LocalBucket::open(&file), Outcome::Refused, "not a folder", &file);
    demand(LocalBucket::open(file.join("below")), Outcome::Refused, "not a folder", &file);
}

/// Runs in a process of its own, as a user whom permissions bind.
#[cfg(unix)]
#[test]
fn a_missing_permission_is_refused_and_reading_is_enough_to_read() {
    use std::os::unix::fs::PermissionsExt;

    const NAME: &str = "a_missing_permission_is_refused_and_reading_is_enough_to_read";
    if let Some(root) = child(NAME) {
        let says = "no permission";
        demand(LocalBucket::open(root.join("closed")), Outcome::Refused, says, &root.join("closed"));
        demand(LocalBucket::open(root.join("open/new")), Outcome::Refused, says, &root.join("open/new"));
        let bucket = LocalBucket::open(root.join("open")).unwrap();
        assert_eq!(keys(&bucket), ["v1/a"]);
        assert_eq!(get(&bucket, "v1/a").as_deref(), Some(&b"x"[..]));
        demand(create(&bucket, "v1/b", b"x"), Outcome::Refused, says, &root.join("open"));
        demand(create(&bucket, "v2/b", b"x"), Outcome::Refused, says, &root.join("open"));
        demand(block_on(bucket.delete("v1/a")), Outcome::Refused, says, &root.join("open/v1/a"));
        assert_eq!(create(&bucket, "v1/a", b"x").unwrap(), Created::Exists);
        return println!("done");
    }
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().canonicalize().unwrap();
    let allow = |path: &str, mode| fs::set_permissions(root.join(path), fs::Permissions::from_mode(mode)).unwrap();
    create(&LocalBucket::open(root.join("open")).unwrap(), "v1/a", b"x").unwrap();
    fs::create_dir(root.join("closed")).unwrap();
    for (path, mode) in [
        ("closed", 0),
        ("open/v1/a", 0o444),
        ("open/v1", 0o555),
        ("open/#staging", 0o555),
        ("open", 0o555),
        ("", 0o755),
    ] {
        allow(path, mode);
    }
    // Permissions do not bind the superuser: nobody runs this then.
    let is_bound = fs::read_dir(root.join("closed")).is_err();
    let user: &[&str] = if is_bound { &[] } else { &["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] };
    // A copy, since nobody may not be allowed to go where this program is.
    let this = root.join("test");
    fs::copy(env::current_exe().unwrap(), &this).unwrap();
    finish(by(user, &this, NAME, &root));
    for path in ["open", "open/v1", "open/#staging", "closed"] {
        allow(path, 0o755);
    }
}

/// Runs in a process of its own, on a file system of 256 KiB that only it sees.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_and_a_read_only_one_are_refused() {
    const NAME: &str = "a_full_disk_and_a_read_only_one_are_refused";
    if let Some(root) = child(NAME) {
        let bucket = LocalBucket::open(&root).unwrap();
        create(&bucket, "v1/a", b"x").unwrap();
        let large = || block_on(bucket.create("v1/large", Bytes::from(vec![b'x'; 1 << 20])));
        demand(large(), Outcome::Refused, "the disk is full: free some space", &root.join("v1/large"));
        demand(large(), Outcome::Refused, "the disk is full: free some space", &root.join("v1/large"));
        assert_eq!(keys(&bucket), ["v1/a"]);
        assert_eq!(files(&root).len(), 2, "the room of what was refused is free again");
        assert_eq!(create(&bucket, "v1/b", b"x").unwrap(), Created::New);
        let mounted = Command::new("mount").args(["-o", "remount,ro"]).arg(&root).status().unwrap();
        assert!(mounted.success());
        demand(create(&bucket, "v1/c", b"x"), Outcome::Refused, "the file system is read-only", &root.join("v1/c"));
        demand(create(&bucket, "v2/c", b"x"), Outcome::Refused, "the file system is read-only", &root.join("v2"));
        demand(block_on(bucket.delete("v1/a")), Outcome::Refused, "the file system is read-only", &root.join("v1/a"));
        assert_eq!(keys(&bucket), ["v1/a", "v1/b"]);
        let readonly = LocalBucket::open(&root).unwrap();
        assert_eq!(get(&readonly, "v1/a").as_deref(), Some(&b"x"[..]));
        return println!("done");
    }
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().canonicalize().unwrap();
    let mount = "mount -t tmpfs -o size=256k tmpfs \"$DIRECTORY\"";
    let own = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"];
    let possible = Command::new(own[0]).args(&own[1..]).arg(mount).env("DIRECTORY", &root).status();
    if !possible.is_ok_and(|status| status.success()) {
        return println!("not run: this system lets nobody mount a small file system");
    }
    let script = format!("{mount} && exec \"$0\" \"$@\"");
    finish(again(NAME, &root, &[&own[..], &[&script]].concat()));
}

/// The directory that the parent has prepared, if this process is the child that is to run the test.
fn child(name: &str) -> Option<PathBuf> {
    env::var_os("TEST").filter(|test| test == name)?;
    env::var_os("DIRECTORY").map(PathBuf::from)
}

/// This test again, in a process of its own that is started by another command.
fn again(name: &str, directory: &Path, command: &[&str]) -> Command {
    by(command, &env::current_exe().expect("the path of this program"), name, directory)
}

fn by(command: &[&str], program: &Path, name: &str, directory: &Path) -> Command {
    let mut words = command.iter().map(OsStr::new).chain([program.as_os_str()]);
    let mut command = Command::new(words.next().expect("a program"));
    command.args(words).args(["--exact", name, "--nocapture"]).env("TEST", name).env("DIRECTORY", directory);
    command
}

fn finish(mut command: Command) {
    let output = command.output().expect("a child that ran");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("done"), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
}

#[expect(clippy::disallowed_methods, reason = "a process is killed after some real time")]
fn pause(milliseconds: u64) {
    std::thread::sleep(std::time::Duration::from_millis(milliseconds));
}
