//! From trees of words to a [`crate::spec::Spec`], in two passes: first everything that needs no
//! further file, then devices and their secrets.

pub(crate) mod bases;
pub(crate) mod device_registry;
pub(crate) mod first_pass;
pub(crate) mod second_pass;
