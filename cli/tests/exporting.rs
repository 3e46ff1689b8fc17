//! `export | apply`: what operations can make is made again, and what they cannot is told.

mod support;

use serde_json::json;
use support::*;

/// What one folder exports is applied in another. Returns the exports of both, and what was complained of.
fn again(lines: &[u8]) -> (String, String, String) {
    let (folder, copy) = (configured(), configured());
    let output = applied(folder.path(), &[], lines);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let output = run(folder.path(), &["export"]);
    let (exported, complained) = (text(&output.stdout), text(&output.stderr));
    let output = applied(copy.path(), &[], exported.as_bytes());
    assert!(output.status.success(), "{}", text(&output.stderr));
    for command in [&["scan"][..], &["scan", "--json"]] {
        assert_eq!(says(copy.path(), command), says(folder.path(), command));
    }
    (exported, says(copy.path(), &["export"]), complained)
}

#[test]
fn what_operations_can_make_is_the_same_elsewhere() {
    let (first, second, complained) = again(
        br#"{"op":"add","kind":"pn_counter","path":"nothing","by":5}
{"op":"add","kind":"pn_counter","path":"nothing","by":-5}
{"op":"add","kind":"pn_counter","path":"large","by":9223372036854775807}
{"op":"add","kind":"pn_counter","path":"large","by":9223372036854775807}
{"op":"add","kind":"pn_counter","path":"small","by":-9223372036854775808}
{"op":"add","kind":"g_counter","path":"views","by":7}
{"op":"add","kind":"or_set","path":"set","value":"7"}
{"op":"add","kind":"or_set","path":"set","value":7}
{"op":"add","kind":"or_set","path":"set","value":{"b":[1.5,1e300,18446744073709551615],"a":null}}
{"op":"add","kind":"or_set","path":"set","value":{"$hex":"ff00"}}
{"op":"set","kind":"lww_register","path":"name","value":""}
{"op":"set","kind":"mv_register","path":"title","value":"one"}
"#,
    );
    assert_eq!((&first, complained), (&second, String::new()));
    assert!(first.contains("\"path\":\"nothing\""), "{first}");
}

#[test]
fn what_they_cannot_is_told_and_all_the_rest_is_applied() {
    let (folder, copy) = (configured(), configured());
    let (folder, copy) = (folder.path(), copy.path());
    // Each region knows nothing of the other.
    let line = |region: &str| {
        let kind = if region == "us-east-1" { "pn_counter" } else { "g_counter" };
        format!(
            "{{\"op\":\"set\",\"kind\":\"mv_register\",\"path\":\"title\",\"value\":\"{region}\"}}\n\
             {{\"op\":\"add\",\"kind\":\"{kind}\",\"path\":\"both\"}}\n\
             {{\"op\":\"add\",\"kind\":\"g_counter\",\"path\":\"sum\",\"by\":9223372036854775807}}\n\
             {{\"op\":\"add\",\"kind\":\"g_counter\",\"path\":\"sum\",\"by\":9223372036854775807}}\n"
        )
    };
    for region in ["us-east-1", "eu-west-1"] {
        let alone = format!("[[region]]\nname = \"{region}\"\nbucket = \"file:buckets/{region}\"\n");
        std::fs::write(folder.join("alone.toml"), alone).expect("it is written");
        assert!(applied(folder, &["--config", "alone.toml"], line(region).as_bytes()).status.success());
    }
    let output = run(folder, &["export"]);
    let told = text(&output.stderr);
    for path in ["title", "both", "sum"] {
        assert_eq!(told.lines().filter(|line| line.starts_with(&format!("warning: {path}: "))).count(), 1, "{told}");
    }
    assert_eq!(objects(&text(&run(folder, &["export", "--json"]).stderr)).len(), 3);
    let output = applied(copy, &["--skip-bad"], &output.stdout);
    assert_eq!(summary(&output.stdout)["rejected"], 3, "{}", text(&output.stderr));
    assert_eq!(value(copy, "us-east-1", "title").as_array().map(Vec::len), Some(1));
    assert_eq!(value(copy, "us-east-1", "both"), json!(1));
}

#[test]
fn values_that_would_become_others_are_refused_with_their_place() {
    let folder = configured();
    for (given, column) in [
        ("12345678901234567890123", 54),
        ("[-0.0]", 55),
        ("{\"a\":1,\"a\":1}", 0),
        ("{\"a\":0.10000000000000000001}", 59),
    ] {
        let line = format!("\n{{\"op\":\"set\",\"kind\":\"lww_register\",\"path\":\"a\",\"value\":{given}}}\n");
        let output = applied(folder.path(), &[], line.as_bytes());
        let (says, place) = (text(&output.stderr), format!("standard input:2:{column}: "));
        assert_eq!(output.status.code(), Some(1), "{given}");
        assert!(column == 0 && says.contains("twice") || says.contains(&place), "{place}{says}");
    }
    assert_eq!(fails(folder.path(), &["get", "a"]).0, 3);
    for given in ["0.1", "1e3", "-1.50", "18446744073709551615"] {
        let line = format!("{{\"op\":\"set\",\"kind\":\"lww_register\",\"path\":\"a\",\"value\":{given}}}\n");
        assert!(applied(folder.path(), &[], line.as_bytes()).status.success(), "{given}");
        assert_eq!(value(folder.path(), "us-east-1", "a").as_f64(), given.parse().ok());
    }
}

#[test]
fn what_begins_with_a_byte_order_mark_is_read_and_utf_16_is_named() {
    let folder = configured();
    let line = "{\"op\":\"add\",\"kind\":\"g_counter\",\"path\":\"a\"}\n";
    assert!(applied(folder.path(), &[], format!("\u{feff}{line}").as_bytes()).status.success());
    let wide: Vec<u8> = format!("\u{feff}{line}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let output = applied(folder.path(), &[], &wide);
    let says = text(&output.stderr);
    assert_eq!((output.status.code(), says.contains("UTF-16")), (Some(1), true), "{says}");
    assert_eq!(value(folder.path(), "eu-west-1", "a"), json!(1));
}
