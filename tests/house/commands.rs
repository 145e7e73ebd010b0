//! The table of codes for those who write applications is the table of the program.
//! `BLESS=1` writes it anew.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use alink_gateway::cloud::alink::wire::answer_code::AnswerCode;

/// The line above the rows of the table.
const HEAD: &str = "| code | meaning |\n|---|---|\n";

#[test]
fn the_codes_for_integrators_are_those_of_the_program() {
    let mut rows = String::new();
    for code in AnswerCode::ALL {
        writeln!(rows, "| {} | {} |", code.number(), code.means()).unwrap();
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/commands.md");
    let text = fs::read_to_string(&file).unwrap();
    let begin = text.find(HEAD).expect("a table of codes") + HEAD.len();
    let rest = &text[begin..];
    let old = rest.split_inclusive('\n');
    let length = old.take_while(|l| l.starts_with('|')).map(str::len).sum();
    if std::env::var_os("BLESS").is_some() {
        let blessed = format!("{}{rows}{}", &text[..begin], &rest[length..]);
        fs::write(&file, blessed).unwrap();
        return;
    }
    assert_eq!(&rest[..length], rows);
}
