//! What the regions need of AWS: as data, compared with what is there, created, and printed.
//!
//! | file | what is in it |
//! |---|---|
//! | `plan` | what must be there, and what it is called |
//! | `policy` | who may do what: statements, roles |
//! | `found` | what is there |
//! | `compare` | what of the plan is missing, or wider than needed |
//! | `cloud` | the clients |
//! | `look`, `mend` | reading what is there, and creating what is not |
//! | `template` | the plan as CloudFormation |
//!
//! *Invariant:* `plan`, `policy`, `compare` and `template` do no I/O. Only `mend` changes anything.

mod cloud;
mod compare;
mod found;
mod look;
mod mend;
mod plan;
mod policy;
mod template;
#[cfg(test)]
mod tests;

pub use self::{
    cloud::Cloud,
    compare::{Difference, Fault, Part},
    plan::{Plan, Site},
    policy::Role,
};
