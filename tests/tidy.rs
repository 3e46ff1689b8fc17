//! The repository keeps its own rules: layers, sizes, links, words, commands.
//!
//! A rule that no command checks is soon broken. Each test here is one rule, and what it prints is what to change.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::{Component, Path, PathBuf},
    process::Command,
};

/// A file may use what lies in its own layer or below. The layers stand in `docs/architecture.md` and in the second
/// line of each file. A folder is one module, in one layer.
#[test]
fn a_file_uses_its_own_layer_or_a_lower_one() {
    let document = read("docs/architecture.md");
    let mut faults = Vec::new();
    for name in ["crdt-core", "replica", "server", "sim"] {
        let (folder, lib) = (format!("{name}/src/"), format!("{name}/src/lib.rs"));
        let table = layer_table(&document, &format!("### Layers of {name}\n"));
        let mut modules = modules(&read(&lib));
        // A command has modules of its own.
        let main = format!("{folder}main.rs");
        if root().join(&main).exists() {
            modules.append(&mut self::modules(&read(&main)));
        }
        let mut met = BTreeSet::new();
        for path in files().iter().filter(|path| path.starts_with(&folder) && **path != lib && path.ends_with(".rs")) {
            let source = read(path);
            let place = module_path(&path[folder.len()..]);
            met.insert(place[0].to_owned());
            let Some(layer) = header_layer(&source) else {
                faults.push(format!("{path}: the second line must say `//! Layer n.`"));
                continue;
            };
            if table.get(place[0]) != Some(&layer) {
                faults
                    .push(format!("{path}: says layer {layer}, docs/architecture.md lists it elsewhere or not at all"));
            }
            for used in used_modules(&source, &place, &modules) {
                match used {
                    Ok(used) if table.get(&used).is_some_and(|below| *below <= layer) => {}
                    Ok(used) => faults.push(format!(
                        "{path}: layer {layer} uses `{used}`, which is in layer {}; only the same layer or a lower one",
                        table.get(&used).map_or("none".to_owned(), u32::to_string)
                    )),
                    Err(path_in_code) => faults.push(format!("{path}: cannot tell where `{path_in_code}` comes from")),
                }
            }
        }
        faults.extend(table.keys().filter(|listed| !met.contains(*listed)).map(|listed| {
            format!("docs/architecture.md: the layer table lists `{listed}`, and there is no such module in {folder}")
        }));
    }
    demand_none(&faults);
}

/// The checks above are only worth what the reader of imports is worth.
#[test]
fn imports_are_read_however_they_are_written() {
    let modules = modules("mod a;\npub mod b;\nmod c;\npub use a::{A, Aa};\npub use b::B;\npub use other::Far;\n");
    let used_in = |place: &[&str], source: &str| {
        used_modules(source, place, &modules).into_iter().collect::<Result<BTreeSet<_>, _>>()
    };
    let used = |source: &str| used_in(&["c"], source);
    let of = |names: &[&str]| Ok(names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>());
    assert_eq!(used("use crate::A;"), of(&["a"]));
    assert_eq!(used("use crate::{\n    Aa,\n    b::{x, y::{self, Z}},\n};"), of(&["a", "b"]));
    assert_eq!(used("use crate::{b::x, c as d};"), of(&["b", "c"]));
    assert_eq!(used("fn f(x: crate::B) -> crate::c::C<crate::A> {}"), of(&["a", "b", "c"]));
    assert_eq!(used("/// [`B`](crate::B)\n// crate::B\nfn f() {}"), of(&[]));
    assert_eq!(used("#[cfg(test)]\nmod tests {\n    use crate::B;\n}"), of(&[]));
    assert_eq!(used("use crate::Unheard;"), Err("crate::Unheard".to_owned()));
    assert_eq!(used("use crate::Far;"), of(&[]), "what another crate has is in no layer");
    assert_eq!(used("use super::A;"), of(&["a"]));
    assert_eq!(used("use super::*;"), Err("super::*".to_owned()));
    assert_eq!(used_in(&["b", "x"], "use super::{y::Z, super::A};"), of(&["a", "b"]));
    assert_eq!(used_in(&["b", "x", "y"], "use super::super::A;\nuse super::*;"), of(&["b"]));
    assert_eq!(used_in(&["b", "x"], "use super::super::super::A;"), Err("super::super::super::A".to_owned()));
}

