//! Runs the field buses: a port's task asks the schedule, an exchange is one transaction on an
//! open line, and a line is a tty, a TCP connection or a test's pipe.

pub mod bus_monitor;
pub mod exchange;
pub mod line;
pub mod port;
pub mod port_commands;
pub mod port_surveys;
pub mod port_thread;
