//! Load generator and comparison harness for RESP and memcached servers.
//!
//! [`run`] puts load on one server; [`compare`] starts several, runs [`run`] on each as a child process, and reads the
//! [`report::Report`] it prints. Neither knows a server by anything but its sockets.

pub mod compare;
pub mod machine;
pub mod report;
pub mod run;
