use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::*;
use crate::base::LogEvent;

const STEPS: [Step; 6] = [
    Step::Directory,
    Step::Open,
    Step::Write,
    Step::Sync,
    Step::Rename,
    Step::SyncDirectory,
];

fn pk(text: &str) -> ProductKey {
    ProductKey::new(text)
}

fn dn(text: &str) -> DeviceName {
    DeviceName::new(text)
}

fn kept(secret: &str) -> KeptSecrets {
    let mut kept = KeptSecrets::default();
    kept.gateways.insert(
        (pk("a1Gw"), dn("gw-0001")),
        IssuedCredential::Token {
            client_id: "c-17".into(),
            token: Secret::new(secret),
        },
    );
    kept.devices
        .insert((pk("a1Sub"), dn("meter-1")), Secret::new(secret));
    kept
}

#[test]
fn a_crash_before_any_step_leaves_the_old_or_the_new() {
    for crash in STEPS {
        for leftover in [None, Some("half a fi")] {
            let dir = TempDir::new().unwrap();
            let file = dir.path().join("state").join(FILE);
            write(&file, &kept("old"), &mut |_| Ok(())).unwrap();
            if let Some(text) = leftover {
                let fresh = file.with_extension("json.new");
                fs::write(&fresh, text).unwrap();
                fs::set_permissions(&fresh, fs::Permissions::from_mode(0o644)).unwrap();
            }
            let mut steps = Vec::new();
            let crashed = write(&file, &kept("new"), &mut |step| {
                if step == crash {
                    return Err(io::Error::other("the plug is pulled"));
                }
                steps.push(step);
                Ok(())
            });
            crashed.unwrap_err();
            assert_eq!(steps, STEPS[..steps.len()], "in this order");
            let found = read(&file).unwrap();
            let renamed = crash == Step::SyncDirectory;
            assert_eq!(
                found,
                kept(if renamed { "new" } else { "old" }),
                "{crash:?}"
            );

            // And the next write works, whatever files were left behind.
            write(&file, &kept("newer"), &mut |_| Ok(())).unwrap();
            assert_eq!(read(&file).unwrap(), kept("newer"));
            let mode = fs::metadata(&file).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            let names = fs::read_dir(file.parent().unwrap()).unwrap().count();
            assert_eq!(names, 1, "nothing else is left");
        }
    }
}

#[test]
fn a_file_cut_at_any_byte_is_damaged_and_never_half_believed() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join(FILE);
    write(&file, &kept("s"), &mut |_| Ok(())).unwrap();
    let whole = fs::read(&file).unwrap();
    // Except for the line's end, which has no meaning.
    for n in 0..whole.len() - 1 {
        fs::write(&file, &whole[..n]).unwrap();
        assert!(
            matches!(read(&file), Err(SecretsUnread::Damaged(_))),
            "{n} bytes"
        );
    }
}

