//! The package has what its texts name: the README and the other documents it comes with, the
//! manual pages, the example, the catalogs, and what the program itself says.

use std::collections::BTreeSet;
use std::fs;

use alink_gateway::control::{LONGEST_REQUEST, VERSION, VerdictWord};

use crate::source::{PAGES, links, read, root, sources};

/// Where the documents are installed.
const DOCUMENTS: &str = "/usr/share/doc/alink-gateway/";

/// What documents name that only the sources have, and why no package needs it.
const OF_THE_SOURCES: [(&str, &str); 12] = [
    ("tests/", "for those who change the program"),
    ("benches/", "for those who change the program"),
    ("src/", "for those who change the program"),
    ("packaging/build-deb", "makes the package"),
    ("packaging/README.md", "how the package is made"),
    (
        "packaging/catalog/",
        "the sentence names the place where they are installed",
    ),
    ("docs/house.md", "for those who change the program"),
    (
        "docs/adding-a-protocol.md",
        "for those who change the program",
    ),
    ("docs/CONTRIBUTING.md", "for those who change the program"),
    ("LICENSE-APACHE", "the package has its copyright file"),
    ("LICENSE-MIT", "the package has its copyright file"),
    (
        "CHANGELOG.md",
        "build-deb makes the link lead to changelog.gz",
    ),
];

/// Absolute paths below `/usr` that belong to others.
const OF_OTHERS: [&str; 2] = ["/usr/lib/systemd/catalog", "/usr/share/zoneinfo"];

/// Returns the files of the package, from the list that `packaging/build-deb` lays out.
fn installed() -> BTreeSet<String> {
    let mut files: BTreeSet<String> = ["/usr/bin/alink-gateway"].map(str::to_owned).into();
    for line in read("packaging/files").lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (source, folder, name) = match words[..] {
            [] | ["#", ..] => continue,
            [source, folder] => (source, folder, None),
            [source, folder, name] => (source, folder, Some(name)),
            _ => panic!("{line}"),
        };
        let (directory, pattern) = source.rsplit_once('/').unwrap_or((".", source));
        let found = match pattern.strip_prefix('*') {
            None => vec![pattern.to_owned()],
            Some(end) => {
                let entries = fs::read_dir(root().join(directory)).unwrap();
                let names = entries.map(|e| e.unwrap().file_name().into_string().unwrap());
                names.filter(|n| n.ends_with(end)).collect()
            }
        };
        assert!(!found.is_empty(), "{source}");
        for file in found {
            assert!(root().join(directory).join(&file).is_file(), "{source}");
            files.insert(format!("/{folder}/{}", name.unwrap_or(&file)));
        }
    }
    files
}

/// Returns whether a path is a file of the package, or a folder with some in it.
fn is_there(files: &BTreeSet<String>, path: &str) -> bool {
    let folder = format!("{}/", path.trim_end_matches('/'));
    files.contains(path) || files.iter().any(|file| file.starts_with(&folder))
}

/// Returns the words of a text that may be paths.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| c.is_whitespace() || "`(),;|\"'<>[]{}“”：，。".contains(c));
    words.map(|word| word.trim_end_matches(['.', ':']))
}