/// Arrows between crates only point down, as the table in `docs/architecture.md` has them. Packages that look on from outside
/// may use any of them; nothing may use those.
#[test]
fn crates_depend_on_those_below_alone() {
    let document = read("docs/architecture.md");
    let table: BTreeMap<String, BTreeSet<String>> = rows(&document, "### Crates\n")
        .map(|row| (quoted(row[0])[0].clone(), quoted(row[2]).into_iter().collect()))
        .collect();
    let workspace = read("Cargo.toml");
    let members: Vec<String> = workspace
        .split_once("\nmembers = [")
        .and_then(|(_, rest)| rest.split_once(']'))
        .map(|(list, _)| list.split('"').skip(1).step_by(2).map(|path| path.replace("tests/", "")).collect())
        .expect("the workspace has members");
    let mut faults: Vec<String> = table
        .keys()
        .filter(|name| !members.contains(name))
        .map(|name| format!("docs/architecture.md: there is no crate `{name}`"))
        .collect();
    let looks_on = |name: &&String| {
        name.starts_with("examples/")
            || ["benches", "benches/s3", "benches/versus", "chaos", "servers", "tests"].contains(&name.as_str())
    };
    for name in members.iter().filter(|name| !looks_on(name)) {
        let Some(below) = table.get(name) else {
            faults.push(format!("docs/architecture.md: the table of crates lacks `{name}`"));
            continue;
        };
        let used = dependencies(&read(&format!("{name}/Cargo.toml")));
        let above = used.iter().filter(|used| members.contains(used) && !below.contains(*used));
        faults
            .extend(above.map(|used| format!("{name}/Cargo.toml: depends on `{used}`, against docs/architecture.md")));
        let networks =
            ["async-std", "aws-", "hyper", "mio", "object_store", "reqwest", "rustls", "smol", "socket2", "tokio"];
        let is_network = |used: &&String| name == "sim" && networks.iter().any(|network| used.starts_with(network));
        faults.extend(used.iter().filter(is_network).map(|used| format!("sim/Cargo.toml: `{used}` knows a network")));
    }
    // What carries bytes knows the engine's ports and nothing else of it.
    for path in
        files().iter().filter(|path| path.starts_with("store-") && path.contains("/src/") && path.ends_with(".rs"))
    {
        let code = code_of(&read(path));
        let beyond = code.split("replica::").skip(1).filter(|rest| !rest.starts_with("ports::"));
        faults.extend(beyond.map(|rest| {
            format!(
                "{path}: uses `replica::{}`; a store knows `replica::ports` alone",
                rest.lines().next().unwrap_or_default()
            )
        }));
    }
    assert!(
        workspace.lines().any(|line| line.starts_with("replica = ") && line.contains("default-features = false")),
        "the engine is linked without its runtime unless a crate asks for it"
    );
    demand_none(&faults);
}

/// Long files hide more than one idea.
#[test]
fn no_file_is_longer_than_600_lines() {
    demand_none(&in_files(&["rs", "md", "toml", "run"], |path, text| {
        let lines = text.lines().count();
        (lines > 600).then(|| format!("{path}: {lines} lines; split it by idea")).into_iter().collect()
    }));
}

/// What is unfinished belongs in an issue, and a test that does not run is none.
#[test]
fn nothing_is_left_over() {
    let leftovers =
        [concat!("to", "do!"), concat!("db", "g!"), concat!("#[ig", "nore"), "FIX\u{4d}E", "X\u{58}X", "HAC\u{4b}"];
    demand_none(&in_files(&["rs"], |path, text| offences(path, text, &leftovers)));
}

/// A path of one machine is wrong on every other.
#[test]
fn no_file_names_a_path_of_one_machine() {
    let roots = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];
    demand_none(&in_files(&[], |path, text| offences(path, text, &roots)));
}

