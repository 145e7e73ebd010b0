//! The journal entries about commands: who, which device, which point, old, new, what became of
//! it.

use crate::base::{
    DeviceId, EventKind, JournalField, Level, LogEvent, LogSubject, RefusedReason, Value,
    WriteVerdict,
};
use crate::command::CommandRecord;

/// A command was answered.
#[derive(Clone, Debug, PartialEq)]
pub struct CommandLogEvent {
    /// The device; `None` for a command to the gateway itself.
    pub device: Option<DeviceId>,
    /// The command.
    pub record: CommandRecord,
}

impl LogEvent for CommandLogEvent {
    fn level(&self) -> Level {
        match self.record.whole {
            WriteVerdict::Verified { .. } | WriteVerdict::Confirmed { .. } => Level::Info,
            WriteVerdict::Different { .. }
            | WriteVerdict::Unknown(_)
            | WriteVerdict::Refused(_) => Level::Warn,
        }
    }

    fn kind(&self) -> EventKind {
        match self.record.whole {
            WriteVerdict::Verified { .. } => EventKind::CommandVerified,
            WriteVerdict::Confirmed { .. } => EventKind::CommandConfirmed,
            WriteVerdict::Different { .. } => EventKind::CommandDifferent,
            WriteVerdict::Unknown(_) => EventKind::CommandUnknown,
            WriteVerdict::Refused(_) => EventKind::CommandRefused,
        }
    }

    fn subject(&self) -> LogSubject {
        self.device.map_or(LogSubject::Gateway, LogSubject::Device)
    }

    fn fields(&self) -> Vec<(JournalField, String)> {
        let points = self.record.points.iter().map(|p| p.id.as_str());
        let points: Vec<&str> = points.collect();
        let mut fields = vec![
            (JournalField::Origin, self.record.origin.to_string()),
            (JournalField::Verdict, self.record.whole.word().to_owned()),
        ];
        if !points.is_empty() {
            fields.push((JournalField::Points, points.join(" ")));
        }
        if let Some(service) = &self.record.service {
            fields.push((JournalField::Service, service.clone()));
        }
        if let WriteVerdict::Refused(
            RefusedReason::Exception(code) | RefusedReason::Declined { word: code, .. },
        ) = &self.record.whole
        {
            fields.push((JournalField::Code, code.to_string()));
        }
        fields
    }

    fn sentence(&self) -> String {
        let record = &self.record;
        let what = match &record.service {
            Some(service) => format!("service {service}"),
            None => "set".to_owned(),
        };
        let head = format!("command of {}: {what}", record.origin);
        let points = record.points.iter().map(|point| {
            let wanted = point.wanted.as_deref().unwrap_or("-");
            let old = point.old.as_ref().map(Value::to_json_text);
            let old = old.as_deref().unwrap_or("?");
            format!("{} {old} -> {wanted}: {}", point.id, point.verdict)
        });
        let points: Vec<String> = points.collect();
        let at = match record.step {
            Some(step) => format!(" (at step {step})"),
            None => String::new(),
        };
        match points.is_empty() {
            true => format!("{head}: {}{at}", record.whole),
            false if record.service.is_some() => {
                format!("{head}: {}{at}; {}", record.whole, points.join("; "))
            }
            false => format!("{head} {}", points.join("; ")),
        }
    }
}