#[test]
fn documents_name_what_is_installed_beside_them() {
    let files = installed();
    let documents: Vec<&str> = files
        .iter()
        .filter_map(|file| file.strip_prefix(DOCUMENTS))
        .filter(|file| file.ends_with(".md"))
        .collect();
    assert!(documents.len() >= 6, "{documents:?}");
    let mut missing = Vec::new();
    let mut named = 0;
    for document in documents {
        let text = read(document);
        let ours = [
            "packaging/",
            "docs/",
            "systemd/",
            "config/",
            "tests/",
            "src/",
        ];
        let paths = words(&text).filter(|w| ours.iter().any(|o| w.starts_with(o)));
        // A source of the room `config`, say.
        let paths = paths.filter(|w| !w.ends_with(".rs"));
        for path in links(document, &text)
            .into_iter()
            .chain(paths.map(str::to_owned))
        {
            named += 1;
            let is_source = OF_THE_SOURCES.iter().any(|(s, _)| path.starts_with(s));
            if !is_source
                && path != "packaging/"
                && !is_there(&files, &format!("{DOCUMENTS}{path}"))
            {
                missing.push(format!("{document}: {path}"));
            }
        }
    }
    assert!(named >= 10, "{named}");
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn each_document_is_installed_or_for_the_sources_alone() {
    let files = installed();
    let mut left = Vec::new();
    for entry in fs::read_dir(root().join("docs")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let path = format!("docs/{name}");
        let is_source = OF_THE_SOURCES.iter().any(|(s, _)| path.starts_with(s));
        if name.ends_with(".md") && !is_source && !files.contains(&format!("{DOCUMENTS}{path}")) {
            left.push(path);
        }
    }
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn the_readme_leads_to_each_page() {
    let links = links("README.md", &read("README.md"));
    for page in PAGES.into_iter().filter(|page| *page != "README.md") {
        assert!(links.iter().any(|link| link == page), "{page}");
    }
}

#[test]
fn paths_that_texts_name_are_installed() {
    let files = installed();
    let mut texts: Vec<(String, String)> = PAGES.map(|p| (p.to_owned(), read(p))).into();
    let others = [
        "config/gateway.yaml",
        "config/gateway.example.yaml",
        "packaging/catalog/alink-gateway.catalog",
        "packaging/catalog/alink-gateway.zh_CN.catalog",
        "packaging/debian/postinst",
    ];
    texts.extend(others.map(|path| (path.to_owned(), read(path))));
    // What the program and its manual pages say.
    for source in sources("src") {
        let lines = source.text.lines();
        let said = lines.filter(|line| !line.trim_start().starts_with("//"));
        texts.push((source.path.clone(), said.collect::<Vec<_>>().join("\n")));
    }
    let (mut missing, mut named) = (Vec::new(), 0);
    for (whose, text) in &texts {
        for path in
            words(text).filter(|w| w.starts_with("/usr/share/") || w.starts_with("/usr/lib/"))
        {
            named += 1;
            // A pattern stands for the folder.
            let path = path.split('*').next().unwrap_or(path);
            if !OF_OTHERS.iter().any(|o| path.starts_with(o)) && !is_there(&files, path) {
                missing.push(format!("{whose}: {path}"));
            }
        }
        for name in words(text).filter(|w| w.starts_with("profiles/") && w.ends_with(".yaml")) {
            if !name.contains('*') && !is_there(&files, &format!("/usr/share/alink-gateway/{name}"))
            {
                missing.push(format!("{whose}: {name}"));
            }
        }
    }
    assert!(named >= 6, "{named}");
    assert!(missing.is_empty(), "{missing:#?}");
}

/// The protocol of the control socket, for those who have no sources: from the page of its room.
#[test]
fn the_protocol_of_the_control_socket_is_that_of_the_program() {
    let page = read("src/control/mod.rs");
    let lines = page.lines().map_while(|line| line.strip_prefix("//!"));
    let lines = lines.map(|line| line.strip_prefix(' ').unwrap_or(line));
    let protocol = lines.skip_while(|line| *line != "# The protocol").skip(1);
    let protocol: Vec<&str> = protocol
        .take_while(|line| *line != "# Invariants")
        .collect();
    let body = protocol.join("\n");
    let body = body.replace("[`LONGEST_REQUEST`]", &LONGEST_REQUEST.to_string());
    let body = body.replace(" ([`VERSION`])", &format!(", {VERSION}"));
    let verdicts: Vec<&str> = VerdictWord::ALL
        .iter()
        .map(|verdict| verdict.word())
        .collect();
    let body = body.replace(
        "the words of [`VerdictWord`]",
        &format!("the words {}", verdicts.join(", ")),
    );
    assert!(
        !body.contains("[`"),
        "a link that only the sources have: {body}"
    );
    let text = format!(
        "# The control socket, for programs\n\nWritten by `BLESS=1 cargo test --features lab --test house package` \
         from `src/control/mod.rs`.\n{}\n",
        body.trim_end()
    );
    let file = root().join("docs/control-socket.md");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&file, &text).unwrap();
    }
    assert_eq!(fs::read_to_string(&file).unwrap_or_default(), text);
}
