//! Each story in which a check ever failed, as a file that no change of the generator touches: all checks hold in it now.

use std::{fs, path::PathBuf};

use sim::{StoryFile, play};

fn files() -> Vec<(PathBuf, StoryFile)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/regressions");
    let mut paths: Vec<_> =
        fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a text");
        let file = StoryFile::read(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (path, file)
    };
    paths.into_iter().map(read).collect()
}

#[test]
fn stories_that_failed_once_hold() {
    let files = files();
    assert!(files.len() >= 13, "{}", files.len());
    for (path, file) in files {
        let failure = play(&file.story).failure;
        let failed = failure.map_or(String::new(), |failure| failure.to_string());
        assert!(failed.is_empty(), "{}: {}\n{failed}", path.display(), file.about);
    }
}

#[test]
fn each_says_what_it_is_about() {
    for (path, file) in files() {
        assert!(file.about.ends_with(['.', ')']), "{}: {:?}", path.display(), file.about);
    }
}
