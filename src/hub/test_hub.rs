//! A coordinator of two devices, and the time, for the tests of this room.

use std::sync::Arc;

use crate::base::{Mono, Now, Rng};
use crate::field::test_spec::{installation, number, point, profile, serial};
use crate::hub::Coordinator;
use crate::spec::{Number, Table};

/// Returns a coordinator of two devices on one line, with a point each that is read every second.
pub(crate) fn hub() -> Coordinator {
    let one = || {
        let number = number(Number::U16);
        profile(vec![point(Table::HoldingRegister, 0, number, 1000)])
    };
    let spec = installation(serial(9600), vec![one(), one()]);
    Coordinator::new(Arc::new(spec), Rng::new(1), Now::default())
}

/// Returns the time this long after the start.
pub(crate) fn at(ms: u64) -> Now {
    Now {
        mono: Mono::from_micros(ms * 1000),
        ..Now::default()
    }
}