/// Plain ASCII, and the few signs that say something better.
#[test]
fn signs_beyond_ascii_are_few() {
    const ALLOWED: &str = "…→←↔∩∪∅⊆Σ−×·≤≥≠⁰¹²³⁴⁵⁶⁷⁸⁹⁻";
    demand_none(&in_files(&[], |path, text| {
        let foreign = |sign: &char| !sign.is_ascii() && !ALLOWED.contains(*sign);
        numbered(text)
            .filter_map(|(number, line)| Some((number, line.chars().find(foreign)?)))
            .map(|(number, sign)| format!("{path}:{number}: `{sign}` (U+{:04X})", u32::from(sign)))
            .collect()
    }));
}

/// Links in documents lead somewhere, and so do the documents and tests that comments point to.
#[test]
fn every_pointer_leads_somewhere() {
    let mut faults = in_files(&["md"], |path, text| {
        links(text).filter_map(|link| broken(path, &link)).map(|why| format!("{path}: {why}")).collect()
    });
    faults.extend(in_files(&["rs", "toml", "run"], |path, text| {
        let words = text.split(|sign: char| !(sign.is_ascii_alphanumeric() || "/-_.".contains(sign)));
        words
            .map(|word| word.trim_end_matches('.'))
            .filter(|word| {
                (word.starts_with("docs/") || word.starts_with("tests/")) && has_extension(word, &["md", "rs"])
            })
            .filter(|word| !root().join(word).exists())
            .map(|word| format!("{path}: `{word}` does not exist"))
            .collect()
    }));
    demand_none(&faults);
}