#[tokio::test]
async fn what_is_kept_is_found_again_by_the_next_process() {
    let dir = TempDir::new().unwrap();
    let state = dir.path().join("state");
    let (secret_store, notice) = SecretStore::open(&state);
    assert_eq!(notice, None);
    assert!(!state.exists(), "nothing is made before there is something");
    let secret = IssuedCredential::Secret(Secret::new("fresh"));
    secret_store
        .keep_gateway(pk("a1Gw"), dn("gw-0001"), secret.clone())
        .await
        .unwrap();
    // Many writes at once, from clones: no secret is lost.
    let all: Vec<_> = (0..20)
        .map(|n| {
            let secret_store = secret_store.clone();
            tokio::spawn(async move {
                let name = dn(&format!("meter-{n}"));
                secret_store
                    .keep_device(pk("a1Sub"), name, Secret::new(format!("of {n}")))
                    .await
            })
        })
        .collect();
    for one in all {
        one.await.unwrap().unwrap();
    }
    let (again, notice) = SecretStore::open(&state);
    assert_eq!(notice, None);
    for secret_store in [&secret_store, &again] {
        assert_eq!(
            secret_store.gateway(&pk("a1Gw"), &dn("gw-0001")),
            Some(secret.clone())
        );
        assert_eq!(secret_store.gateway(&pk("a1Gw"), &dn("gw-0002")), None);
        assert_eq!(
            secret_store.device(&pk("a1Sub"), &dn("meter-19")),
            Some(Secret::new("of 19"))
        );
    }
    let shown = format!("{secret_store:?}");
    assert!(
        !shown.contains("fresh") && !shown.contains("of 19"),
        "{shown}"
    );
    let mode = fs::metadata(&state).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[tokio::test]
async fn a_damaged_file_is_set_aside_and_none_set_aside_before_is_lost() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join(FILE);
    for n in 1..=3 {
        let text = format!(r#"{{"version":1,"gateways":"hunter{n}"}}"#);
        fs::write(&file, &text).unwrap();
        let (secret_store, notice) = SecretStore::open(dir.path());
        let notice = notice.unwrap();
        let SecretStoreEvent::Damaged { aside, .. } = &notice else {
            panic!("{notice:?}")
        };
        assert!(
            aside.ends_with(&format!("secrets.json.damaged-{n}")),
            "{aside}"
        );
        assert!(
            !notice.sentence().contains("hunter"),
            "{}",
            notice.sentence()
        );
        secret_store
            .keep_device(pk("a1Sub"), dn("m"), Secret::new("s"))
            .await
            .unwrap();
        for m in 1..=n {
            let aside = dir.path().join(format!("secrets.json.damaged-{m}"));
            let text = fs::read_to_string(aside).unwrap();
            assert!(text.contains(&format!("hunter{m}")));
        }
    }
}

#[test]
fn a_file_open_to_others_is_closed_to_them_and_told() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join(FILE);
    let (secret_store, _) = SecretStore::open(dir.path());
    assert_eq!(secret_store.close_to_others(), None, "there is none yet");
    write(&file, &kept("known"), &mut |_| Ok(())).unwrap();
    assert_eq!(secret_store.close_to_others(), None, "as it is written");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let told = secret_store.close_to_others().unwrap();
    assert!(told.sentence().contains("mode 0644"), "{}", told.sentence());
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_left_alone_and_nothing_is_kept() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join(FILE);
    let text = r#"{"version":2,"anything":[]}"#;
    fs::write(&file, text).unwrap();
    let (secret_store, notice) = SecretStore::open(dir.path());
    assert!(
        matches!(notice, Some(SecretStoreEvent::Closed { .. })),
        "{notice:?}"
    );
    let refused = secret_store.probe().await.unwrap_err();
    assert!(refused.to_string().contains("newer version"), "{refused}");
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
}

#[tokio::test]
async fn a_file_that_can_be_read_after_all_is_used_before_anything_is_written() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join(FILE);
    fs::write(&file, r#"{"version":2}"#).unwrap();
    let (secret_store, _) = SecretStore::open(dir.path());
    secret_store.probe().await.unwrap_err();
    write(&file, &kept("old"), &mut |_| Ok(())).unwrap();
    secret_store
        .keep_device(pk("a1Sub"), dn("meter-2"), Secret::new("new"))
        .await
        .unwrap();
    assert_eq!(
        secret_store.device(&pk("a1Sub"), &dn("meter-1")),
        Some(Secret::new("old"))
    );
    let mut both = kept("old");
    both.devices
        .insert((pk("a1Sub"), dn("meter-2")), Secret::new("new"));
    assert_eq!(read(&file).unwrap(), both);
}

#[tokio::test]
async fn a_directory_where_nothing_can_be_written_is_found_out_by_probing() {
    let dir = TempDir::new().unwrap();
    let blocked = dir.path().join("a file");
    fs::write(&blocked, "").unwrap();
    // No directory can be made inside a file, not even by root.
    let (secret_store, notice) = SecretStore::open(&blocked.join("state"));
    assert!(matches!(
        notice,
        Some(SecretStoreEvent::Closed { .. }) | None
    ));
    let refused = secret_store.probe().await.unwrap_err();
    assert!(refused.to_string().contains("secrets.json"), "{refused}");
    // And where a secret can be kept, probing changes nothing.
    let (secret_store, _) = SecretStore::open(dir.path());
    secret_store.probe().await.unwrap();
    secret_store.probe().await.unwrap();
    assert_eq!(
        read(&dir.path().join(FILE)).unwrap(),
        KeptSecrets::default()
    );
}
