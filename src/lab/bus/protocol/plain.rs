//! A device without a standard, with a table of requests and answers.

use super::super::behaviour::UnitBehaviour;
use super::Answer;

/// A device with a table of requests and answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plain {
    /// Requests, to the byte, and their answers.
    pub table: Vec<(Vec<u8>, Vec<u8>)>,
    /// The behaviour of the device.
    pub behaviour: UnitBehaviour,
}

impl Plain {
    /// Sets the answer to this request from now on.
    pub fn set(&mut self, asked: &[u8], answer: &[u8]) {
        self.table.retain(|(known, _)| known != asked);
        self.table.push((asked.to_vec(), answer.to_vec()));
    }

    /// Returns the answer to a request. Faults of content need the meaning of the
    /// bytes, which this device does not know: the answer of another device, and that
    /// to another request, are the bytes in reverse.
    pub(super) fn answer(&self, heard: &[u8]) -> Option<Answer> {
        let (_, answer) = self.table.iter().find(|(asked, _)| asked == heard)?;
        let reversed: Vec<u8> = answer.iter().rev().copied().collect();
        Some(Answer {
            bytes: answer.clone(),
            foreign: reversed.clone(),
            other: reversed,
            short: answer[..answer.len().saturating_sub(1)].to_vec(),
        })
    }
}
