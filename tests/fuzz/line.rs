//! From the bytes of the fuzzer to bursts on a line.

#![allow(dead_code, reason = "each target uses one of the parsers")]

use alink_gateway::base::Rng;

#[path = "../engines/hammer/parsers.rs"]
pub(crate) mod parsers;

/// Cuts the data by its first byte: into how many bursts, which are parted by silence,
/// and those into how many pieces.
pub(crate) fn strike(data: &[u8], parser: fn(&[Vec<u8>], &mut Rng) -> bool) {
    let Some((seed, wire)) = data.split_first() else {
        return;
    };
    // Slow parsers examine every piece of it.
    let wire = &wire[..wire.len().min(600)];
    let mut rng = Rng::new(u64::from(*seed));
    let mut bursts = Vec::new();
    let mut rest = wire;
    for _ in 0..rng.below(3) {
        let (burst, after) = rest.split_at(rng.below(rest.len() as u64 + 1) as usize);
        bursts.push(burst.to_vec());
        rest = after;
    }
    bursts.push(rest.to_vec());
    parser(&bursts, &mut rng);
}
