use super::*;
use crate::io::log::tests::spec;

fn unregistered() -> Arc<Spec> {
    let mut spec = spec();
    for device in &mut spec.devices {
        device.secret = Secret::new("");
    }
    Arc::new(spec)
}

fn secret_writer(secret_store: &SecretStore, spec: &Arc<Spec>) -> SecretWriter {
    let journal = Journal::new(spec.clone());
    SecretWriter::new(secret_store.clone(), spec.clone(), journal)
}

const D: DeviceId = DeviceId(0);

#[tokio::test]
async fn what_one_life_keeps_the_next_one_knows_unless_the_configuration_says_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let spec = unregistered();
    let (secret_store, _) = SecretStore::open(folder.path());
    let mut first = secret_writer(&secret_store, &spec);
    assert_eq!(first.kept(), vec![]);
    first.keep(D, Secret::new("old"));
    first.start(Mono::START, false);
    // While the first write is under way the device is given another one.
    first.keep(D, Secret::new("new"));
    first.finish(Clock::system()).await;

    let (secret_store, _) = SecretStore::open(folder.path());
    let mut second = secret_writer(&secret_store, &spec);
    assert_eq!(second.kept(), vec![(D, Secret::new("new"))]);
    let mut configured = Spec::clone(&spec);
    configured.devices[0].secret = Secret::new("configured");
    let (configured, changes) = configured.continuing(&spec);
    let configured = Arc::new(configured);
    assert_eq!(second.respec(configured.clone(), &changes), vec![]);
    assert_eq!(second.kept(), vec![]);
    let (again, changes) = Spec::clone(&spec).continuing(&configured);
    let known = second.respec(Arc::new(again), &changes);
    assert_eq!(known, vec![(D, Secret::new("new"))]);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_written_waits_and_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let spec = unregistered();
    let (secret_store, _) = SecretStore::open(&state);
    // A file is where the directory should be.
    std::fs::write(&state, "").unwrap();
    let clock = Clock::system();
    let mut secret_writer = secret_writer(&secret_store, &spec);
    secret_writer.keep(D, Secret::new("given"));
    secret_writer.start(clock.now().mono, false);
    secret_writer.written(clock).await;
    // The secret is used all the same, and the write is not tried again at once.
    assert_eq!(secret_writer.kept(), vec![(D, Secret::new("given"))]);
    secret_writer.start(clock.now().mono, false);
    assert!(secret_writer.under_way.is_none());
    std::fs::remove_file(&state).unwrap();
    secret_writer.start(clock.now().mono + AGAIN, false);
    secret_writer.written(clock).await;
    let (secret_store, _) = SecretStore::open(&state);
    let device = &spec.devices[0];
    let kept = secret_store.device(&device.product_key, &device.device_name);
    assert_eq!(kept, Some(Secret::new("given")));
}

#[tokio::test(start_paused = true)]
async fn before_anybody_registers_it_is_found_out_whether_a_secret_could_be_kept() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    std::fs::write(&state, "").unwrap();
    let (secret_store, _) = SecretStore::open(&state);
    let clock = Clock::system();
    let mut secret_writer = secret_writer(&secret_store, &unregistered());
    let now = || clock.now().mono;
    secret_writer.start(now(), false);
    assert!(
        secret_writer.under_way.is_none(),
        "no caller waits for the result"
    );
    for _ in 0..3 {
        secret_writer.start(now(), true);
        assert!(!secret_writer.written(clock).await);
        assert!(!secret_writer.is_usable(now()));
        secret_writer.start(now(), true);
        assert!(secret_writer.under_way.is_none(), "not at once again");
        tokio::time::sleep(AGAIN).await;
    }
    std::fs::remove_file(&state).unwrap();
    secret_writer.start(now(), true);
    assert!(secret_writer.written(clock).await, "from now on");
    assert!(secret_writer.is_usable(now()));
    secret_writer.start(now(), true);
    assert!(
        secret_writer.under_way.is_none(),
        "once is enough for a while"
    );
    tokio::time::sleep(PROVEN).await;
    assert!(!secret_writer.is_usable(now()), "but not for ever");
    secret_writer.start(now(), true);
    assert!(!secret_writer.written(clock).await, "as before");
    assert!(secret_writer.is_usable(now()));
    // A write that fails says that no other device may be registered.
    std::fs::remove_dir_all(&state).unwrap();
    std::fs::write(&state, "").unwrap();
    secret_writer.keep(D, Secret::new("given"));
    secret_writer.start(now(), false);
    assert!(!secret_writer.written(clock).await);
    assert!(!secret_writer.is_usable(now()));
}
