//! A device without a standard: questions it knows, answers it gives.

use super::super::manners::UnitBehaviour;
use super::Answer;

/// A device with a table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plain {
    /// What it is asked, to the byte, and what it answers.
    pub table: Vec<(Vec<u8>, Vec<u8>)>,
    /// How it behaves.
    pub manners: UnitBehaviour,
}

impl Plain {
    /// From now on it answers this to that.
    pub fn set(&mut self, asked: &[u8], answer: &[u8]) {
        self.table.retain(|(known, _)| known != asked);
        self.table.push((asked.to_vec(), answer.to_vec()));
    }

    /// Faults of content need to know what bytes mean. It does not: from
    /// another device and to another question come the bytes in reverse.
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
