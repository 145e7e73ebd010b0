//! Any codec that a configuration can make, and some that it cannot.

use proptest::prelude::*;

use super::{measure, numeric};
use crate::field::test_spec::NUMBERS;
use crate::spec::{
    Bits, ByteOrder, Codec, DateTime, Decimal, Encoding, FieldForm, Marker, Number, NumberType,
    Part, RegisterByte, Sign, TimeField, TimeLayout, UtcOffset, WordOrder,
};

fn kinds() -> impl Strategy<Value = Number> {
    prop::sample::select(NUMBERS.to_vec())
}

fn word_orders() -> impl Strategy<Value = WordOrder> {
    prop_oneof![Just(WordOrder::High), Just(WordOrder::Low)]
}

fn byte_orders() -> impl Strategy<Value = ByteOrder> {
    prop_oneof![Just(ByteOrder::High), Just(ByteOrder::Low)]
}

fn halves() -> impl Strategy<Value = RegisterByte> {
    prop_oneof![Just(RegisterByte::High), Just(RegisterByte::Low)]
}

/// Returns any decimal that the configuration can hold, seldom a strange one.
fn decimals() -> impl Strategy<Value = Decimal> {
    let limit = 10i128.pow(34);
    let decimal = |(digits, places): (i128, i16)| Decimal { digits, places };
    prop_oneof![
        6 => (-20i128..20, 0i16..=3).prop_map(decimal),
        3 => (-1_000_000i128..1_000_000, 0i16..=6).prop_map(decimal),
        1 => (1 - limit..limit, -270i16..=330).prop_map(decimal),
    ]
}

fn factors() -> impl Strategy<Value = Decimal> {
    prop_oneof![2 => Just(Decimal::ONE), 3 => decimals()]
}

/// Returns weights, most of which are powers of ten of one sign.
fn weights() -> impl Strategy<Value = Decimal> {
    let power = |places: i16| Decimal { digits: 1, places };
    prop_oneof![
        6 => (-4i16..=4).prop_map(power),
        1 => Just(Decimal { digits: -1, places: 0 }),
        1 => Just(Decimal { digits: 65_536, places: 0 }),
        1 => decimals(),
    ]
}

fn parts() -> BoxedStrategy<Vec<Part>> {
    let part =
        |at| (at, kinds(), weights()).prop_map(|(at, kind, weight)| Part { at, kind, weight });
    prop_oneof![
        3 => (0u16..3, kinds()).prop_map(|(at, kind)| vec![Part { at, kind, weight: Decimal::ONE }]),
        1 => prop::collection::vec(part(0u16..3), 1..2),
        3 => (part(0u16..1), part(2u16..4)).prop_map(|(a, b)| vec![a, b]),
        1 => prop::collection::vec(part(0u16..8), 2..4),
    ].boxed()
}

fn bits() -> BoxedStrategy<Option<Bits>> {
    prop_oneof![
        6 => Just(None),
        2 => (0u8..16, 0u8..16).prop_map(|(a, b)| Some(Bits::Range(a.min(b), a.max(b)))),
        1 => (0u8..66, 0u8..66).prop_map(|(a, b)| Some(Bits::Range(a, b))),
        1 => (0u64..=0xFFFF).prop_map(|mask| Some(Bits::Mask(mask))),
        1 => any::<u64>().prop_map(|mask| Some(Bits::Mask(mask))),
    ]
    .boxed()
}

fn signs() -> BoxedStrategy<Option<Sign>> {
    let sign = |(at, mask, positive, negative)| Sign::Register {
        at,
        mask,
        positive,
        negative,
    };
    prop_oneof![
        4 => Just(None),
        1 => Just(Some(Sign::HighestBit)),
        1 => (5u16..9, 0u8..16).prop_map(move |(at, bit)| Some(sign((at, 1 << bit, 0, 1 << bit)))),
        1 => (5u16..9, 0u16..3, 0u16..3).prop_map(move |(at, p, n)| Some(sign((at, u16::MAX, p, n)))),
        1 => (0u16..9, any::<u16>(), any::<u16>(), any::<u16>()).prop_map(move |s| Some(sign(s))),
    ].boxed()
}

fn number_types() -> BoxedStrategy<Option<NumberType>> {
    prop_oneof![
        5 => Just(None),
        1 => Just(Some(NumberType::Int)),
        1 => Just(Some(NumberType::Float)),
        1 => Just(Some(NumberType::Double)),
        1 => Just(Some(NumberType::Text)),
        1 => (-840i16..=840).prop_map(|n| UtcOffset::from_minutes(n).map(NumberType::Date)),
    ]
    .boxed()
}

fn measures() -> BoxedStrategy<Codec> {
    let limits = prop_oneof![
        4 => Just((None, None)),
        1 => (decimals(), decimals()).prop_map(|(a, b)| match a.compare(b).is_lt() {
            true => (Some(a), Some(b)),
            false => (Some(b), Some(a)),
        }),
    ];
    let offsets = prop_oneof![2 => Just(Decimal::ZERO), 1 => decimals()];
    let rounds = prop_oneof![3 => Just(None), 1 => (0u8..=4).prop_map(Some)];
    let invalid = prop_oneof![
        3 => Just(Vec::new()),
        1 => Just(vec![Marker::Bits(0xFFFF), Marker::Number(Decimal::ZERO)]),
    ];
    let states = prop_oneof![
        6 => Just(None),
        1 => Just(Some((-2..9).map(|n| (n, String::new())).collect())),
    ];
    let powers = prop_oneof![9 => Just(None), 1 => (0u16..9).prop_map(Some)];
    (
        (parts(), word_orders(), byte_orders(), bits(), signs()),
        (factors(), offsets, rounds, limits, number_types()),
        (invalid, states, powers),
    )
        .prop_map(|(layout, number, rest)| {
            measure(Number::U16, |m| {
                (m.parts, m.words, m.bytes, m.bits, m.sign) = layout;
                (m.scale, m.offset, m.round, (m.min, m.max), m.number_type) = number;
                (m.invalid, m.states, m.power) = rest;
            })
        })
        .boxed()
}

