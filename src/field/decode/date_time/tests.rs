use super::*;

/// From `date -u -d … +%s`.
#[test]
fn days_are_counted_as_date_counts_them() {
    for (year, month, day, seconds) in [
        (1970, 1, 1, 0),
        (1999, 12, 31, 946_598_400),
        (2000, 2, 29, 951_782_400),
        (2000, 3, 1, 951_868_800),
        (2024, 2, 29, 1_709_164_800),
        (2026, 11, 22, 1_795_305_600i64),
        (2100, 2, 28, 4_107_456_000),
        (2100, 3, 1, 4_107_542_400),
        (9999, 12, 31, 253_402_214_400),
    ] {
        let civil = Civil {
            year,
            month,
            day,
            ..Civil::default()
        };
        assert_eq!(civil.days(), Some(seconds / 86_400), "{civil:?}");
    }
    for (year, month, day) in [(1969, 12, 31), (2100, 2, 29), (2023, 2, 29), (2024, 6, 31)] {
        let civil = Civil {
            year,
            month,
            day,
            ..Civil::default()
        };
        assert_eq!(civil.days(), None, "{civil:?}");
    }
}
