//! `man`: one page, with a section for each command.

use std::io;

use clap::Command;
use clap_mangen::Man;

/// The page, in roff.
pub(crate) fn manual(cli: &mut Command) -> io::Result<String> {
    cli.build();
    let mut page = Vec::new();
    let top = Man::new(cli.clone());
    top.render_title(&mut page)?;
    top.render_name_section(&mut page)?;
    top.render_synopsis_section(&mut page)?;
    top.render_description_section(&mut page)?;
    top.render_options_section(&mut page)?;
    top.render_extra_section(&mut page)?;
    let mut page = text(&page).replace(".SH EXTRA\nExit codes: ", ".SH \"EXIT STATUS\"\n");
    for command in cli.get_subcommands().filter(|command| command.get_name() != "help") {
        // What all commands take stands above.
        let own = command.clone().mut_args(|argument| {
            let is_hidden = argument.is_global_set() || matches!(argument.get_id().as_str(), "help" | "version");
            if is_hidden { argument.hide(true) } else { argument }
        });
        let mut section = Vec::new();
        let man = Man::new(own.clone());
        man.render_synopsis_section(&mut section)?;
        man.render_description_section(&mut section)?;
        if own.get_arguments().any(|argument| !argument.is_hide_set()) {
            man.render_options_section(&mut section)?;
        }
        man.render_extra_section(&mut section)?;
        page += &format!(".SH {}\n", command.get_name().to_uppercase());
        page += &text(&section).replace(".SH ", ".SS ").replace(".SS EXTRA\nExample:\n", ".SS EXAMPLE\n");
    }
    Ok(page)
}

fn text(roff: &[u8]) -> String {
    String::from_utf8_lossy(roff).into_owned()
}
