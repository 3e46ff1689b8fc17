//! What is said of a check that did not hold: what must be, what was seen, the story, and how to play it again.
//! Layer 6.

use std::io::{self, Write};

use sim::{Failure, Story};

/// The failure, in two lines and a heading.
pub(super) fn failure(out: &mut dyn Write, of: &str, failure: &Failure) -> io::Result<()> {
    writeln!(out, "FAILED {of}, at {:.3} s: {}", failure.at.as_secs_f64(), failure.check)?;
    writeln!(out, "  must hold: {}", failure.must)?;
    writeln!(out, "  was seen:  {}", failure.seen.replace('\n', "\n           "))
}

/// The story, indented.
pub(super) fn story(out: &mut dyn Write, story: &Story) -> io::Result<()> {
    story.to_string().lines().try_for_each(|line| writeln!(out, "    {line}"))
}
