//! The dimensions of the fault matrix, and its cells.

use std::fmt;
use std::time::Duration;

/// The fault of the reply to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Nothing: for comparison, not in the matrix.
    Nothing,
    /// The checksum is wrong.
    BadChecksum,
    /// A register less than requested, in a good frame.
    WrongLength,
    /// The reply to another function, datum or question, in a good frame.
    WrongFunction,
    /// The reply carries the address of the next device, in a good frame.
    ForeignUnit,
    /// Nothing comes.
    Silence,
    /// A refusal of another function than was asked for.
    OtherException,
    /// Refused: illegal data address, or no such datum.
    Refused,
    /// Refused: busy.
    Busy,
    /// Refused: device failure.
    Failure,
    /// The reply comes after the response timeout.
    Late,
    /// The first half of the reply comes, and nothing else.
    Truncated,
    /// The reply comes twice, one copy right behind the other.
    Doubled,
    /// Some bytes come in front of the reply.
    Garbage,
    /// Modbus TCP: the reply carries the number of another request.
    WrongTransaction,
    /// Modbus TCP: a refusal whose header gives a length of one byte too much.
    ExceptionLength,
    /// TCP: the connection is closed instead of an answer.
    Closed,
    /// Requests for more than [`LONGEST`] registers are not answered, whatever
    /// they ask for.
    TooLong,
}

/// How many registers a device with [`Kind::TooLong`] answers at once.
pub(crate) const LONGEST: u16 = 30;

impl Kind {
    pub(crate) const ALL: [Kind; 17] = [
        Kind::BadChecksum,
        Kind::WrongLength,
        Kind::WrongFunction,
        Kind::ForeignUnit,
        Kind::Silence,
        Kind::OtherException,
        Kind::Refused,
        Kind::Busy,
        Kind::Failure,
        Kind::Late,
        Kind::Truncated,
        Kind::Doubled,
        Kind::Garbage,
        Kind::WrongTransaction,
        Kind::ExceptionLength,
        Kind::Closed,
        Kind::TooLong,
    ];

    /// Returns whether the fault can occur on this way.
    pub(crate) fn occurs_on(self, way: Way) -> bool {
        let modbus = !matches!(way, Way::Meter2007 | Way::Meter1997 | Way::Raw);
        match self {
            Kind::Nothing => false,
            Kind::BadChecksum => way != Way::Tcp,
            // A reply that ends with a character has no length.
            Kind::WrongLength => way != Way::Raw,
            Kind::Silence
            | Kind::WrongFunction
            | Kind::ForeignUnit
            | Kind::Late
            | Kind::Truncated
            | Kind::Doubled
            | Kind::Garbage => true,
            Kind::OtherException | Kind::Refused => way != Way::Raw,
            Kind::Busy | Kind::Failure | Kind::TooLong => modbus,
            Kind::WrongTransaction | Kind::ExceptionLength | Kind::Closed => way == Way::Tcp,
        }
    }

    /// Returns whether a device that gives only such replies has proved that it lives:
    /// it refused, or its reply came.
    pub(crate) const fn proves_life(self) -> bool {
        matches!(
            self,
            Kind::Nothing
                | Kind::Refused
                | Kind::Busy
                | Kind::Failure
                | Kind::Doubled
                | Kind::Garbage
        )
    }
}

/// Protocol and transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    Rtu,
    Ascii,
    RtuOverTcp,
    AsciiOverTcp,
    Tcp,
    Meter2007,
    Meter1997,
    Raw,
}

impl Way {
    pub(crate) const ALL: [Way; 8] = [
        Way::Rtu,
        Way::Ascii,
        Way::RtuOverTcp,
        Way::AsciiOverTcp,
        Way::Tcp,
        Way::Meter2007,
        Way::Meter1997,
        Way::Raw,
    ];

    /// Returns bits per second: about half of the line is in use.
    pub(crate) const fn baud(self) -> u32 {
        match self {
            Way::Ascii | Way::AsciiOverTcp => 19_200,
            _ => 9600,
        }
    }

    /// Returns whether all requests of a device can be of one shape: every reply of a
    /// meter names its datum.
    pub(crate) const fn shapes(self) -> &'static [bool] {
        match self {
            Way::Meter2007 | Way::Meter1997 => &[false],
            _ => &[false, true],
        }
    }

    /// Returns the response timeout where none is configured.
    pub(crate) const fn timeout(self) -> Duration {
        match self {
            Way::Rtu | Way::Ascii | Way::Meter2007 | Way::Meter1997 | Way::Raw => {
                Duration::from_millis(500)
            }
            Way::RtuOverTcp | Way::AsciiOverTcp | Way::Tcp => Duration::from_secs(1),
        }
    }
}

/// The place of the failing request among the requests of its device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Position {
    First,
    Middle,
    Only,
}

impl Position {
    pub(crate) const ALL: [Position; 3] = [Position::First, Position::Middle, Position::Only];

    /// Returns its index among the requests of its device.
    pub(crate) const fn index(self) -> usize {
        match self {
            Position::First | Position::Only => 0,
            Position::Middle => 2,
        }
    }
}

/// The reply of a device to a request for something it does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Style {
    /// It refuses, as the standard wants.
    Refuses,
    /// It stays silent.
    Silent,
}

/// When the fault is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Span {
    /// From the start.
    Always,
    /// From some time on, after a time without faults.
    Onwards,
    /// For so many seconds, after a time without faults.
    Passing(u64),
}

/// One cell of the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cell {
    pub(crate) kind: Kind,
    pub(crate) way: Way,
    pub(crate) position: Position,
    /// Whether two devices have such a request, not one.
    pub(crate) several: bool,
    pub(crate) style: Style,
    /// Whether all requests of a device are of one shape.
    pub(crate) alike: bool,
    pub(crate) span: Span,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cell {
            kind,
            way,
            position,
            several,
            style,
            alike,
            span,
        } = self;
        let many = if *several { "two" } else { "one" };
        let shape = if *alike { "alike" } else { "different" };
        write!(
            f,
            "{way:?}/{kind:?}/{position:?}/{many}/{style:?}/{shape}/{span:?}"
        )
    }
}

/// Returns every cell: each combination with a fault that passes and a fault that
/// stays, which begins at the start in every other of them.
pub(crate) fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for way in Way::ALL {
        for kind in Kind::ALL.into_iter().filter(|kind| kind.occurs_on(way)) {
            for (n, position) in Position::ALL.into_iter().enumerate() {
                for several in [false, true] {
                    for style in [Style::Refuses, Style::Silent] {
                        for alike in way.shapes() {
                            let odd = n + usize::from(several) + style as usize;
                            let odd = odd + usize::from(*alike) + kind as usize;
                            let stays = match odd % 2 {
                                0 => Span::Always,
                                _ => Span::Onwards,
                            };
                            let passes = Span::Passing([20, 35, 60][odd % 3]);
                            cells.extend([stays, passes].map(|span| Cell {
                                kind,
                                way,
                                position,
                                several,
                                style,
                                alike: *alike,
                                span,
                            }));
                        }
                    }
                }
            }
        }
    }
    cells
}
