//! The controller, in a process of its own.

use std::{
    error::Error,
    io::{self, Write},
};

use daffi::Global;

use crate::processes::until_the_starter_is_through;

/// Plays the controller.
pub(crate) fn run(host: &str, port: u16) -> Result<(), Box<dyn Error>> {
    let g = Global::builder().host(host).port(port).init_node(false).init_controller(true).start().wait()?;
    let address = g.controller_address().ok_or("there is no controller")?;
    say(&address.port().to_string())?;
    until_the_starter_is_through();
    g.stop().wait();
    Ok(())
}

/// Tells the starter something.
pub(crate) fn say(line: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{line}")
}