/// One set of lints for the whole workspace, and no unsafe code in any of it.
#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    let workspace = read("Cargo.toml");
    assert!(section(&workspace, "workspace.lints.rust").contains(r#"unsafe_code = "forbid""#));
    // The fuzz targets are no member: what their harness expands to is not ours to forbid.
    let is_member = |path: &String| path.ends_with("/Cargo.toml") && !path.starts_with("fuzz/");
    let manifests: Vec<_> = files().into_iter().filter(is_member).collect();
    assert!(manifests.len() >= 3, "the crates were not found: {manifests:?}");
    let lacks = |path: &&String| !section(&read(path), "lints").contains("workspace = true");
    demand_none(
        &manifests
            .iter()
            .filter(lacks)
            .map(|path| format!("{path}: `[lints] workspace = true` is missing"))
            .collect::<Vec<_>>(),
    );
}

/// CI runs what the README tells a new user to run, to the letter.
#[test]
fn ci_runs_the_commands_of_the_readme() {
    let readme = read("README.md");
    let ci = read(".ci/run");
    let fenced = readme.split("```").skip(1).step_by(2).filter_map(|block| block.strip_prefix("sh\n"));
    let commands: Vec<_> = fenced.flat_map(str::lines).filter(|line| line.starts_with("cargo ")).collect();
    assert!(commands.iter().any(|command| command.starts_with("cargo test ")), "the README has no test command");
    assert!(commands.iter().any(|command| command.starts_with("cargo run ")), "the README has no main command");
    // That of the pages has no end: `serving.rs` and the tests in a browser run it.
    let goes_on = |command: &&str| *command == "cargo run --release -- demo --serve";
    assert_eq!(commands.iter().filter(|command| goes_on(command)).count(), 1);
    let missing =
        |command: &&&str| !goes_on(command) && !ci.lines().any(|line| line.strip_prefix("step ") == Some(**command));
    demand_none(
        &commands.iter().filter(missing).map(|command| format!(".ci/run lacks `{command}`")).collect::<Vec<_>>(),
    );
}

/// The examples of the README are those that each `lib.rs` begins with, where they are run.
#[test]
fn the_examples_of_the_readme_are_tested() {
    let readme = read("README.md");
    let blocks: Vec<_> = readme.split("```rust\n").skip(1).filter_map(|block| block.split("```").next()).collect();
    let libs = ["crdt-core/src/lib.rs", "replica/src/lib.rs"];
    assert_eq!(blocks.len(), libs.len(), "each example of README.md is that of one library");
    for (shown, path) in blocks.into_iter().zip(libs) {
        let is_main = |line: &str| line.starts_with("fn main") || line.starts_with("async fn main");
        let body = shown.lines().skip_while(|line| !is_main(line)).skip(1).take_while(|line| *line != "}");
        let shown: Vec<_> = body.map(str::trim_start).filter(|line| !["", "Ok(())"].contains(line)).collect();
        let lib = read(path);
        let tested = lib.lines().skip_while(|line| *line != "//! ```").skip(1).take_while(|line| *line != "//! ```");
        let tested = tested.filter_map(|line| line.strip_prefix("//! ")).map(str::trim_start);
        let tested: Vec<_> = tested.filter(|line| !line.starts_with("use ") && !line.starts_with("# ")).collect();
        assert_eq!(shown, tested, "README.md and {path} show different examples");
    }
}

/// A promise that names a test names one that is there.
#[test]
fn the_tests_of_the_guarantees_exist() {
    let document = read("docs/guarantees.md");
    let code: String = files().iter().filter(|path| has_extension(path, &["rs"])).map(|path| read(path)).collect();
    let cited = ["## What is promised\n", "## Bugs of others\n"]
        .map(|heading| rows(&document, heading).flat_map(|row| quoted(row[row.len() - 1])).collect::<Vec<_>>());
    assert!(cited.iter().all(|cited| cited.len() > 10), "the citations were not found");
    let is_there = |name: &String| {
        let places = [format!("tests/{name}.rs"), format!("tests/{name}/Cargo.toml")];
        places.iter().any(|place| root().join(place).exists()) || code.contains(&format!("fn {name}("))
    };
    demand_none(
        &cited
            .iter()
            .flatten()
            .filter(|name| !is_there(name))
            .map(|name| format!("docs/guarantees.md: there is no test `{name}`"))
            .collect::<Vec<_>>(),
    );
}

/// A decision that is not in the list is not found.
#[test]
fn every_decision_is_in_the_list() {
    let list = read("docs/decisions/README.md");
    let linked: BTreeSet<_> = links(&list).collect();
    let records = files().into_iter().filter_map(|path| path.strip_prefix("docs/decisions/").map(str::to_owned));
    demand_none(
        &records
            .filter(|name| name != "README.md" && !linked.contains(name))
            .map(|name| format!("docs/decisions/README.md does not link {name}"))
            .collect::<Vec<_>>(),
    );
}

// --- What the rules are made of.

#[track_caller]
fn demand_none(faults: &[String]) {
    assert!(faults.is_empty(), "\n  {}\n", faults.join("\n  "));
}

/// The root of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[track_caller]
fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every file of the repository, by its path from the root: what git tracks or would; without git, what is there.
fn files() -> Vec<String> {
    let args = ["ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate"];
    let listed = match Command::new("git").args(args).current_dir(root()).output() {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
        }
        _ => {
            let mut found = Vec::new();
            walk(&root(), Path::new(""), &mut found);
            found
        }
    };
    let mut files: Vec<String> = listed.into_iter().filter(|path| root().join(path).is_file()).collect();
    files.sort_unstable();
    assert!(files.iter().any(|path| path == "tests/tidy.rs"), "this very file is not among the files");
    files
}

fn walk(root: &Path, below: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(root.join(below)).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = below.join(&name);
        if name == "target" || name == ".git" || name.starts_with("mutants.out") {
            continue;
        } else if root.join(&path).is_dir() {
            walk(root, &path, found);
        } else {
            found.push(path.to_string_lossy().into_owned());
        }
    }
}

/// Runs `check` over each text file of one of these extensions, or over all if none is named.
fn in_files(extensions: &[&str], check: impl Fn(&str, &str) -> Vec<String>) -> Vec<String> {
    let chosen = files().into_iter().filter(|path| extensions.is_empty() || has_extension(path, extensions));
    chosen
        .filter_map(|path| fs::read_to_string(root().join(&path)).ok().map(|text| (path, text)))
        .flat_map(|(path, text)| check(&path, &text))
        .collect()
}

/// The extension is what follows the last dot; `.ci/run` has the extension `run`.
fn has_extension(path: &str, extensions: &[&str]) -> bool {
    let last = path.rsplit(['.', '/']).next().unwrap_or_default();
    extensions.contains(&last)
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line))
}

