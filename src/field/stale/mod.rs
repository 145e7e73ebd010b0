//! Decides which replies may not be believed because an abandoned request could have caused
//! them: replies of one unit ([`stale_reply`]), and of units whose replies look alike
//! ([`shared_stale_reply`]). What tells one reply from another is in [`reply_shape`].

pub mod reply_shape;
pub mod shared_stale_reply;
pub mod stale_reply;
