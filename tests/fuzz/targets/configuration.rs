//! Any content of a file: a specification or problems, and never a panic.
#![no_main]

use std::collections::BTreeSet;

use alink_gateway::config::{Answers, FirstPass, Source, Want};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let source = Source {
        path: "gateway.yaml".into(),
        bytes: Ok(data.into()),
        mode: Some(0o600),
        hidden: None,
        is_open_for_the_service: false,
    };
    let Ok(draft) = FirstPass::new(std::slice::from_ref(&source), &[]) else {
        return;
    };
    // Every file that the compiler wants has the text itself as its content.
    let answers = |wants: BTreeSet<Want>| -> Answers {
        let answer = |want| (want, vec![source.clone()]);
        wants.into_iter().map(answer).collect()
    };
    let files = answers(draft.wants());
    let outline = draft.outline(&files);
    let secrets = answers(outline.wants());
    if let Err(report) = outline.compile(&secrets) {
        assert!(report.errors() > 0);
    }
});