fn offences(path: &str, text: &str, words: &[&str]) -> Vec<String> {
    numbered(text)
        .flat_map(|(number, line)| words.iter().filter(|word| line.contains(**word)).map(move |word| (number, word)))
        .map(|(number, word)| format!("{path}:{number}: `{word}`"))
        .collect()
}

/// The lines of one section of a TOML file.
fn section<'a>(toml: &'a str, name: &str) -> &'a str {
    let Some((_, rest)) = toml.split_once(&format!("[{name}]\n")) else { return "" };
    rest.split("\n[").next().unwrap_or_default()
}

// --- Layers.

/// Module to layer, from the table under a heading, whose third column names the modules.
fn layer_table(document: &str, heading: &str) -> BTreeMap<String, u32> {
    let mut table = BTreeMap::new();
    for row in rows(document, heading) {
        let layer = row[0].parse().expect("a row of the layer table begins with a number");
        for module in quoted(row[2]) {
            assert_eq!(table.insert(module.clone(), layer), None, "{module} is in two layers");
        }
    }
    assert!(!table.is_empty(), "docs/architecture.md has no table under `{}`", heading.trim());
    table
}

/// The rows of the first table under a heading.
fn rows<'a>(document: &'a str, heading: &str) -> impl Iterator<Item = Vec<&'a str>> {
    let (_, below) = document.split_once(heading).unwrap_or_default();
    let below = below.split("\n#").next().unwrap_or_default();
    below.lines().skip_while(|line| !line.starts_with('|')).skip(2).take_while(|line| line.starts_with('|')).map(cells)
}

/// What stands in back quotes.
fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn cells(row: &str) -> Vec<&str> {
    row.trim().trim_matches('|').split('|').map(str::trim).collect()
}

fn header_layer(source: &str) -> Option<u32> {
    let line = source.lines().nth(1)?.strip_prefix("//! Layer ")?;
    line.split_once('.')?.0.parse().ok()
}

/// Where a file is in its crate: `a` and `b` for `a/b.rs`, `a` for `a.rs` and for `a/mod.rs`.
fn module_path(file: &str) -> Vec<&str> {
    let file = file.strip_suffix(".rs").unwrap_or(file);
    file.strip_suffix("/mod").unwrap_or(file).split('/').collect()
}

/// Name at the crate root to module: the modules themselves, and what `lib.rs` re-exports from them. What it re-exports from
/// other crates has none.
fn modules(lib: &str) -> BTreeMap<String, Option<String>> {
    let code = code_of(lib);
    let declared =
        |line: &str| Some(line.trim_start_matches("pub ").strip_prefix("mod ")?.strip_suffix(';')?.to_owned());
    let declared: BTreeSet<String> = code.lines().filter_map(declared).collect();
    let mut modules: BTreeMap<_, _> = declared.iter().map(|name| (name.clone(), Some(name.clone()))).collect();
    for tree in code.split("pub use ").skip(1) {
        for path in use_tree(tree).0.iter().filter(|path| path.len() > 1) {
            modules.insert(path[path.len() - 1].to_owned(), declared.get(path[0]).cloned());
        }
    }
    modules
}

/// The module of each `crate::…` and `super::…` path in the code of the file at `place`, or the path if it is of none.
fn used_modules(
    source: &str,
    place: &[&str],
    modules: &BTreeMap<String, Option<String>>,
) -> Vec<Result<String, String>> {
    let code = code_of(source);
    let mut used = Vec::new();
    let (mut rest, mut before) = (code.as_str(), None);
    while !rest.is_empty() {
        let begins = ["crate::", "super::"].iter().any(|root| rest.starts_with(root));
        let goes_on = before.is_some_and(|sign: char| sign.is_alphanumeric() || "_:$".contains(sign));
        let length = if begins && !goes_on {
            let (paths, length) = use_tree(rest);
            for path in paths {
                let up = path.iter().take_while(|name| **name == "super").count();
                let from_root = match up {
                    0 => Some(path[1..].to_vec()),
                    _ => place.len().checked_sub(up).map(|kept| [&place[..kept], &path[up..]].concat()),
                };
                let found = from_root.and_then(|names| modules.get(*names.first()?));
                match found {
                    Some(Some(module)) => used.push(Ok(module.clone())),
                    Some(None) => {}
                    None => used.push(Err(path.join("::"))),
                }
            }
            length
        } else {
            rest.chars().next().map_or(0, char::len_utf8)
        };
        before = rest[..length].chars().next_back();
        rest = &rest[length..];
    }
    used
}

