//! README and the pages of `docs`: links lead somewhere, and commands are ones that there are.

mod commands;
mod figures;
mod leaving_stan;
mod links;
mod page;
mod picture;
mod programs;
mod quick_start;
mod shell;
