//! Alink on the wire: topics, message bodies, codes and signatures. They are typed, printed
//! and parsed here and nowhere else.

pub mod answer_code;
pub mod code;
pub mod payload;
pub mod sign;
pub mod topic;