/// The paths of the use tree that the text begins with, and its length: `a::b` and `a::c::d` of `a::{b, c::d as e};`.
fn use_tree(text: &str) -> (Vec<Vec<&str>>, usize) {
    let name = text.find(|sign: char| !(sign.is_alphanumeric() || "_*".contains(sign))).unwrap_or(text.len());
    let head = &text[..name];
    let Some(rest) = text[name..].strip_prefix("::") else { return (vec![vec![head]], name) };
    let mut length = name + 2;
    let mut below = Vec::new();
    if !rest.starts_with('{') {
        let (paths, more) = use_tree(rest);
        (below, length) = (paths, length + more);
    } else {
        length += 1;
        while let Some(sign) = text[length..].chars().next() {
            if sign == '}' {
                length += 1;
                break;
            } else if sign.is_whitespace() || sign == ',' {
                length += sign.len_utf8();
            } else if text[length..].starts_with("as ") {
                length += text[length..].find([',', '}']).unwrap_or(text.len() - length);
            } else {
                let (paths, more) = use_tree(&text[length..]);
                below.extend(paths);
                length += more.max(1);
            }
        }
    }
    (below.into_iter().map(|path| [&[head][..], &path[..]].concat()).collect(), length)
}

/// What a crate is linked with: the names in its sections of dependencies, but for those of tests and build scripts.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut is_linked = false;
    for line in manifest.lines() {
        if let Some(section) = line.strip_prefix('[') {
            is_linked =
                section == "dependencies]" || (section.starts_with("target.") && section.ends_with(".dependencies]"));
        } else if let Some((name, _)) = line.split_once(['.', ' ', '=']).filter(|_| is_linked && !line.starts_with('#'))
        {
            found.insert(name.to_owned());
        }
    }
    found
}

/// The source without comments and without the test module that ends it.
fn code_of(source: &str) -> String {
    let code = source.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    code.lines().fold(String::new(), |mut kept, line| {
        let _ = writeln!(kept, "{}", line.split("//").next().unwrap_or_default());
        kept
    })
}

// --- Links.

/// The targets of Markdown links and of `src`, `srcset` and `href` attributes, outside fenced code.
fn links(text: &str) -> impl Iterator<Item = String> {
    let prose: Vec<&str> = text.split("```").step_by(2).collect();
    let mut found = Vec::new();
    for (opens, closes) in [("](", ')'), ("src=\"", '"'), ("srcset=\"", '"'), ("href=\"", '"')] {
        for rest in prose.iter().flat_map(|part| part.split(opens).skip(1)) {
            found.extend(rest.split(closes).next().map(str::to_owned));
        }
    }
    found.into_iter()
}

/// Why a link in `from` leads nowhere, if it does.
fn broken(from: &str, link: &str) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = link.split_once('#').map_or((link, None), |(path, anchor)| (path, Some(anchor)));
    let target = if path.is_empty() { PathBuf::from(from) } else { resolve(from, path) };
    let Ok(text) = fs::read_to_string(root().join(&target)) else {
        let exists = root().join(&target).exists() && anchor.is_none();
        return (!exists).then(|| format!("`{link}` does not exist"));
    };
    let slugs: BTreeSet<String> = text.lines().filter(|line| line.starts_with('#')).map(slug).collect();
    anchor.filter(|anchor| !slugs.contains(*anchor)).map(|_| format!("`{link}`: no such heading"))
}

fn resolve(from: &str, link: &str) -> PathBuf {
    let mut path = Path::new(from).parent().map(Path::to_owned).unwrap_or_default();
    for part in Path::new(link).components() {
        match part {
            Component::ParentDir => {
                path.pop();
            }
            Component::Normal(name) => path.push(name),
            _ => {}
        }
    }
    path
}

/// What a heading is called in a link.
fn slug(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase();
    words.chars().filter(|sign| sign.is_alphanumeric() || " -_".contains(*sign)).collect::<String>().replace(' ', "-")
}
