//! Every frame parser under mutation: published frames and frames made to fit them,
//! bent, cut, glued and resealed a few thousand times.
//!
//! A second, slow parser (`hammer/parsers.rs`) looks again for every reply that a
//! parser accepts. `tests/fuzz` does the same with a fuzzer that watches which branches
//! are taken. `ALINK_HAMMER=n` sets the number of rounds per parser,
//! `ALINK_HAMMER_SEED=n` where they begin; a failure names its round, which alone fails
//! again.

pub(crate) mod parsers;

use alink_gateway::base::Rng;

/// A few seconds for all of them, in a debug build.
const ROUNDS: u64 = 20_000;

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |n| n.parse().unwrap())
}

/// Runs rounds of bursts made from `corpus`; `reseal` makes a checksum right again.
fn strike_with(
    corpus: &[Vec<u8>],
    reseal: fn(&mut Vec<u8>),
    strike: fn(&[Vec<u8>], &mut Rng) -> bool,
) {
    let rounds = number("ALINK_HAMMER", ROUNDS);
    let first = number("ALINK_HAMMER_SEED", 0);
    let mut accepted = 0;
    for round in first..first + rounds {
        let mut rng = Rng::new(round);
        let bursts: Vec<Vec<u8>> = (0..1 + rng.below(3))
            .map(|_| burst(corpus, reseal, &mut rng))
            .collect();
        let again = format!("ALINK_HAMMER_SEED={round} ALINK_HAMMER=1");
        let struck =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| strike(&bursts, &mut rng)));
        let struck = struck.unwrap_or_else(|_| panic!("{again}: {bursts:02x?}"));
        accepted += u64::from(struck);
    }
    // A test in which no reply is accepted proves nothing.
    assert!(
        rounds < 1000 || accepted > rounds / 50,
        "{accepted} of {rounds}"
    );
}

fn burst(corpus: &[Vec<u8>], reseal: fn(&mut Vec<u8>), rng: &mut Rng) -> Vec<u8> {
    let mut wire = Vec::new();
    for _ in 0..1 + rng.below(3) {
        let mut piece = corpus[rng.below(corpus.len() as u64) as usize].clone();
        for _ in 0..rng.below(3) {
            bend(&mut piece, corpus, rng);
        }
        if rng.chance(400) {
            reseal(&mut piece);
        }
        wire.extend(piece);
    }
    wire
}

fn bend(piece: &mut Vec<u8>, corpus: &[Vec<u8>], rng: &mut Rng) {
    let place = |len: usize, rng: &mut Rng| rng.below(len as u64 + 1) as usize;
    let at = place(piece.len(), rng);
    match rng.below(6) {
        0 if at < piece.len() => piece[at] ^= 1 << rng.below(8),
        1 if at < piece.len() => {
            piece.remove(at);
        }
        2 => piece.insert(at, rng.below(256) as u8),
        3 => piece.truncate(at),
        4 => {
            let other = &corpus[rng.below(corpus.len() as u64) as usize];
            let from = place(other.len(), rng);
            piece.splice(at..at, other[from..].iter().copied());
        }
        _ if at < piece.len() => piece[at] = rng.below(256) as u8,
        _ => {}
    }
}

#[test]
fn rtu_accepts_only_what_a_slow_parser_finds() {
    strike_with(&parsers::rtu_corpus(), parsers::reseal_rtu, parsers::rtu);
}

#[test]
fn ascii_accepts_only_what_a_slow_parser_finds() {
    strike_with(
        &parsers::ascii_corpus(),
        parsers::reseal_ascii,
        parsers::ascii,
    );
}

#[test]
fn mbap_accepts_only_what_a_slow_parser_finds() {
    strike_with(
        &parsers::mbap_corpus(),
        |f| parsers::reseal_mbap(f),
        parsers::mbap,
    );
}

#[test]
fn dlt645_accepts_only_what_a_slow_parser_finds() {
    strike_with(
        &parsers::dlt645_corpus(),
        |f| parsers::reseal_dlt645(f),
        parsers::dlt645,
    );
}

#[test]
fn raw_accepts_only_what_a_slow_parser_finds() {
    strike_with(&parsers::raw_corpus(), parsers::reseal_raw, parsers::raw);
}
