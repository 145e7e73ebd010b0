//! Events of the thing model: the rules that raise them, and their way to the platform.

mod delivery;
mod rules;
mod world;
