//! Story files: what is written is read again, and what cannot be right is refused.

use std::time::Duration;

use replica::Settings;
use sim::{Act, Did, Fault, Request, Sort, Step, Story, StoryFile, generate, play, play_aloud, spell_out};

fn written_and_read(story: &Story) -> Story {
    let text = StoryFile::new(story.clone(), "A test.", None).write();
    StoryFile::read(&text).unwrap_or_else(|error| panic!("{error}\n{text}")).story
}

/// Why a file is refused in which this stands instead of that.
fn refused(story: &Story, instead_of: &str, stands: &str) -> String {
    let text = StoryFile::new(story.clone(), "A test.", None).write();
    assert!(text.contains(instead_of), "{text}");
    StoryFile::read(&text.replacen(instead_of, stands, 1)).expect_err("it is refused")
}

fn small() -> Story {
    let change = |at, region| Step {
        at: Duration::from_millis(at),
        region,
        act: Act::Change(vec![(("o".to_owned(), Sort::Grows), Did::Count(1))]),
    };
    Story { steps: vec![change(10, 0), change(20, 2)], quiet_from: Duration::from_secs(1), ..Story::default() }
}

#[test]
fn a_story_is_read_as_it_was_written() {
    for seed in 0..2_000 {
        let story = generate(seed, 2 + seed as usize % 6);
        assert_eq!(written_and_read(&story), story, "seed {seed}");
    }
}

#[test]
fn a_story_that_was_read_is_the_same_run() {
    for seed in 3_000..3_030 {
        let story = generate(seed, 3);
        assert_eq!(play(&written_and_read(&story)).trace, play(&story).trace, "seed {seed}");
    }
}

#[test]
fn a_story_told_aloud_is_the_same_run() {
    for seed in 3_000..3_030 {
        let story = generate(seed, 3);
        assert_eq!(play_aloud(&story).trace, play(&story).trace, "seed {seed}");
    }
}

#[test]
fn faults_that_are_spelled_out_are_the_same_run() {
    let mut spelled_out = 0;
    for seed in 0..60 {
        let story = generate(seed, 3);
        let outcome = play(&story);
        let spelled = spell_out(&story, &outcome.told);
        spelled_out += spelled.steps.len() - story.steps.len();
        let again = play(&spelled);
        assert_eq!(again.trace, outcome.trace, "seed {seed}");
        assert_eq!(again.faults, outcome.faults, "seed {seed}");
        assert_eq!(written_and_read(&spelled), spelled, "seed {seed}");
    }
    assert!(spelled_out > 500, "{spelled_out}");
}

#[test]
fn a_file_is_ascii_with_a_line_for_each_step() {
    for seed in 0..50 {
        let story = generate(seed, 3);
        let text = StoryFile::new(story.clone(), "A test.", None).write();
        assert!(text.is_ascii());
        assert_eq!(text.lines().filter(|line| line.contains("{\"at\": ")).count(), story.steps.len());
        assert!(text.lines().count() < story.steps.len() + 20, "{text}");
    }
}

#[test]
fn every_setting_is_in_a_file() {
    let text = StoryFile::new(small(), "A test.", None).write();
    let settings = text.lines().find(|line| line.contains("\"settings\": {")).expect("there are settings");
    for field in format!("{:?}", Settings::default()).split(", ") {
        let name = field.split(':').next().unwrap().trim_start_matches("Settings { ");
        assert!(settings.contains(&format!("\"{name}\": ")), "{name} is not in {settings}");
    }
}

#[test]
fn what_is_not_there_has_its_default() {
    let file =
        StoryFile::read(r#"{"format": 1, "story": {"steps": [{"at": 0.5, "region": 1, "act": "crash"}]}}"#).unwrap();
    let step = Step { at: Duration::from_micros(500), region: 1, act: Act::Crash };
    assert_eq!(file.story, Story { steps: vec![step], ..Story::default() });
}

#[test]
fn what_cannot_be_right_is_refused_with_its_reason() {
    let story = small();
    let says = |instead_of, stands, says: &str| {
        let error = refused(&story, instead_of, stands);
        assert!(error.contains(says), "{error}");
    };
    says("{", "[", "it is no JSON: ");
    says("\"format\": 1,", "", "lacks the field `format`");
    says("\"format\": 1", "\"format\": 2", "another version has written it: format=2 known=1");
    says("\"seed\"", "\"sead\"", "unknown field `sead`");
    says("\"at\": 10,", "\"at\": 10, \"why\": 1,", "unknown field `why`");
    says("\"flush_interval\"", "\"flush\"", "unknown field `flush`");
    says("\"rates\": {}", "\"rates\": {\"gone\": 1}", "unknown variant `gone`");
    says("\"grows\"", "\"shrinks\"", "unknown variant `shrinks`");
    says("\"quiet_from\": 1000", "\"quiet_from\": -1", "a time is a number of milliseconds that is not negative");
    says("\"quiet_from\": 1000", "\"quiet_from\": \"1 s\"", "a time is a number of milliseconds that is not negative");
    says("\"regions\": 3", "\"regions\": 8", "a story has 2 to 7 regions: regions=8");
    says("\"region\": 2", "\"region\": 12", "there is no such replica: step=2 at_ms=20");
    says("\"at\": 10,", "\"at\": 30,", "steps are in the order of time: step=2 at_ms=20");
    says("{\"count\": 1}", "{\"count\": -1}", "that cannot be done to an object of this sort: step=1 at_ms=10");
    says("{\"count\": 1}", "{\"put\": 1}", "that cannot be done to an object of this sort: step=1 at_ms=10");
    let meet = Act::Meet { bucket: 1, request: Request::Get, fault: Fault::Late, skip: 0, older: 0 };
    let step = Step { at: Duration::ZERO, region: 0, act: meet };
    let text = StoryFile::new(Story { steps: vec![step], ..Story::default() }, "", None).write();
    assert_eq!(StoryFile::read(&text).unwrap_err(), "such a request cannot meet this fault: step=1 at_ms=0");
}