fn numbers() -> BoxedStrategy<Codec> {
    (
        kinds(),
        word_orders(),
        byte_orders(),
        factors(),
        decimals(),
        any::<bool>(),
    )
        .prop_map(|(kind, words, bytes, scale, moved, is_moved)| {
            let mut codec = numeric(kind, words, bytes, scale);
            if let Codec::Number { offset, .. } = &mut codec
                && is_moved
            {
                *offset = moved;
            }
            codec
        })
        .boxed()
}

fn encodings() -> impl Strategy<Value = Encoding> {
    let all = Encoding::ALL.iter().map(|(_, encoding)| *encoding);
    prop::sample::select(all.collect::<Vec<_>>())
}

fn texts() -> BoxedStrategy<Codec> {
    let registers = prop_oneof![6 => 1u16..9, 1 => 120u16..=125];
    let pairs = (registers, byte_orders(), encodings()).prop_map(|(registers, bytes, encoding)| {
        Codec::Text {
            registers,
            bytes,
            encoding,
        }
    });
    let single =
        (1u16..9, halves(), encodings()).prop_map(|(registers, half, encoding)| Codec::Letters {
            registers,
            half,
            encoding,
        });
    prop_oneof![pairs, single].boxed()
}

/// Returns dates and times of any layout.
pub(super) fn clocks() -> BoxedStrategy<Codec> {
    use TimeField::{Day, Hour, Millisecond, Minute, Month, Second, Unused, Year2, Year4};
    let rest = vec![Hour, Minute, Second, Millisecond, Unused, Unused];
    let fields = (
        prop_oneof![Just(Year2), Just(Year4)],
        prop::sample::subsequence(rest, 0..=6),
    );
    let fields = fields
        .prop_flat_map(|(year, more)| Just([vec![year, Month, Day], more].concat()).prop_shuffle());
    let forms = prop::sample::select(vec![
        FieldForm::Registers,
        FieldForm::BcdRegisters,
        FieldForm::Bytes,
        FieldForm::BcdBytes,
    ]);
    (fields, forms, byte_orders(), -840i16..=840)
        .prop_map(|(fields, form, bytes, minutes)| {
            Codec::DateTime(Box::new(DateTime {
                layout: TimeLayout::new(&fields).unwrap(),
                form,
                bytes,
                utc_offset: UtcOffset::from_minutes(minutes).unwrap(),
            }))
        })
        .boxed()
}

/// Returns any number.
pub(super) fn numerics() -> BoxedStrategy<Codec> {
    prop_oneof![1 => numbers(), 2 => measures()].boxed()
}

/// Returns any codec of registers.
pub(super) fn any_codec() -> BoxedStrategy<Codec> {
    prop_oneof![
        1 => (0u8..18).prop_map(Codec::Bit),
        8 => numerics(),
        2 => texts(),
        2 => clocks(),
    ]
    .boxed()
}

/// Returns registers as devices hold them: any bits, decimal digits, small numbers, the ends of
/// what there is.
pub(super) fn contents() -> BoxedStrategy<Vec<u16>> {
    let digits = |n: u16| {
        (0..4).fold(0, |bcd, place| {
            let digit = (n >> (4 * place) & 15) % 10;
            bcd | digit << (4 * place)
        })
    };
    let word = prop_oneof![
        3 => any::<u16>(),
        3 => any::<u16>().prop_map(digits),
        2 => 0u16..40,
        2 => prop::sample::select(vec![0, 1, 0x7FFF, 0x8000, 0xFFFF]),
        1 => (0x20u16..0x7F, 0x20u16..0x7F).prop_map(|(a, b)| a << 8 | b),
    ];
    let words = prop_oneof![
        4 => prop::collection::vec(word.clone(), 14),
        1 => word.prop_map(|w| vec![w]),
    ];
    words
        .prop_map(|w| w.iter().copied().cycle().take(130).collect())
        .boxed()
}

/// Returns values that a command may want.
pub(super) fn values() -> BoxedStrategy<crate::base::Value> {
    use crate::base::Value;
    prop_oneof![
        4 => (-70_000i64..70_000).prop_map(Value::Int),
        2 => (-7_000_000i64..7_000_000).prop_map(|n| Value::Float(n as f64 / 100.0)),
        1 => any::<i64>().prop_map(Value::Int),
        1 => any::<u64>().prop_map(Value::UInt),
        1 => any::<f64>().prop_map(Value::Float),
        1 => any::<bool>().prop_map(Value::Bool),
        2 => (0i64..4_102_444_800_000).prop_map(|n| Value::Text(n.to_string())),
        1 => "[-+.e0-9]{0,45}".prop_map(Value::Text),
        2 => "[ -~]{0,12}".prop_map(Value::Text),
        1 => any::<String>().prop_map(Value::Text),
    ]
    .boxed()
}
